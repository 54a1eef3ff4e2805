/* forks.c: counts forks (floor 1). */
#include "forks.h"

#include <pthread.h>

static uint64_t forks;

static void in_child(void) {
    forks++;
}

bool zs_forks_watch(void) {
    return pthread_atfork(NULL, NULL, in_child) == 0;
}

uint64_t zs_forks(void) {
    return forks;
}
