// out[c] = the sum of x over every axis but the channels': x dense in any order, out (channels,).
#include "channels.cuh"

template <typename T, typename Out, typename Index, int N>
__global__ void channel_sum_columns(
    const T* __restrict__ x, Out* __restrict__ parts, Index rows, Index columns, Index rows_per_chunk, int lanes) {
    __shared__ acc_t<T> scratch[CHANNEL_BLOCK * N];
    sum_columns<N>(Loaded<T, N>{x}, parts, rows, columns, rows_per_chunk, lanes, scratch);
}

template <typename T, typename Out, typename Index, int N>
__global__ void channel_sum_planes(
    const T* __restrict__ x, Out* __restrict__ parts, Index channels, Index vectors, FastDiv inner_vectors,
    Index vectors_per_chunk) {
    __shared__ acc_t<T> scratch[32];
    sum_planes<N>(Loaded<T, N>{x}, parts, channels, vectors, inner_vectors, vectors_per_chunk, scratch);
}
