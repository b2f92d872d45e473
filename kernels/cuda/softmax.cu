// softmax            y = exp(x) / sum(exp(x)) over each row
// log_softmax        y = x - log(sum(exp(x)))
// softmax_backward   dx = y (g - sum(g y)),        log_softmax_backward   dx = g - exp(y) sum(g)
//
// All arrays are (rows, n), dense; `log_of` tells which of the two. Short rows stay in registers, longer ones in shared
// memory (CACHED), and the longest are read twice. The kernels over columns take (outer, n, inner).
#include "rows.cuh"

template <typename T, typename Row> __device__ __forceinline__ void forward(const Row& row, T* y, bool log_of) {
    using A = typename Row::A;
    const Softmax<A> s = softmax_of(row, [](int, const A*) {});
    if (log_of) {
        const A total = log(s.sum);
        row.write(y, [&](int, const A* v) { return v[0] - s.max - total; });
    } else {
        const A share = 1 / s.sum;
        row.write(y, [&](int, const A* v) { return exp(v[0] - s.max) * share; });
    }
}

// The row's arrays are g and y.
template <typename T, typename Row> __device__ __forceinline__ void backward(const Row& row, T* dx, bool log_of) {
    using A = typename Row::A;
    A total = 0;
    row.each([&](int, const A* v) { total += log_of ? v[0] : v[0] * v[1]; });
    total = row.reduce(total, A(0), Add());
    if (log_of) {
        row.write(dx, [&](int, const A* v) { return v[0] - exp(v[1]) * total; });
    } else {
        row.write(dx, [&](int, const A* v) { return v[1] * (v[0] - total); });
    }
}

template <typename T, int N, int LANES, int PER>
__global__ void softmax_lanes(const T* __restrict__ x, T* __restrict__ y, long long rows, int n, bool log_of) {
    const long long step = (long long)gridDim.x * blockDim.x / LANES;
    const long long first = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / LANES;
    for (long long row = first; row - first % (32 / LANES) < rows; row += step) {
        LaneRow<T, 1, N, LANES, PER> held;
        held.read({x + row * n}, row < rows ? n : 0);
        forward(held, y + row * n, log_of);
    }
}

template <typename T, int N, int CACHED>
__global__ void __launch_bounds__(1024, 1)
softmax_block(const T* __restrict__ x, T* __restrict__ y, long long rows, int n, bool log_of) {
    extern __shared__ unsigned char memory[];
    for (long long row = blockIdx.x; row < rows; row += gridDim.x) {
        BlockRow<T, 1, N, CACHED != 0> held(memory);
        held.read({x + row * n}, n);
        forward(held, y + row * n, log_of);
    }
}

template <typename T, int N, int LANES, int PER>
__global__ void softmax_backward_lanes(
    const T* __restrict__ g, const T* __restrict__ y, T* __restrict__ dx, long long rows, int n, bool log_of) {
    const long long step = (long long)gridDim.x * blockDim.x / LANES;
    const long long first = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / LANES;
    for (long long row = first; row - first % (32 / LANES) < rows; row += step) {
        LaneRow<T, 2, N, LANES, PER> held;
        held.read({g + row * n, y + row * n}, row < rows ? n : 0);
        backward(held, dx + row * n, log_of);
    }
}

template <typename T, int N, int CACHED>
__global__ void __launch_bounds__(1024, 1)
softmax_backward_block(
    const T* __restrict__ g, const T* __restrict__ y, T* __restrict__ dx, long long rows, int n, bool log_of) {
    extern __shared__ unsigned char memory[];
    for (long long row = blockIdx.x; row < rows; row += gridDim.x) {
        BlockRow<T, 2, N, CACHED != 0> held(memory);
        held.read({g + row * n, y + row * n}, n);
        backward(held, dx + row * n, log_of);
    }
}

// Thread number i of a grid takes the column whose first element this is.
template <typename Index> __device__ __forceinline__ Index column_start(Index i, int n, int inner) {
    const Index outer = i / inner;
    return outer * n * inner + (i - outer * inner);
}

template <typename T, typename Index>
__global__ void softmax_columns(
    const T* __restrict__ x, T* __restrict__ y, long long columns, int n, int inner, bool log_of) {
    const Index step = (Index)gridDim.x * blockDim.x;
    for (Index i = (Index)blockIdx.x * blockDim.x + threadIdx.x; i < (Index)columns; i += step) {
        const long long start = column_start(i, n, inner);
        const Column<T, 1> held{{x + start}, n, inner};
        forward(held, y + start, log_of);
    }
}

template <typename T, typename Index>
__global__ void softmax_backward_columns(
    const T* __restrict__ g, const T* __restrict__ y, T* __restrict__ dx, long long columns, int n, int inner,
    bool log_of) {
    const Index step = (Index)gridDim.x * blockDim.x;
    for (Index i = (Index)blockIdx.x * blockDim.x + threadIdx.x; i < (Index)columns; i += step) {
        const long long start = column_start(i, n, inner);
        const Column<T, 2> held{{g + start, y + start}, n, inner};
        backward(held, dx + start, log_of);
    }
}
