/* The keys of a socket and its peer over any number of handshakes, and every message under way: spec.md, "Pairs in use".
 *
 * One initiator and one responder, with a network that loses, doubles and reorders every frame as it likes: what was sent
 * once may come at any time, any number of times, or never. Both sides send messages without a pause, each with the pair
 * that the rules choose; a message that comes does so within FLIGHT ticks. A tick is 30 seconds; between two ticks
 * anything may happen in any order. Time has no end here: a pair's slot is used again once nobody knows of it any more.
 *
 * Bound: at most SLOTS pairs and attempts at once. Asserted: every message that comes is one that its receiver opens.
 * With -DRESTART the responder loses its state once, at any moment; with -DGOOD too the network loses no frame of a
 * handshake, though perhaps the word that the state is lost, and the two have keys again within RECOVERY ticks. Flaws for tests: -DNO_OVERLAP, -DEARLY_SEAL, -DFORGET_UNCONFIRMED, -DNO_QUIET.
 */

#ifndef SLOTS
#define SLOTS 3
#endif
#define NONE 255

/* In ticks of 30 s; limits.py has the seconds. */
#define REKEY 4          /* PAIR_REKEY_TIME */
#define REJECT 6         /* PAIR_REJECT_TIME */
#ifdef NO_OVERLAP
#define OVERLAP 0
#else
#define OVERLAP 2        /* PAIR_OVERLAP_TIME */
#endif
#define QUIET 1          /* PAIR_QUIET_TIME */
#define CONFIRM_TIME 1   /* CONFIRM_ATTEMPT_TIME */
#define ATTEMPT 3        /* REKEY_ATTEMPT_TIME */
#define HALF_OPEN 2      /* HALF_OPEN_TIME, rounded up */
#define FLIGHT 1         /* how old a message may be when it comes */
#ifndef RECOVERY
#define RECOVERY 2
#endif

/* The initiator's side of a pair; it opens with CONFIRMING and what follows. */
#define FREE 0
#define WAITING 1        /* for an answer */
#define CONFIRMING 2     /* for done */
#define SEALS 3
#define OPENS 4
/* The responder's: FREE, HALF and BOTH. */
#define HALF 1
#define BOTH 2

byte at_i[SLOTS], at_r[SLOTS];
byte since_i[SLOTS];     /* ticks since this stage began at the initiator, and since the answer came, for its end */
byte since_a[SLOTS];
byte since_r[SLOTS];
bool opening[SLOTS], answer[SLOTS], confirmation[SLOTS], done[SLOTS];   /* sent, so they may come */
byte way_i[SLOTS], way_r[SLOTS];   /* for how many ticks a message sealed with it by i, by r may still come */
bool stale[SLOTS];       /* an answer was sent that the responder has forgotten, and may come all the same */
bool gone_r[SLOTS];      /* the responder has forgotten what the initiator holds: what comes of it is lost with it */
byte handshake = NONE;   /* under way at the initiator */
byte sends = NONE;       /* the initiator seals with it */
byte seen = NONE;        /* the pair that the initiator used last, as the responder has seen */
byte newest = NONE;      /* the responder's */
byte silent = 0;         /* ticks in which the initiator has sent and heard nothing */
bool told = false;       /* a lost frame has come */
byte dead = 0;           /* ticks for which the initiator has had no pair that the responder has */
bool restarted = false;

#define may_seal_r(k) (k != NONE && at_r[k] == BOTH && since_r[k] < REJECT)
#define opens_i(k) (at_i[k] >= CONFIRMING)
#define opens_r(k) (at_r[k] == BOTH)
#define is_free(k) (at_i[k] == FREE && at_r[k] == FREE && way_i[k] == 0 && way_r[k] == 0)
#ifdef NO_QUIET
#define quiet false
#else
#define quiet (sends != NONE && silent >= QUIET)
#endif
#define begins (handshake == NONE && (sends == NONE || since_i[sends] >= REKEY || quiet || told))

inline forget(k) {
    opening[k] = false; answer[k] = false; confirmation[k] = false; done[k] = false; stale[k] = false;
    since_i[k] = 0; since_a[k] = 0; gone_r[k] = false;
}

inline begin(k) {
    forget(k); since_r[k] = 0;
    handshake = k; at_i[k] = WAITING; opening[k] = true; told = false;
}

inline establish(k) {
    if
    :: sends != NONE -> at_i[sends] = OPENS
    :: else
    fi;
    sends = k; at_i[k] = SEALS; since_i[k] = 0; handshake = NONE; silent = 0
}

/* The pair that the responder seals with now. */
inline choose_r(k) {
    if
    :: may_seal_r(seen) -> k = seen
    :: !may_seal_r(seen) && may_seal_r(newest) -> k = newest
    :: else -> k = NONE
    fi
}

inline expire_i(k) {
    if
    :: at_i[k] == WAITING && since_i[k] >= ATTEMPT -> at_i[k] = FREE; handshake = NONE
    :: at_i[k] == CONFIRMING && since_i[k] >= CONFIRM_TIME -> handshake = NONE;
#ifdef FORGET_UNCONFIRMED
       at_i[k] = FREE
#else
       at_i[k] = OPENS
#endif
    :: at_i[k] == SEALS && since_i[k] >= REJECT -> at_i[k] = OPENS; sends = NONE
    :: else
    fi;
    if
    :: at_i[k] >= SEALS && since_a[k] >= REJECT + OVERLAP ->
       if
       :: sends == k -> sends = NONE
       :: else
       fi;
       at_i[k] = FREE
    :: else
    fi
}

/* The responder forgets a handshake: its initiator may have the answer already, or get it yet. */
inline drop_half(k) {
    at_r[k] = FREE; answer[k] = false;
    if
    :: at_i[k] == WAITING -> stale[k] = true
    :: else -> gone_r[k] = true
    fi
}

inline expire_r(k) {
    if
    :: at_r[k] == HALF && since_r[k] >= HALF_OPEN -> drop_half(k)
    :: at_r[k] == BOTH && since_r[k] >= REJECT + OVERLAP -> at_r[k] = FREE
    :: else
    fi
}

inline older(n) { if :: n < 15 -> n++ :: else fi }
inline fewer(n) { if :: n > 0 -> n-- :: else fi }

/* Frames that change something where they come. An opening that comes late makes a half-open handshake, no more. */
#define opening_helps(k) (opening[k] && at_r[k] == FREE && at_i[k] == WAITING)
#define answer_helps(k) (answer[k] && at_i[k] == WAITING)
#define stale_helps(k) (stale[k] && at_i[k] == WAITING)
#define confirmation_helps(k) (confirmation[k] && at_r[k] == HALF && !gone_r[k])
#define done_helps(k) (done[k] && at_i[k] == CONFIRMING)
#define lost_helps(k) (confirmation[k] && gone_r[k] && at_i[k] == CONFIRMING)
#define helps(k) (opening_helps(k) || answer_helps(k) || confirmation_helps(k) || done_helps(k) || lost_helps(k))
#if SLOTS == 3
#define any(what) (what(0) || what(1) || what(2))
#else
#define any(what) (what(0) || what(1) || what(2) || what(3))
#endif
/* Where the network is good time does not pass while something can still come of what was sent. */
#ifdef GOOD
#define hears (sends != NONE && opens_r(sends))
#define time_may_pass (!any(helps) && !(begins && any(is_free)))
#else
#define hears false
#define time_may_pass true
#endif

active proctype world() {
    byte k, used;
end:
    do
    /* Handshake frames, each as often as it likes. */
    :: atomic { begins && any(is_free) ->
        if
        :: is_free(0) -> begin(0)
        :: !is_free(0) && is_free(1) -> begin(1)
        :: !is_free(0) && !is_free(1) && is_free(2) -> begin(2)
#if SLOTS > 3
        :: !is_free(0) && !is_free(1) && !is_free(2) && is_free(3) -> begin(3)
#endif
        fi }
    :: atomic { any(opening_helps) -> select(k : 0 .. SLOTS - 1);
        if
        :: opening_helps(k) -> at_r[k] = HALF; since_r[k] = 0; answer[k] = true
        :: else
        fi; k = 0 }
    :: atomic { any(answer_helps) -> select(k : 0 .. SLOTS - 1);
        if
        :: answer_helps(k) -> at_i[k] = CONFIRMING; since_i[k] = 0; since_a[k] = 0; confirmation[k] = true;
#ifdef EARLY_SEAL
            establish(k)
#endif
        :: else
        fi; k = 0 }
    :: atomic { any(stale_helps) -> select(k : 0 .. SLOTS - 1);
        if
        :: stale_helps(k) -> at_i[k] = CONFIRMING; since_i[k] = 0; since_a[k] = 0; confirmation[k] = true; gone_r[k] = true
        :: else
        fi; k = 0 }
    :: atomic { any(lost_helps) -> select(k : 0 .. SLOTS - 1);
        if
        :: lost_helps(k) -> at_i[k] = FREE; handshake = NONE
        :: else
        fi; k = 0 }
    :: atomic { any(confirmation_helps) -> select(k : 0 .. SLOTS - 1);
        if
        :: confirmation_helps(k) -> at_r[k] = BOTH; since_r[k] = 0; newest = k; done[k] = true
        :: else
        fi; k = 0 }
    :: atomic { any(done_helps) -> select(k : 0 .. SLOTS - 1);
        if
        :: done_helps(k) -> establish(k)
        :: else
        fi; k = 0 }

    /* Messages. The one that comes was sealed a moment ago, or up to FLIGHT ticks ago. */
    :: atomic { select(k : 0 .. SLOTS - 1);
        if
        :: (sends == k || way_i[k] > 0) ->
            if
            :: gone_r[k] ->       /* lost with the responder's state, which says so; the word may be lost as well */
                if
                :: sends == k -> told = true
                :: skip
                fi
            :: else -> assert(opens_r(k)); seen = k
            fi
        :: else
        fi; k = 0 }
    :: atomic { select(k : 0 .. SLOTS - 1); choose_r(used);
        if
        :: (used == k || way_r[k] > 0) -> assert(opens_i(k)); silent = 0;
            if
            :: at_i[k] == CONFIRMING -> establish(k)
            :: else
            fi
        :: else
        fi; k = 0; used = 0 }

#ifdef RESTART
    :: atomic { !restarted && sends != NONE && opens_r(sends) -> restarted = true;
        for (k : 0 .. SLOTS - 1) {
            if
            :: at_r[k] == HALF -> drop_half(k)
            :: at_r[k] == BOTH -> at_r[k] = FREE; gone_r[k] = true
            :: else
            fi;
            since_r[k] = 0
        };
        seen = NONE; newest = NONE; k = 0 }
#endif

    /* Time. */
    :: atomic { time_may_pass ->
        choose_r(used);
        for (k : 0 .. SLOTS - 1) {
            fewer(way_i[k]); fewer(way_r[k]);
            if :: sends == k -> way_i[k] = FLIGHT :: else fi;
            if :: used == k -> way_r[k] = FLIGHT :: else fi;
            if :: at_i[k] != FREE -> older(since_i[k]); older(since_a[k]) :: else -> since_i[k] = 0; since_a[k] = 0 fi;
            if :: at_r[k] != FREE -> older(since_r[k]) :: else -> since_r[k] = 0 fi
        };
        if
        :: restarted && !(sends != NONE && opens_r(sends)) -> older(dead)
        :: else -> dead = 0
        fi;
#ifdef GOOD
        assert(dead <= RECOVERY);
#endif
        if :: hears -> silent = 0 :: else fi;
        if :: sends != NONE && !hears -> older(silent); if :: silent > QUIET -> silent = QUIET :: else fi :: else -> silent = 0 fi;
        for (k : 0 .. SLOTS - 1) {
            expire_i(k); expire_r(k);
            if :: is_free(k) -> forget(k) :: else fi
        };
        if :: seen != NONE && at_r[seen] != BOTH -> seen = NONE :: else fi;
        if :: newest != NONE && at_r[newest] != BOTH -> newest = NONE :: else fi;
        k = 0; used = 0 }
    od
}
