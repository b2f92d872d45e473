// Batch normalisation, per channel of x (N, C, ...), with c = mean over a channel and r = (var + eps)^-1/2:
//
//   batch_norm            y = (x - mean) r weight + bias, mean, var: moments, then finish_moments, then normalise
//   batch_norm_inference  the same by statistics that are given: normalise_given
//   batch_norm_backward   dx, dweight, dbias: cotangent_sums, then finish_sums, then input_cotangent
//
// Memory is ROWS of pixels, channels contiguous (PLANES = 0), or PLANES of one channel each (PLANES = 1). N neighbours
// are read at once: N channels of a row, or N pixels of a plane. Where there is a ReLU after it, y is max(y, 0), and the
// cotangent passes where y > 0.
#include "common.cuh"

constexpr int THREADS = 256;

// How many neighbours are read at once: 16 bytes of them where WIDE.
template <typename T, int WIDE> constexpr int NEIGHBOURS = WIDE ? 16 / sizeof(T) : 1;

// ---- partial results that merge in a fixed order --------------------------------------------------------------------

// Count, mean and sum of squared differences from it (Chan, Golub and LeVeque, 1979). The means are of values from
// which the channel's first has been subtracted, so that a large mean costs no digits.
template <typename A> struct Moments {
    A at[3];
    __device__ __forceinline__ void merge(const Moments& o) {
        if (o.at[0] == 0) return;
        const A total = at[0] + o.at[0], mine = at[0] / total, theirs = o.at[0] / total, apart = o.at[1] - at[1];
        at[2] += at[0] == 0 ? o.at[2] : o.at[2] + apart * apart * (mine * o.at[0]);
        at[1] = at[0] == 0 ? o.at[1] : at[1] * mine + o.at[1] * theirs;
        at[0] = total;
    }
};

// Sums of g, of g (x - mean), and of x - mean, which is what rounding took from the mean.
template <typename A> struct Sums {
    A at[3];
    __device__ __forceinline__ void merge(const Sums& o) {
        at[0] += o.at[0];
        at[1] += o.at[1];
        at[2] += o.at[2];
    }
};

// ---- the walk of a block over its channels --------------------------------------------------------------------------

// blockIdx.x picks the channels: `width` vectors of N, or one plane's. blockIdx.y and the threads share out the `count`
// pixels (rows) or vectors (planes) of a channel.
template <int N, int PLANES, typename Index> struct Walk {
    Index next, step, count, plane;
    int lane, row, rows, width, channel, channels;
    FastDiv vectors;
    bool live;

    __device__ __forceinline__ Walk(Index count, int channels, int width, Index plane, FastDiv vectors)
        : count(count), plane(plane), width(width), channels(channels), vectors(vectors) {
        lane = threadIdx.x % width;
        row = threadIdx.x / width;
        rows = blockDim.x / width;
        channel = PLANES ? blockIdx.x : (blockIdx.x * width + lane) * N;
        live = row < rows && channel < channels;
        next = static_cast<Index>(blockIdx.y) * rows + row;
        step = static_cast<Index>(gridDim.y) * rows;
    }
    // The channel of the j-th neighbour.
    __device__ __forceinline__ int at(int j) const { return PLANES ? channel : channel + j; }
    // Where the i-th vector starts.
    __device__ __forceinline__ Index offset(Index i) const {
        if (!PLANES) return i * channels + channel;
        const Index image = sizeof(Index) == 4 ? static_cast<Index>(quotient(static_cast<unsigned>(i), vectors))
                                               : i / static_cast<Index>(vectors.divisor);
        return (image * (channels - 1) + channel) * plane + i * N;
    }
};

// Merge the N states of each thread over the block's rows (planes: over the N as well) and write one per channel to
// partial (3, C, gridDim.y).
template <typename State, typename A, int N, int PLANES, typename Index>
__device__ __forceinline__ void write_partial(State (&state)[N], const Walk<N, PLANES, Index>& walk, A* partial) {
    constexpr int KEPT = PLANES ? 1 : N;
    __shared__ State scratch[THREADS * KEPT];
    if (PLANES) {
#pragma unroll
        for (int j = 1; j < N; j++) state[0].merge(state[j]);
    }
    const int stride = walk.width * KEPT, mine = walk.row * stride + walk.lane * KEPT;
    if (walk.row < walk.rows) {
#pragma unroll
        for (int j = 0; j < KEPT; j++) scratch[mine + j] = state[j];
    }
    for (int rows = walk.rows; rows > 1;) {
        const int half = (rows + 1) / 2;
        __syncthreads();
        if (walk.row + half < rows) {
#pragma unroll
            for (int j = 0; j < KEPT; j++) scratch[mine + j].merge(scratch[mine + half * stride + j]);
        }
        rows = half;
    }
    if (walk.row != 0 || !walk.live) return;
#pragma unroll
    for (int j = 0; j < KEPT; j++) {
        for (int k = 0; k < 3; k++) {
            partial[(static_cast<long long>(k) * walk.channels + walk.at(j)) * gridDim.y + blockIdx.y] =
                scratch[mine + j].at[k];
        }
    }
}

// Merge partial (3, C, splits) over the splits of a channel by a team of threads, a power of two of them. The first of
// the team gets the result.
template <typename State, typename A>
__device__ __forceinline__ State read_partial(const A* partial, int splits, int channels, int channel, int team) {
    __shared__ State scratch[THREADS];
    const int rank = threadIdx.x % team;
    State& mine = scratch[threadIdx.x];
    State total = {};
    if (channel < channels) {
        for (int s = rank; s < splits; s += team) {
            State part;
            for (int k = 0; k < 3; k++) {
                part.at[k] = partial[(static_cast<long long>(k) * channels + channel) * splits + s];
            }
            total.merge(part);
        }
    }
    mine = total;
    for (int half = team / 2; half; half /= 2) {
        __syncthreads();
        if (rank < half) mine.merge(scratch[threadIdx.x + half]);
    }
    return mine;
}

// The channel's first value, or 0 where that is not finite: infinities then spread as sums spread them.
template <typename T> __device__ __forceinline__ acc_t<T> first_value(const T* x, long long offset) {
    const acc_t<T> value = widen(x[offset]);
    return value - value == 0 ? value : acc_t<T>(0);
}

// ---- forward --------------------------------------------------------------------------------------------------------

// partial (3, C, gridDim.y): the moments of each channel of x, by blocks.
template <typename T, int WIDE, int PLANES, typename Index>
__global__ void __launch_bounds__(256, 2)
moments(const T* __restrict__ x, acc_t<T>* __restrict__ partial, Index count, int channels, int width, Index plane,
        FastDiv vectors) {
    using A = acc_t<T>;
    constexpr int N = NEIGHBOURS<T, WIDE>;
    Walk<N, PLANES, Index> walk(count, channels, width, plane, vectors);
    Moments<A> state[N] = {};
    if (walk.live && walk.next < count) {
        A base[N], shift[N], sum[N] = {}, squares[N] = {};
        const Index first = walk.offset(walk.next);
#pragma unroll
        for (int j = 0; j < N; j++) {
            base[j] = first_value(x, walk.at(j) * (PLANES ? static_cast<long long>(plane) : 1));
            shift[j] = first_value(x, first + j) - base[j];  // a guess at this thread's mean
        }
        for (Index i = walk.next; i < count; i += walk.step) {
            const Vec<T, N> v = load<N>(x + walk.offset(i));
#pragma unroll
            for (int j = 0; j < N; j++) {
                const A d = (widen(v.at[j]) - base[j]) - shift[j];
                sum[j] += d;
                squares[j] += d * d;
            }
        }
        const A n = static_cast<A>((count - 1 - walk.next) / walk.step + 1);
#pragma unroll
        for (int j = 0; j < N; j++) {
            const A mean = sum[j] / n, m2 = squares[j] - sum[j] * mean;
            state[j] = {{n, shift[j] + mean, m2 < 0 ? A(0) : m2}};
        }
    }
    write_partial(state, walk, partial);
}

// mean, var (C,), and params (4, C) for normalise: the mean in two parts, weight (var + eps)^-1/2, bias.
template <typename T>
__global__ void __launch_bounds__(256, 2)
finish_moments(const acc_t<T>* __restrict__ partial, const T* __restrict__ x, const T* __restrict__ weight,
               const T* __restrict__ bias, T* __restrict__ mean, T* __restrict__ var, acc_t<T>* __restrict__ params,
               long long first_stride, acc_t<T> eps, int splits, int channels, int team) {
    using A = acc_t<T>;
    const int c = (blockIdx.x * THREADS + threadIdx.x) / team;
    const Moments<A> total = read_partial<Moments<A>>(partial, splits, channels, c, team);
    if (threadIdx.x % team || c >= channels) return;
    const A base = first_value(x, c * first_stride), whole = base + total.at[1], spread = total.at[2] / total.at[0];
    const A rest = total.at[1] - (whole - base), r = A(1) / sqrt(spread + eps);
    mean[c] = narrow<T>(whole);
    var[c] = narrow<T>(spread);
    params[c] = whole;
    params[channels + c] = rest;
    params[2 * channels + c] = weight ? r * widen(weight[c]) : r;
    params[3 * channels + c] = bias ? widen(bias[c]) : A(0);
}

// y = ((x - mean) - rest) scale + offset; the arrays are of the thread's own channels.
template <typename T, int N, int PLANES, typename Index, typename A>
__device__ __forceinline__ void write_normalised(const T* __restrict__ x, T* __restrict__ y,
                                                 const Walk<N, PLANES, Index>& walk, const A (&mean)[N],
                                                 const A (&rest)[N], const A (&scale)[N], const A (&offset)[N],
                                                 bool relu) {
    for (Index i = walk.next; i < walk.count; i += walk.step) {
        const Index at = walk.offset(i);
        const Vec<T, N> v = load<N>(x + at);
        Vec<T, N> out;
#pragma unroll
        for (int j = 0; j < N; j++) {
            const A value = ((widen(v.at[j]) - mean[j]) - rest[j]) * scale[j] + offset[j];
            out.at[j] = narrow<T>(relu && value < 0 ? A(0) : value);
        }
        store(y + at, out);
    }
}

template <typename T, int WIDE, int PLANES, typename Index>
__global__ void __launch_bounds__(256, 2)
normalise(const T* __restrict__ x, const acc_t<T>* __restrict__ params, T* __restrict__ y, bool relu, Index count,
          int channels, int width, Index plane, FastDiv vectors) {
    using A = acc_t<T>;
    constexpr int N = NEIGHBOURS<T, WIDE>;
    const Walk<N, PLANES, Index> walk(count, channels, width, plane, vectors);
    if (!walk.live) return;
    A mean[N], rest[N], scale[N], offset[N];
#pragma unroll
    for (int j = 0; j < N; j++) {
        const int c = walk.at(j);
        mean[j] = params[c];
        rest[j] = params[channels + c];
        scale[j] = params[2 * channels + c];
        offset[j] = params[3 * channels + c];
    }
    write_normalised<T, N, PLANES>(x, y, walk, mean, rest, scale, offset, relu);
}

template <typename T, int WIDE, int PLANES, typename Index>
__global__ void __launch_bounds__(256, 2)
normalise_given(const T* __restrict__ x, const T* __restrict__ given_mean, const T* __restrict__ given_var,
                const T* __restrict__ weight, const T* __restrict__ bias, T* __restrict__ y, acc_t<T> eps, bool relu,
                Index count, int channels, int width, Index plane, FastDiv vectors) {
    using A = acc_t<T>;
    constexpr int N = NEIGHBOURS<T, WIDE>;
    const Walk<N, PLANES, Index> walk(count, channels, width, plane, vectors);
    if (!walk.live) return;
    A mean[N], rest[N], scale[N], offset[N];
#pragma unroll
    for (int j = 0; j < N; j++) {
        const int c = walk.at(j);
        const A r = A(1) / sqrt(widen(given_var[c]) + eps);
        mean[j] = rest[j] = 0;  // the array code's x scale + offset, so that infinities come out alike
        scale[j] = weight ? r * widen(weight[c]) : r;
        offset[j] = (bias ? widen(bias[c]) : A(0)) - widen(given_mean[c]) * scale[j];
    }
    write_normalised<T, N, PLANES>(x, y, walk, mean, rest, scale, offset, relu);
}

// running = (1 - share) running + share batch, for the mean and, times `unbias`, the variance. The share is `given`, or
// *rate where that is not null.
template <typename R, typename T>
__global__ void __launch_bounds__(256, 2)
update_running(const T* __restrict__ mean, const T* __restrict__ var, const double* __restrict__ rate,
               R* __restrict__ running_mean, R* __restrict__ running_var, int channels, acc_t<R> given,
               acc_t<R> unbias) {
    using A = acc_t<R>;
    const A share = rate ? static_cast<A>(*rate) : given, keep = A(1) - share;
    for (int c = blockIdx.x * blockDim.x + threadIdx.x; c < channels; c += gridDim.x * blockDim.x) {
        running_mean[c] = narrow<R>(widen(running_mean[c]) * keep + static_cast<A>(widen(mean[c])) * share);
        running_var[c] = narrow<R>(widen(running_var[c]) * keep + static_cast<A>(widen(var[c])) * (share * unbias));
    }
}

// ---- backward -------------------------------------------------------------------------------------------------------

// N cotangents of normalised values: g, and 0 where there is a ReLU, so that y is not null, and y is not positive.
template <int N, typename T>
__device__ __forceinline__ void load_cotangents(const T* __restrict__ g, const T* __restrict__ y, acc_t<T> (&out)[N]) {
    const Vec<T, N> gs = load<N>(g), ys = y ? load<N>(y) : gs;
#pragma unroll
    for (int j = 0; j < N; j++) out[j] = y && widen(ys.at[j]) <= 0 ? acc_t<T>(0) : widen(gs.at[j]);
}

// partial (3, C, gridDim.y): sums of g, g (x - mean) and x - mean of each channel, by blocks.
template <typename T, int WIDE, int PLANES, typename Index>
__global__ void __launch_bounds__(256, 2)
cotangent_sums(const T* __restrict__ g, const T* __restrict__ x, const T* __restrict__ y, const T* __restrict__ mean,
               acc_t<T>* __restrict__ partial, Index count, int channels, int width, Index plane, FastDiv vectors) {
    using A = acc_t<T>;
    constexpr int N = NEIGHBOURS<T, WIDE>;
    Walk<N, PLANES, Index> walk(count, channels, width, plane, vectors);
    Sums<A> state[N] = {};
    if (walk.live) {
        A middle[N];
#pragma unroll
        for (int j = 0; j < N; j++) middle[j] = widen(mean[walk.at(j)]);
        for (Index i = walk.next; i < count; i += walk.step) {
            const Index at = walk.offset(i);
            const Vec<T, N> xs = load<N>(x + at);
            A gs[N];
            load_cotangents(g + at, y ? y + at : y, gs);
#pragma unroll
            for (int j = 0; j < N; j++) {
                const A d = widen(xs.at[j]) - middle[j];
                state[j].at[0] += gs[j];
                state[j].at[1] += gs[j] * d;
                state[j].at[2] += d;
            }
        }
    }
    write_partial(state, walk, partial);
}

// dweight, dbias (C,), and params (3, C) of dx = (g - (x - mean) params[0] + params[1]) params[2].
template <typename T>
__global__ void __launch_bounds__(256, 2)
finish_sums(const acc_t<T>* __restrict__ partial, const T* __restrict__ weight, const T* __restrict__ var,
            T* __restrict__ dweight, T* __restrict__ dbias, acc_t<T>* __restrict__ params, acc_t<T> share, acc_t<T> eps,
            int splits, int channels, int team) {
    using A = acc_t<T>;
    const int c = (blockIdx.x * THREADS + threadIdx.x) / team;
    const Sums<A> total = read_partial<Sums<A>>(partial, splits, channels, c, team);
    if (threadIdx.x % team || c >= channels) return;
    const A r = A(1) / sqrt(widen(var[c]) + eps), scale = weight ? r * widen(weight[c]) : r;
    // An infinite cotangent must not meet a rest of 0 or so: whether that is NaN would depend on a rounding.
    const A all = total.at[2] * share, size = total.at[0] + total.at[1], rest = size - size == 0 ? all : A(0);
    const A gd = total.at[1] - (rest == 0 ? A(0) : total.at[0] * rest) + (all - all), slope = gd * r * r * share;
    dweight[c] = narrow<T>(gd * r);
    dbias[c] = narrow<T>(total.at[0]);
    params[c] = slope;
    params[channels + c] = (rest == 0 ? A(0) : rest * slope) - total.at[0] * share;
    params[2 * channels + c] = scale;
}

template <typename T, int WIDE, int PLANES, typename Index>
__global__ void __launch_bounds__(256, 2)
input_cotangent(const T* __restrict__ g, const T* __restrict__ x, const T* __restrict__ y, const T* __restrict__ mean,
                const acc_t<T>* __restrict__ params, T* __restrict__ dx, Index count, int channels, int width,
                Index plane, FastDiv vectors) {
    using A = acc_t<T>;
    constexpr int N = NEIGHBOURS<T, WIDE>;
    const Walk<N, PLANES, Index> walk(count, channels, width, plane, vectors);
    if (!walk.live) return;
    A middle[N], slope[N], offset[N], scale[N];
#pragma unroll
    for (int j = 0; j < N; j++) {
        const int c = walk.at(j);
        middle[j] = widen(mean[c]);
        slope[j] = params[c];
        offset[j] = params[channels + c];
        scale[j] = params[2 * channels + c];
    }
    for (Index i = walk.next; i < count; i += walk.step) {
        const Index at = walk.offset(i);
        const Vec<T, N> xs = load<N>(x + at);
        Vec<T, N> out;
        A gs[N];
        load_cotangents(g + at, y ? y + at : y, gs);
#pragma unroll
        for (int j = 0; j < N; j++) {
            const A d = widen(xs.at[j]) - middle[j];
            out.at[j] = narrow<T>((gs[j] - d * slope[j] + offset[j]) * scale[j]);
        }
        store(dx + at, out);
    }
}
