// Layer normalisation of rows x (rows, size) in C order, weight and bias (size,) or null:
//
//   layer_norm           y = (x - mean) (var + eps)^-1/2 weight + bias
//   layer_norm_backward  dx, and for the weight each row's mean, in two parts, and (var + eps)^-1/2: stats (rows, 3)
//   weight_sums, then finish_weight_sums: dweight = sum(g (x - mean) (var + eps)^-1/2), dbias = sum(g) over the rows
//
// A team of 32 or 256 threads takes a row, each thread every 32nd or 256th vector of N elements. Where `cached`, a thread
// keeps its vectors in shared memory, so that the row is read once.
#include "common.cuh"

constexpr int THREADS = 256;

// How many neighbours are read at once: 16 bytes of them where WIDE.
template <typename T, int WIDE> constexpr int NEIGHBOURS = WIDE ? 16 / sizeof(T) : 1;

template <typename A> __device__ __forceinline__ A team_sum(int team, A value, A* scratch) {
    return team == 32 ? warp_reduce(value, Add()) : block_reduce(value, A(0), Add(), scratch);
}

// A thread's part of one row: vector number k of it is vector first + k team of the row.
template <typename T, int N> struct Part {
    const T* row;
    Vec<T, N>* kept;
    bool cached;

    // The first time, from memory.
    __device__ __forceinline__ Vec<T, N> fetch(int k, int i) const {
        const Vec<T, N> v = load<N>(row + static_cast<long long>(i) * N);
        if (cached) kept[k * THREADS + threadIdx.x] = v;
        return v;
    }
    __device__ __forceinline__ Vec<T, N> again(int k, int i) const {
        return cached ? kept[k * THREADS + threadIdx.x] : load<N>(row + static_cast<long long>(i) * N);
    }
};

// The mean as it rounds.
template <typename T, int N, typename A>
__device__ __forceinline__ A row_mean(const Part<T, N>& x, int first, int team, int vectors, A share, A* scratch) {
    A sum = 0;
    for (int i = first, k = 0; i < vectors; i += team, k++) {
        const Vec<T, N> v = x.fetch(k, i);
#pragma unroll
        for (int j = 0; j < N; j++) sum += widen(v.at[j]);
    }
    return team_sum(team, sum, scratch) * share;
}

// (var + eps)^-1/2 from the means of d and d^2, where d = x - the rounded mean.
template <typename A> __device__ __forceinline__ A inverse_spread(A d, A squares, A eps) {
    const A var = squares - d * d;
    return A(1) / sqrt((var < 0 ? A(0) : var) + eps);
}

template <typename T, int WIDE>
__global__ void __launch_bounds__(256, 2)
layer_norm(const T* __restrict__ x, const T* __restrict__ weight, const T* __restrict__ bias, T* __restrict__ y,
           long long rows, int size, acc_t<T> eps, int team, bool cached) {
    using A = acc_t<T>;
    constexpr int N = NEIGHBOURS<T, WIDE>;
    extern __shared__ unsigned char kept[];
    __shared__ A scratch[32];
    const int teams = blockDim.x / team, vectors = size / N;
    const int first = threadIdx.x % team;
    const A share = A(1) / static_cast<A>(size);
    for (long long r = blockIdx.x * static_cast<long long>(teams) + threadIdx.x / team; r < rows;
         r += static_cast<long long>(gridDim.x) * teams) {
        const Part<T, N> part = {x + r * size, reinterpret_cast<Vec<T, N>*>(kept), cached};
        const A mean = row_mean(part, first, team, vectors, share, scratch);
        A sum = 0, squares = 0;
        for (int i = first, k = 0; i < vectors; i += team, k++) {
            const Vec<T, N> v = part.again(k, i);
#pragma unroll
            for (int j = 0; j < N; j++) {
                const A d = widen(v.at[j]) - mean;
                sum += d;
                squares += d * d;
            }
        }
        const A rest = team_sum(team, sum, scratch) * share;
        const A scale = inverse_spread(rest, team_sum(team, squares, scratch) * share, eps);
        for (int i = first, k = 0; i < vectors; i += team, k++) {
            const Vec<T, N> v = part.again(k, i);
            Vec<T, N> w, b, out;
            if (weight) w = load<N>(weight + static_cast<long long>(i) * N);
            if (bias) b = load<N>(bias + static_cast<long long>(i) * N);
#pragma unroll
            for (int j = 0; j < N; j++) {
                A value = ((widen(v.at[j]) - mean) - rest) * scale;
                if (weight) value *= widen(w.at[j]);
                if (bias) value += widen(b.at[j]);
                out.at[j] = narrow<T>(value);
            }
            store(y + r * size + static_cast<long long>(i) * N, out);
        }
    }
}

// With h = g weight, s = (var + eps)^-1/2 and z = (x - mean) s: dx = (h - mean(h) - z mean(h z)) s.
template <typename T, int WIDE>
__global__ void __launch_bounds__(256, 2)
layer_norm_backward(const T* __restrict__ g, const T* __restrict__ x, const T* __restrict__ weight,
                    T* __restrict__ dx, acc_t<T>* __restrict__ stats, long long rows, int size, acc_t<T> eps, int team,
                    bool cached) {
    using A = acc_t<T>;
    constexpr int N = NEIGHBOURS<T, WIDE>;
    extern __shared__ unsigned char kept[];
    __shared__ A scratch[32];
    const int teams = blockDim.x / team, vectors = size / N;
    const int first = threadIdx.x % team;
    const A share = A(1) / static_cast<A>(size);
    Vec<T, N>* kept_x = reinterpret_cast<Vec<T, N>*>(kept);
    Vec<T, N>* kept_g = kept_x + (vectors + team - 1) / team * THREADS;
    for (long long r = blockIdx.x * static_cast<long long>(teams) + threadIdx.x / team; r < rows;
         r += static_cast<long long>(gridDim.x) * teams) {
        const Part<T, N> xs = {x + r * size, kept_x, cached}, gs = {g + r * size, kept_g, cached};
        const A mean = row_mean(xs, first, team, vectors, share, scratch);
        A sum = 0, squares = 0, sum_h = 0, sum_hd = 0;
        for (int i = first, k = 0; i < vectors; i += team, k++) {
            const Vec<T, N> v = xs.again(k, i), u = gs.fetch(k, i);
            Vec<T, N> w;
            if (weight) w = load<N>(weight + static_cast<long long>(i) * N);
#pragma unroll
            for (int j = 0; j < N; j++) {
                const A d = widen(v.at[j]) - mean, h = weight ? widen(u.at[j]) * widen(w.at[j]) : widen(u.at[j]);
                sum += d;
                squares += d * d;
                sum_h += h;
                sum_hd += h * d;
            }
        }
        const A rest = team_sum(team, sum, scratch) * share;
        const A scale = inverse_spread(rest, team_sum(team, squares, scratch) * share, eps);
        const A mean_h = team_sum(team, sum_h, scratch) * share;
        // An infinite mean must not meet a rest of 0 or so: whether that is NaN would depend on a rounding.
        const A moved = mean_h - mean_h == 0 ? rest * mean_h : A(0);
        const A slope = (team_sum(team, sum_hd, scratch) * share - moved) * scale * scale;
        for (int i = first, k = 0; i < vectors; i += team, k++) {
            const Vec<T, N> v = xs.again(k, i), u = gs.again(k, i);
            Vec<T, N> w, out;
            if (weight) w = load<N>(weight + static_cast<long long>(i) * N);
#pragma unroll
            for (int j = 0; j < N; j++) {
                const A d = (widen(v.at[j]) - mean) - rest;
                const A h = weight ? widen(u.at[j]) * widen(w.at[j]) : widen(u.at[j]);
                out.at[j] = narrow<T>((h - mean_h - d * slope) * scale);
            }
            store(dx + r * size + static_cast<long long>(i) * N, out);
        }
        if (stats && first == 0) {
            stats[3 * r] = mean;
            stats[3 * r + 1] = rest;
            stats[3 * r + 2] = scale;
        }
    }
}

// partial (2, gridDim.y, size): sums of g z and of g over a share of the rows. A block takes `width` vectors of columns,
// its threads side by side, and every so many rows.
template <typename T, int WIDE>
__global__ void __launch_bounds__(256, 2)
weight_sums(const T* __restrict__ g, const T* __restrict__ x, const acc_t<T>* __restrict__ stats,
            acc_t<T>* __restrict__ partial, long long rows, int size, int width) {
    using A = acc_t<T>;
    constexpr int N = NEIGHBOURS<T, WIDE>;
    __shared__ A scratch[2][THREADS * N];
    const int lane = threadIdx.x % width, row = threadIdx.x / width, height = blockDim.x / width;
    const int column = (blockIdx.x * width + lane) * N, mine = threadIdx.x * N;
    const bool live = row < height && column < size;
    A sums[2][N] = {};
    if (live) {
        for (long long r = static_cast<long long>(blockIdx.y) * height + row; r < rows;
             r += static_cast<long long>(gridDim.y) * height) {
            const Vec<T, N> u = load<N>(g + r * size + column), v = load<N>(x + r * size + column);
            const A mean = stats[3 * r], rest = stats[3 * r + 1], scale = stats[3 * r + 2];
#pragma unroll
            for (int j = 0; j < N; j++) {
                sums[0][j] += widen(u.at[j]) * (((widen(v.at[j]) - mean) - rest) * scale);
                sums[1][j] += widen(u.at[j]);
            }
        }
    }
#pragma unroll
    for (int j = 0; j < N; j++) {
        scratch[0][mine + j] = sums[0][j];
        scratch[1][mine + j] = sums[1][j];
    }
    for (int left = height; left > 1;) {
        const int half = (left + 1) / 2;
        __syncthreads();
        if (row + half < left) {
            for (int j = 0; j < N; j++) {
                scratch[0][mine + j] += scratch[0][mine + half * width * N + j];
                scratch[1][mine + j] += scratch[1][mine + half * width * N + j];
            }
        }
        left = half;
    }
    if (row != 0 || !live) return;
    for (int j = 0; j < N; j++) {
        for (int k = 0; k < 2; k++) {
            partial[(static_cast<long long>(k) * gridDim.y + blockIdx.y) * size + column + j] = scratch[k][mine + j];
        }
    }
}

// Add up partial (2, shares, size) for 32 columns in each block of 256.
template <typename T>
__global__ void __launch_bounds__(256, 2)
finish_weight_sums(const acc_t<T>* __restrict__ partial, T* __restrict__ dweight, T* __restrict__ dbias, int shares,
                   int size) {
    using A = acc_t<T>;
    __shared__ A scratch[2][THREADS];
    const int column = blockIdx.x * 32 + threadIdx.x % 32;
    const long long apart = static_cast<long long>(shares) * size;
    A sums[2] = {};
    if (column < size) {
#pragma unroll 4
        for (int s = threadIdx.x / 32; s < shares; s += THREADS / 32) {
            const A* at = partial + static_cast<long long>(s) * size + column;
            sums[0] += at[0];
            sums[1] += at[apart];
        }
    }
    scratch[0][threadIdx.x] = sums[0];
    scratch[1][threadIdx.x] = sums[1];
    __syncthreads();
    if (threadIdx.x >= 32 || column >= size) return;
    for (int k = 0; k < 2; k++) {
        A sum = 0;
        for (int t = threadIdx.x; t < THREADS; t += 32) sum += scratch[k][t];
        (k ? dbias : dweight)[column] = narrow<T>(sum);
    }
}
