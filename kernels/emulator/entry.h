// The way in from Python: a table of kernels, which the loader writes after the file's text, and two functions in C.
#pragma once

#include <type_traits>
#include <utility>

#include "scheduler.h"

namespace gf_emulator {

struct Kernel {
    void (*run)(void** arguments);  // by one thread; each argument by its address
    const int* sizes;               // in bytes; negative for a pointer; then 0
};

template <auto K> struct Entry;
template <typename... A, void (*K)(A...)> struct Entry<K> {
    static constexpr int sizes[] = {(std::is_pointer_v<A> ? -1 : 1) * static_cast<int>(sizeof(A))..., 0};

    static void run(void** arguments) { run(arguments, std::index_sequence_for<A...>{}); }
    template <size_t... I> static void run(void** arguments, std::index_sequence<I...>) {
        (void)arguments;  // a kernel may have none
        K(*static_cast<A*>(arguments[I])...);
    }
    static constexpr Kernel kernel = {run, sizes};
};

}  // namespace gf_emulator

extern const gf_emulator::Kernel gf_emulator_kernels[];

#define GF_EXPORT extern "C" __attribute__((visibility("default")))

GF_EXPORT const int* gf_emulator_sizes(int kernel) { return gf_emulator_kernels[kernel].sizes; }

// Returns what went wrong, as a text that stays until the next launch, or null. One launch at a time.
GF_EXPORT const char* gf_emulator_launch(int kernel, const unsigned* grid, const unsigned* block,
                                                size_t shared, void** arguments, int reverse, char* stacks,
                                                size_t stack_size) {
    return gf_emulator::scheduler.run({grid[0], grid[1], grid[2]}, {block[0], block[1], block[2]}, shared,
                                      gf_emulator_kernels[kernel].run, arguments, reverse != 0, stacks, stack_size);
}

#undef GF_EXPORT
