// Numbers and their digits, without Python and without the locale.
#pragma once

#include <charconv>
#include <clocale>
#include <cmath>
#include <limits>
#include <locale.h>

#include "decimal.hpp"
#include "text.hpp"

namespace lineprotocol {

constexpr int64_t kTimeMin = std::numeric_limits<int64_t>::min() + 2;
constexpr int64_t kTimeMax = std::numeric_limits<int64_t>::max() - 1;

inline void put_unsigned(Buffer& out, uint64_t number) {
    int count = count_digits(number);
    put_digits(out.room(20), number, count);
    out.size += static_cast<size_t>(count);
}

inline void put_signed(Buffer& out, int64_t number) {
    if (number < 0) out.put('-');
    put_unsigned(out, number < 0 ? uint64_t{0} - static_cast<uint64_t>(number) : static_cast<uint64_t>(number));
}

// Numbers that `shortest` takes.
inline bool is_usual(double number) { return number >= 1e-5 && number < 1e15; }

// Whole numbers below 1e15, and usual ones, by the fewest digits that read back as the same. False, and nothing written, for
// any other. The number is not negative.
inline bool put_usual(Buffer& out, double number) {
    if (number < 1e15) {
        uint64_t whole = static_cast<uint64_t>(number);
        if (static_cast<double>(whole) == number) {
            put_unsigned(out, whole);
            return true;
        }
        if (number >= 1e-5) {
            // Many numbers have few decimals. Up to 15 digits read back as themselves.
            double scaled = number * 1e4;
            Decimal decimal{static_cast<uint64_t>(scaled + 0.5), -4};
            double rounded = static_cast<double>(decimal.digits);
            if (std::fabs(scaled - rounded) > scaled * 1e-15 || rounded >= 1e15 || rounded / 1e4 != number)
                decimal = shortest(number);
            while (decimal.digits % 10 == 0) {
                decimal.digits /= 10;
                ++decimal.exponent;
            }
            // No shortest decimal crosses a whole number, because that is a double itself.
            put_unsigned(out, whole);
            int places = -decimal.exponent;
            uint64_t fraction = whole == 0 ? decimal.digits : decimal.digits - whole * kPowerTables.whole[places];
            char* to = out.room(32);
            *to = '.';
            put_digits(to + 1, fraction, places);
            out.size += static_cast<size_t>(places + 1);
            return true;
        }
    }
    return false;
}

// The fewest digits that read back as the same number, never with an exponent. The number is finite.
inline void put_double(Buffer& out, double number) {
    if (std::signbit(number)) {
        out.put('-');
        number = -number;
    }
    if (put_usual(out, number)) return;
    char* to = out.room(360);
    // In fixed notation to_chars gives all digits of large numbers, which are more than needed: pad with zeros instead.
    char text[40];
    const char* end = std::to_chars(text, text + 40, number, std::chars_format::scientific).ptr;
    char digits[24];
    int count = 0;
    const char* p = text;
    for (; *p != 'e'; ++p)
        if (*p != '.') digits[count++] = *p;
    int exponent = 0;
    std::from_chars(p[1] == '+' ? p + 2 : p + 1, end, exponent);
    int before = exponent + 1;  // digits before the point
    if (before <= 0) {
        *to++ = '0';
        *to++ = '.';
        std::memset(to, '0', static_cast<size_t>(-before));
        to += -before;
        std::memcpy(to, digits, static_cast<size_t>(count));
        to += count;
    } else {
        for (int i = 0; i < (before > count ? before : count); ++i) {
            if (i == before) *to++ = '.';
            *to++ = i < count ? digits[i] : '0';
        }
    }
    out.size = static_cast<size_t>(to - out.data);
}

struct Digits {
    uint64_t value = 0;
    size_t count = 0;
    bool fits = true;  // in 64 bits
};

// All digits from `p` on, behind those read before; gives where they end.
inline const char* read_digits(const char* p, const char* end, Digits& digits) {
    uint64_t eight;
    while (digits.count <= 11 && end - p >= 8 && read_eight(p, &eight)) {
        digits.value = digits.value * 100000000 + eight;
        digits.count += 8;
        p += 8;
    }
    for (; p != end && static_cast<unsigned char>(*p - '0') < 10; ++p, ++digits.count) {
        unsigned digit = static_cast<unsigned char>(*p - '0');
        if (digits.count < 19)
            digits.value = digits.value * 10 + digit;
        else if (__builtin_mul_overflow(digits.value, uint64_t{10}, &digits.value) ||
                 __builtin_add_overflow(digits.value, uint64_t{digit}, &digits.value))
            digits.fits = false;
    }
    return p;
}

// With a sign before them. False if int64 does not hold the number.
inline bool signed_value(const Digits& digits, bool negative, int64_t* value) {
    constexpr uint64_t kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    if (!digits.fits || digits.value > kMax + (negative ? 1 : 0)) return false;
    *value = static_cast<int64_t>(negative ? uint64_t{0} - digits.value : digits.value);
    return true;
}

// A checked decimal number; infinite if it is too large, zero if it is too small.
inline double read_double(Span text) {
    double value = 0;
    if (text.size < 100) {
        if (std::from_chars(text.data, text.end(), value).ec == std::errc()) return value;
    }
    static const locale_t c_locale = newlocale(LC_ALL_MASK, "C", nullptr);
    Buffer copy;
    copy.put(text);
    copy.put('\0');
    return strtod_l(copy.data, nullptr, c_locale);
}

}  // namespace lineprotocol
