// Bytes: a growing buffer, the classes of characters, and what is escaped where. See ../text.py for the rules.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace lineprotocol {

struct Span {
    const char* data;
    size_t size;
    const char* end() const { return data + size; }
};

inline bool equal(Span a, Span b) { return a.size == b.size && std::memcmp(a.data, b.data, a.size) == 0; }

inline int compare(Span a, Span b) {
    int order = std::memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
    return order != 0 ? order : a.size < b.size ? -1 : a.size > b.size;
}

// memcpy without a call for the short texts that lines are made of.
inline void copy(char* to, const char* from, size_t length) {
    if (length - 8 <= 8) {  // 8 to 16
        uint64_t first, last;
        std::memcpy(&first, from, 8);
        std::memcpy(&last, from + length - 8, 8);
        std::memcpy(to, &first, 8);
        std::memcpy(to + length - 8, &last, 8);
    } else if (length - 4 < 4) {
        uint32_t first, last;
        std::memcpy(&first, from, 4);
        std::memcpy(&last, from + length - 4, 4);
        std::memcpy(to, &first, 4);
        std::memcpy(to + length - 4, &last, 4);
    } else if (length < 4) {
        for (size_t i = 0; i < length; ++i) to[i] = from[i];
    } else {
        std::memcpy(to, from, length);
    }
}

class Buffer {
public:
    char* data = nullptr;
    size_t size = 0;

    Buffer() = default;
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() { std::free(data); }

    // Room for `more` bytes behind the end; what is written there counts once `size` was moved.
    char* room(size_t more) {
        if (more > capacity_ - size) grow(more);
        return data + size;
    }
    void swap(Buffer& other) {
        std::swap(data, other.data);
        std::swap(size, other.size);
        std::swap(capacity_, other.capacity_);
    }
    size_t capacity() const { return capacity_; }
    void put(char c) {
        *room(1) = c;
        ++size;
    }
    void put(const char* text, size_t length) {
        copy(room(length), text, length);
        size += length;
    }
    void put(Span span) { put(span.data, span.size); }
    Span span(size_t from = 0) const { return {data + from, size - from}; }

private:
    size_t capacity_ = 0;

    void grow(size_t more) {
        size_t wanted = capacity_ * 2 > size + more ? capacity_ * 2 : size + more + 256;
        char* moved = static_cast<char*>(std::realloc(data, wanted));
        if (moved == nullptr) throw std::bad_alloc();
        data = moved;
        capacity_ = wanted;
    }
};

// The buffer that the last call wrote into, for the next one: memory that is given back and asked for again each time costs
// as much as what is written into it. Only used while the interpreter is held.
class Output : public Buffer {
public:
    Output() {
        swap(spare());
        size = 0;
    }
    ~Output() {
        if (capacity() <= kKept && capacity() > spare().capacity()) swap(spare());
    }

private:
    static constexpr size_t kKept = 1 << 19;
    static Buffer& spare() {
        static Buffer buffer;
        return buffer;
    }
};

// What a byte ends or asks for. Each *_END holds the backslash and LF too, except STRING_END.
enum CharClass : uint8_t {
    HEAD_END = 1,      // space
    NAME_END = 2,      // comma, space
    KEY_END = 4,       // comma, equals, space
    STRING_END = 8,    // quote, backslash
    NAME_ESCAPE = 16,  // what makes a measurement differ from how it is written
    KEY_ESCAPE = 32,   // the same of tags and field keys
    BLANK = 64,        // space, TAB, NUL
    VALUE_END = 128,   // comma, space, LF
};

struct CharClasses {
    uint8_t of[256] = {};
    constexpr CharClasses() {
        auto mark = [this](const char* chars, size_t count, unsigned classes) {
            for (size_t i = 0; i < count; ++i) {
                uint8_t& entry = of[static_cast<unsigned char>(chars[i])];
                entry = static_cast<uint8_t>(entry | classes);
            }
        };
        mark("\\\n", 2, HEAD_END | NAME_END | KEY_END);
        mark(" ", 1, HEAD_END | NAME_END | KEY_END);
        mark(",", 1, NAME_END | KEY_END);
        mark("=", 1, KEY_END | KEY_ESCAPE);
        mark("\"\\", 2, STRING_END);
        mark(", \t\n\f\r\\\0", 8, NAME_ESCAPE | KEY_ESCAPE);
        mark(" \t\0", 3, BLANK);
        mark(", \n", 3, VALUE_END);
    }
};

inline constexpr CharClasses kClasses{};

inline unsigned classes(char c) { return kClasses.of[static_cast<unsigned char>(c)]; }

inline bool is(char c, unsigned wanted) { return (classes(c) & wanted) != 0; }

// Behind the text that ends at a byte of the class `end_class` that no backslash stands before, or at LF.
inline const char* run(const char* p, const char* end, unsigned end_class) {
    for (;;) {
        while (p != end && !is(*p, end_class)) ++p;
        if (p == end || *p != '\\') return p;
        const char* behind = p;
        while (behind != end && *behind == '\\') ++behind;
        if (behind == end || *behind == '\n') return p;
        p = behind + 1;
    }
}

// Drops each backslash that stands before one of the separators (in a measurement `=` is none).
inline void unescape(Buffer& out, Span raw, bool equals = true) {
    char* to = out.room(raw.size);
    for (const char* p = raw.data; p != raw.end(); ++p) {
        if (*p == '\\' && p + 1 != raw.end() && (p[1] == ',' || p[1] == ' ' || (equals && p[1] == '='))) continue;
        *to++ = *p;
    }
    out.size = static_cast<size_t>(to - out.data);
}

// The text of a string field: `\"` and `\\` are its escapes.
inline void unquote(Buffer& out, Span raw) {
    char* to = out.room(raw.size);
    for (const char* p = raw.data; p != raw.end(); ++p) {
        if (*p == '\\' && p + 1 != raw.end() && is(p[1], STRING_END)) ++p;
        *to++ = *p;
    }
    out.size = static_cast<size_t>(to - out.data);
}

enum class Position { measurement, tag, field };

[[gnu::noinline]] inline bool put_special(Buffer& out, Span text, Position position) {
    char* to = out.room(text.size * 2);
    const char* p = text.data;
    const char* end = text.end();
    if (position != Position::tag)
        while (p != end && *p == '\0') ++p;
    while (end != p && end[-1] == '\\') --end;
    if (p == end) return false;
    size_t backslashes = 0;
    for (; p != end; ++p) {
        char c = *p;
        if (c == '\\') {
            ++backslashes;
        } else if (c == ',' || c == ' ' || (c == '=' && position != Position::measurement)) {
            // Receivers differ in how they read an even number of backslashes before a separator in a field's key.
            if (position == Position::field && backslashes % 2 == 1) --to;
            *to++ = '\\';
            backslashes = 0;
        } else {
            backslashes = 0;
            char letter = c == '\t' ? 't' : c == '\n' ? 'n' : c == '\f' ? 'f' : c == '\r' ? 'r' : '\0';
            if (letter != '\0') {
                *to++ = '\\';
                c = letter;
            }
        }
        *to++ = c;
    }
    out.size = static_cast<size_t>(to - out.data);
    return true;
}

// Text as it stands in a line at that position. False, and nothing written, if nothing of it is left.
inline bool put_escaped(Buffer& out, Span text, Position position) {
    const unsigned special = position == Position::measurement ? NAME_ESCAPE : KEY_ESCAPE;
    char* to = out.room(text.size);
    for (size_t i = 0; i < text.size; ++i) {
        if (is(text.data[i], special)) return put_special(out, text, position);
        to[i] = text.data[i];
    }
    out.size += text.size;
    return text.size != 0;
}

// Whether no other tag key is written as this one is: what is cut off or written as a letter makes different ones alike.
inline bool is_injective(Span key) {
    for (const char* p = key.data; p != key.end(); ++p)
        if (*p == '\t' || *p == '\n' || *p == '\f' || *p == '\r') return false;
    return key.end()[-1] != '\\';
}

// A string field's value with its quotes.
inline void put_string(Buffer& out, Span text) {
    char* to = out.room(text.size * 2 + 2);
    *to++ = '"';
    if (!std::memchr(text.data, '"', text.size) && !std::memchr(text.data, '\\', text.size)) {
        std::memcpy(to, text.data, text.size);
        to += text.size;
    } else {
        for (const char* p = text.data; p != text.end(); ++p) {
            if (is(*p, STRING_END)) *to++ = '\\';
            *to++ = *p;
        }
    }
    *to++ = '"';
    out.size = static_cast<size_t>(to - out.data);
}

inline uint64_t mix(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
    return hash ^ (hash >> 29);
}

inline uint64_t hash_bytes(Span text) {
    const char* p = text.data;
    size_t left = text.size;
    uint64_t first, second, one = text.size, two = 0;
    for (; left >= 16; p += 16, left -= 16) {  // two chains, so that one need not wait for the other
        std::memcpy(&first, p, 8);
        std::memcpy(&second, p + 8, 8);
        one = mix(one, first);
        two = mix(two, second);
    }
    first = second = 0;
    if (left >= 8) {
        std::memcpy(&first, p, 8);
        std::memcpy(&second, p + left - 8, 8);
    } else {
        for (size_t i = 0; i < left; ++i) first = first << 8 | static_cast<unsigned char>(p[i]);
    }
    return mix(mix(one, first), mix(two, second));
}

}  // namespace lineprotocol
