// Sums per channel of dense arrays. Their memory is (outer, channels, inner) whatever the order of their axes: inner is
// the channel axis's stride. Two stages, each a fixed tree: parts of every channel, then their sum.
//
// A Source gives what is summed, N neighbours at a time: source(i) -> Vec of accumulators, at offset i.
#pragma once
#include "common.cuh"

constexpr int CHANNEL_BLOCK = 256;  // threads of a block, in all kernels of this file

template <typename T, int N> struct Loaded {
    const T* x;

    template <typename Index> __device__ __forceinline__ Vec<acc_t<T>, N> operator()(Index i) const {
        const Vec<T, N> in = load<N>(x + i);
        Vec<acc_t<T>, N> out;
#pragma unroll
        for (int j = 0; j < N; j++) out.at[j] = widen(in.at[j]);
        return out;
    }
};

__device__ __forceinline__ int quotient_of(int n, FastDiv d) { return static_cast<int>(quotient(n, d)); }
__device__ __forceinline__ long long quotient_of(long long n, FastDiv d) { return n / d.divisor; }

// The columns of a matrix (rows, columns = channels * inner), for channels that lie together: parts[column][chunk].
// A block takes `lanes` (a power of two up to 32) times N columns of one chunk of the rows, its threads 256 / lanes
// rows at a time. `scratch` has room for 256 * N sums.
template <int N, typename A, typename Out, typename Index, typename Source>
__device__ __forceinline__ void sum_columns(
    Source source, Out* __restrict__ parts, Index rows, Index columns, Index rows_per_chunk, int lanes, A* scratch) {
    const int thread = threadIdx.x, lane = thread & (lanes - 1), height = CHANNEL_BLOCK / lanes, row = thread / lanes;
    const Index column = (blockIdx.x * static_cast<Index>(lanes) + lane) * N;
    const Index first = blockIdx.y * rows_per_chunk, last = min(rows, first + rows_per_chunk);
    const Index from = first + row, steps = from < last ? (last - from - 1) / height + 1 : 0;
    A sums[N] = {};
    if (column < columns) {
#pragma unroll 4  // by a known number of steps: the loads of four come before their sums
        for (Index k = 0; k < steps; k++) {
            const Vec<A, N> term = source((from + k * height) * columns + column);
#pragma unroll
            for (int j = 0; j < N; j++) sums[j] += term.at[j];
        }
    }
#pragma unroll
    for (int j = 0; j < N; j++) scratch[j * CHANNEL_BLOCK + thread] = sums[j];
    for (int half = height / 2; half; half /= 2) {
        __syncthreads();
        if (row < half) {
#pragma unroll
            for (int j = 0; j < N; j++) {
                scratch[j * CHANNEL_BLOCK + thread] += scratch[j * CHANNEL_BLOCK + thread + half * lanes];
            }
        }
    }
    if (row == 0 && column < columns) {
#pragma unroll
        for (int j = 0; j < N; j++) {
            parts[(column + j) * gridDim.y + blockIdx.y] = narrow<Out>(scratch[j * CHANNEL_BLOCK + thread]);
        }
    }
}

// Whole planes of `inner` elements: parts[channel][chunk]. A block takes one channel, and of its outer * inner
// elements, in vectors of N, one chunk; `inner_vectors` is inner / N.
template <int N, typename A, typename Out, typename Index, typename Source>
__device__ __forceinline__ void sum_planes(
    Source source, Out* __restrict__ parts, Index channels, Index vectors, FastDiv inner_vectors,
    Index vectors_per_chunk, A* scratch) {
    const Index channel = blockIdx.x, inner = inner_vectors.divisor;
    const Index first = blockIdx.y * vectors_per_chunk, last = min(vectors, first + vectors_per_chunk);
    A sum = 0;
#pragma unroll 4
    for (Index v = first + static_cast<Index>(threadIdx.x); v < last; v += CHANNEL_BLOCK) {
        const Index outer = quotient_of(v, inner_vectors);
        const Vec<A, N> term = source(((outer * channels + channel) * inner + (v - outer * inner)) * N);
#pragma unroll
        for (int j = 0; j < N; j++) sum += term.at[j];
    }
    sum = block_reduce(sum, A(0), Add(), scratch);
    if (threadIdx.x == 0) parts[channel * gridDim.y + blockIdx.y] = narrow<Out>(sum);
}

// The second stage: out[c] = the sum of parts[c * length : (c + 1) * length], a warp each.
template <typename T>
__global__ void sum_parts(const acc_t<T>* __restrict__ parts, T* __restrict__ out, int channels, long long length) {
    const int lane = threadIdx.x & 31, warps = gridDim.x * (CHANNEL_BLOCK / 32);
    for (int c = blockIdx.x * (CHANNEL_BLOCK / 32) + threadIdx.x / 32; c < channels; c += warps) {
        acc_t<T> sum = 0;
        for (long long i = lane; i < length; i += 32) sum += parts[c * length + i];
        sum = warp_reduce(sum, Add());
        if (lane == 0) out[c] = narrow<T>(sum);
    }
}
