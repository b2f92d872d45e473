// Rows of n values as groups of threads read them. What is computed of a row is written once over these three:
//
//   LaneRow   some lanes of a warp hold a row in registers
//   BlockRow  a block reads it from shared memory, or again from global memory where it does not fit
//   Column    one thread walks along a row whose values are `stride` apart; its neighbours have the rows beside it
//
// All give K arrays side by side: f(c, v) gets the column and v[0] .. v[K - 1]. Vectors of N need n % N == 0.
#pragma once
#include "common.cuh"

// LANES lanes take a row, in PER vectors each: n <= LANES * PER * N. Rows past the end have n = 0, since all lanes of a
// warp must take part in its shuffles.
template <typename T, int K, int N, int LANES, int PER> struct LaneRow {
    using A = acc_t<T>;
    static constexpr bool CACHED = true;
    static constexpr int WIDTH = N;
    A held[PER][N][K];
    int n;

    __device__ __forceinline__ int thread() const { return threadIdx.x & (LANES - 1); }

    __device__ __forceinline__ void read(const T* const (&from)[K], int count) {
        n = count;
#pragma unroll
        for (int i = 0; i < PER; i++) {
            const int c = (i * LANES + thread()) * N;
#pragma unroll
            for (int k = 0; k < K; k++) {
                Vec<T, N> v = {};
                if (c < n) v = load<N>(from[k] + c);
#pragma unroll
                for (int j = 0; j < N; j++) held[i][j][k] = widen(v.at[j]);
            }
        }
    }

    template <typename F> __device__ __forceinline__ void each(F f) const {
#pragma unroll
        for (int i = 0; i < PER; i++) {
            const int c = (i * LANES + thread()) * N;
            if (c < n) {
#pragma unroll
                for (int j = 0; j < N; j++) f(c + j, held[i][j]);
            }
        }
    }

    // out[c] = f(c, v)
    template <typename F> __device__ __forceinline__ void write(T* out, F f) const {
#pragma unroll
        for (int i = 0; i < PER; i++) {
            const int c = (i * LANES + thread()) * N;
            if (c < n) {
                Vec<T, N> v;
#pragma unroll
                for (int j = 0; j < N; j++) v.at[j] = narrow<T>(f(c + j, held[i][j]));
                store<N>(out + c, v);
            }
        }
    }

    template <typename Op> __device__ __forceinline__ A reduce(A value, A, Op op) const {
#pragma unroll
        for (int offset = LANES / 2; offset; offset >>= 1)
            value = op(value, __shfl_xor_sync(FULL_WARP, value, offset));
        return value;
    }
};

constexpr int SCRATCH = 32 * 8;  // bytes of dynamic shared memory for reductions, before the cached row

// A thread reads again only what it has cached itself, so that the cache needs no barrier.
template <typename T, int K, int N, bool IN_SHARED> struct BlockRow {
    using A = acc_t<T>;
    static constexpr bool CACHED = IN_SHARED;
    static constexpr int WIDTH = N;
    const T* at[K];
    int n;
    unsigned char* shared;

    __device__ __forceinline__ explicit BlockRow(unsigned char* memory) : n(0), shared(memory) {}

    __device__ __forceinline__ int thread() const { return threadIdx.x; }

    __device__ __forceinline__ void read(const T* const (&from)[K], int count) {
        n = count;
#pragma unroll
        for (int k = 0; k < K; k++) {
            at[k] = from[k];
            if (IN_SHARED) {
                T* cache = reinterpret_cast<T*>(shared + SCRATCH) + (long long)k * n;
#pragma unroll 4
                for (int c = thread() * N; c < n; c += blockDim.x * N) store<N>(cache + c, load<N>(from[k] + c));
                at[k] = cache;
            }
        }
    }

    __device__ __forceinline__ void widened(int c, A (&v)[N][K]) const {
#pragma unroll
        for (int k = 0; k < K; k++) {
            const Vec<T, N> one = load<N>(at[k] + c);
#pragma unroll
            for (int j = 0; j < N; j++) v[j][k] = widen(one.at[j]);
        }
    }

    template <typename F> __device__ __forceinline__ void each(F f) const {
        for (int c = thread() * N; c < n; c += blockDim.x * N) {
            A v[N][K];
            widened(c, v);
#pragma unroll
            for (int j = 0; j < N; j++) f(c + j, v[j]);
        }
    }

    template <typename F> __device__ __forceinline__ void write(T* out, F f) const {
        for (int c = thread() * N; c < n; c += blockDim.x * N) {
            A v[N][K];
            widened(c, v);
            Vec<T, N> done;
#pragma unroll
            for (int j = 0; j < N; j++) done.at[j] = narrow<T>(f(c + j, v[j]));
            store<N>(out + c, done);
        }
    }

    template <typename Op> __device__ __forceinline__ A reduce(A value, A start, Op op) const {
        return block_reduce(value, start, op, reinterpret_cast<A*>(shared));
    }
};

template <typename T, int K> struct Column {
    using A = acc_t<T>;
    static constexpr bool CACHED = false;
    const T* at[K];
    int n;
    long long stride;

    template <typename F> __device__ __forceinline__ void each(F f) const {
#pragma unroll 4
        for (int c = 0; c < n; c++) {
            A v[K];
            widened(c, v);
            f(c, v);
        }
    }

    template <typename F> __device__ __forceinline__ void write(T* out, F f) const {
#pragma unroll 4
        for (int c = 0; c < n; c++) {
            A v[K];
            widened(c, v);
            out[c * stride] = narrow<T>(f(c, v));
        }
    }

    __device__ __forceinline__ void widened(int c, A (&v)[K]) const {
#pragma unroll
        for (int k = 0; k < K; k++) v[k] = widen(at[k][c * stride]);
    }

    template <typename Op> __device__ __forceinline__ A reduce(A value, A, Op) const { return value; }
};

// out[c] = 0 for all n columns, by the row's `threads`.
template <typename T, typename Row>
__device__ __forceinline__ void zero_row(const Row& row, T* out, int n, int threads) {
    constexpr int N = Row::WIDTH;
    Vec<T, N> zeros;
#pragma unroll
    for (int j = 0; j < N; j++) zeros.at[j] = narrow<T>(typename Row::A(0));
    for (int c = row.thread() * N; c < n; c += threads * N) store<N>(out + c, zeros);
}

// ---- softmax's maximum and sum -------------------------------------------------------------------------------------

template <typename A> struct Softmax {
    A max, sum;  // of x, and of exp(x - max)
};

// Over the first of a row's arrays. also(c, v) is called once for each column. Where the maximum is infinite the sum is
// NaN, as inf - inf is.
template <typename Row, typename F>
__device__ __forceinline__ Softmax<typename Row::A> softmax_of(const Row& row, F also) {
    using A = typename Row::A;
    const A lowest = log(A(0));
    A top = lowest, sum = 0;
    if constexpr (Row::CACHED) {
        row.each([&](int c, const A* v) {
            top = Max()(top, v[0]);
            also(c, v);
        });
        top = row.reduce(top, lowest, Max());
        row.each([&](int, const A* v) { sum += exp(v[0] - top); });
        return {top, row.reduce(sum, A(0), Add())};
    }
    // one pass: the sum is kept relative to the largest value so far (Milakov and Gimelshein, 2018)
    row.each([&](int c, const A* v) {
        const A x = v[0];
        if (x > top) {
            sum = sum * exp(top - x) + 1;
            top = x;
        } else if (x != lowest) {
            sum += exp(x - top);
        }
        also(c, v);
    });
    const A all = row.reduce(top, lowest, Max());
    if (top != all) sum *= exp(top - all);
    sum = row.reduce(sum, A(0), Add());
    return {all, sum + (all - all)};
}
