// SPDX-License-Identifier: MIT
//
// All of libmp's public headers but the event loop's (mp/loop.h), which belongs
// to a library of its own.
#ifndef MP_MP_H
#define MP_MP_H

#include <mp/arena.h>
#include <mp/base.h>
#include <mp/cpu.h>
#include <mp/error.h>
#include <mp/log.h>
#include <mp/pack.h>
#include <mp/pipe.h>
#include <mp/pool.h>
#include <mp/process.h>
#include <mp/spawn.h>
#include <mp/wait.h>

#endif
