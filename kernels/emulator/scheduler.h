// The threads of one block: how they take turns, wait for each other, and get stuck.
#pragma once

#include <string.h>

#include "fiber.h"
#include "text.h"

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

namespace gf_emulator {

constexpr unsigned WARP = 32, MAX_THREADS = 1024;
constexpr unsigned ALL_LANES = WARP;  // as the source of a thread that asks which lanes gave something but 0
constexpr size_t SHARED_LIMIT = 227 << 10, SHARED_GUARD = 256;
constexpr int POISON = 0xff;  // NaN in every floating-point type
constexpr int GUARD = 0xa5;

enum class Turn : unsigned char { running, at_barrier, in_warp, ended };

struct Thread {
    uint3 index;
    unsigned number;  // in its block, x fastest
    Turn turn;
    Fiber* fiber;
    Place place;           // where it waits, if it does,
    unsigned mask;         // for which lanes,
    unsigned source;       // for the value of which lane
    uint64_t value;   // what it gives to the others,
    uint64_t result;  // and gets from them

    unsigned lane() const { return number % WARP; }
};

struct Warp {
    unsigned alive, waiting;  // lanes; waiting means in a shuffle or another warp-wide call
};

class Scheduler {
public:
    uint3 thread_index{}, block_index{};
    dim3 block_size, grid_size;
    uint64_t block_count = 0;  // blocks begun since the library was loaded

    // Runs all blocks; returns what went wrong, or null.
    const char* run(dim3 grid, dim3 block, size_t shared, void (*body)(void**), void** arguments, bool reverse,
                    char* stacks, size_t stack_size);

    // Called by the running thread:
    uint64_t wait_for_block(Place place, uint64_t value = 0);
    uint64_t wait_for_warp(Place place, unsigned mask, uint64_t value, unsigned source);
    unsigned lane() const { return current_->lane(); }
    [[noreturn]] void refuse(Place place, const char* what, unsigned number);

private:
    static void fiber_entry();
    void take_threads();
    void begin_block();
    void check_block();
    void end_thread();
    void go_on();
    Fiber* free_fiber();
    void wake(Thread& thread);
    void release_block();
    void release_group(unsigned warp, const Thread& member);
    [[noreturn]] void abandon();
    [[noreturn]] void stuck();
    void tell_block();
    void tell_waiting_like(unsigned first, bool* told);

    Thread threads_[MAX_THREADS];
    Warp warps_[MAX_THREADS / WARP];
    Thread* ready_[MAX_THREADS];  // the last to be woken goes on first: a warp runs as far ahead as barriers let it
    Fiber fibers_[MAX_THREADS], *idle_[MAX_THREADS], main_, *fiber_ = nullptr;
    unsigned thread_count_ = 0, ready_count_ = 0, fiber_count_ = 0, idle_count_ = 0;
    unsigned begun_ = 0, alive_ = 0, at_barrier_ = 0;
    Thread* current_ = nullptr;
    char* stacks_ = nullptr;
    size_t stack_size_ = 0, shared_ = 0;
    void (*body_)(void**) = nullptr;
    void** arguments_ = nullptr;
    bool reverse_ = false;
    Text error_;
};

inline Scheduler scheduler;
alignas(128) inline unsigned char dynamic_shared[SHARED_LIMIT + SHARED_GUARD];

// ---- launches and blocks -------------------------------------------------------------------------------------------

inline const char* Scheduler::run(dim3 grid, dim3 block, size_t shared, void (*body)(void**), void** arguments,
                                  bool reverse, char* stacks, size_t stack_size) {
    grid_size = grid, block_size = block, shared_ = shared, body_ = body, arguments_ = arguments, reverse_ = reverse;
    stacks_ = stacks, stack_size_ = stack_size;
    fiber_count_ = idle_count_ = 0;
    main_ = Fiber();
    error_.clear();
    thread_count_ = block.x * block.y * block.z;
    for (unsigned i = 0; i < thread_count_; i++) {
        threads_[i].number = i;
        threads_[i].index = {i % block.x, i / block.x % block.y, i / block.x / block.y};
    }
    const uint64_t blocks = uint64_t{grid.x} * grid.y * grid.z;
    for (uint64_t i = 0; i < blocks && error_.empty(); i++) {
        const uint64_t b = reverse ? blocks - 1 - i : i;
        block_index = {static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y),
                       static_cast<unsigned>(b / grid.x / grid.y)};
        begin_block();
        fiber_ = free_fiber();
        main_.switch_to(*fiber_);
        if (error_.empty()) check_block();
    }
#ifdef GF_EMULATOR_ASAN
    __asan_unpoison_memory_region(dynamic_shared, sizeof dynamic_shared);
#endif
    return error_.empty() ? nullptr : error_.get();
}

inline void Scheduler::begin_block() {
    block_count++;
    begun_ = at_barrier_ = ready_count_ = 0;
    alive_ = thread_count_;
    for (unsigned first = 0; first < alive_; first += WARP) {
        const unsigned lanes = alive_ - first;
        warps_[first / WARP] = {lanes < WARP ? (1u << lanes) - 1 : ~0u, 0};
    }
    memset(dynamic_shared, POISON, shared_);
#ifdef GF_EMULATOR_ASAN
    __asan_poison_memory_region(dynamic_shared + shared_, sizeof dynamic_shared - shared_);
#else
    memset(dynamic_shared + shared_, GUARD, SHARED_GUARD);
#endif
}

inline void Scheduler::check_block() {
#ifndef GF_EMULATOR_ASAN
    for (size_t i = shared_; i < shared_ + SHARED_GUARD; i++) {
        if (dynamic_shared[i] == GUARD) continue;
        tell_block();
        error_.add("wrote past the end of its %zu bytes of dynamic shared memory, at byte %zu", shared_, i);
        return;
    }
#endif
}

// ---- turns ---------------------------------------------------------------------------------------------------------

inline void Scheduler::fiber_entry() {
    Fiber::begun(scheduler.main_);
    scheduler.take_threads();
}

// What every fiber does, for ever: begin threads, one after the other, while no thread that has begun can go on.
inline void Scheduler::take_threads() {
    for (;;) {
        while (!ready_count_ && begun_ < thread_count_) {
            Thread& thread = threads_[reverse_ ? thread_count_ - 1 - begun_ : begun_];
            begun_++;
            thread.turn = Turn::running;
            thread.fiber = fiber_;
            thread_index = thread.index;
            current_ = &thread;
            body_(arguments_);
            end_thread();
        }
        idle_[idle_count_++] = fiber_;
        go_on();
    }
}

inline void Scheduler::end_thread() {
    Thread& thread = *current_;
    const unsigned number = thread.number / WARP;
    Warp& warp = warps_[number];
    thread.turn = Turn::ended;
    alive_--;
    warp.alive &= ~(1u << thread.lane());
    if (!warp.waiting) return;
    for (unsigned lane = 0; lane < WARP; lane++)  // those that waited for this lane need not any more
        if (warp.waiting >> lane & 1) release_group(number, threads_[number * WARP + lane]);
}

// Leaves the processor to the next; returns when it is the caller's turn again.
inline void Scheduler::go_on() {
    if (!ready_count_ && begun_ == thread_count_ && alive_) release_block();
    Fiber *from = fiber_, *to = &main_;
    if (ready_count_) {
        current_ = ready_[--ready_count_];
        current_->turn = Turn::running;
        thread_index = current_->index;
        to = current_->fiber;
    } else if (begun_ < thread_count_) {
        to = free_fiber();
    }
    if (to == from) return;
    fiber_ = to;
    from->switch_to(*to);
}

inline Fiber* Scheduler::free_fiber() {
    if (idle_count_) return idle_[--idle_count_];
    const unsigned number = fiber_count_++;
    fibers_[number].begin(stacks_ + number * stack_size_, stack_size_, fiber_entry);
    return &fibers_[number];
}

inline void Scheduler::wake(Thread& thread) { ready_[ready_count_++] = &thread; }

// Ends the launch after an error. The fiber that calls this and those that wait are never run again.
inline void Scheduler::abandon() {
    fiber_->switch_to(main_);
    __builtin_unreachable();
}

// ---- waiting -------------------------------------------------------------------------------------------------------

// Waits for all threads of the block that have not ended; returns how many of them gave a value other than 0.
inline uint64_t Scheduler::wait_for_block(Place place, uint64_t value) {
    Thread& thread = *current_;
    thread.turn = Turn::at_barrier;
    thread.place = place;
    thread.value = value;
    at_barrier_++;
    go_on();
    return thread.result;
}

inline void Scheduler::release_block() {
    if (at_barrier_ < alive_) stuck();
    uint64_t nonzero = 0;
    const Thread* first = nullptr;
    for (unsigned i = 0; i < thread_count_; i++) {
        const Thread& thread = threads_[i];
        if (thread.turn != Turn::at_barrier) continue;
        if (!first) first = &thread;
        if (!(thread.place == first->place)) stuck();
        nonzero += thread.value != 0;
    }
    at_barrier_ = 0;
    for (unsigned i = 0; i < thread_count_; i++) {
        Thread& thread = threads_[reverse_ ? i : thread_count_ - 1 - i];
        if (thread.turn != Turn::at_barrier) continue;
        thread.result = nonzero;
        wake(thread);
    }
}

// Waits for the lanes of `mask` that have not ended. Returns the value of lane `source`, or for ALL_LANES a bit for each
// lane that gave a value other than 0.
inline uint64_t Scheduler::wait_for_warp(Place place, unsigned mask, uint64_t value, unsigned source) {
    Thread& thread = *current_;
    if (!(mask >> thread.lane() & 1)) refuse(place, "does not have the calling lane in its mask", mask);
    thread.turn = Turn::in_warp;
    thread.place = place;
    thread.mask = mask;
    thread.source = source;
    thread.value = value;
    warps_[thread.number / WARP].waiting |= 1u << thread.lane();
    release_group(thread.number / WARP, thread);
    go_on();
    return thread.result;
}

// Lets those go on that wait in the same call, for the same lanes as `member`, if all of them have come.
inline void Scheduler::release_group(unsigned warp, const Thread& member) {
    const unsigned mask = member.mask, group = mask & warps_[warp].alive;
    if (group & ~warps_[warp].waiting) return;
    Thread* lanes = threads_ + warp * WARP;
    unsigned votes = 0;
    for (unsigned lane = 0; lane < WARP; lane++) {
        if (!(group >> lane & 1)) continue;
        if (lanes[lane].mask != mask || !lanes[lane].place.same_call(member.place)) return;
        votes |= static_cast<unsigned>(lanes[lane].value != 0) << lane;
    }
    for (unsigned i = 0; i < WARP; i++) {
        const unsigned lane = reverse_ ? i : WARP - 1 - i;
        if (!(group >> lane & 1)) continue;
        Thread& thread = lanes[lane];
        if (thread.source == ALL_LANES) thread.result = votes;
        else thread.result = group >> thread.source & 1 ? lanes[thread.source].value : ~uint64_t{0};
        wake(thread);
    }
    warps_[warp].waiting &= ~group;
}

// ---- explaining ----------------------------------------------------------------------------------------------------

inline void Scheduler::tell_block() {
    error_.add("block (%u, %u, %u): ", block_index.x, block_index.y, block_index.z);
}

inline void Scheduler::refuse(Place place, const char* what, unsigned number) {
    tell_block();
    error_.add("thread %u: %s() at %s:%d %s, 0x%08x", current_->number, place.call, place.file, place.line, what, number);
    abandon();
}

inline void Scheduler::stuck() {
    tell_block();
    error_.add(at_barrier_ ? "divergent __syncthreads()" : "lanes are missing from a warp-wide call");
    bool told[MAX_THREADS] = {};
    const char* separator = ": ";
    for (unsigned i = 0; i < thread_count_; i++) {
        if (told[i] || threads_[i].turn == Turn::ended) continue;
        error_.add("%s", separator);
        tell_waiting_like(i, told);
        separator = "; ";
    }
    abandon();
}

// "threads 0-15 in __shfl_sync() at f.cu:7 with the mask 0xffffffff for threads 16-31"
inline void Scheduler::tell_waiting_like(unsigned first, bool* told) {
    const Thread& thread = threads_[first];
    const unsigned warp = first / WARP;
    const bool in_warp = thread.turn == Turn::in_warp;
    unsigned absent = in_warp ? thread.mask & warps_[warp].alive : 0;
    error_.add("threads ");
    Ranges waiting(error_), missing(error_);
    for (unsigned i = first; i < thread_count_; i++) {
        const Thread& other = threads_[i];
        if (other.turn != thread.turn || !(other.place == thread.place)) continue;
        if (in_warp && (other.mask != thread.mask || i / WARP != warp)) continue;
        told[i] = true;
        absent &= ~(1u << other.lane());
        waiting.add(i);
    }
    waiting.end();
    error_.add(" wait in %s() at %s:%d", thread.place.call, thread.place.file, thread.place.line);
    if (!in_warp) return;
    error_.add(" with mask 0x%08x for threads ", thread.mask);
    for (unsigned lane = 0; lane < WARP; lane++)
        if (absent >> lane & 1) missing.add(warp * WARP + lane);
    missing.end();
}

}  // namespace gf_emulator
