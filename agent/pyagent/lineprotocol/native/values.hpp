// The values of fields as tokens.
#pragma once

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

struct Field {
    Span key;    // as written
    Span value;  // as written, a string's without its quotes
    Kind kind;
    bool plain_key;      // written as it is read
    bool plain;          // a string without backslashes; a number whose digits are the ones that would be written
    bool fits = true;    // a number is within its type's range
    uint8_t places = 0;  // of a number whose digits are `digits`, and perhaps those that would be written; else 0
    uint64_t digits = 0;
    union {
        double number;
        int64_t integer;
        uint64_t unsigned_integer;
    };
};

inline bool at_value_end(const char* p, const char* end) { return p == end || is(*p, VALUE_END); }

// A number from `p` on: 1, -1.5, .5e3, 7i, 7u. False if it is not one.
inline bool scan_number(const char* p, const char* end, Field& field, Bad& bad) {
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
        field.value = {start, static_cast<size_t>(p - start)};
        if (!at_value_end(++p, end)) return invalid();
        if (field.kind == Kind::integer) {
            field.plain = (*whole != '0' || before == 1) && !(negative && *whole == '0');
            field.fits = signed_value(digits, negative, &field.integer);
        } else {
            field.plain = *whole != '0' || before == 1;
            field.unsigned_integer = digits.value;
            field.fits = digits.fits;
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
    field.value = {start, static_cast<size_t>(p - start)};
    field.plain = false;
    if (digits.count <= 19 && !scientific) {
        size_t behind = digits.count - before;
        double number = digits.value == 0 ? 0.0 : divided(digits.value, static_cast<int>(behind));
        field.number = negative ? -number : number;
        bool tidy = (before == 1 || (before != 0 && *whole != '0')) && (behind != 0 ? p[-1] != '0' : p[-1] != '.');
        // Up to 15 digits are what would be written for the number that they are read as.
        field.plain = tidy && digits.count <= 15;
        field.places = tidy ? static_cast<uint8_t>(behind) : 0;
        field.digits = digits.value;
    } else {
        field.number = read_double(field.value);
        field.fits = !std::isinf(field.number);
    }
    return true;
}

inline bool scan_boolean(const char* p, const char* end, Field& field) {
    const char* stop = p;
    while (!at_value_end(stop, end)) ++stop;
    std::string_view text(p, static_cast<size_t>(stop - p));
    field.value = {p, text.size()};
    field.plain = true;
    field.kind = text[0] == 't' || text[0] == 'T' ? Kind::yes : Kind::no;
    return text == "t" || text == "T" || text == "true" || text == "True" || text == "TRUE" || text == "f" || text == "F" ||
           text == "false" || text == "False" || text == "FALSE";
}

}  // namespace lineprotocol
