// y = f(x + bias along one axis) and its gradients: x, y, g and dx dense in one common order, whose memory is
// (outer, channels, inner); bias (channels,).
#include "activation.cuh"
#include "channels.cuh"

// N neighbours are N channels where inner is 1 (LAST), else they are of one channel.
template <typename F, typename T, typename Index, int N, bool LAST>
__global__ void bias_forward(
    const T* __restrict__ x, const T* __restrict__ bias, T* __restrict__ y, Index n, FastDiv inner, FastDiv channels) {
    const Index step = gridDim.x * static_cast<Index>(blockDim.x);
    for (Index v = blockIdx.x * static_cast<Index>(blockDim.x) + threadIdx.x; v < n / N; v += step) {
        const Vec<T, N> in = load<N>(x + v * N);
        const Index plane = quotient_of(v * N, inner);
        const Index channel = plane - quotient_of(plane, channels) * static_cast<Index>(channels.divisor);
        const Vec<T, LAST ? N : 1> added = load<LAST ? N : 1>(bias + channel);
        Vec<T, N> out;
#pragma unroll
        for (int j = 0; j < N; j++) out.at[j] = narrow<T>(F::value(widen(in.at[j]) + widen(added.at[LAST ? j : 0])));
        store(y + v * N, out);
    }
}

// dx = f'(s + bias) g, written as it is summed; where s is the output, there is no bias to add.
template <typename F, typename T, int N> struct Pulled {
    const T* g;
    const T* s;
    T* dx;
    acc_t<T> bias[N];

    template <typename Index> __device__ __forceinline__ Vec<acc_t<T>, N> operator()(Index i) const {
        const Vec<T, N> gs = load<N>(g + i), at = load<N>(s + i);
        Vec<acc_t<T>, N> sums;
        Vec<T, N> out;
#pragma unroll
        for (int j = 0; j < N; j++) {
            sums.at[j] = F::pull(widen(gs.at[j]), widen(at.at[j]) + bias[j]);
            out.at[j] = narrow<T>(sums.at[j]);
        }
        store(dx + i, out);
        return sums;
    }
};

template <typename F, typename T, typename Out, typename Index, int N>
__global__ void bias_backward_columns(
    const T* __restrict__ g, const T* __restrict__ s, const T* __restrict__ bias, T* __restrict__ dx,
    Out* __restrict__ parts, FastDiv inner, Index rows, Index columns, Index rows_per_chunk, int lanes) {
    __shared__ acc_t<T> scratch[CHANNEL_BLOCK * N];
    Pulled<F, T, N> source = {g, s, dx, {}};
    const Index column = (blockIdx.x * static_cast<Index>(lanes) + (threadIdx.x & (lanes - 1))) * N;
    if (bias && column < columns) {
#pragma unroll
        for (int j = 0; j < N; j++) source.bias[j] = widen(bias[quotient_of(column + j, inner)]);
    }
    sum_columns<N>(source, parts, rows, columns, rows_per_chunk, lanes, scratch);
}

template <typename F, typename T, typename Out, typename Index, int N>
__global__ void bias_backward_planes(
    const T* __restrict__ g, const T* __restrict__ s, const T* __restrict__ bias, T* __restrict__ dx,
    Out* __restrict__ parts, Index channels, Index vectors, FastDiv inner_vectors, Index vectors_per_chunk) {
    __shared__ acc_t<T> scratch[32];
    Pulled<F, T, N> source = {g, s, dx, {}};
    if (bias) {
#pragma unroll
        for (int j = 0; j < N; j++) source.bias[j] = widen(bias[blockIdx.x]);
    }
    sum_planes<N>(source, parts, channels, vectors, inner_vectors, vectors_per_chunk, scratch);
}
