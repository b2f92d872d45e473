// embedding      y[i] = weight[index[i]]: rows of `width` elements
// scatter_rows   out[keys[i]] += g[order[i]]: sums of rows, each in a fixed order, from sorted keys
// pick, place    one element along an axis, and back
// check_index    a fault where an index is out of range
//
// All arrays are dense and in C order.
#include "common.cuh"

// Quotient by d.divisor of a number that is counted in Index.
template <typename Index> __device__ __forceinline__ Index divided(Index i, FastDiv d) {
    return sizeof(Index) == 4 ? (Index)quotient((unsigned)i, d) : i / (Index)d.divisor;
}

template <typename I>
__global__ void check_index(const I* __restrict__ index, long long size, long long low, long long high, long long* fault) {
    const long long step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < size; i += step) {
        const long long found = (long long)index[i];
        if (found < low || found >= high) raise_fault(fault, found);
    }
}

// weight (n, columns N), index (size / columns,) -> y; `columns` counts vectors of N. Rows out of range become 0.
template <typename T, typename I, int N, typename Index>
__global__ void embedding(
    const T* __restrict__ weight, const I* __restrict__ index, T* __restrict__ y, long long size, FastDiv columns,
    long long n, long long* fault) {
    const Index step = (Index)gridDim.x * blockDim.x;
    for (Index i = (Index)blockIdx.x * blockDim.x + threadIdx.x; i < (Index)size; i += step) {
        const Index at = divided(i, columns), c = i - at * (Index)columns.divisor;
        const long long row = (long long)index[at];
        Vec<T, N> v;
        if (row >= 0 && row < n) {
            v = load<N>(weight + (row * columns.divisor + c) * N);
        } else {
#pragma unroll
            for (int j = 0; j < N; j++) v.at[j] = narrow<T>(acc_t<T>(0));
            if (c == 0) raise_fault(fault, row);
        }
        store<N>(y + (long long)i * N, v);
    }
}

// The sorted keys are cut into parts of `length`, so that a row named very often is not summed by one thread alone. A
// thread sums the runs of equal keys in one part, for N columns. A run that lies inside goes to out; of one that
// reaches over an end, the sum goes to parts: to slot 2 k where it began before part k, to 2 k + 1 where it begins in it.
template <typename T, int N>
__global__ void scatter_rows(
    const T* __restrict__ g, const int* __restrict__ keys, const long long* __restrict__ order, T* __restrict__ out,
    acc_t<T>* __restrict__ parts, long long count, int n, long long width, int length, int skip) {
    using A = acc_t<T>;
    const long long columns = width / N, units = (count + length - 1) / length * columns;
    const long long step = (long long)gridDim.x * blockDim.x;
    for (long long unit = (long long)blockIdx.x * blockDim.x + threadIdx.x; unit < units; unit += step) {
        const long long part = unit / columns, column = (unit - part * columns) * N, begin = part * length;
        const long long end = begin + length < count ? begin + length : count;
        int key = keys[begin];
        bool before = begin > 0 && keys[begin - 1] == key;
        A sum[N];
#pragma unroll
        for (int j = 0; j < N; j++) sum[j] = 0;
        for (long long i = begin; i < end; i++) {
            const Vec<T, N> v = load<N>(g + order[i] * width + column);
#pragma unroll
            for (int j = 0; j < N; j++) sum[j] += widen(v.at[j]);
            const bool last = i + 1 == end, more = i + 1 < count && keys[i + 1] == key;
            if (more && !last) continue;
            if (before || more) {
                A* slot = parts + (2 * part + (before ? 0 : 1)) * width + column;
#pragma unroll
                for (int j = 0; j < N; j++) slot[j] = sum[j];
            } else if (key >= 0 && key < n && key != skip) {
                Vec<T, N> row;
#pragma unroll
                for (int j = 0; j < N; j++) row.at[j] = narrow<T>(sum[j]);
                store<N>(out + key * width + column, row);
            }
            before = false;
            if (!last) key = keys[i + 1];
#pragma unroll
            for (int j = 0; j < N; j++) sum[j] = 0;
        }
    }
}

// Adds up the parts of each run that reaches over several, from the part it begins in.
template <typename T>
__global__ void scatter_rows_join(
    const int* __restrict__ keys, const acc_t<T>* __restrict__ parts, T* __restrict__ out, long long count, int n,
    long long width, int length, int skip) {
    const long long units = (count + length - 1) / length * width, step = (long long)gridDim.x * blockDim.x;
    for (long long unit = (long long)blockIdx.x * blockDim.x + threadIdx.x; unit < units; unit += step) {
        const long long part = unit / width, column = unit - part * width, begin = part * length, end = begin + length;
        if (end >= count) continue;
        const int key = keys[end - 1];
        const bool before = begin > 0 && keys[begin - 1] == key;
        if (before || keys[end] != key || key < 0 || key >= n || key == skip) continue;
        long long last = part + 1, after = (count + length - 1) / length;  // the run begins part `last`, not `after`
        while (after - last > 1) {
            const long long middle = (last + after) / 2;
            if (keys[middle * length] == key) last = middle;
            else after = middle;
        }
        acc_t<T> sum = parts[(2 * part + 1) * width + column];
#pragma unroll 4
        for (long long next = part + 1; next <= last; next++) sum += parts[2 * next * width + column];
        out[key * width + column] = narrow<T>(sum);
    }
}

// x (outer, n, inner), index (outer, inner) -> y[o, i] = x[o, index[o, i], i], a negative index counting from the end.
template <typename T, typename I, typename Index>
__global__ void pick(
    const T* __restrict__ x, const I* __restrict__ index, T* __restrict__ y, long long size, long long n, FastDiv inner,
    long long* fault) {
    const Index step = (Index)gridDim.x * blockDim.x;
    for (Index i = (Index)blockIdx.x * blockDim.x + threadIdx.x; i < (Index)size; i += step) {
        const long long outer = divided(i, inner), named = (long long)index[i], k = named < 0 ? named + n : named;
        if (k >= 0 && k < n) {
            y[i] = x[(outer * n + k) * inner.divisor + (i - outer * inner.divisor)];
        } else {
            y[i] = narrow<T>(acc_t<T>(0));
            raise_fault(fault, named);
        }
    }
}

// g, index (outer, inner) -> out (outer, n, inner), zeros but for out[o, index[o, i], i] = g[o, i].
template <typename T, typename I, typename Index>
__global__ void place(
    const T* __restrict__ g, const I* __restrict__ index, T* __restrict__ out, long long size, FastDiv n, FastDiv inner) {
    const Index step = (Index)gridDim.x * blockDim.x;
    for (Index i = (Index)blockIdx.x * blockDim.x + threadIdx.x; i < (Index)size; i += step) {
        const Index line = divided(i, inner), outer = divided(line, n);
        const Index k = line - outer * (Index)n.divisor;
        const Index from = outer * (Index)inner.divisor + (i - line * (Index)inner.divisor);
        out[i] = (long long)index[from] == (long long)k ? g[from] : narrow<T>(acc_t<T>(0));
    }
}
