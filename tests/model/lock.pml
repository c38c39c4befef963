// SPDX-License-Identifier: MIT
//
// The lock with the death of its owner, for spin(1): the robust mutex of the C library, what
// the kernel does for the dead, and the looks of libmp/shm/mutex.c on top.
//
// A word: who owns it (0: nobody), whether somebody may sleep on it, whether an owner died.
//
//   lock     free: take it by one exchange, keeping "sleepers" up when this process slept
//            before; an owner died: the same, and be told; else raise "sleepers" and sleep
//   unlock   exchange the word for 0; sleepers up? wake one
//   kernel   when a process has died, at some later time: is the word its own? then mark
//            "died" and wake one; was it in the middle of a call and the word is nobody's?
//            then wake one
//
// Any process may die between any two steps, also while it sleeps or after it was woken.
// What the lock guards is a pair that is equal unless an owner is inside, or died there.
//
// Properties: one owner at a time; a torn pair is never found without being told; nobody
// sleeps for ever. Mistakes to be found: NO_LOOK (a sleeper waits until it is woken: the
// third party that took the word between unlock and wake knows of no sleeper), NO_PENDING
// (the kernel does not care for calls that were under way), NO_KEEP (who slept takes the
// word without keeping "sleepers" up; the looks would hide it, so without them), NO_TELL.
//
// holds: -DN=3 -DDEATHS=2
// holds: -DN=3 -DDEATHS=0 -DNO_LOOK
// holds: -DN=2 -DDEATHS=1 -DNO_LOOK
// finds: -DN=3 -DDEATHS=1 -DNO_LOOK
// finds: -DN=2 -DDEATHS=1 -DNO_LOOK -DNO_PENDING
// finds: -DN=3 -DDEATHS=0 -DNO_LOOK -DNO_KEEP
// finds: -DN=2 -DDEATHS=1 -DNO_TELL

#ifndef ROUNDS
#define ROUNDS 2
#endif

byte owner;           // the word
bit sleepers, died;   //
bit asleep[N + 1];    // in the kernel's queue
bit in_call[N + 1];   // "pending" in the list that the kernel walks
byte deaths;
byte a, b;            // what the lock guards
byte inside;          // living owners

inline wake_one()
{
    if
    :: asleep[1] -> asleep[1] = 0
    :: asleep[2] -> asleep[2] = 0
#if N > 2
    :: asleep[3] -> asleep[3] = 0
#endif
    :: else -> skip
    fi
}

#define MAY_DIE if :: atomic { deaths < DEATHS -> deaths++; goto dies } :: true fi

// Nothing else can happen any more: the time comes at which a sleeper looks. Twice in a
// row without success is a hang.
#ifdef NO_LOOK
#define LOOKED false
#else
#define LOOKED (timeout && looks < 2)
#endif

#ifdef NO_KEEP
#define KEPT false
#else
#define KEPT slept
#endif

proctype process(byte me)
{
    byte round, looks;
    bit slept, told, got, seen_sleepers;

    do
    :: round == ROUNDS -> break
    :: else ->
        round++;
        // ---- lock
        in_call[me] = 1;
        slept = 0;
        looks = 0;
        got = 0;
        do
        :: got -> break
        :: else ->
            MAY_DIE;
            atomic {
                if
                :: owner == 0 && !died -> // one exchange
                    owner = me;
                    sleepers = sleepers || KEPT;
                    told = 0;
                    got = 1
                :: owner == 0 && died ->
                    owner = me;
                    sleepers = sleepers || KEPT;
                    died = 0;
#ifdef NO_TELL
                    told = 0;
#else
                    told = 1;
#endif
                    got = 1
                :: else -> sleepers = 1
                fi
            };
            if
            :: got -> skip
            :: else ->
                slept = 1;
                MAY_DIE;
                atomic { // futex_wait: only if the word is still that
                    if
                    :: owner != 0 && sleepers -> asleep[me] = 1
                    :: else -> skip
                    fi
                };
                if
                :: !asleep[me] -> looks = 0
                :: LOOKED -> asleep[me] = 0; looks++
                :: atomic { // killed asleep: it leaves the queue
                       asleep[me] && deaths < DEATHS -> asleep[me] = 0;
                       deaths++;
                       goto dies
                   }
                fi
            fi
        od;
        in_call[me] = 0;
        // ---- inside
        inside++;
        assert(inside == 1);
        if
        :: told -> b = a
        :: else -> assert(a == b)
        fi;
        if
        :: atomic { deaths < DEATHS -> deaths++; inside--; goto dies }
        :: true
        fi;
        a = 1 - a;
        if
        :: atomic { deaths < DEATHS -> deaths++; inside--; goto dies }
        :: true
        fi;
        b = 1 - b;
        inside--;
        // ---- unlock
        in_call[me] = 1;
        MAY_DIE;
        atomic { seen_sleepers = sleepers; owner = 0; sleepers = 0 };
        MAY_DIE;
        if
        :: seen_sleepers -> atomic { wake_one() }
        :: else -> skip
        fi;
        in_call[me] = 0
    od;
    goto ends;

dies: // and later the kernel clears up
    atomic {
        if
        :: owner == me -> owner = 0; died = 1; if :: sleepers -> wake_one() :: else -> skip fi
#ifndef NO_PENDING
        :: owner == 0 && in_call[me] -> wake_one()
#endif
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
#if N > 2
        run process(3);
#endif
    }
}
