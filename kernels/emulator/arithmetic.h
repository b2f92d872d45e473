// CUDA's functions on numbers. <math.h> brings most: in C++ it overloads its functions for float and double.
#pragma once

#include <stdint.h>
#include <math.h>
#include <stdlib.h>

#include "values.h"

// ---- min and max, for the same pairs of types ----------------------------------------------------------------------

#define GF_MIN_MAX(R, A, B)            \
    inline R min(A first, B second) {  \
        const R a = first, b = second; \
        return a < b ? a : b;          \
    }                                  \
    inline R max(A first, B second) {  \
        const R a = first, b = second; \
        return a > b ? a : b;          \
    }
#define GF_MIN_MAX_SIGNS(T)                      \
    GF_MIN_MAX(T, T, T)                          \
    GF_MIN_MAX(unsigned T, unsigned T, unsigned T) \
    GF_MIN_MAX(unsigned T, T, unsigned T)        \
    GF_MIN_MAX(unsigned T, unsigned T, T)
GF_MIN_MAX_SIGNS(int)
GF_MIN_MAX_SIGNS(long)
GF_MIN_MAX_SIGNS(long long)
#undef GF_MIN_MAX_SIGNS
#undef GF_MIN_MAX
inline float min(float a, float b) { return fminf(a, b); }  // of a NaN and a number, the number
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
inline double min(float a, double b) { return fmin(static_cast<double>(a), b); }
inline double max(float a, double b) { return fmax(static_cast<double>(a), b); }
inline double min(double a, float b) { return fmin(a, static_cast<double>(b)); }
inline double max(double a, float b) { return fmax(a, static_cast<double>(b)); }

// ---- what <math.h> lacks -------------------------------------------------------------------------------------------

inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / ::sqrt(x); }
inline float rsqrt(float x) { return rsqrtf(x); }

// sin and cos of pi x. The rest of x by 2 is exact, and so are its multiples of 1/2.
inline void sincospi(double x, double* sine, double* cosine) {
    const double rest = remainder(x, 2.0), quarter = nearbyint(2.0 * rest), angle = M_PI * (rest - quarter / 2.0);
    const double s = ::sin(angle), c = ::cos(angle);
    switch (isfinite(x) ? static_cast<int>(quarter) & 3 : 0) {
        case 0: *sine = s, *cosine = c; break;
        case 1: *sine = c, *cosine = -s; break;
        case 2: *sine = -s, *cosine = -c; break;
        default: *sine = -c, *cosine = s;
    }
}
inline void sincospif(float x, float* sine, float* cosine) {
    double s, c;
    sincospi(static_cast<double>(x), &s, &c);
    *sine = static_cast<float>(s), *cosine = static_cast<float>(c);
}
inline void sincospi(float x, float* sine, float* cosine) { sincospif(x, sine, cosine); }
inline double sinpi(double x) {
    double s, c;
    sincospi(x, &s, &c);
    return s;
}
inline double cospi(double x) {
    double s, c;
    sincospi(x, &s, &c);
    return c;
}
inline float sinpif(float x) { return static_cast<float>(sinpi(static_cast<double>(x))); }
inline float cospif(float x) { return static_cast<float>(cospi(static_cast<double>(x))); }
inline float sinpi(float x) { return sinpif(x); }
inline float cospi(float x) { return cospif(x); }

// ---- operations rounded one by one (nothing is contracted here anyway) ---------------------------------------------

inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return sqrtf(a); }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __dsqrt_rn(double a) { return ::sqrt(a); }
inline double __fma_rn(double a, double b, double c) { return ::fma(a, b, c); }

// ---- integers and bits ---------------------------------------------------------------------------------------------

inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(uint64_t{a} * b >> 32); }
inline int __mulhi(int a, int b) { return static_cast<int>(int64_t{a} * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}
inline long long __mul64hi(long long a, long long b) {
    return static_cast<long long>(static_cast<__int128>(a) * b >> 64);
}
inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll(static_cast<unsigned long long>(x)) : 64; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }

inline int __float_as_int(float x) { return gf_emulator::bit_cast<int>(x); }
inline unsigned __float_as_uint(float x) { return gf_emulator::bit_cast<unsigned>(x); }
inline float __int_as_float(int x) { return gf_emulator::bit_cast<float>(x); }
inline float __uint_as_float(unsigned x) { return gf_emulator::bit_cast<float>(x); }
inline long long __double_as_longlong(double x) { return gf_emulator::bit_cast<long long>(x); }
inline double __longlong_as_double(long long x) { return gf_emulator::bit_cast<double>(x); }
