// SPDX-License-Identifier: MIT
//
// The arming step of the channel, for spin(1): can a wake-up be lost? A test on x86
// does not find a missing fence within any time one has; this tries every order.
//
// Memory is total store order: each side's stores to shared words wait in a FIFO of
// its own and reach the memory at any later time (the proctypes drain_*); a load sees
// the memory; a fence waits until the side's own FIFO is empty; an atomic exchange
// and a system call do, too. Three variants, one of which is defined:
//
//   DATA   libmp/os/spin.h mp__wait_until() with recv.c data_arm/data_sleep, against
//          send.c publish()
//   FD     recv.c mp__channel_settle() and a user who polls mp_pipe_fd(), against
//          publish()
//   SPACE  mp__wait_until() with send.c room_arm/room_sleep, without its regular
//          looks, against recv.c taken(), which keeps a little, and give_back(), while a third thread, which receives at the
//          sender's end, reads the same socket for parcels (parcel.c)
//
// The property is the absence of deadlock: nobody sleeps for ever while what he waits
// for is in the memory and no bell is under way. run.sh verifies it, and that each
// of these mistakes is found: NO_PUBLISH_FENCE, NO_ARM_FENCE, NO_RECHECK, NO_BELL,
// SILENCE_LATE (the bell is read after the flag was raised), NO_SETTLE_BELL, NO_WATCH (the
// third thread takes bytes from a sleeping sender), WATCH_LATE (the sender says that it
// will sleep there after it asked for the byte), a KEEP of the whole ring.
//
// holds: -DDATA
// finds: -DDATA -DNO_PUBLISH_FENCE
// finds: -DDATA -DNO_ARM_FENCE
// finds: -DDATA -DNO_RECHECK
// finds: -DDATA -DNO_BELL
// holds: -DFD
// finds: -DFD -DNO_PUBLISH_FENCE
// finds: -DFD -DNO_ARM_FENCE
// finds: -DFD -DNO_RECHECK
// finds: -DFD -DNO_BELL
// finds: -DFD -DSILENCE_LATE
// finds: -DFD -DNO_SETTLE_BELL
// holds: -DSPACE -DN=6
// holds: -DSPACE -DN=9 -DCAP=4 -DKEEP=1
// finds: -DSPACE -DN=9 -DCAP=4 -DKEEP=4
// finds: -DSPACE -DN=6 -DNO_PUBLISH_FENCE
// finds: -DSPACE -DN=6 -DNO_ARM_FENCE
// finds: -DSPACE -DN=6 -DNO_RECHECK
// finds: -DSPACE -DN=6 -DNO_BELL
// finds: -DSPACE -DN=6 -DNO_WATCH
// finds: -DSPACE -DN=6 -DWATCH_LATE

#ifndef N
#define N 4 // messages
#endif
#ifndef CAP
#define CAP 2 // messages that fit in the ring (SPACE)
#endif
#ifndef KEEP
#define KEEP 0 // messages whose space the receiver may keep while it has no others (SPACE)
#endif
#define SOCKET 2 // space bytes that fit in the socket

// Without the second look, what was seen before arming is believed.
#ifdef NO_RECHECK
#define RECHECK_BLIND true
#else
#define RECHECK_BLIND false
#endif

byte head;                 // messages published
byte tail;                 // messages given back
bit want_data, want_space; // the flags
byte need;                 // room for so many has the sleeping sender rung
bit bell;                  // the receiver's eventfd is readable: it coalesces
byte bytes;                // space bytes in the socket
byte taken;                // for a sender that waits for its answer; not part of the channel

// The stores on their way: which word, which value.
mtype = {HEAD, TAIL, WANT_DATA, WANT_SPACE, NEED};
chan from_sender = [3] of {mtype, byte};
chan from_receiver = [3] of {mtype, byte};

inline arrive(c)
{
    if
    :: c ? HEAD(v) -> head = v
    :: c ? TAIL(v) -> tail = v
    :: c ? WANT_DATA(v) -> want_data = v
    :: c ? WANT_SPACE(v) -> want_space = v
    :: c ? NEED(v) -> need = v
    fi
}

proctype drain_sender()
{
    byte v;
end:
    do
    :: atomic { nempty(from_sender) -> arrive(from_sender); v = 0 }
    od
}

proctype drain_receiver()
{
    byte v;
end:
    do
    :: atomic { nempty(from_receiver) -> arrive(from_receiver); v = 0 }
    od
}

// ---- sender, data: send.c publish() --------------------------------------------------

inline publish(i)
{
    from_sender ! HEAD(i); // mp__ring_publish(): a plain store
#ifndef NO_PUBLISH_FENCE
    empty(from_sender); // atomic_thread_fence(seq_cst)
#endif
    if
    :: want_data -> // a plain load
        empty(from_sender);
        atomic { was = want_data; want_data = 0 } // atomic_exchange()
        if
        :: was ->
#ifndef NO_BELL
            bell = 1 // mp__channel_ring()
#else
            skip
#endif
        :: else
        fi
    :: else
    fi
}

proctype data_sender()
{
    byte i;
    bit was;
    for (i : 1 .. N) {
        if // an exchange of questions and answers, or a stream
        :: taken == i - 1
        :: true
        fi;
        publish(i)
    }
}

// ---- receiver asleep in recv: mp__wait_until() -----------------------------------------

proctype data_receiver()
{
    byte pos;
    do
    :: pos == N -> break
    :: pos < N && head > pos -> // ready()
        pos = head;
        taken = pos
    :: pos < N && head <= pos ->
        from_receiver ! WANT_DATA(1); // data_arm()
#ifndef NO_ARM_FENCE
        empty(from_receiver); // atomic_thread_fence(seq_cst)
#endif
        if
#ifndef NO_RECHECK
        :: head > pos // ready(): the flag is left up
#endif
        :: (head <= pos) || RECHECK_BLIND ->
            bell; // data_sleep(): poll() ...
            empty(from_receiver); // (it came back from the kernel)
            bell = 0 // ... mp__channel_woken(): silence_bell()
        fi
    od
}

// ---- receiver in poll() of mp_pipe_fd(): mp__channel_settle() ------------------------------

inline settle()
{
    if
    :: head <= pos -> // not readable
#ifndef SILENCE_LATE
        bell = 0; // silence_bell(): a system call
#endif
        rung = 0;
        from_receiver ! WANT_DATA(1); // mp__channel_arm()
#ifndef NO_ARM_FENCE
        empty(from_receiver);
#endif
#ifdef SILENCE_LATE
        bell = 0;
#endif
        if
#ifndef NO_RECHECK
        :: head > pos -> goto_readable = 1
#endif
        :: (head <= pos) || RECHECK_BLIND -> goto_readable = 0
        fi
    :: head > pos -> goto_readable = 1
    fi;
    if
    :: goto_readable && !rung ->
#ifndef NO_SETTLE_BELL
        empty(from_receiver); // a system call
        bell = 1;
#endif
        rung = 1
    :: else
    fi
}

proctype fd_receiver()
{
    byte pos;
    bit rung, goto_readable;
    settle(); // mp__channel_fd()
    do
    :: pos == N -> break
    :: pos < N ->
        bell; // the user's poll(): it looks, and takes nothing
        if    // mp_pipe_recv(p, ..., 0): one message, or none
        :: head > pos ->
            pos++;
            taken = pos
        :: head <= pos
        fi;
        settle()
    od
}

// ---- space: room_arm(), room_sleep(), give_back() -----------------------------------------

bit locked;  // the socket's lock at the sender's end, for its two threads
bit watched; // the sending thread sleeps at the socket, or is about to

inline lock()
{
    atomic { !locked; locked = 1 }
}

inline watch(yes)
{
    lock();
    watched = yes;
    locked = 0
}

// mp__parcel_fetch() of a receiving thread: parcels are not in the model, it finds none.
proctype fetcher()
{
    byte i;
    for (i : 1 .. 3) {
        lock();
        if
#ifndef NO_WATCH
        :: watched // let_watcher_read()
        :: !watched ->
#else
        :: true ->
#endif
            bytes = 0 // it takes what is in front of its parcel
        fi;
        locked = 0
    }
}

proctype space_sender()
{
    byte pos;
    do
    :: pos == N -> break
    :: pos < N && pos - tail < CAP -> // room_ready()
        pos++;
        from_sender ! HEAD(pos)
    :: pos < N && pos - tail >= CAP ->
#ifndef WATCH_LATE
        watch(1); // mp__socket_watch()
#endif
        if // half the ring, or all of it when it shall grow
        :: from_sender ! NEED(1)
        :: from_sender ! NEED(CAP)
        fi;
        from_sender ! WANT_SPACE(1);
#ifndef NO_ARM_FENCE
        empty(from_sender);
#endif
        if
#ifndef NO_RECHECK
        :: pos - tail < CAP -> watch(0) // mp__socket_leave()
#endif
        :: (pos - tail >= CAP) || RECHECK_BLIND ->
#ifdef WATCH_LATE
            watch(1);
#endif
            empty(from_sender); // (in the kernel)
            bytes > 0;          // room_sleep(): poll() ...
            lock();             // ... and mp__socket_read()
            bytes = 0;
            watched = 0;
            locked = 0
        fi
    od
}

proctype space_receiver()
{
    byte pos, returned;
    bit was;
    do
    :: pos == N -> break // and it never comes back: what it kept, it keeps
    :: pos < N && head > pos ->
        if // one message, or all that is there
        :: pos++
        :: pos = head
        fi;
        if // taken()
        :: pos - returned <= KEEP && !want_space -> goto kept
        :: true // it is due, or wanted, or this end waits
        fi;
        returned = pos;
        from_receiver ! TAIL(pos); // mp__ring_return()
#ifndef NO_PUBLISH_FENCE
        empty(from_receiver);
#endif
        if
        :: want_space ->
            if
            :: CAP - (head - pos) >= need ->
                empty(from_receiver);
                atomic { was = want_space; want_space = 0 }
                if
#ifndef NO_BELL
                :: was && bytes < SOCKET -> bytes++
                :: was && bytes >= SOCKET // send() says EAGAIN: there are bytes to wake it
#else
                :: was
#endif
                :: else
                fi
            :: else
            fi
        :: else
        fi;
    kept:
        skip
    od
}

init
{
    atomic {
        run drain_sender();
        run drain_receiver();
#if defined(DATA)
        run data_sender();
        run data_receiver()
#elif defined(FD)
        run data_sender();
        run fd_receiver()
#else
        run space_sender();
        run fetcher();
        run space_receiver()
#endif
    }
}
