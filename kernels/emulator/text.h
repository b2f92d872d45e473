// Messages. (The standard library's strings and containers would take longer to compile than most kernels.)
#pragma once

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

namespace gf_emulator {

// A message: text is added to it, as by printf, and what does not fit is cut off.
class Text {
public:
    void clear() { text_[length_ = 0] = 0; }
    bool empty() const { return !length_; }
    const char* get() const { return text_; }

    __attribute__((format(printf, 2, 3))) void add(const char* format, ...) {
        va_list values;
        va_start(values, format);
        const int added = vsnprintf(text_ + length_, sizeof text_ - length_, format, values);
        va_end(values);
        length_ = added < static_cast<int>(sizeof text_ - length_) ? length_ + added : sizeof text_ - 1;
    }

private:
    char text_[4096];
    size_t length_ = 0;
};

// Which call a thread waits in.
struct Place {
    const char* call;
    const char* file;
    int line;

    bool same_call(const Place& other) const { return call == other.call || !strcmp(call, other.call); }
    bool operator==(const Place& other) const {
        return line == other.line && same_call(other) && (file == other.file || !strcmp(file, other.file));
    }
};

// Adds numbers to a text as they come, in ascending order: "0-15, 40".
class Ranges {
public:
    explicit Ranges(Text& text) : text_(text) {}

    void add(unsigned number) {
        if (count_++ && number == last_ + 1) {
            last_ = number;
            return;
        }
        end();
        text_.add(count_ > 1 ? ", %u" : "%u", number);
        first_ = last_ = number;
    }
    void end() {
        if (last_ > first_) text_.add("-%u", last_);
        first_ = last_;
    }

private:
    Text& text_;
    unsigned count_ = 0, first_ = 0, last_ = 0;
};

}  // namespace gf_emulator
