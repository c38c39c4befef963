// SPDX-License-Identifier: MIT
//
// Both kinds of semaphore, for spin(1), with processes that die between any two steps.
//
//   PLAIN    libmp/shm/semaphore.c: one word. A unit that a dead process took is lost, but
//            one that is there is always found: who was woken for it may die before it takes
//            it, and then the look of another finds it
//   ROBUST   total, and what each process is counted for, are the truth; the value follows.
//            All under a lock whose next owner learns of a death. Who finds too little takes
//            over what the dead were counted for
//
// Properties: never are more units out than there are; nobody sleeps for ever while there is
// one. Mistakes to be found: NO_LOOK (a sleeper waits until it is woken), NO_REAP (counts of
// the dead stay), NO_RECOUNT (the value is believed after a death), VALUE_FIRST (the value is
// changed before the count, and believed).
//
// holds: -DPLAIN -DN=3 -DDEATHS=1
// holds: -DPLAIN -DN=3 -DDEATHS=0 -DNO_LOOK
// finds: -DPLAIN -DN=3 -DDEATHS=1 -DNO_LOOK
// holds: -DROBUST -DN=3 -DDEATHS=2
// finds: -DROBUST -DN=3 -DDEATHS=2 -DNO_REAP
// finds: -DROBUST -DN=3 -DDEATHS=2 -DNO_RECOUNT
// finds: -DROBUST -DN=3 -DDEATHS=2 -DNO_RECOUNT -DVALUE_FIRST

#ifdef PLAIN
#define UNITS 2 // one may be lost, and one is left
#else
#define UNITS 1
#endif
#define ROUNDS 2

byte value = UNITS;
byte total = UNITS;
byte count[N + 1];
bit dead[N + 1];
bit asleep[N + 1];
byte sleepers;
byte lock; // 0: free
bit torn;  // its last owner died
byte deaths;
byte out;  // units that the living have

#define MAY_DIE if :: atomic { deaths < DEATHS -> deaths++; goto dies } :: true fi

#ifdef NO_LOOK
#define LOOKED false
#else
#define LOOKED (timeout && looks < 2)
#endif

inline wake_one()
{
    if
    :: asleep[1] -> asleep[1] = 0
    :: asleep[2] -> asleep[2] = 0
    :: asleep[3] -> asleep[3] = 0
    :: else -> skip
    fi
}

inline wake_all()
{
    asleep[1] = 0;
    asleep[2] = 0;
    asleep[3] = 0
}

inline sum_to_value()
{
    value = total - count[1] - count[2] - count[3]
}

inline reap()
{
#ifndef NO_REAP
    if :: dead[1] -> count[1] = 0 :: else -> skip fi;
    if :: dead[2] -> count[2] = 0 :: else -> skip fi;
    if :: dead[3] -> count[3] = 0 :: else -> skip fi;
#endif
#ifndef NO_RECOUNT
    sum_to_value();
#endif
    if :: value > 0 -> wake_all() :: else -> skip fi
}

inline take_lock()
{
    atomic {
        lock == 0;
        lock = me;
        if
        :: torn -> torn = 0; reap()
        :: else -> skip
        fi
    }
}

proctype process(byte me)
{
    byte round, looks;
    bit got;

    do
    :: round == ROUNDS -> break
    :: else ->
        round++;
        looks = 0;
        got = 0;
        // ---- acquire
        do
        :: got -> break
        :: else ->
            MAY_DIE;
#ifdef PLAIN
            atomic {
                if
                :: value > 0 -> value--; got = 1; out++
                :: else -> skip
                fi
            };
#else
            take_lock();
            MAY_DIE;
            atomic { if :: value == 0 -> reap() :: else -> skip fi };
            MAY_DIE;
            if
            :: value > 0 ->
#ifdef VALUE_FIRST
                value--;
                MAY_DIE;
                count[me]++;
#else
                count[me]++;
                MAY_DIE;
                value--;
#endif
                MAY_DIE;
                atomic { got = 1; out++ }
            :: else -> skip
            fi;
            if
            :: atomic { deaths < DEATHS -> deaths++; out = out - got; goto dies }
            :: true
            fi;
            atomic { lock = 0 };
#endif
            if
            :: got -> skip
            :: else ->
                sleepers++;
                atomic { if :: value == 0 -> asleep[me] = 1 :: else -> skip fi };
                if
                :: !asleep[me] -> looks = 0
                :: LOOKED -> asleep[me] = 0; looks++
                :: atomic { asleep[me] && deaths < DEATHS -> asleep[me] = 0; deaths++; goto dies }
                fi;
                // Woken, and killed before it takes anything.
                MAY_DIE;
                sleepers--
            fi
        od;
        assert(out <= UNITS);
        if
        :: atomic { deaths < DEATHS -> deaths++; out--; goto dies }
        :: true
        fi;
        // ---- release
#ifdef PLAIN
        atomic { value++; out-- };
#else
        take_lock();
        if
        :: atomic { deaths < DEATHS -> deaths++; out--; goto dies }
        :: true
        fi;
        atomic { count[me]--; out-- };
        MAY_DIE;
        value++;
        MAY_DIE;
        lock = 0;
#endif
        MAY_DIE;
        if
        :: sleepers > 0 -> atomic { wake_one() }
        :: else -> skip
        fi
    od;
    goto ends;

dies:
    atomic {
        dead[me] = 1;
        if
        :: lock == me -> lock = 0; torn = 1
        :: else -> skip
        fi
    };
ends:
    skip
}

init
{
    atomic {
        run process(1);
        run process(2);
        run process(3)
    }
}
