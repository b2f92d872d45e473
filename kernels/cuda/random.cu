// Random numbers and dropout from Philox 4x64-10, bit for bit those of NumPy (normals to a rounding): a thread makes
// one block of four words, or as many as its numbers need. Outputs are (count,) in C order.
#include "common.cuh"

using Word = unsigned long long;

__device__ __forceinline__ long long thread_index() {
    return blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x;
}
__device__ __forceinline__ long long thread_count() { return gridDim.x * static_cast<long long>(blockDim.x); }

// The top 53 bits of a word as a number in [0, 1), exactly.
__device__ __forceinline__ double unit(Word word) {
    return __dmul_rn(static_cast<double>(word >> 11), 1.0 / (1ull << 53));
}

// Half number i of a block, the low one of each word first, as memory has them.
__device__ __forceinline__ unsigned half_of(const Word* words, int i) {
    return static_cast<unsigned>(words[i / 2] >> (i % 2 * 32));
}

// Leaves out the first BY words, if told to. (An index that depends on numbers would put them into local memory.)
template <int BY, int COUNT> __device__ __forceinline__ void advance(Word (&words)[COUNT], bool wanted) {
#pragma unroll
    for (int i = 0; i < COUNT - BY; i++) words[i] = wanted ? words[i + BY] : words[i];
}

// `values` of which `left` belong to the array, written at `out`, which is 16-byte aligned.
template <int COUNT, typename T>
__device__ __forceinline__ void write(T* out, const T (&values)[COUNT], long long left) {
    constexpr int N = 16 / sizeof(T) < COUNT ? 16 / sizeof(T) : COUNT;
#pragma unroll
    for (int i = 0; i < COUNT; i += N) {
        if (i + N <= left) {
            Vec<T, N> v;
#pragma unroll
            for (int j = 0; j < N; j++) v.at[j] = values[i + j];
            store(out + i, v);
        } else {
#pragma unroll
            for (int j = 0; j < N; j++) {
                if (i + j < left) out[i + j] = values[i + j];
            }
        }
    }
}

// Uniform in [0, 1): the top BITS bits of a word (53, for doubles) or of half a word, as many as T holds exactly.
template <typename T, int BITS>
__global__ void random_uniform(
    T* __restrict__ out, long long count, unsigned long long seed, unsigned long long offset) {
    constexpr int PER = BITS == 53 ? 4 : 8;
    for (long long b = thread_index(); b * PER < count; b += thread_count()) {
        const Words words = philox(seed, offset, b);
        T values[PER];
#pragma unroll
        for (int i = 0; i < PER; i++) {
            if constexpr (BITS == 53) {
                values[i] = narrow<T>(static_cast<acc_t<T>>(unit(words.at[i])));
            } else {
                const float top = static_cast<float>(half_of(words.at, i) >> (32 - BITS));
                values[i] = narrow<T>(__fmul_rn(top, 1.0f / (1ull << BITS)));
            }
        }
        write(out + b * PER, values, count - b * PER);
    }
}

// Box and Muller: words j and pairs + j make numbers j and pairs + j. A thread takes four neighbouring j; the second
// four words lie in two blocks where pairs is no multiple of four.
template <typename T>
__global__ void random_normal(
    T* __restrict__ out, long long count, long long pairs, unsigned long long seed, unsigned long long offset) {
    const int shift = static_cast<int>(pairs & 3);
    for (long long b = thread_index(); b * 4 < pairs; b += thread_count()) {
        const Words first = philox(seed, offset, b), low = philox(seed, offset, pairs / 4 + b);
        const Words high = shift ? philox(seed, offset, pairs / 4 + b + 1) : low;
        Word second[7] = {low.at[0], low.at[1], low.at[2], low.at[3], high.at[0], high.at[1], high.at[2]};
        advance<1>(second, shift & 1);
        advance<2>(second, shift & 2);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const long long j = b * 4 + i;
            if (j >= pairs) continue;
            const double u = unit(first.at[i]), v = unit(second[i]);
            const double radius = sqrt(-2.0 * log1p(-u));
            double sine, cosine;
            sincospi(2.0 * v, &sine, &cosine);
            out[j] = narrow<T>(static_cast<acc_t<T>>(radius * cosine));
            if (pairs + j < count) out[pairs + j] = narrow<T>(static_cast<acc_t<T>>(radius * sine));
        }
    }
}

// low + word % span.
__global__ void random_integers(
    long long* __restrict__ out, long long count, unsigned long long seed, unsigned long long offset, long long low,
    unsigned long long span) {
    for (long long b = thread_index(); b * 4 < count; b += thread_count()) {
        const Words words = philox(seed, offset, b);
        long long values[4];
#pragma unroll
        for (int i = 0; i < 4; i++) values[i] = static_cast<long long>(words.at[i] % span + static_cast<Word>(low));
        write(out + b * 4, values, count - b * 4);
    }
}

__global__ void random_words(
    unsigned long long* __restrict__ out, long long count, unsigned long long seed, unsigned long long offset) {
    for (long long b = thread_index(); b * 4 < count; b += thread_count()) {
        const Words words = philox(seed, offset, b);
        write(out + b * 4, words.at, count - b * 4);
    }
}

// y = x scale where the half word of the element's index in C order reaches the threshold, else 0: x (rows, size) in C
// order, with one mask (size,) for all rows. N divides size.
template <typename T, int N>
__global__ void dropout(
    const T* __restrict__ x, T* __restrict__ y, long long rows, long long size, unsigned long long seed,
    unsigned long long offset, unsigned long long threshold, acc_t<T> scale) {
    for (long long b = thread_index(); b * 8 < size; b += thread_count()) {
        const Words words = philox(seed, offset, b);
        for (long long row = blockIdx.y; row < rows; row += gridDim.y) {
            const long long start = row * size + b * 8, left = size - b * 8;
#pragma unroll
            for (int i = 0; i < 8; i += N) {
                if (i + N > left) continue;
                const Vec<T, N> in = load<N>(x + start + i);
                Vec<T, N> out;
#pragma unroll
                for (int j = 0; j < N; j++) {
                    const bool kept = half_of(words.at, i + j) >= threshold;
                    out.at[j] = narrow<T>(kept ? widen(in.at[j]) * scale : acc_t<T>(0));
                }
                store(y + start + i, out);
            }
        }
    }
}

// The same of x (N, C, H, W) whose memory is (N, H, W, C). A thread takes eight pixels of one channel, which are
// neighbours in C order; their half words lie in two blocks where H W is no multiple of eight.
template <typename T>
__global__ void dropout_channels_last(
    const T* __restrict__ x, T* __restrict__ y, int threads, FastDiv channels, FastDiv groups, int pixels,
    unsigned long long seed, unsigned long long offset, unsigned long long threshold, acc_t<T> scale) {
    for (long long t = thread_index(); t < threads; t += thread_count()) {
        unsigned n = static_cast<unsigned>(t);
        const unsigned c = split(n, channels);
        const int first = 8 * static_cast<int>(split(n, groups));
        const unsigned index = (n * channels.divisor + c) * pixels + first, shift = index % 8;
        const Words low = philox(seed, offset, index / 8);
        const Words high = shift ? philox(seed, offset, index / 8 + 1) : low;
        Word found[8] = {low.at[0], low.at[1], low.at[2], low.at[3], high.at[0], high.at[1], high.at[2], high.at[3]};
        advance<2>(found, shift & 4);
        advance<1>(found, shift & 2);
#pragma unroll
        for (int i = 0; i < 4; i++) found[i] = shift & 1 ? found[i] >> 32 | found[i + 1] << 32 : found[i];
#pragma unroll
        for (int i = 0; i < 8; i++) {
            if (first + i >= pixels) continue;
            const unsigned at = (n * pixels + first + i) * channels.divisor + c;
            y[at] = narrow<T>(half_of(found, i) >= threshold ? widen(x[at]) * scale : acc_t<T>(0));
        }
    }
}
