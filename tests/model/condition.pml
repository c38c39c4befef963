// SPDX-License-Identifier: MIT
//
// The condition, for spin(1): consumers wait for items, a producer puts one for each and
// notifies one waiter each time. Consumers die anywhere, also after they were notified and
// before they have the lock again: then the notification must reach somebody else, though the
// producer will never notify again.
//
// libmp/shm/condition.c: a waiter has a node, FREE, WAITING or NOTIFIED, with its life. The
// producer changes the node of the oldest that it does not know to be dead. A sleeper that
// looks takes over a notified node whose process is dead by putting its own life in it; if it
// was notified itself meanwhile it leaves that node to nobody, the next sleeper's to take.
//
// Properties: no consumer that lives sleeps for ever while there are items. Mistakes to be
// found: NO_LOOK, NO_TAKEOVER (a sleeper looks only at its own node), NO_LEAVE (who has two
// notifications drops one), EARLY_FREE (the producer frees a notified node of a dead process
// that somebody may still take over).
//
// holds: -DN=3 -DDEATHS=1
// holds: -DN=3 -DDEATHS=2
// holds: -DN=3 -DDEATHS=0 -DNO_LOOK
// finds: -DN=3 -DDEATHS=1 -DNO_LOOK
// finds: -DN=3 -DDEATHS=1 -DNO_TAKEOVER
// finds: -DN=3 -DDEATHS=1 -DNO_LEAVE
// finds: -DN=3 -DDEATHS=1 -DEARLY_FREE

mtype = {FREE, WAITING, NOTIFIED};

#define NOBODY 0

mtype state[N + 1] = FREE; // node i is used by consumer i: which is free does not matter
byte life[N + 1];          // whose it is
byte ticket[N + 1];
byte tickets;
bit asleep[N + 1];
bit dead[N + 1];
byte lock;
byte items;
byte deaths;

#define IS_OVER(i) (life[i] == NOBODY || dead[life[i]])
#define MAY_DIE    if :: atomic { deaths < DEATHS -> deaths++; goto dies } :: true fi
#define SLEEPS(i)  (state[i] == WAITING && !IS_OVER(i))

#ifdef NO_LOOK
#define LOOKED false
#else
#define LOOKED (timeout && looks < 3)
#endif

// The oldest waiting node, 0 if there is none.
inline find_oldest(n)
{
    n = 0;
    if :: state[1] == WAITING -> n = 1 :: else -> skip fi;
    if :: state[2] == WAITING && (n == 0 || ticket[2] < ticket[n]) -> n = 2 :: else -> skip fi;
    if :: state[3] == WAITING && (n == 0 || ticket[3] < ticket[n]) -> n = 3 :: else -> skip fi
}

inline try_node(i)
{
    if
    :: taken == 0 && i != me && state[i] == NOTIFIED && IS_OVER(i) ->
        life[i] = me;
        taken = i
    :: else -> skip
    fi
}

proctype consumer(byte me)
{
    byte taken, looks;

    atomic { lock == 0 -> lock = me };
    do
    :: items > 0 -> break
    :: else ->
        // ---- wait
        life[me] = me;
        ticket[me] = tickets;
        tickets++;
        MAY_DIE;
        state[me] = WAITING;
        MAY_DIE;
        lock = 0;
        taken = 0;
        looks = 0;
        do
        :: state[me] != WAITING || taken -> break
        :: else ->
            atomic { if :: state[me] == WAITING -> asleep[me] = 1 :: else -> skip fi };
            if
            :: !asleep[me] -> skip
            :: LOOKED -> asleep[me] = 0; looks++
            :: atomic { asleep[me] && deaths < DEATHS -> asleep[me] = 0; deaths++; goto dies }
            fi;
            if
            :: state[me] != WAITING -> skip
            :: else ->
#ifndef NO_TAKEOVER
                MAY_DIE;
                atomic { try_node(1); try_node(2); try_node(3) }
#else
                skip
#endif
            fi
        od;
        MAY_DIE;
        atomic { lock == 0 -> lock = me };
        MAY_DIE;
        if
        :: taken && state[me] == NOTIFIED -> // one too many
#ifdef NO_LEAVE
            state[taken] = FREE
#else
            life[taken] = NOBODY
#endif
        :: taken && state[me] != NOTIFIED -> state[taken] = FREE
        :: else -> skip
        fi;
        MAY_DIE;
        state[me] = FREE
    od;
    MAY_DIE;
    items--;
    lock = 0;
    goto ends;

dies:
    atomic {
        dead[me] = 1;
        if :: lock == me -> lock = 0 :: else -> skip fi
    };
ends:
    skip
}

// An item for each consumer, and one notification with each.
proctype producer()
{
    byte put, n;

    do
    :: put == N -> break
    :: else ->
        put++;
        atomic { lock == 0 -> lock = N + 1 };
        items++;
        do
        :: find_oldest(n);
            if
            :: n == 0 -> break
            :: n != 0 && IS_OVER(n) -> state[n] = FREE
            :: else ->
                state[n] = NOTIFIED;
                asleep[n] = 0;
                break
            fi
        od;
#ifdef EARLY_FREE
        atomic {
            if :: state[1] == NOTIFIED && IS_OVER(1) -> state[1] = FREE :: else -> skip fi;
            if :: state[2] == NOTIFIED && IS_OVER(2) -> state[2] = FREE :: else -> skip fi;
            if :: state[3] == NOTIFIED && IS_OVER(3) -> state[3] = FREE :: else -> skip fi
        };
#endif
        lock = 0
    od
}

init
{
    atomic {
        run consumer(1);
        run consumer(2);
        run consumer(3);
        run producer()
    }
}
