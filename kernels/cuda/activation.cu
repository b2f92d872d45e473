// y = f(x), and the cotangent of x from that of y: all (n,), dense in one common order. N values are read at a time, and
// one by one those that are left.
#include "activation.cuh"

template <typename F, int N, typename T> __device__ __forceinline__ void apply(const T* x, T* y) {
    const Vec<T, N> in = load<N>(x);
    Vec<T, N> out;
#pragma unroll
    for (int j = 0; j < N; j++) out.at[j] = narrow<T>(F::value(widen(in.at[j])));
    store(y, out);
}

template <typename F, typename T, typename Index, int N>
__global__ void activation(const T* __restrict__ x, T* __restrict__ y, Index n) {
    const Index thread = blockIdx.x * static_cast<Index>(blockDim.x) + threadIdx.x;
    const Index step = gridDim.x * static_cast<Index>(blockDim.x), whole = n / N * N;
    for (Index v = thread; v < n / N; v += step) apply<F, N>(x + v * N, y + v * N);
    if (thread < n - whole) apply<F, 1>(x + whole + thread, y + whole + thread);
}

template <typename F, int N, typename T> __device__ __forceinline__ void pull(const T* g, const T* s, T* dx) {
    const Vec<T, N> gs = load<N>(g), at = load<N>(s);
    Vec<T, N> out;
#pragma unroll
    for (int j = 0; j < N; j++) out.at[j] = narrow<T>(F::pull(widen(gs.at[j]), widen(at.at[j])));
    store(dx, out);
}

// s is the output y for sigmoid, tanh and relu, the input x for gelu and silu.
template <typename F, typename T, typename Index, int N>
__global__ void activation_backward(const T* __restrict__ g, const T* __restrict__ s, T* __restrict__ dx, Index n) {
    const Index thread = blockIdx.x * static_cast<Index>(blockDim.x) + threadIdx.x;
    const Index step = gridDim.x * static_cast<Index>(blockDim.x), whole = n / N * N;
    for (Index v = thread; v < n / N; v += step) pull<F, N>(g + v * N, s + v * N, dx + v * N);
    if (thread < n - whole) pull<F, 1>(g + whole + thread, s + whole + thread, dx + whole + thread);
}
