/* How often an enrolment token works: keyserver/enrolment.py, `redeem`, at two servers of one realm.
 *
 * One token, made for one member. Who asks: the member A, again and again as answers are lost, and a thief T that has
 * come to know the token. Both servers may serve any request, also one request twice; a server may die at any moment: what
 * was not committed is undone, what was committed stays, and its answer may never come. The token may expire, and the
 * member be revoked. A transaction holds the realm's row from its beginning (-DNO_LOCK: it does not; -DNOT_MARKED: the
 * token is not marked as used; -DNOT_AGAIN: a token that was used refuses its own user too).
 *
 * Asserted: at most one identity is ever registered by the token; who is told that it is registered is; and A, asking
 * again, is not refused what it has got already. Bound: two servers, REQUESTS requests of each asker.
 */

#define NOBODY 0
#define A 1
#define T 2
#ifndef REQUESTS
#define REQUESTS 2
#endif

byte used_by = NOBODY;       /* what is committed */
bool registered[3], revoked[3], expired;
byte asked[3];               /* requests that are still to be made */
bool told[3];                /* whether an answer that says yes has come */
byte lock = 0;               /* the server that holds the realm's row */

#ifdef NO_LOCK
#define take_lock(me) skip
#define drop_lock(me) skip
#else
#define take_lock(me) atomic { lock == 0 -> lock = me }
#define drop_lock(me) if :: lock == me -> lock = 0 :: else fi
#endif

proctype server(byte me) {
    byte who, seen;
    bool late, gone, yes;
    do
    :: atomic {
        if
        :: asked[A] > 0 -> who = A; asked[A]--
        :: asked[T] > 0 -> who = T; asked[T]--
        fi };
again:
       take_lock(me);
       d_step { seen = used_by; late = expired; gone = revoked[who]; yes = false };
       if
       :: goto dies                        /* before it has done anything */
       :: seen == who ->
#ifdef NOT_AGAIN
          assert(who != A || gone)
#else
          yes = !gone
#endif
       :: seen == NOBODY && !late && !gone ->
          if
          :: goto dies                     /* in the middle: nothing of it is kept */
          :: d_step {
#ifndef NOT_MARKED
                used_by = who;
#endif
                registered[who] = true; yes = true };
             assert(!(registered[A] && registered[T]))
          fi
       :: else                             /* refused, and nothing changed */
       fi;
       drop_lock(me);
       if
       :: yes -> told[who] = true; assert(registered[who])
       :: !yes && who == A -> assert(!told[A] || revoked[A] || used_by != A)
       :: else
       :: skip                             /* the answer is lost */
       fi;
       d_step { seen = NOBODY; late = false; gone = false; yes = false };
       if
       :: goto again                       /* the same request once more, by the network or by the asker */
       :: skip
       fi
    :: asked[A] == 0 && asked[T] == 0 -> break
    od;
    goto over;
dies:
    drop_lock(me);
    if
    :: asked[A] == 0 && asked[T] == 0 -> goto over
    :: else -> who = NOBODY; run server(me)
    fi;
over:
    skip
}

init {
    atomic { asked[A] = REQUESTS; asked[T] = REQUESTS; run server(1); run server(2) };
    if
    :: expired = true
    :: skip
    fi;
    if
    :: registered[A] -> revoked[A] = true
    :: skip
    fi
}
