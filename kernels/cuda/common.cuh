// What all kernels share: accumulator types, vector access, reductions, fast division, the Philox generator.
//
// Kernels are templates over their element type. The loader defines GF_F16 and GF_BF16 where an instance needs them,
// since their headers take longer to compile than most kernels.
#pragma once
#ifndef GF_EMULATED  // the emulator brings its own
#ifdef GF_F16
#include <cuda_fp16.h>
#endif
#ifdef GF_BF16
#include <cuda_bf16.h>
#endif
#endif

// ---- element types: values are read into acc_t<T>, computed there, and rounded once when they are written ----------

template <typename T> struct Accumulator { using type = float; };
template <> struct Accumulator<double> { using type = double; };
template <> struct Accumulator<long long> { using type = long long; };
template <> struct Accumulator<int> { using type = int; };
template <typename T> using acc_t = typename Accumulator<T>::type;

__device__ __forceinline__ float widen(float x) { return x; }
__device__ __forceinline__ double widen(double x) { return x; }
__device__ __forceinline__ int widen(int x) { return x; }
__device__ __forceinline__ long long widen(long long x) { return x; }

template <typename T> struct Narrow {
    template <typename A> static __device__ __forceinline__ T from(A x) { return static_cast<T>(x); }
};
template <typename T, typename A> __device__ __forceinline__ T narrow(A x) { return Narrow<T>::from(x); }

#if defined(GF_F16) || defined(GF_EMULATED)
__device__ __forceinline__ float widen(__half x) { return __half2float(x); }
template <> struct Narrow<__half> {
    static __device__ __forceinline__ __half from(float x) { return __float2half_rn(x); }
};
#endif
#if defined(GF_BF16) || defined(GF_EMULATED)
__device__ __forceinline__ float widen(__nv_bfloat16 x) { return __bfloat162float(x); }
template <> struct Narrow<__nv_bfloat16> {
    static __device__ __forceinline__ __nv_bfloat16 from(float x) { return __float2bfloat16_rn(x); }
};
#endif

// ---- memory: N neighbours in one access; the address must be a multiple of the size --------------------------------

template <typename T, int N> struct alignas(sizeof(T) * N) Vec { T at[N]; };

template <int N, typename T> __device__ __forceinline__ Vec<T, N> load(const T* p) {
    return *reinterpret_cast<const Vec<T, N>*>(p);
}
template <int N, typename T> __device__ __forceinline__ void store(T* p, const Vec<T, N>& v) {
    *reinterpret_cast<Vec<T, N>*>(p) = v;
}

// ---- reductions: a fixed tree, so that results are the same from run to run ----------------------------------------

constexpr unsigned FULL_WARP = 0xffffffffu;

struct Add {
    template <typename A> __device__ __forceinline__ A operator()(A a, A b) const { return a + b; }
};
struct Max {  // keeps NaN, as NumPy does
    template <typename A> __device__ __forceinline__ A operator()(A a, A b) const { return a > b || a != a ? a : b; }
};

template <typename A, typename Op> __device__ __forceinline__ A warp_reduce(A value, Op op) {
#pragma unroll
    for (int offset = 16; offset; offset >>= 1) value = op(value, __shfl_xor_sync(FULL_WARP, value, offset));
    return value;
}

// Every thread of a one-dimensional block gets the result; blockDim.x must be a multiple of 32, and all must call.
// `scratch` has room for 32 values and may be used again after the call.
template <typename A, typename Op> __device__ __forceinline__ A block_reduce(A value, A start, Op op, A* scratch) {
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    value = warp_reduce(value, op);
    if (warps == 1) return value;
    if (lane == 0) scratch[warp] = value;
    __syncthreads();
    value = warp_reduce(lane < warps ? scratch[lane] : start, op);
    __syncthreads();
    return value;
}

// ---- index arithmetic ---------------------------------------------------------------------------------------------

// Division by a constant of the launch as a multiplication (Granlund and Montgomery, 1994), exact for n < 2^31.
// Python makes one with plan.fast_div(d).
struct FastDiv {
    unsigned divisor;
    unsigned multiplier;
    unsigned shift;
};

__device__ __forceinline__ unsigned quotient(unsigned n, FastDiv d) {
    return d.divisor == 1 ? n : __umulhi(n, d.multiplier) >> d.shift;
}
// n / d and n % d in one; n becomes the quotient.
__device__ __forceinline__ unsigned split(unsigned& n, FastDiv d) {
    const unsigned q = quotient(n, d), rest = n - q * d.divisor;
    n = q;
    return rest;
}

// ---- faults: a host-visible word that a kernel sets where an index is out of range; read at the next synchronisation

// The word holds 0, or 2 * index + 1 of one offender.
__device__ __forceinline__ void raise_fault(long long* fault, long long index) {
    *reinterpret_cast<volatile long long*>(fault) = 2 * index + 1;
}

// ---- Philox 4x64-10 (Salmon et al., 2011), bit for bit NumPy's -----------------------------------------------------

struct Words {
    unsigned long long at[4];
};

// Block number `block` of the stream (seed, offset), counted as NumPy does: it counts up before it makes a block.
__device__ __forceinline__ Words philox(unsigned long long seed, unsigned long long offset, unsigned long long block) {
    const unsigned long long first = offset + block, low = first + 1;
    unsigned long long c0 = low, c1 = (first < offset) + (low == 0), c2 = 0, c3 = 0, k0 = seed, k1 = 0;
#pragma unroll
    for (int round = 0; round < 10; round++) {
        const unsigned long long m0 = 0xD2E7470EE14C6C93ull, m1 = 0xCA5A826395121157ull;
        const unsigned long long high0 = __umul64hi(m0, c0), low0 = m0 * c0;
        const unsigned long long high1 = __umul64hi(m1, c2), low1 = m1 * c2;
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B97F4A7C15ull;
        k1 += 0xBB67AE8584CAA73Bull;
    }
    return {{c0, c1, c2, c3}};
}
