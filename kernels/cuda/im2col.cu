// im2col, col2im and what 2-D convolution needs around its matrix products.
//
// A window (R, S) walks over an image x (n, C, H, W) and stops at P x Q places:
//     columns[n, i, j, c, r, s] = x[n, c, i stride + r dilation - padding, j stride + s dilation - padding], 0 outside
// Two layouts of the columns, each written and read in the order of its memory:
//     by channels   (n, P, Q, groups, R, S, C / groups), where x has NHWC memory
//     by pixels     (n, C, R, S, P, Q) or (C, R, S, n, P, Q), where x has any strides
// col2im is the transpose of each: an element of x sums what the windows that cover it hold, in the order of (r, s).
#include "common.cuh"

struct Window {  // rows first, columns second
    int size[2], out[2], kernel[2], stride[2], padding[2], dilation[2];
};

struct Strides {  // in elements
    long long at[5];
};

__device__ __forceinline__ int split(int& n, FastDiv d) {
    unsigned q = n;
    const unsigned rest = split(q, d);
    n = q;
    return rest;
}
__device__ __forceinline__ int split(long long& n, FastDiv d) {
    const long long q = n / d.divisor, rest = n - q * d.divisor;
    n = q;
    return rest;
}

template <typename Index> __device__ __forceinline__ Index first_index() {
    return static_cast<Index>(blockIdx.x) * static_cast<Index>(blockDim.x) + static_cast<Index>(threadIdx.x);
}
template <typename Index> __device__ __forceinline__ Index index_step() {
    return static_cast<Index>(gridDim.x) * static_cast<Index>(blockDim.x);
}

// Where window position k of output place i lies in the image, along one axis; inside() says whether it is there.
__device__ __forceinline__ int seen(const Window& w, int axis, int i, int k) {
    return i * w.stride[axis] + k * w.dilation[axis] - w.padding[axis];
}
__device__ __forceinline__ bool inside(int at, int size) {
    return static_cast<unsigned>(at) < static_cast<unsigned>(size);
}

// The output place that sees image position `at` through window position k, or -1.
__device__ __forceinline__ int seen_from(const Window& w, int axis, int at, int k, FastDiv stride) {
    int i = at + w.padding[axis] - k * w.dilation[axis];
    if (i < 0 || split(i, stride) != 0) return -1;
    return i < w.out[axis] ? i : -1;
}

template <typename T, int N> __device__ __forceinline__ Vec<T, N> zeros() {
    Vec<T, N> v;
#pragma unroll
    for (int k = 0; k < N; k++) v.at[k] = narrow<T>(acc_t<T>(0));
    return v;
}

template <typename T, int N> __device__ __forceinline__ Vec<T, N> rounded(const acc_t<T> (&sum)[N]) {
    Vec<T, N> v;
#pragma unroll
    for (int k = 0; k < N; k++) v.at[k] = narrow<T>(sum[k]);
    return v;
}

// x (n, H, W, C) -> columns (n, P, Q, groups, R, S, C / groups); one thread makes N neighbouring channels.
template <typename T, int N, typename Index>
__global__ void __launch_bounds__(256) im2col_channels(
    const T* __restrict__ x, T* __restrict__ columns, Window window, FastDiv per_group, FastDiv s_div, FastDiv r_div,
    FastDiv groups, FastDiv q_div, FastDiv p_div, Index count) {
    const int part = per_group.divisor * N, channels = part * static_cast<int>(groups.divisor);
    for (Index at = first_index<Index>(); at < count; at += index_step<Index>()) {
        Index n = at;
        int c = split(n, per_group) * N;
        const int s = split(n, s_div), r = split(n, r_div);
        c += split(n, groups) * part;
        const int w = split(n, q_div), h = split(n, p_div);
        const int col = seen(window, 1, w, s), row = seen(window, 0, h, r);
        Vec<T, N> v = zeros<T, N>();
        if (inside(row, window.size[0]) && inside(col, window.size[1]))
            v = load<N>(x + ((n * window.size[0] + row) * window.size[1] + col) * channels + c);
        store(columns + at * N, v);
    }
}

// columns (n, P, Q, groups, R, S, C / groups), which BLAS left unrounded, -> x (n, H, W, C).
template <typename T, int N, typename Index>
__global__ void __launch_bounds__(256) col2im_channels(
    const acc_t<T>* __restrict__ columns, T* __restrict__ x, Window window, FastDiv per_group, FastDiv groups,
    FastDiv w_div, FastDiv h_div, FastDiv row_stride, FastDiv col_stride, Index count) {
    const int part = per_group.divisor * N, size = window.kernel[0] * window.kernel[1];
    for (Index at = first_index<Index>(); at < count; at += index_step<Index>()) {
        Index n = at;
        const int c = split(n, per_group) * N, group = split(n, groups);
        const int w = split(n, w_div), h = split(n, h_div);
        acc_t<T> sum[N] = {};
        for (int r = 0; r < window.kernel[0]; r++) {
            const int i = seen_from(window, 0, h, r, row_stride);
            if (i < 0) continue;
#pragma unroll 1  // or the loop is unrolled by 4, and registers spill
            for (int s = 0; s < window.kernel[1]; s++) {
                const int j = seen_from(window, 1, w, s, col_stride);
                if (j < 0) continue;
                const Index place = ((n * window.out[0] + i) * window.out[1] + j) * groups.divisor + group;
                const auto v = load<N>(columns + (place * size + r * window.kernel[1] + s) * part + c);
#pragma unroll
                for (int k = 0; k < N; k++) sum[k] += v.at[k];
            }
        }
        store(x + at * N, rounded<T, N>(sum));
    }
}

// x (n, C, H, W) of any strides -> columns (C, R, S, n, P, Q), where `inner` counts images, or, IMAGES_FIRST,
// (n, C, R, S, P, Q), where it counts C R S. One thread makes N neighbouring places of a row.
template <typename T, int N, bool IMAGES_FIRST, typename Index>
__global__ void __launch_bounds__(256) im2col_pixels(
    const T* __restrict__ x, T* __restrict__ columns, Window window, Strides strides, FastDiv q_div, FastDiv p_div,
    FastDiv inner, FastDiv s_div, FastDiv r_div, Index count) {
    for (Index at = first_index<Index>(); at < count; at += index_step<Index>()) {
        Index outer = at;
        const int j = split(outer, q_div) * N, i = split(outer, p_div), within = split(outer, inner);
        int c = IMAGES_FIRST ? within : static_cast<int>(outer);
        const int n = IMAGES_FIRST ? static_cast<int>(outer) : within;
        const int s = split(c, s_div), r = split(c, r_div);
        const int row = seen(window, 0, i, r);
        Vec<T, N> v = zeros<T, N>();
        if (inside(row, window.size[0])) {
            const T* line = x + (n * static_cast<Index>(strides.at[0]) + c * static_cast<Index>(strides.at[1]) +
                                 row * static_cast<Index>(strides.at[2]));
#pragma unroll
            for (int k = 0; k < N; k++) {
                const int col = seen(window, 1, j + k, s);
                if (inside(col, window.size[1])) v.at[k] = line[col * static_cast<Index>(strides.at[3])];
            }
        }
        store(columns + at * N, v);
    }
}

// columns (n, C, R, S, P, Q) -> x (n, C, H, W).
template <typename T, typename Index>
__global__ void __launch_bounds__(256) col2im_pixels(
    const T* __restrict__ columns, T* __restrict__ x, Window window, FastDiv w_div, FastDiv h_div, FastDiv row_stride,
    FastDiv col_stride, Index count) {
    for (Index at = first_index<Index>(); at < count; at += index_step<Index>()) {
        Index plane = at;  // of an image's channel
        const int w = split(plane, w_div), h = split(plane, h_div);
        acc_t<T> sum = 0;
        for (int r = 0; r < window.kernel[0]; r++) {
            const int i = seen_from(window, 0, h, r, row_stride);
            if (i < 0) continue;
            for (int s = 0; s < window.kernel[1]; s++) {
                const int j = seen_from(window, 1, w, s, col_stride);
                if (j < 0) continue;
                const Index k = (plane * window.kernel[0] + r) * window.kernel[1] + s;
                sum += widen(columns[(k * window.out[0] + i) * window.out[1] + j]);
            }
        }
        x[at] = narrow<T>(sum);
    }
}

// out (a, b, c, d, e), dense = x at those strides from its first element on, or += it: weights in another order.
template <typename S, typename T, typename Index>
__global__ void __launch_bounds__(256) reorder(
    const S* __restrict__ x, T* __restrict__ out, Strides strides, FastDiv b_div, FastDiv c_div, FastDiv d_div,
    FastDiv e_div, bool add, Index count) {
    for (Index at = first_index<Index>(); at < count; at += index_step<Index>()) {
        Index a = at;
        const Index e = split(a, e_div), d = split(a, d_div), c = split(a, c_div), b = split(a, b_div);
        const acc_t<T> value = widen(
            x[a * static_cast<Index>(strides.at[0]) + b * static_cast<Index>(strides.at[1]) +
              c * static_cast<Index>(strides.at[2]) + d * static_cast<Index>(strides.at[3]) +
              e * static_cast<Index>(strides.at[4])]);
        out[at] = narrow<T>(add ? widen(out[at]) + value : value);
    }
}

// y (pixels, K) += bias (K,).
template <typename T, int N, typename Index>
__global__ void __launch_bounds__(256) add_bias(
    T* __restrict__ y, const T* __restrict__ bias, FastDiv channels, Index count) {
    for (Index at = first_index<Index>(); at < count; at += index_step<Index>()) {
        Index pixel = at;
        const auto b = load<N>(bias + split(pixel, channels) * N);
        auto v = load<N>(y + at * N);
#pragma unroll
        for (int k = 0; k < N; k++) v.at[k] = narrow<T>(widen(v.at[k]) + widen(b.at[k]));
        store(y + at * N, v);
    }
}

// Depthwise convolution: x (n, H, W, C), w (R, S, C) -> y (n, P, Q, C).
template <typename T, int N, typename Index>
__global__ void __launch_bounds__(256) depthwise(
    const T* __restrict__ x, const T* __restrict__ w, T* __restrict__ y, Window window, FastDiv per_pixel,
    FastDiv q_div, FastDiv p_div, Index count) {
    const int channels = per_pixel.divisor * N;
    for (Index at = first_index<Index>(); at < count; at += index_step<Index>()) {
        Index n = at;
        const int c = split(n, per_pixel) * N, j = split(n, q_div), i = split(n, p_div);
        acc_t<T> sum[N] = {};
        for (int r = 0; r < window.kernel[0]; r++) {
            for (int s = 0; s < window.kernel[1]; s++) {
                const int row = seen(window, 0, i, r), col = seen(window, 1, j, s);
                const auto weight = load<N>(w + (r * window.kernel[1] + s) * channels + c);
                Vec<T, N> v = zeros<T, N>();  // multiplied too: an infinite weight gives NaN, as it does by im2col
                if (inside(row, window.size[0]) && inside(col, window.size[1]))
                    v = load<N>(x + ((n * window.size[0] + row) * window.size[1] + col) * channels + c);
#pragma unroll
                for (int k = 0; k < N; k++) sum[k] += widen(v.at[k]) * widen(weight.at[k]);
            }
        }
        store(y + at * N, rounded<T, N>(sum));
    }
}

// Its transpose in x, for any stride: g (n, P, Q, C), w (R, S, C) -> x (n, H, W, C).
template <typename T, int N, typename Index>
__global__ void __launch_bounds__(256) depthwise_input_grad(
    const T* __restrict__ g, const T* __restrict__ w, T* __restrict__ x, Window window, FastDiv per_pixel,
    FastDiv w_div, FastDiv h_div, FastDiv row_stride, FastDiv col_stride, Index count) {
    const int channels = per_pixel.divisor * N;
    for (Index at = first_index<Index>(); at < count; at += index_step<Index>()) {
        Index n = at;
        const int c = split(n, per_pixel) * N, col = split(n, w_div), row = split(n, h_div);
        acc_t<T> sum[N] = {};
        for (int r = 0; r < window.kernel[0]; r++) {
            const int i = seen_from(window, 0, row, r, row_stride);
            if (i < 0) continue;
#pragma unroll 1  // or the loop is unrolled by 4, and registers spill
            for (int s = 0; s < window.kernel[1]; s++) {
                const int j = seen_from(window, 1, col, s, col_stride);
                if (j < 0) continue;
                const auto weight = load<N>(w + (r * window.kernel[1] + s) * channels + c);
                const auto v = load<N>(g + ((n * window.out[0] + i) * window.out[1] + j) * channels + c);
#pragma unroll
                for (int k = 0; k < N; k++) sum[k] += widen(v.at[k]) * widen(weight.at[k]);
            }
        }
        store(x + at * N, rounded<T, N>(sum));
    }
}

// Its transpose in w: x (n, H, W, C), g (n, P, Q, C) -> partial (runs, R, S, C), a run being rows of g's n P.
template <typename T, typename Index>
__global__ void __launch_bounds__(256) depthwise_weight_grad(
    const T* __restrict__ x, const T* __restrict__ g, acc_t<T>* __restrict__ partial, Window window, FastDiv channels,
    FastDiv s_div, FastDiv r_div, FastDiv p_div, int rows_per_run, Index rows, Index count) {
    const int width = channels.divisor;
    for (Index at = first_index<Index>(); at < count; at += index_step<Index>()) {
        Index run = at;
        const int c = split(run, channels), s = split(run, s_div), r = split(run, r_div);
        const Index first = run * rows_per_run, end = first + rows_per_run < rows ? first + rows_per_run : rows;
        acc_t<T> sum = 0;
        for (Index line = first; line < end; line++) {
            Index n = line;
            const int row = seen(window, 0, split(n, p_div), r);
            for (int j = 0; j < window.out[1]; j++) {
                const int col = seen(window, 1, j, s);
                acc_t<T> value = 0;
                if (inside(row, window.size[0]) && inside(col, window.size[1]))
                    value = widen(x[((n * window.size[0] + row) * window.size[1] + col) * width + c]);
                sum += value * widen(g[(line * window.out[1] + j) * width + c]);
            }
        }
        partial[at] = sum;
    }
}

// partial (runs, R S, C), summed over runs -> w (C, R S).
template <typename T>
__global__ void __launch_bounds__(256) depthwise_sum_runs(
    const acc_t<T>* __restrict__ partial, T* __restrict__ w, int runs, FastDiv window, FastDiv channels, int count) {
    for (int at = first_index<int>(); at < count; at += index_step<int>()) {
        int position = at;  // in (R S, C), so that neighbours read neighbours
        const int c = split(position, channels);
        acc_t<T> sum = 0;
        for (int run = 0; run < runs; run++) sum += partial[static_cast<long long>(run) * count + at];
        w[c * window.divisor + position] = narrow<T>(sum);
    }
}
