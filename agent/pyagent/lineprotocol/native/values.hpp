// The values of fields as tokens.
#pragma once

#include <cstdlib>
#include <string_view>

#include "numbers.hpp"

namespace lineprotocol {

struct Bad {
    const char* reason = nullptr;
    const char* at = nullptr;
    bool quotes = true;  // do the line's strings tell where it ends
};

inline bool fail(Bad& bad, const char* reason, const char* at, bool quotes = true) {
    bad = {reason, at, quotes};
    return false;
}

enum class Kind : uint8_t { number, integer, unsigned_integer, string, yes, no };

// Small, as a line may have very many.
struct Field {
    const char* key_data;
    const char* value_data;
    uint32_t value_size;
    uint16_t key_size;
    Kind kind;
    uint8_t places : 5;     // behind the point, of a number whose digits are perhaps those that would be written; else 0
    uint8_t plain_key : 1;  // written as it is read
    uint8_t plain : 1;      // a string without backslashes; a number whose digits are the ones that would be written
    union {
        double number;
        int64_t integer;
        uint64_t unsigned_integer;
    };

    Span key() const { return {key_data, key_size}; }      // as written
    Span value() const { return {value_data, value_size}; }  // as written, a string's without its quotes
    void set_value(const char* from, const char* to) {
        value_data = from;
        value_size = static_cast<uint32_t>(to - from);
    }
};

constexpr size_t kMaxData = UINT32_MAX;  // bytes of a text
static_assert(sizeof(Field) == 32);

// The fields of a line: room that grows where it is, and is used again for the next line.
class Fields {
public:
    Fields() = default;
    Fields(const Fields&) = delete;
    Fields& operator=(const Fields&) = delete;
    ~Fields() { std::free(data_); }

    Field* begin() { return data_; }
    Field* end() { return data_ + size_; }
    const Field* begin() const { return data_; }
    const Field* end() const { return data_ + size_; }
    Field& operator[](size_t i) { return data_[i]; }
    size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    void resize(size_t size) { size_ = size; }  // to fewer
    void push_back(const Field& field) {
        if (size_ == capacity_) grow();
        data_[size_++] = field;
    }

private:
    Field* data_ = nullptr;
    size_t size_ = 0, capacity_ = 0;

    void grow() {
        size_t wanted = capacity_ + capacity_ / 2 + 64;
        void* moved = std::realloc(static_cast<void*>(data_), wanted * sizeof(Field));
        if (moved == nullptr) throw std::bad_alloc();
        data_ = static_cast<Field*>(moved);
        capacity_ = wanted;
    }
};

// A line may end in CR LF; any other CR is a character.
inline bool at_crlf(const char* p, const char* end) { return end - p >= 2 && *p == '\r' && p[1] == '\n'; }

inline bool at_value_end(const char* p, const char* end) { return p == end || is(*p, VALUE_END) || at_crlf(p, end); }

// A number from `p` on: 1, -1.5, .5e3, 7i, 7u. False if it is not one. `fits`: it is within its type's range.
inline bool scan_number(const char* p, const char* end, Field& field, bool& fits, Bad& bad) {
    const char* start = p;
    auto invalid = [&] { return fail(bad, "invalid number", start); };
    bool negative = *p == '-';
    if (negative) ++p;
    const char* whole = p;
    Digits digits;
    p = read_digits(p, end, digits);
    size_t before = digits.count;
    field.kind = Kind::number;
    if (before != 0 && p != end && (*p == 'i' || (*p == 'u' && !negative))) {
        field.kind = *p == 'i' ? Kind::integer : Kind::unsigned_integer;
        field.set_value(start, p);
        if (!at_value_end(++p, end)) return invalid();
        if (field.kind == Kind::integer) {
            field.plain = (*whole != '0' || before == 1) && !(negative && *whole == '0');
            fits = signed_value(digits, negative, &field.integer);
        } else {
            field.plain = *whole != '0' || before == 1;
            field.unsigned_integer = digits.value;
            fits = digits.fits;
        }
        return true;
    }
    if (p != end && *p == '.') {
        p = read_digits(p + 1, end, digits);
        if (digits.count == 0) return invalid();
    } else if (before == 0) {
        return invalid();
    }
    bool scientific = p != end && (*p == 'e' || *p == 'E');
    if (scientific) {
        ++p;
        if (p != end && (*p == '+' || *p == '-')) ++p;
        const char* exponent = p;
        while (p != end && static_cast<unsigned char>(*p - '0') < 10) ++p;
        if (p == exponent) return invalid();
    }
    if (!at_value_end(p, end)) return invalid();
    field.set_value(start, p);
    field.plain = false;
    if (digits.count <= 19 && !scientific) {
        size_t behind = digits.count - before;
        double number = digits.value == 0 ? 0.0 : divided(digits.value, static_cast<int>(behind));
        field.number = negative ? -number : number;
        bool tidy = (before == 1 || (before != 0 && *whole != '0')) && (behind != 0 ? p[-1] != '0' : p[-1] != '.');
        // Up to 15 digits are what would be written for the number that they are read as.
        field.plain = tidy && digits.count <= 15;
        field.places = tidy ? static_cast<uint8_t>(behind & 31) : 0;
    } else {
        field.number = read_double(field.value());
        fits = !std::isinf(field.number);
    }
    return true;
}

inline bool scan_boolean(const char* p, const char* end, Field& field) {
    const char* stop = p;
    while (!at_value_end(stop, end)) ++stop;
    std::string_view text(p, static_cast<size_t>(stop - p));
    field.set_value(p, stop);
    field.plain = true;
    field.kind = text[0] == 't' || text[0] == 'T' ? Kind::yes : Kind::no;
    return text == "t" || text == "T" || text == "true" || text == "True" || text == "TRUE" || text == "f" || text == "F" ||
           text == "false" || text == "False" || text == "FALSE";
}

}  // namespace lineprotocol
