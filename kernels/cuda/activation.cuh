// Activations, as kernels fuse them: `value(x)`, and `pull(g, s)`, the cotangent of x, where s is the output y or, in
// those that say so, the input x.
#pragma once
#include "common.cuh"

template <typename A> __device__ __forceinline__ A logistic(A x) { return A(1) / (A(1) + exp(-x)); }

template <typename A> __device__ __forceinline__ A normal_cdf(A x) {
    return A(0.5) * erfc(x * A(-0.70710678118654752440));  // erfc is exact in the tail, where 1 + erf is not
}

struct Identity {
    template <typename A> static __device__ __forceinline__ A value(A x) { return x; }
};

struct Sigmoid {
    template <typename A> static __device__ __forceinline__ A value(A x) { return logistic(x); }
    template <typename A> static __device__ __forceinline__ A pull(A g, A y) { return g * (y * (A(1) - y)); }
};

struct Tanh {
    template <typename A> static __device__ __forceinline__ A value(A x) { return tanh(x); }
    template <typename A> static __device__ __forceinline__ A pull(A g, A y) { return g * (A(1) - y * y); }
};

struct Relu {
    template <typename A> static __device__ __forceinline__ A value(A x) { return x < A(0) ? A(0) : x; }  // keeps NaN
    template <typename A> static __device__ __forceinline__ A pull(A g, A y) { return y <= A(0) ? A(0) : g; }
};

struct Silu {  // pulls by x
    template <typename A> static __device__ __forceinline__ A value(A x) { return x / (A(1) + exp(-x)); }
    template <typename A> static __device__ __forceinline__ A pull(A g, A x) {
        const A s = logistic(x);
        return g * (s * (A(1) + x * (A(1) - s)));
    }
};

struct Gelu {  // pulls by x
    template <typename A> static __device__ __forceinline__ A value(A x) { return x * normal_cdf(x); }
    template <typename A> static __device__ __forceinline__ A pull(A g, A x) {
        const A density = exp(x * x * A(-0.5)) * A(0.39894228040143267794);
        return g * (normal_cdf(x) + x * density);
    }
};

struct GeluTanh {  // pulls by x
    template <typename A> static __device__ __forceinline__ A inner(A x) {
        return tanh(A(0.79788456080286535588) * (x + A(0.044715) * (x * x * x)));
    }
    template <typename A> static __device__ __forceinline__ A value(A x) { return A(0.5) * x * (A(1) + inner(x)); }
    template <typename A> static __device__ __forceinline__ A pull(A g, A x) {
        const A t = inner(x), bend = (A(1) - t * t) * x;  // 0 where x * x would overflow
        return g * (A(0.5) * (A(1) + t) + A(0.39894228040143267794) * (bend + bend * x * x * A(3 * 0.044715)));
    }
};

struct NormalCdf {
    template <typename A> static __device__ __forceinline__ A value(A x) { return normal_cdf(x); }
};
