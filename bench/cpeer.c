/* cpeer.c: one end of the PUSH to PULL benchmark in C, over the libzmq that pyzmq has: the bound of what can be reached.
 *
 *     cpeer LIBZMQ push|pull plain|curve ENDPOINT SIZE|@FILE
 *
 * It sends messages of SIZE bytes, or those of FILE over and over: u32 count, and for each message u32 frames, and for
 * each frame u32 length and its bytes.
 *
 * It speaks as bench/peer.py does: "run COUNT" and "quit" on stdin, JSON lines on stdout. With curve, CURVE_PUBLIC and
 * CURVE_SECRET hold the server's keys in Z85.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PULL = 7, PUSH = 8, SNDHWM = 23, RCVHWM = 24, LINGER = 17, LAST_ENDPOINT = 32 };
enum { SNDMORE = 2, MAX_MESSAGES = 16384, MAX_FRAMES = 8 };
enum { CURVE_SERVER = 47, CURVE_PUBLICKEY = 48, CURVE_SECRETKEY = 49, CURVE_SERVERKEY = 50, HWM = 10000, KEY_TEXT = 41 };

typedef union msg {
    unsigned char bytes[64];
    void *align;
} msg;

static struct {
    void *(*ctx_new)(void);
    void *(*socket)(void *, int);
    int (*setsockopt)(void *, int, const void *, size_t);
    int (*getsockopt)(void *, int, void *, size_t *);
    int (*bind)(void *, const char *);
    int (*connect)(void *, const char *);
    int (*msg_init)(msg *);
    int (*msg_init_size)(msg *, size_t);
    void *(*msg_data)(msg *);
    int (*msg_close)(msg *);
    int (*msg_more)(const msg *);
    int (*msg_send)(msg *, void *, int);
    int (*msg_recv)(msg *, void *, int);
    int (*curve_keypair)(char *, char *);
} zmq;

static void die(const char *what) {
    fprintf(stderr, "cpeer: %s\n", what);
    exit(1);
}

static void load(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (library == NULL) die(dlerror());
    const struct {
        const char *name;
        void *slot;
    } wanted[] = {
        {"zmq_ctx_new", &zmq.ctx_new},         {"zmq_socket", &zmq.socket},     {"zmq_setsockopt", &zmq.setsockopt},
        {"zmq_getsockopt", &zmq.getsockopt},   {"zmq_bind", &zmq.bind},         {"zmq_connect", &zmq.connect},
        {"zmq_msg_init", &zmq.msg_init},       {"zmq_msg_init_size", &zmq.msg_init_size},
        {"zmq_msg_data", &zmq.msg_data},       {"zmq_msg_close", &zmq.msg_close}, {"zmq_msg_more", &zmq.msg_more},
        {"zmq_msg_send", &zmq.msg_send},       {"zmq_msg_recv", &zmq.msg_recv}, {"zmq_curve_keypair", &zmq.curve_keypair},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        void *symbol = dlsym(library, wanted[i].name);
        if (symbol == NULL) die(wanted[i].name);
        memcpy(wanted[i].slot, &symbol, sizeof symbol);
    }
}

static void set_int(void *socket, int option, int value) {
    if (zmq.setsockopt(socket, option, &value, sizeof value) != 0) die("setsockopt");
}

static void set_curve(void *socket, int server) {
    const char *public_key = getenv("CURVE_PUBLIC"), *secret_key = getenv("CURVE_SECRET");
    char own_public[KEY_TEXT], own_secret[KEY_TEXT];
    if (public_key == NULL || secret_key == NULL) die("CURVE_PUBLIC and CURVE_SECRET are needed");
    if (server) {
        set_int(socket, CURVE_SERVER, 1);
        if (zmq.setsockopt(socket, CURVE_SECRETKEY, secret_key, KEY_TEXT) != 0) die("curve secret key");
        return;
    }
    if (zmq.curve_keypair(own_public, own_secret) != 0) die("curve keypair");
    if (zmq.setsockopt(socket, CURVE_SERVERKEY, public_key, KEY_TEXT) != 0 ||
        zmq.setsockopt(socket, CURVE_PUBLICKEY, own_public, KEY_TEXT) != 0 ||
        zmq.setsockopt(socket, CURVE_SECRETKEY, own_secret, KEY_TEXT) != 0) die("curve keys");
}

static double seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* What is sent: messages of frames, one after the other, over and over. */
typedef struct message {
    size_t count, size[MAX_FRAMES];
    unsigned char *frame[MAX_FRAMES];
} message;

static message messages[MAX_MESSAGES];
static size_t message_count, next;

static uint32_t read_u32(FILE *file) {
    unsigned char b[4];
    if (fread(b, 1, sizeof b, file) != sizeof b) die("the file of messages is cut");
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static void add_frame(message *one, size_t size, FILE *file) {
    unsigned char *data = calloc(1, size + 1);
    if (data == NULL || one->count == MAX_FRAMES) die("no room for a frame");
    if (file != NULL && fread(data, 1, size, file) != size) die("the file of messages is cut");
    one->size[one->count] = size;
    one->frame[one->count++] = data;
}

static void read_messages(const char *text) {
    if (text[0] != '@') {
        add_frame(&messages[0], strtoul(text, NULL, 10), NULL);
        message_count = 1;
        return;
    }
    FILE *file = fopen(text + 1, "rb");
    if (file == NULL) die("the file of messages cannot be read");
    message_count = read_u32(file);
    if (message_count == 0 || message_count > MAX_MESSAGES) die("no such number of messages");
    for (size_t i = 0; i < message_count; i++) {
        for (uint32_t frames = read_u32(file); frames > 0; frames--) add_frame(&messages[i], read_u32(file), file);
    }
    fclose(file);
}

static void send_one(void *socket) {
    const message *one = &messages[next];
    next = next + 1 == message_count ? 0 : next + 1;
    for (size_t i = 0; i < one->count; i++) {
        msg m;
        if (zmq.msg_init_size(&m, one->size[i]) != 0) die("msg_init_size");
        memcpy(zmq.msg_data(&m), one->frame[i], one->size[i]);
        if (zmq.msg_send(&m, socket, i + 1 < one->count ? SNDMORE : 0) < 0) die("msg_send");
    }
}

static void receive_one(void *socket) {
    msg m;
    int more;
    do {
        zmq.msg_init(&m);
        if (zmq.msg_recv(&m, socket, 0) < 0) die("msg_recv");
        more = zmq.msg_more(&m);
        zmq.msg_close(&m);
    } while (more);
}

int main(int argc, char **argv) {
    if (argc != 6) die("usage: cpeer LIBZMQ push|pull plain|curve ENDPOINT SIZE|@FILE");
    load(argv[1]);
    int pushes = strcmp(argv[2], "push") == 0;
    size_t length = 256;
    char line[256], endpoint[256];
    read_messages(argv[5]);
    void *socket = zmq.socket(zmq.ctx_new(), pushes ? PUSH : PULL);
    if (socket == NULL) die("socket");
    set_int(socket, SNDHWM, HWM);
    set_int(socket, RCVHWM, HWM);
    set_int(socket, LINGER, 0);
    if (strcmp(argv[3], "curve") == 0) set_curve(socket, !pushes);
    if ((pushes ? zmq.connect : zmq.bind)(socket, argv[4]) != 0) die("endpoint");
    if (zmq.getsockopt(socket, LAST_ENDPOINT, endpoint, &length) != 0) die("last endpoint");
    printf("{\"ready\": \"%s\"}\n", endpoint);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL && strncmp(line, "run ", 4) == 0) {
        unsigned long count = strtoul(line + 4, NULL, 10), done = 0;
        if (!pushes && count > 0) {
            receive_one(socket); /* waiting for the first message is not the receiver's work */
            done = 1;
        }
        double start = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
        for (; done < count; done++) {
            if (pushes) send_one(socket);
            else receive_one(socket);
        }
        printf("{\"seconds\": %.9f, \"cpu\": %.9f}\n", seconds(CLOCK_MONOTONIC) - start,
               seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
        fflush(stdout);
    }
    return 0;
}
