// What CUDA C++ gives to a kernel: its place in the grid, barriers, shuffles, votes, atomics.
#pragma once

#include <type_traits>

#include "scheduler.h"
#include "values.h"

inline const uint3& threadIdx = gf_emulator::scheduler.thread_index;
inline const uint3& blockIdx = gf_emulator::scheduler.block_index;
inline const dim3& blockDim = gf_emulator::scheduler.block_size;
inline const dim3& gridDim = gf_emulator::scheduler.grid_size;
constexpr int warpSize = gf_emulator::WARP;

// The last parameters of whatever waits say where it is called; nothing else is passed for them.
#define GF_CALLER const char *file = __builtin_FILE(), int line = __builtin_LINE()

// ---- barriers ------------------------------------------------------------------------------------------------------

inline void __syncthreads(GF_CALLER) { gf_emulator::scheduler.wait_for_block({"__syncthreads", file, line}); }
inline int __syncthreads_count(int predicate, GF_CALLER) {
    return static_cast<int>(gf_emulator::scheduler.wait_for_block({"__syncthreads_count", file, line}, predicate != 0));
}
inline int __syncthreads_or(int predicate, GF_CALLER) {
    return gf_emulator::scheduler.wait_for_block({"__syncthreads_or", file, line}, predicate != 0) != 0;
}
inline int __syncthreads_and(int predicate, GF_CALLER) {
    return gf_emulator::scheduler.wait_for_block({"__syncthreads_and", file, line}, predicate == 0) == 0;
}
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}

// ---- warps ---------------------------------------------------------------------------------------------------------

constexpr unsigned GF_ALL_LANES = 0xffffffffu;

inline void __syncwarp(unsigned mask = GF_ALL_LANES, GF_CALLER) {
    gf_emulator::scheduler.wait_for_warp({"__syncwarp", file, line}, mask, 0, gf_emulator::ALL_LANES);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, GF_CALLER) {
    return static_cast<unsigned>(gf_emulator::scheduler.wait_for_warp({"__ballot_sync", file, line}, mask, predicate != 0,
                                                                    gf_emulator::ALL_LANES));
}
inline int __any_sync(unsigned mask, int predicate, GF_CALLER) {
    return gf_emulator::scheduler.wait_for_warp({"__any_sync", file, line}, mask, predicate != 0,
                                              gf_emulator::ALL_LANES) != 0;
}
inline int __all_sync(unsigned mask, int predicate, GF_CALLER) {
    return gf_emulator::scheduler.wait_for_warp({"__all_sync", file, line}, mask, predicate == 0,
                                              gf_emulator::ALL_LANES) == 0;
}
// Only the caller: the device promises no more, and code that relies on more is wrong.
inline unsigned __activemask() { return 1u << gf_emulator::scheduler.lane(); }

namespace gf_emulator {

template <typename T> T shuffle(Place place, unsigned mask, T value, unsigned source) {
    static_assert(std::is_arithmetic_v<T> || std::is_same_v<T, __half> || std::is_same_v<T, __nv_bfloat16>,
                  "shuffles take numbers of up to 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = scheduler.wait_for_warp(place, mask, bits, source);
    memcpy(&value, &bits, sizeof value);
    return value;
}

// The bits of a lane's number that tell lanes of one group of `width` apart.
inline unsigned offset_bits(int width, Place place) {
    if (width <= 0 || width > warpSize || width & (width - 1))
        scheduler.refuse(place, "has a width that is none of 1, 2, 4, 8, 16, 32", static_cast<unsigned>(width));
    return static_cast<unsigned>(width) - 1;
}

}  // namespace gf_emulator

template <typename T> T __shfl_sync(unsigned mask, T value, int source, int width = warpSize, GF_CALLER) {
    const gf_emulator::Place place = {"__shfl_sync", file, line};
    const unsigned lane = gf_emulator::scheduler.lane(), bits = gf_emulator::offset_bits(width, place);
    return gf_emulator::shuffle(place, mask, value, (lane & ~bits) | (static_cast<unsigned>(source) & bits));
}
template <typename T> T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = warpSize, GF_CALLER) {
    const gf_emulator::Place place = {"__shfl_up_sync", file, line};
    const unsigned lane = gf_emulator::scheduler.lane(), bits = gf_emulator::offset_bits(width, place);
    return gf_emulator::shuffle(place, mask, value, (lane & bits) < delta ? lane : lane - delta);
}
template <typename T> T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = warpSize, GF_CALLER) {
    const gf_emulator::Place place = {"__shfl_down_sync", file, line};
    const unsigned lane = gf_emulator::scheduler.lane(), bits = gf_emulator::offset_bits(width, place);
    return gf_emulator::shuffle(place, mask, value, bits - (lane & bits) < delta ? lane : lane + delta);
}
template <typename T> T __shfl_xor_sync(unsigned mask, T value, int flip, int width = warpSize, GF_CALLER) {
    const gf_emulator::Place place = {"__shfl_xor_sync", file, line};
    const unsigned lane = gf_emulator::scheduler.lane(), bits = gf_emulator::offset_bits(width, place);
    const unsigned from = lane ^ static_cast<unsigned>(flip);  // of a later group, the own value
    return gf_emulator::shuffle(place, mask, value, from > (lane | bits) ? lane : from);
}

#undef GF_CALLER

// ---- memory --------------------------------------------------------------------------------------------------------

template <typename T> T __ldg(const T* p) { return *p; }

namespace gf_emulator {

// One thread runs at a time, so a read and a write are one step.
template <typename T> T replace(T* p, T value) {
    const T old = *p;
    *p = value;
    return old;
}

// Fills static shared memory with poison when a block first comes to its declaration; the loader calls this there.
template <typename T, typename Seen> void fresh_in_each_block(T& shared, Seen seen) {
    uint64_t& block = seen();
    if (block == scheduler.block_count) return;
    block = scheduler.block_count;
    memset(static_cast<void*>(&shared), POISON, sizeof shared);
}

}  // namespace gf_emulator

#define GF_FRESH(name)                              \
    gf_emulator::fresh_in_each_block(name, []() -> uint64_t& { \
        static uint64_t block;                 \
        return block;                               \
    })

#define GF_ATOMIC(NAME, T, RESULT) \
    inline T NAME(T* p, T value) { return gf_emulator::replace(p, static_cast<T>(RESULT)); }
#define GF_ATOMIC_INTEGERS(NAME, RESULT) \
    GF_ATOMIC(NAME, int, RESULT) GF_ATOMIC(NAME, unsigned, RESULT) GF_ATOMIC(NAME, unsigned long long, RESULT)
GF_ATOMIC_INTEGERS(atomicAdd, *p + value)
GF_ATOMIC(atomicAdd, float, *p + value)
GF_ATOMIC(atomicAdd, double, *p + value)
GF_ATOMIC_INTEGERS(atomicMax, *p > value ? *p : value)
GF_ATOMIC(atomicMax, long long, *p > value ? *p : value)
GF_ATOMIC_INTEGERS(atomicMin, *p < value ? *p : value)
GF_ATOMIC(atomicMin, long long, *p < value ? *p : value)
GF_ATOMIC_INTEGERS(atomicOr, *p | value)
GF_ATOMIC_INTEGERS(atomicAnd, *p & value)
GF_ATOMIC_INTEGERS(atomicExch, value)
GF_ATOMIC(atomicExch, float, value)
#undef GF_ATOMIC_INTEGERS
#undef GF_ATOMIC
#define GF_ATOMIC_CAS(T) \
    inline T atomicCAS(T* p, T expected, T value) { return gf_emulator::replace(p, *p == expected ? value : *p); }
GF_ATOMIC_CAS(int)
GF_ATOMIC_CAS(unsigned)
GF_ATOMIC_CAS(unsigned long long)
GF_ATOMIC_CAS(unsigned short)
#undef GF_ATOMIC_CAS
