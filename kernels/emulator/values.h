// Keywords and types of CUDA: vectors, float16 and bfloat16.
#pragma once

#include <stdint.h>
#include <string.h>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static  // left only where the loader did not rewrite the declaration

namespace gf_emulator {

template <typename To, typename From> inline To bit_cast(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}

}  // namespace gf_emulator

#define GF_VECTOR2(T, NAME)                      \
    struct __align__(2 * sizeof(T)) NAME { T x, y; }; \
    inline NAME make_##NAME(T x, T y) { return {x, y}; }
#define GF_VECTOR4(T, NAME)                            \
    struct __align__(16) NAME { T x, y, z, w; };       \
    inline NAME make_##NAME(T x, T y, T z, T w) { return {x, y, z, w}; }
GF_VECTOR2(float, float2)
GF_VECTOR2(int, int2)
GF_VECTOR2(unsigned, uint2)
GF_VECTOR2(double, double2)
GF_VECTOR4(float, float4)
GF_VECTOR4(int, int4)
GF_VECTOR4(unsigned, uint4)
#undef GF_VECTOR2
#undef GF_VECTOR4

// ---- 16-bit floats: storage only, so that a kernel cannot compute in them unnoticed -------------------------------

struct __half {
    uint16_t bits;
};
struct __nv_bfloat16 {
    uint16_t bits;
};

inline __half __ushort_as_half(unsigned short bits) { return {bits}; }
inline unsigned short __half_as_ushort(__half x) { return x.bits; }
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits) { return {bits}; }
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 x) { return x.bits; }

inline float __half2float(__half x) {
    const uint32_t sign = (x.bits & 0x8000u) << 16, rest = x.bits & 0x7fffu;
    if (rest >= 0x7c00u) return gf_emulator::bit_cast<float>(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
    if (rest < 0x400u) {  // subnormal: a multiple of 2^-24
        const float magnitude = static_cast<float>(rest) * 0x1p-24f;
        return sign ? -magnitude : magnitude;
    }
    return gf_emulator::bit_cast<float>(sign | ((rest << 13) + ((127u - 15u) << 23)));
}

inline __half __float2half_rn(float x) {
    const uint32_t bits = gf_emulator::bit_cast<uint32_t>(x), rest = bits & 0x7fffffffu;
    const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
    const auto with_sign = [sign](uint32_t half) { return __half{static_cast<uint16_t>(sign | half)}; };
    if (rest > 0x7f800000u) return {0x7fff};
    if (rest >= 0x477ff000u) return with_sign(0x7c00u);  // from halfway above the largest: infinity
    if (rest < 0x38800000u) {  // below 2^-14: adding 1/2 leaves multiples of 2^-24 in the last bits, rounded to even
        const float shifted = gf_emulator::bit_cast<float>(rest) + 0.5f;
        return with_sign(gf_emulator::bit_cast<uint32_t>(shifted) - 0x3f000000u);
    }
    return with_sign((rest - ((127u - 15u) << 23) + 0xfffu + (rest >> 13 & 1u)) >> 13);
}
inline __half __float2half(float x) { return __float2half_rn(x); }

inline float __bfloat162float(__nv_bfloat16 x) {
    return gf_emulator::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16);
}
inline __nv_bfloat16 __float2bfloat16_rn(float x) {
    const uint32_t bits = gf_emulator::bit_cast<uint32_t>(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return {0x7fff};
    return {static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
}
inline __nv_bfloat16 __float2bfloat16(float x) { return __float2bfloat16_rn(x); }
