// Fibers: stacks that take turns on one thread of the system.
#pragma once

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__) && defined(__linux__) && !defined(GF_EMULATOR_UCONTEXT)
#define GF_EMULATOR_ASSEMBLY 1
#else
#include <ucontext.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#define GF_EMULATOR_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GF_EMULATOR_ASAN 1
#endif
#endif
#ifdef GF_EMULATOR_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#ifdef GF_EMULATOR_ASSEMBLY
// Stores the stack pointer of the running fiber and continues the other, where it called this itself.
extern "C" void gf_emulator_switch(void** from, void* to) __attribute__((visibility("hidden")));
asm(R"(
    .text
    .hidden gf_emulator_switch
    .globl gf_emulator_switch
    .type gf_emulator_switch, @function
gf_emulator_switch:
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, (%rdi)
    mov %rsi, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret
    .size gf_emulator_switch, .-gf_emulator_switch
)");
#endif

namespace gf_emulator {

class Fiber {
public:
    // Makes it one that starts with entry(), which must not return, when it is first switched to. (A fiber that this is
    // not called on is the one that runs already.)
    void begin(char* stack, size_t size, void (*entry)()) {
        stack_ = stack, size_ = size;
#ifdef GF_EMULATOR_ASAN
        __asan_unpoison_memory_region(stack, size);  // an abandoned fiber may have left its marks
#endif
#ifdef GF_EMULATOR_ASSEMBLY
        void** top = reinterpret_cast<void**>(reinterpret_cast<uintptr_t>(stack + size) & ~uintptr_t{15});
        *--top = nullptr;                         // entry's return address, which also aligns the stack for it
        *--top = reinterpret_cast<void*>(entry);  // where the switch returns to
        for (int i = 0; i < 6; i++) *--top = nullptr;
        top_ = top;
#else
        getcontext(&context_);
        context_.uc_stack.ss_sp = stack;
        context_.uc_stack.ss_size = size;
        context_.uc_link = nullptr;
        makecontext(&context_, entry, 0);
#endif
    }

    void switch_to(Fiber& other) {
#ifdef GF_EMULATOR_ASAN
        __sanitizer_start_switch_fiber(&fake_stack_, other.stack_, other.size_);
#endif
#ifdef GF_EMULATOR_ASSEMBLY
        gf_emulator_switch(&top_, other.top_);
#else
        swapcontext(&context_, &other.context_);
#endif
#ifdef GF_EMULATOR_ASAN
        __sanitizer_finish_switch_fiber(fake_stack_, nullptr, nullptr);
#endif
    }

    // To be called first of all by entry(); `previous` is the fiber that it was reached from.
    static void begun(Fiber& previous) {
#ifdef GF_EMULATOR_ASAN
        const void* stack;
        size_t size;
        __sanitizer_finish_switch_fiber(nullptr, &stack, &size);
        previous.stack_ = static_cast<char*>(const_cast<void*>(stack));
        previous.size_ = size;
#else
        (void)previous;
#endif
    }

private:
    char* stack_ = nullptr;
    size_t size_ = 0;
#ifdef GF_EMULATOR_ASSEMBLY
    void* top_ = nullptr;
#else
    ucontext_t context_;
#endif
#ifdef GF_EMULATOR_ASAN
    void* fake_stack_ = nullptr;
#endif
};

}  // namespace gf_emulator
