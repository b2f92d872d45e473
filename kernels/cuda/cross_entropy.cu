// Cross entropy of logits x (rows, n), dense, in one pass over them: losses (rows,) and, where dx is given, the gradient
// of each loss by its row of logits. Three versions by the length of rows, as in softmax.cu.
//
// Class indices: q[c] = keep w[t] [c = t] + unit w[c], with keep = 1 - s and unit = s / n for label smoothing s, and
// class weights w, 1 where not given. Probabilities p: q[c] = w[c] (keep p[c] + unit).
// loss = -sum(q log_softmax(x));  dx = softmax(x) sum(q) - q;  0 where the target is ignored.
#include "rows.cuh"

template <typename T, typename Row>
__device__ __forceinline__ void of_label(
    Row& row, const T* x, long long label, const acc_t<T>* weight, T* loss, T* dx, bool live, int n, int threads,
    long long ignore_index, acc_t<T> keep, acc_t<T> unit, long long* fault) {
    using A = acc_t<T>;
    const bool ignored = label == ignore_index, known = label >= 0 && label < n;
    row.read({x}, live && !ignored ? n : 0);
    const A own = weight && known ? weight[label] : A(1);
    A at_target = keep * own, others = weight ? A(0) : unit * A(n);
    const Softmax<A> s = softmax_of(row, [&](int c, const A*) {
        if (unit != 0 && weight) others += weight[c] * unit;
    });
    if (unit != 0 && weight) others = row.reduce(others, A(0), Add());
    const A logs = log(s.sum);
    if (live && !ignored && !known) {
        at_target = log(A(-1));  // NaN
        if (row.thread() == 0) raise_fault(fault, label);
    }
    A rest = 0;
    const A scale = (at_target + others) / s.sum;
    const auto weigh = [&](int c, A z) {  // the part of smoothing in the loss; returns q[c] of it
        const A q = unit == 0 ? A(0) : weight ? weight[c] * unit : unit;
        if (unit != 0) rest += q * (logs - z);
        return q;
    };
    if (dx) {
        row.write(dx, [&](int c, const A* v) {
            const A z = v[0] - s.max, q = weigh(c, z) + (c == label ? at_target : A(0));
            return exp(z) * scale - q;
        });
        if (live && ignored) zero_row(row, dx, n, threads);
    } else if (unit != 0) {
        row.each([&](int c, const A* v) { weigh(c, v[0] - s.max); });
    }
    if (unit != 0) rest = row.reduce(rest, A(0), Add());
    if (live && row.thread() == 0) {
        const A z = known ? widen(x[label]) - s.max : A(0);
        *loss = narrow<T>(ignored ? A(0) : at_target * (logs - z) + rest);
    }
}

// The row's arrays are x and the probabilities p.
template <typename T, typename Row>
__device__ __forceinline__ void of_probabilities(
    const Row& row, const acc_t<T>* weight, T* loss, T* dx, bool live, acc_t<T> keep, acc_t<T> unit) {
    using A = acc_t<T>;
    const auto weigh = [&](int c, A p) { return (p * keep + unit) * (weight ? weight[c] : A(1)); };
    A total = 0;
    const Softmax<A> s = softmax_of(row, [&](int c, const A* v) { total += weigh(c, v[1]); });
    total = row.reduce(total, A(0), Add());
    const A logs = log(s.sum), scale = total / s.sum;
    A sum = 0;
    const auto count = [&](int c, const A* v) {
        const A q = weigh(c, v[1]);
        if (q != 0) sum += q * (logs - (v[0] - s.max));
        return q;
    };
    if (dx) {
        row.write(dx, [&](int c, const A* v) {
            const A q = count(c, v);
            return exp(v[0] - s.max) * scale - q;
        });
    } else {
        row.each([&](int c, const A* v) { count(c, v); });
    }
    sum = row.reduce(sum, A(0), Add());
    if (live && row.thread() == 0) *loss = narrow<T>(sum);
}

template <typename T, typename I, int N, int LANES, int PER>
__global__ void cross_entropy_lanes(
    const T* __restrict__ x, const I* __restrict__ target, const acc_t<T>* __restrict__ weight, T* __restrict__ loss,
    T* __restrict__ dx, long long rows, int n, long long ignore_index, acc_t<T> keep, acc_t<T> unit, long long* fault) {
    const long long step = (long long)gridDim.x * blockDim.x / LANES;
    const long long first = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / LANES;
    for (long long row = first; row - first % (32 / LANES) < rows; row += step) {
        LaneRow<T, 1, N, LANES, PER> held;
        const bool live = row < rows;
        of_label<T>(held, x + row * n, live ? (long long)target[row] : 0, weight, loss + row, dx ? dx + row * n : dx,
                    live, n, LANES, ignore_index, keep, unit, fault);
    }
}

template <typename T, typename I, int N, int CACHED>
__global__ void __launch_bounds__(1024, 1)
cross_entropy_block(
    const T* __restrict__ x, const I* __restrict__ target, const acc_t<T>* __restrict__ weight, T* __restrict__ loss,
    T* __restrict__ dx, long long rows, int n, long long ignore_index, acc_t<T> keep, acc_t<T> unit, long long* fault) {
    extern __shared__ unsigned char memory[];
    for (long long row = blockIdx.x; row < rows; row += gridDim.x) {
        BlockRow<T, 1, N, CACHED != 0> held(memory);
        of_label<T>(held, x + row * n, (long long)target[row], weight, loss + row, dx ? dx + row * n : dx, true, n,
                    blockDim.x, ignore_index, keep, unit, fault);
    }
}

template <typename T, int N, int LANES, int PER>
__global__ void cross_entropy_probabilities_lanes(
    const T* __restrict__ x, const T* __restrict__ p, const acc_t<T>* __restrict__ weight, T* __restrict__ loss,
    T* __restrict__ dx, long long rows, int n, acc_t<T> keep, acc_t<T> unit) {
    const long long step = (long long)gridDim.x * blockDim.x / LANES;
    const long long first = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / LANES;
    for (long long row = first; row - first % (32 / LANES) < rows; row += step) {
        LaneRow<T, 2, N, LANES, PER> held;
        held.read({x + row * n, p + row * n}, row < rows ? n : 0);
        of_probabilities<T>(held, weight, loss + row, dx ? dx + row * n : dx, row < rows, keep, unit);
    }
}

template <typename T, int N, int CACHED>
__global__ void __launch_bounds__(1024, 1)
cross_entropy_probabilities_block(
    const T* __restrict__ x, const T* __restrict__ p, const acc_t<T>* __restrict__ weight, T* __restrict__ loss,
    T* __restrict__ dx, long long rows, int n, acc_t<T> keep, acc_t<T> unit) {
    extern __shared__ unsigned char memory[];
    for (long long row = blockIdx.x; row < rows; row += gridDim.x) {
        BlockRow<T, 2, N, CACHED != 0> held(memory);
        held.read({x + row * n, p + row * n}, n);
        of_probabilities<T>(held, weight, loss + row, dx ? dx + row * n : dx, true, keep, unit);
    }
}

// dx = g saved for each row, with 0 for g where the row is ignored. `stride` is g's, 0 where all rows have one g.
template <typename T, typename I, int N, typename Index>
__global__ void cross_entropy_scale(
    const T* __restrict__ g, const T* __restrict__ saved, const I* __restrict__ target, T* __restrict__ dx,
    long long size, int n, FastDiv by_n, long long stride, long long ignore_index) {
    const Index step = (Index)gridDim.x * blockDim.x, count = (Index)(size / N);
    for (Index i = (Index)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) {
        const long long at = (long long)i * N;
        const long long row = sizeof(Index) == 4 ? (long long)quotient((unsigned)at, by_n) : at / n;
        const acc_t<T> scale = (long long)target[row] == ignore_index ? acc_t<T>(0) : widen(g[row * stride]);
        const Vec<T, N> s = load<N>(saved + at);
        Vec<T, N> out;
#pragma unroll
        for (int j = 0; j < N; j++) out.at[j] = narrow<T>(scale * widen(s.at[j]));
        store<N>(dx + at, out);
    }
}

// The mean's numerator sum(loss) and denominator: how many rows count, or the sum of the weights of their classes.
// Of several blocks each leaves both in `parts`, for a second launch to add up; one block makes the mean.
template <typename T>
__device__ __forceinline__ void finish_mean(
    acc_t<T> losses, acc_t<T> count, acc_t<T>* parts, T* mean, acc_t<T>* divisor) {
    __shared__ acc_t<T> scratch[32];
    losses = block_reduce(losses, acc_t<T>(0), Add(), scratch);
    count = block_reduce(count, acc_t<T>(0), Add(), scratch);
    if (threadIdx.x != 0) return;
    if (mean) {
        *mean = narrow<T>(losses / count);
        *divisor = count;
    } else {
        parts[2 * blockIdx.x] = losses;
        parts[2 * blockIdx.x + 1] = count;
    }
}

template <typename T, typename I>
__global__ void __launch_bounds__(1024, 1)
cross_entropy_mean(
    const T* __restrict__ loss, const I* __restrict__ target, const acc_t<T>* __restrict__ weight,
    acc_t<T>* __restrict__ parts, T* __restrict__ mean, acc_t<T>* __restrict__ divisor, long long rows, int n,
    long long ignore_index) {
    acc_t<T> losses = 0, count = 0;
    const long long step = (long long)gridDim.x * blockDim.x;
    for (long long row = (long long)blockIdx.x * blockDim.x + threadIdx.x; row < rows; row += step) {
        const long long label = (long long)target[row];
        losses += widen(loss[row]);
        if (label == ignore_index) continue;
        count += weight ? (label >= 0 && label < n ? weight[label] : acc_t<T>(0)) : acc_t<T>(1);
    }
    finish_mean(losses, count, parts, mean, divisor);
}

template <typename T>
__global__ void cross_entropy_mean_of_parts(
    const acc_t<T>* __restrict__ parts, T* __restrict__ mean, acc_t<T>* __restrict__ divisor, int blocks) {
    acc_t<T> losses = 0, count = 0;
    for (int i = threadIdx.x; i < blocks; i += blockDim.x) {
        losses += parts[2 * i];
        count += parts[2 * i + 1];
    }
    finish_mean<T>(losses, count, (acc_t<T>*)nullptr, mean, divisor);
}
