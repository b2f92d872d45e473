// Lets a C++17 compiler build gradflow's .cu files for the CPU. Included before the file's own text.
//
// One block runs at a time, and within it one thread at a time: a thread runs until it waits (in __syncthreads(), in a
// shuffle) or ends. Threads are fibers, so waiting is a switch of stacks; threads that never wait share one fiber.
// Where the device leaves something undefined, the emulator shows it: shared memory starts as NaN in every block, a
// lane that is not there gives NaN, threads run in either order, and threads that would hang are named in an error.
#pragma once

#include "fiber.h"
#include "scheduler.h"
#include "values.h"
#include "builtins.h"
#include "arithmetic.h"
#include "entry.h"
