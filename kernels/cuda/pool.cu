// 2-D pooling of images (batch, height, width, channels); NCHW memory is that with batch N C and one channel.
//
//     max_pool2d           y = max of each window, where = position of the first maximum, or of the last NaN
//     pool_place           dx = sum of g over the windows whose winner it is
//     pool_pick            y = x at the winner of each window, 0 where that is padding
//     avg_pool2d           y = sum of each window / its length; avg_pool2d_large for windows of many elements
//     avg_pool2d_backward  dx = sum of g / length over the windows that cover it
//
// One thread makes N neighbouring channels of one element. Cotangents gather from the windows around an element, so
// that overlapping windows need no atomics. All arrays have fewer than 2^31 elements.
#include "common.cuh"

struct Place {
    unsigned batch;
    unsigned row;
    unsigned col;
    unsigned channel;
};

__device__ __forceinline__ Place place(unsigned flat, FastDiv rows, FastDiv cols, FastDiv channels) {
    Place p;
    p.channel = split(flat, channels);
    p.col = split(flat, cols);
    p.row = split(flat, rows);
    p.batch = flat;
    return p;
}

// Where N channels of one pixel start; `channels` counts groups of N.
template <int N>
__device__ __forceinline__ unsigned offset(unsigned batch, int row, int col, unsigned channel, FastDiv rows,
                                           FastDiv cols, FastDiv channels) {
    return (((batch * rows.divisor + row) * cols.divisor + col) * channels.divisor + channel) * N;
}

// ---- max pooling ----------------------------------------------------------------------------------------------------

// One axis: window o has elements o * stride - pad + t * dilation, t < kernel.
struct Taps {
    FastDiv size;
    FastDiv windows;
    FastDiv stride;
    FastDiv dilation;
    int kernel;
    int pad;
};

// The first tap of a window from element `start` on that is not padding; 0 where all are.
__device__ __forceinline__ int first_inside(int start, const Taps& axis) {
    const int gap = axis.dilation.divisor;
    return start < 0 ? min(static_cast<int>(quotient(gap - 1 - start, axis.dilation)), axis.kernel - 1) : 0;
}

// SIDE: rows and columns of the window if the compiler knows them, else 0. Where nothing is over -inf, the first wins.
template <typename T, typename W, int N, int SIDE>
__global__ void max_pool2d(const T* __restrict__ x, T* __restrict__ y, W* __restrict__ where, Taps rows, Taps cols,
                           FastDiv channels, unsigned n) {
    const int high = SIDE ? SIDE : rows.kernel, wide = SIDE ? SIDE : cols.kernel;
    const acc_t<T> lowest = -1 / acc_t<T>(0);  // -inf, for which NVRTC has no name
    for (unsigned flat = blockIdx.x * blockDim.x + threadIdx.x; flat < n; flat += gridDim.x * blockDim.x) {
        const Place p = place(flat, rows.windows, cols.windows, channels);
        const int top = p.row * rows.stride.divisor - rows.pad, left = p.col * cols.stride.divisor - cols.pad;
        const W first = static_cast<W>(first_inside(top, rows) * wide + first_inside(left, cols));
        acc_t<T> best[N];
        Vec<W, N> won;
#pragma unroll
        for (int k = 0; k < N; k++) {
            best[k] = lowest;
            won.at[k] = first;
        }
#pragma unroll
        for (int i = 0; i < high; i++) {
            const int row = top + i * rows.dilation.divisor;
            if (static_cast<unsigned>(row) >= rows.size.divisor) continue;
#pragma unroll
            for (int j = 0; j < wide; j++) {
                const int col = left + j * cols.dilation.divisor;
                if (static_cast<unsigned>(col) >= cols.size.divisor) continue;
                const Vec<T, N> seen =
                    load<N>(x + offset<N>(p.batch, row, col, p.channel, rows.size, cols.size, channels));
#pragma unroll
                for (int k = 0; k < N; k++) {
                    const acc_t<T> value = widen(seen.at[k]);
                    if (value > best[k] || value != value) {
                        best[k] = value;
                        won.at[k] = static_cast<W>(i * wide + j);
                    }
                }
            }
        }
        Vec<T, N> out;
#pragma unroll
        for (int k = 0; k < N; k++) out.at[k] = narrow<T>(best[k]);
        store(y + flat * N, out);
        store(where + flat * N, won);
    }
}

// The windows that may have element `at` of the padded axis among theirs: [first, last).
struct Range {
    int first;
    int last;
};

__device__ __forceinline__ Range around(unsigned at, const Taps& axis) {
    const int low = static_cast<int>(at) - (axis.kernel - 1) * static_cast<int>(axis.dilation.divisor);
    const int first = low > 0 ? quotient(low + axis.stride.divisor - 1, axis.stride) : 0;
    const int last = quotient(at, axis.stride) + 1;
    return {first, min(last, static_cast<int>(axis.windows.divisor))};
}

// Which tap of window o element `at` is; -1 where it falls between two.
__device__ __forceinline__ int tap(unsigned at, int o, const Taps& axis) {
    unsigned t = at - o * axis.stride.divisor;
    return split(t, axis.dilation) ? -1 : static_cast<int>(t);
}

template <typename T, typename W, int N>
__global__ void pool_place(const T* __restrict__ g, const W* __restrict__ where, T* __restrict__ dx, Taps rows,
                           Taps cols, FastDiv channels, unsigned n) {
    for (unsigned flat = blockIdx.x * blockDim.x + threadIdx.x; flat < n; flat += gridDim.x * blockDim.x) {
        const Place p = place(flat, rows.size, cols.size, channels);
        const unsigned row = p.row + rows.pad, col = p.col + cols.pad;
        const Range down = around(row, rows), across = around(col, cols);
        acc_t<T> sum[N] = {};
        for (int o = down.first; o < down.last; o++) {
            const int i = tap(row, o, rows);
            if (i < 0) continue;
            for (int q = across.first; q < across.last; q++) {
                const int j = tap(col, q, cols);
                if (j < 0) continue;
                const unsigned from = offset<N>(p.batch, o, q, p.channel, rows.windows, cols.windows, channels);
                const Vec<W, N> won = load<N>(where + from);
                const Vec<T, N> part = load<N>(g + from);
#pragma unroll
                for (int k = 0; k < N; k++)
                    if (static_cast<int>(won.at[k]) == i * cols.kernel + j) sum[k] += widen(part.at[k]);
            }
        }
        Vec<T, N> out;
#pragma unroll
        for (int k = 0; k < N; k++) out.at[k] = narrow<T>(sum[k]);
        store(dx + flat * N, out);
    }
}

template <typename T, typename W, int N>
__global__ void pool_pick(const T* __restrict__ x, const W* __restrict__ where, T* __restrict__ y, Taps rows, Taps cols,
                          FastDiv kernel_cols, FastDiv channels, unsigned n) {
    for (unsigned flat = blockIdx.x * blockDim.x + threadIdx.x; flat < n; flat += gridDim.x * blockDim.x) {
        const Place p = place(flat, rows.windows, cols.windows, channels);
        const int top = p.row * rows.stride.divisor - rows.pad, left = p.col * cols.stride.divisor - cols.pad;
        const Vec<W, N> won = load<N>(where + flat * N);
        Vec<T, N> out;
#pragma unroll
        for (int k = 0; k < N; k++) {
            unsigned i = won.at[k];
            const unsigned j = split(i, kernel_cols);
            const int row = top + i * rows.dilation.divisor, col = left + j * cols.dilation.divisor;
            const bool inside = static_cast<unsigned>(row) < rows.size.divisor &&
                                static_cast<unsigned>(col) < cols.size.divisor;
            out.at[k] = inside ? x[offset<N>(p.batch, row, col, p.channel, rows.size, cols.size, channels) + k]
                               : narrow<T>(acc_t<T>(0));
        }
        store(y + flat * N, out);
    }
}

// ---- average pooling ------------------------------------------------------------------------------------------------

// One axis: window o covers [o * step / den - pad, (o * step + reach) / den - pad), rounded down and cut at the edges.
struct Walk {
    FastDiv size;
    FastDiv windows;
    FastDiv step;
    FastDiv den;
    int reach;
    int pad;
};

// [first, last), and how many elements the window is said to have: those of the padding with them or not.
struct Window {
    int first;
    int last;
    int length;
};

__device__ __forceinline__ Window window(int o, const Walk& axis, bool padding) {
    const int size = axis.size.divisor, at = o * axis.step.divisor;
    const int first = quotient(at, axis.den) - axis.pad, last = quotient(at + axis.reach, axis.den) - axis.pad;
    const int length = padding ? min(last, size + axis.pad) - first : min(last, size) - max(first, 0);
    return {max(first, 0), min(last, size), length};
}

// divisor: what sums are divided by, or 0 for each window's own length.
template <typename T, int N>
__global__ void avg_pool2d(const T* __restrict__ x, T* __restrict__ y, Walk rows, Walk cols, FastDiv channels,
                           int divisor, bool padding, unsigned n) {
    for (unsigned flat = blockIdx.x * blockDim.x + threadIdx.x; flat < n; flat += gridDim.x * blockDim.x) {
        const Place p = place(flat, rows.windows, cols.windows, channels);
        const Window down = window(p.row, rows, padding), across = window(p.col, cols, padding);
        acc_t<T> sum[N] = {};
        for (int row = down.first; row < down.last; row++) {
            for (int col = across.first; col < across.last; col++) {
                const Vec<T, N> seen =
                    load<N>(x + offset<N>(p.batch, row, col, p.channel, rows.size, cols.size, channels));
#pragma unroll
                for (int k = 0; k < N; k++) sum[k] += widen(seen.at[k]);
            }
        }
        const acc_t<T> length = divisor ? divisor : down.length * across.length;
        Vec<T, N> out;
#pragma unroll
        for (int k = 0; k < N; k++) out.at[k] = narrow<T>(sum[k] / length);
        store(y + flat * N, out);
    }
}

// One team of threads to an output, each with its share of the window: LANES neighbouring channels by TEAM positions.
// The shares meet in shared memory, in a fixed order. `groups` counts groups of LANES channels, n teams.
template <typename T, int LANES, int TEAM>
__global__ void __launch_bounds__(256)
    avg_pool2d_large(const T* __restrict__ x, T* __restrict__ y, Walk rows, Walk cols, FastDiv groups,
                     unsigned channels, int divisor, bool padding, unsigned n) {
    constexpr unsigned TEAMS = 256 / (LANES * TEAM);
    __shared__ acc_t<T> shares[256];
    const unsigned thread = threadIdx.x, lane = thread % LANES, member = thread / LANES % TEAM;
    for (unsigned first = blockIdx.x * TEAMS; first < n; first += gridDim.x * TEAMS) {
        const unsigned team = first + thread / (LANES * TEAM);
        const Place p = place(team, rows.windows, cols.windows, groups);
        const unsigned channel = p.channel * LANES + lane;
        const bool works = team < n && channel < channels;
        const Window down = window(p.row, rows, padding), across = window(p.col, cols, padding);
        acc_t<T> sum = 0;
        if (works) {
            int high = down.last - down.first, wide = across.last - across.first;
            if (wide == static_cast<int>(cols.size.divisor)) {  // whole rows lie one after the other
                wide *= high;
                high = 1;
            }
            for (int i = 0; i < high; i++) {
                const unsigned row = (p.batch * rows.size.divisor + down.first + i) * cols.size.divisor + across.first;
#pragma unroll 4
                for (int j = member; j < wide; j += TEAM) sum += widen(x[(row + j) * channels + channel]);
            }
        }
        shares[thread] = sum;
#pragma unroll
        for (unsigned half = TEAM / 2; half; half /= 2) {
            __syncthreads();
            if (member < half) shares[thread] += shares[thread + half * LANES];
        }
        const acc_t<T> length = divisor ? divisor : down.length * across.length;
        if (works && member == 0) {
            const unsigned pixel = (p.batch * rows.windows.divisor + p.row) * cols.windows.divisor + p.col;
            y[pixel * channels + channel] = narrow<T>(shares[thread] / length);
        }
        __syncthreads();
    }
}

// The windows that cover an element: o * step < (element + pad + 1) * den <= o * step + reach.
__device__ __forceinline__ Range covering(unsigned element, const Walk& axis) {
    const unsigned at = (element + axis.pad + 1) * axis.den.divisor;
    const int low = static_cast<int>(at) - axis.reach;
    const int first = low > 0 ? quotient(low + axis.step.divisor - 1, axis.step) : 0;
    const int last = quotient(at - 1, axis.step) + 1;
    return {first, min(last, static_cast<int>(axis.windows.divisor))};
}

template <typename T, int N>
__global__ void avg_pool2d_backward(const T* __restrict__ g, T* __restrict__ dx, Walk rows, Walk cols,
                                    FastDiv channels, int divisor, bool padding, unsigned n) {
    for (unsigned flat = blockIdx.x * blockDim.x + threadIdx.x; flat < n; flat += gridDim.x * blockDim.x) {
        const Place p = place(flat, rows.size, cols.size, channels);
        const Range down = covering(p.row, rows), across = covering(p.col, cols);
        acc_t<T> sum[N] = {};
        for (int o = down.first; o < down.last; o++) {
            const int high = divisor ? divisor : window(o, rows, padding).length;
            for (int q = across.first; q < across.last; q++) {
                const acc_t<T> share = acc_t<T>(1) / (divisor ? high : high * window(q, cols, padding).length);
                const Vec<T, N> part =
                    load<N>(g + offset<N>(p.batch, o, q, p.channel, rows.windows, cols.windows, channels));
#pragma unroll
                for (int k = 0; k < N; k++) sum[k] += widen(part.at[k]) * share;
            }
        }
        Vec<T, N> out;
#pragma unroll
        for (int k = 0; k < N; k++) out.at[k] = narrow<T>(sum[k]);
        store(dx + flat * N, out);
    }
}
