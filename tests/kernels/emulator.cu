// What the emulator gives to kernels, piece by piece: see test_emulator.py.

struct Pair { const float* from; int counts[2]; double factor; };

template <typename T, int N> __global__ void __launch_bounds__(256) scale(const T* __restrict__ x, T* __restrict__ y, T a, long long n) {
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x) {
#pragma unroll
        for (int k = 0; k < N; k++) y[i * N + k] = a * x[i * N + k];
    }
}
__global__ void by_value(float* out, Pair pair, bool flag, signed char small) {
    out[0] = flag ? pair.from[pair.counts[1]] * (float)pair.factor + small : -1.0f;
}
__global__ void nothing() {}
__global__ void where(unsigned* out) {
    const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    out[block * (blockDim.x * blockDim.y * blockDim.z) + thread] = 1000 * block + thread;
}

// ---- shared memory ----
__global__ void sum_rows(const double* x, double* y, int n) {
    extern __shared__ __align__(16)
        double partial[];
    __shared__ double row[2], unused;
    double s = 0;
    for (int i = threadIdx.x; i < n; i += blockDim.x) s += x[blockIdx.x * n + i];
    partial[threadIdx.x] = s;
    __syncthreads();
    for (int half = blockDim.x / 2; half; half /= 2) {
        if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0) row[0] = partial[0], unused = 0;
    __syncthreads();
    if (threadIdx.x == blockDim.x - 1) y[blockIdx.x] = row[0] + unused;
}
template <typename T> __global__ void leftovers(T* out) {  // reads shared memory before it writes it
    extern __shared__ unsigned char dynamic[];
    __shared__ T fixed[2][8], *pointer;
    T* both = reinterpret_cast<T*>(dynamic);
    out[2 * blockIdx.x] = fixed[1][0];
    out[2 * blockIdx.x + 1] = both[0];
    fixed[1][0] = both[0] = 7, pointer = both;
}
__global__ void overrun(int at) {
    extern __shared__ float room[];
    room[at] = 0.0f;
}
__global__ void racy(int* x) {
    __shared__ int s[64];
    s[threadIdx.x] = x[threadIdx.x];
    x[threadIdx.x] = s[63 - threadIdx.x];
}
__global__ void order(int* out, int* count) {
    out[(*count)++] = threadIdx.x;
    __syncthreads();
    out[(*count)++] = threadIdx.x;
}

// ---- warps ----
__global__ void shuffles(int* out, int width) {
    const int i = threadIdx.x;
    const unsigned all = 0xffffffffu;
    out[i] = __shfl_sync(all, i, 5, width);
    out[64 + i] = __shfl_up_sync(all, i, 3u, width);
    out[128 + i] = __shfl_down_sync(all, i, 3u, width);
    out[192 + i] = __shfl_xor_sync(all, i, 6, width);
}
__global__ void shuffled_types(double* d, long long* l, unsigned char* c, __half* h) {
    const int i = threadIdx.x;
    d[i] = __shfl_xor_sync(0xffffffffu, i + 0.5, 1);
    l[i] = __shfl_xor_sync(0xffffffffu, (long long)i << 40, 1);
    c[i] = __shfl_xor_sync(0xffffffffu, (unsigned char)(i + 200), 1);
    h[i] = __shfl_xor_sync(0xffffffffu, __float2half(i), 1);
}
__global__ void votes(unsigned* out) {
    const int i = threadIdx.x;
    out[i] = __ballot_sync(0xffffffffu, i % 3 == 0);
    out[32 + i] = __any_sync(0xffffffffu, i == 40) + 2 * __any_sync(0xffffffffu, i == 31);
    out[64 + i] = __all_sync(0xffffffffu, i < 31) + 2 * __all_sync(0xffffffffu, i < 32);
    out[96 + i] = __activemask() >> i & 1;
}
__global__ void halves(int* out) {  // the halves of a warp exchange on their own, one more often, then all together
    const int i = threadIdx.x;
    const unsigned mask = i < 16 ? 0xffffu : 0xffff0000u;
    int v = i;
    for (int k = 0; k < (i < 16 ? 1 : 4); k++) v = __shfl_xor_sync(mask, v, 1);
    __syncwarp(mask);
    out[i] = 100 * v + __shfl_sync(0xffffffffu, v, 31);
}
__global__ void some_left(float* out) {  // lanes that have ended need not come, and have no value
    if (threadIdx.x >= 20) return;
    out[threadIdx.x] = __shfl_down_sync(0xffffffffu, 1.0f, 4u);
    __syncthreads();
}
__global__ void counts(int* out) {
    const int i = threadIdx.x;
    out[i] = __syncthreads_count(i < 40) + 1000 * __syncthreads_or(i == 69) + 2000 * __syncthreads_and(i < 69);
}
__global__ void loop_sync(int* out, int rounds) {
    for (int k = 0; k < rounds; k++) {
        const int v = out[(threadIdx.x + 1) % blockDim.x];
        __syncthreads();
        out[threadIdx.x] = v;
        __syncthreads();
    }
}

// ---- mistakes ----
__global__ void divergent() {
    if (threadIdx.x < 16) __syncthreads();
    else __shfl_sync(0xffffffffu, 1, 0);
}
__global__ void two_barriers() {
    if (threadIdx.x < 32) __syncthreads();
    else
        __syncthreads();
}
__global__ void missing_lane() {
    if (threadIdx.x != 3) __shfl_xor_sync(0xffffffffu, 1, 1);
    else __syncwarp(8u);
    if (threadIdx.x == 3) __syncwarp(24u);
}
__global__ void not_in_mask() { if (blockIdx.x == 2) __syncwarp(threadIdx.x < 7 ? 0x7fu : 1u); }
__global__ void wrong_width(int width) { __shfl_sync(0xffffffffu, 1, 0, width); }

// ---- atomics ----
__global__ void atomics(int* i, unsigned long long* u, float* f, double* d) {
    const int t = threadIdx.x;
    atomicAdd(&i[0], t); atomicMax(&i[1], t); atomicMin(&i[2], -t); atomicOr(&i[3], 1 << t % 8); atomicAnd(&i[4], ~(1 << t % 4));
    if (atomicCAS(&i[5], 10, t) == 10) i[6] = t;
    if (t == 9) i[7] = atomicExch(&i[8], 77);
    atomicAdd(u, 1ull << 40); atomicAdd(f, 0.5f); atomicAdd(d, 0.25);
}

// ---- 16-bit floats ----
__global__ void widen_half(const __half* x, float* y, int n) { for (int i = 0; i < n; i++) y[i] = __half2float(x[i]); }
__global__ void widen_bfloat16(const __nv_bfloat16* x, float* y, int n) { for (int i = 0; i < n; i++) y[i] = __bfloat162float(x[i]); }
__global__ void narrow_half(const float* x, __half* y, int n) { for (int i = 0; i < n; i++) y[i] = __float2half_rn(x[i]); }
__global__ void narrow_bfloat16(const float* x, __nv_bfloat16* y, int n) { for (int i = 0; i < n; i++) y[i] = __float2bfloat16_rn(x[i]); }

// ---- arithmetic ----
template <typename A, typename B> struct Same { static constexpr bool value = false; };
template <typename A> struct Same<A, A> { static constexpr bool value = true; };
#define IS_FLOAT(expression) static_assert(Same<decltype(expression), float>::value, #expression)
#define IS_DOUBLE(expression) static_assert(Same<decltype(expression), double>::value, #expression)
template <typename T> __global__ void functions(const T* x, T* y) {
    const T v = x[threadIdx.x];
    T* out = y + 32 * threadIdx.x;
    T s, c;
    sincospi(v, &s, &c);
    const T all[] = {exp(v), log(v), sqrt(v), rsqrt(v), tanh(v), erf(v), expm1(v), log1p(v), sin(v), cos(v), s, c, sinpi(v), cospi(v),
                     fabs(v), abs(-v), floor(v), ceil(v), pow(v, v), fmax(v, T(1)), fmin(v, T(1)), max(v, T(1)), min(v, T(1)),
                     fma(v, v, T(1)), rint(v), exp2(v), log2(v), copysign(v, T(-1)), fmod(v, T(0.3))};
    for (int i = 0; i < 29; i++) out[i] = all[i];
    out[29] = T(isnan(v) + 2 * isinf(v) + 4 * isfinite(v));
    out[30] = INFINITY;
    out[31] = NAN;
}
__global__ void integers(long long* out) {
    IS_FLOAT(exp(1.0f)); IS_FLOAT(tanh(1.0f)); IS_FLOAT(erf(1.0f)); IS_FLOAT(fmax(1.0f, 2.0f)); IS_FLOAT(max(1.0f, 2.0f));
    IS_FLOAT(rsqrt(1.0f)); IS_FLOAT(expm1(1.0f)); IS_FLOAT(log1p(1.0f)); IS_FLOAT(abs(1.0f)); IS_FLOAT(pow(1.0f, 1.0f));
    IS_DOUBLE(exp(1.0)); IS_DOUBLE(max(1.0f, 2.0)); IS_DOUBLE(sqrt(2)); IS_DOUBLE(pow(1.0f, 2));
    static_assert(Same<decltype(max(1, 2u)), unsigned>::value, "");
    static_assert(Same<decltype(min(1LL, 2LL)), long long>::value, "");
    const float4 v = make_float4(1, 2, 3, 4);
    const int4 w = make_int4(1, 2, 3, 4);
    static_assert(sizeof(float4) == 16 && alignof(float4) == 16 && alignof(double2) == 16 && alignof(float2) == 8, "");
    const long long all[] = {
        __umulhi(0xffffffffu, 0x80000000u), __mulhi(-5, 1 << 30), (long long)(__umul64hi(~0ull, 1ull << 63) >> 1),
        __clz(0), __clz(1), __clzll(0), __clzll(1LL << 40), __popc(0xf0u), __popcll(~0ull), __ffs(0), __ffs(8), __ffsll(1LL << 50),
        __float_as_int(-0.0f), (long long)__float_as_uint(1.0f), (long long)__int_as_float(0x40000000), __double_as_longlong(1.0),
        (long long)__longlong_as_double(0x4008000000000000), max(-1, 2), min(-1LL, 2LL), (long long)max(-1, 2u),
        (long long)(v.x + v.y + v.z + v.w), w.x + w.w, warpSize, __ldg(&w.z), (long long)__fmaf_rn(2.0f, 3.0f, 4.0f),
        (long long)(__fadd_rn(1.0f, 2.0f) + __fsub_rn(1.0f, 2.0f) + __fmul_rn(3.0f, 4.0f) + __fdiv_rn(8.0f, 2.0f)),
        (long long)(__dadd_rn(1.0, 2.0) + __dsub_rn(1.0, 2.0) + __dmul_rn(3.0, 4.0) + __ddiv_rn(8.0, 2.0) + __fma_rn(1.0, 2.0, 3.0))};
    for (int i = 0; i < 27; i++) out[i] = all[i];
}
