// Optimiser steps: one launch changes all parameters of a group. With g the gradient of w, + decay w, or its negative:
//
//   sgd_step   v = momentum v + (1 - dampening) g (or g, the first time), w -= lr v (nesterov: g + momentum v)
//   adam_step  m += (g - m) (1 - b1), v = b2 v + (1 - b2) g^2, w -= step_size m / (sqrt(v) / correction + eps), where
//              amsgrad takes the largest v so far, and `decoupled` decay is taken off w instead of added to g
//
// The arrays of one parameter have one memory order and any alignment. Blocks take chunks of CHUNK elements.
#include "common.cuh"

constexpr int CHUNK = 4096;

// ARRAYS pointers a parameter (its value, its gradient, its state), SLOTS = ARRAYS * CAPACITY of them in all.
template <int SLOTS, int CAPACITY> struct Table {
    void* at[SLOTS];
    long long size[CAPACITY];
    int first[CAPACITY];
    int count;
    int chunks;
};

// The parameter that a chunk belongs to: the last one whose first chunk is not after it.
template <int SLOTS, int CAPACITY>
__device__ __forceinline__ int owner(const Table<SLOTS, CAPACITY>& table, int chunk) {
    int low = 0, high = table.count - 1;
    while (low < high) {
        const int middle = (low + high + 1) / 2;
        if (table.first[middle] <= chunk) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
}

// Update elements [start, end), N at a time; all arrays but the gradient, number 1, are written.
template <typename T, int N, int ARRAYS, typename Update>
__device__ __forceinline__ void sweep(T* const (&arrays)[ARRAYS], long long start, long long end, const Update& update) {
    for (long long i = start + static_cast<long long>(threadIdx.x) * N; i + N <= end; i += blockDim.x * N) {
        Vec<T, N> v[ARRAYS];
#pragma unroll
        for (int k = 0; k < ARRAYS; k++) v[k] = load<N>(arrays[k] + i);
#pragma unroll
        for (int j = 0; j < N; j++) {
            acc_t<T> values[ARRAYS];
#pragma unroll
            for (int k = 0; k < ARRAYS; k++) values[k] = widen(v[k].at[j]);
            update(values);
#pragma unroll
            for (int k = 0; k < ARRAYS; k++) v[k].at[j] = narrow<T>(values[k]);
        }
#pragma unroll
        for (int k = 0; k < ARRAYS; k++) {
            if (k != 1) store(arrays[k] + i, v[k]);
        }
    }
}

template <typename T, int ARRAYS, int SLOTS, int CAPACITY, typename Update>
__device__ __forceinline__ void update_all(const Table<SLOTS, CAPACITY>& table, const Update& update) {
    constexpr int WIDE = 16 / sizeof(T);
    for (int chunk = blockIdx.x; chunk < table.chunks; chunk += gridDim.x) {
        const int t = owner(table, chunk);
        const long long start = static_cast<long long>(chunk - table.first[t]) * CHUNK, size = table.size[t];
        const long long end = size - start < CHUNK ? size : start + CHUNK;
        T* arrays[ARRAYS];
        unsigned long long addresses = 0;
#pragma unroll
        for (int k = 0; k < ARRAYS; k++) {
            arrays[k] = static_cast<T*>(table.at[t * ARRAYS + k]);
            addresses |= reinterpret_cast<unsigned long long>(arrays[k]);
        }
        const long long wide = addresses % 16 == 0 ? start + (end - start) / WIDE * WIDE : start;
        sweep<T, WIDE>(arrays, start, wide, update);
        sweep<T, 1>(arrays, wide, end, update);
    }
}

template <typename A, int ARRAYS> struct Sgd {
    A lr, momentum, undamped, decay;
    bool first, nesterov, maximize;

    __device__ __forceinline__ void operator()(A (&v)[ARRAYS]) const {
        A g = maximize ? -v[1] : v[1];
        if (decay != 0) g += v[0] * decay;
        if (ARRAYS == 3) {
            A& velocity = v[ARRAYS - 1];
            velocity = first ? g : velocity * momentum + g * undamped;
            g = nesterov ? g + velocity * momentum : velocity;
        }
        v[0] -= g * lr;
    }
};

template <typename T, int ARRAYS, int SLOTS, int CAPACITY>
__global__ void __launch_bounds__(256, 2)
sgd_step(Table<SLOTS, CAPACITY> table, acc_t<T> lr, acc_t<T> momentum, acc_t<T> undamped, acc_t<T> decay, bool first,
         bool nesterov, bool maximize) {
    update_all<T, ARRAYS>(table, Sgd<acc_t<T>, ARRAYS>{lr, momentum, undamped, decay, first, nesterov, maximize});
}

template <typename A, int ARRAYS> struct Adam {
    A step_size, correction, rest1, b2, rest2, eps, decay, keep;
    bool maximize;

    __device__ __forceinline__ void operator()(A (&v)[ARRAYS]) const {
        A g = maximize ? -v[1] : v[1];
        if (decay != 0) g += v[0] * decay;
        v[2] += (g - v[2]) * rest1;
        v[3] = v[3] * b2 + g * g * rest2;
        A& largest = v[ARRAYS - 1];  // v[3] itself where there is no fifth array
        if (ARRAYS == 5) largest = Max()(v[3], largest);
        v[0] = v[0] * keep - v[2] / (sqrt(largest) / correction + eps) * step_size;
    }
};

// step_size = lr / (1 - b1^t), correction = sqrt(1 - b2^t), rest1 = 1 - b1, rest2 = 1 - b2, keep = 1 - lr (decoupled
// decay).
template <typename T, int ARRAYS, int SLOTS, int CAPACITY>
__global__ void __launch_bounds__(256, 2)
adam_step(Table<SLOTS, CAPACITY> table, acc_t<T> step_size, acc_t<T> correction, acc_t<T> rest1, acc_t<T> b2,
          acc_t<T> rest2, acc_t<T> eps, acc_t<T> decay, acc_t<T> keep, bool maximize) {
    using Update = Adam<acc_t<T>, ARRAYS>;
    update_all<T, ARRAYS>(table, Update{step_size, correction, rest1, b2, rest2, eps, decay, keep, maximize});
}
