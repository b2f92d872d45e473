// softmax            y = exp(x) / sum(exp(x)) over each row
// log_softmax        y = x - log(sum(exp(x)))
// softmax_backward   dx = y (g - sum(g y)),        log_softmax_backward   dx = g - exp(y) sum(g)
//
// All arrays are (rows, n), dense; LOG tells which of the two. Short rows stay in registers, longer ones in shared
// memory (CACHED), and the longest are read twice.
#include "rows.cuh"

template <int LOG, typename T, typename Row> __device__ __forceinline__ void forward(const Row& row, T* y) {
    using A = typename Row::A;
    const Softmax<A> s = softmax_of(row, [](int, const A*) {});
    if (LOG) {
        const A total = log(s.sum);
        row.write(y, [&](int, const A* v) { return v[0] - s.max - total; });
    } else {
        row.write(y, [&](int, const A* v) { return exp(v[0] - s.max) / s.sum; });
    }
}

// The row's arrays are g and y.
template <int LOG, typename T, typename Row> __device__ __forceinline__ void backward(const Row& row, T* dx) {
    using A = typename Row::A;
    A total = 0;
    row.each([&](int, const A* v) { total += LOG ? v[0] : v[0] * v[1]; });
    total = row.reduce(total, A(0), Add());
    row.write(dx, [&](int, const A* v) { return LOG ? v[0] - exp(v[1]) * total : v[1] * (v[0] - total); });
}

template <typename T, int N, int LANES, int PER, int LOG>
__global__ void softmax_lanes(const T* __restrict__ x, T* __restrict__ y, long long rows, int n) {
    const long long step = (long long)gridDim.x * blockDim.x / LANES;
    const long long first = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / LANES;
    for (long long row = first; row - first % (32 / LANES) < rows; row += step) {
        LaneRow<T, 1, N, LANES, PER> held;
        held.read({x + row * n}, row < rows ? n : 0);
        forward<LOG>(held, y + row * n);
    }
}

template <typename T, int N, int CACHED, int LOG>
__global__ void softmax_block(const T* __restrict__ x, T* __restrict__ y, long long rows, int n) {
    extern __shared__ unsigned char memory[];
    for (long long row = blockIdx.x; row < rows; row += gridDim.x) {
        BlockRow<T, 1, N, CACHED != 0> held(memory);
        held.read({x + row * n}, n);
        forward<LOG>(held, y + row * n);
    }
}

template <typename T, int N, int LANES, int PER, int LOG>
__global__ void softmax_backward_lanes(
    const T* __restrict__ g, const T* __restrict__ y, T* __restrict__ dx, long long rows, int n) {
    const long long step = (long long)gridDim.x * blockDim.x / LANES;
    const long long first = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / LANES;
    for (long long row = first; row - first % (32 / LANES) < rows; row += step) {
        LaneRow<T, 2, N, LANES, PER> held;
        held.read({g + row * n, y + row * n}, row < rows ? n : 0);
        backward<LOG>(held, dx + row * n);
    }
}

template <typename T, int N, int CACHED, int LOG>
__global__ void softmax_backward_block(
    const T* __restrict__ g, const T* __restrict__ y, T* __restrict__ dx, long long rows, int n) {
    extern __shared__ unsigned char memory[];
    for (long long row = blockIdx.x; row < rows; row += gridDim.x) {
        BlockRow<T, 2, N, CACHED != 0> held(memory);
        held.read({g + row * n, y + row * n}, n);
        backward<LOG>(held, dx + row * n);
    }
}
