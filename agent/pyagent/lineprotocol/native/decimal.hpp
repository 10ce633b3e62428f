// Doubles and decimal digits for the numbers that metrics usually hold; the rest is for std::to_chars and std::from_chars.
//
// Writing is R. Giulietti's "Schubfach" (the shortest decimal between the halves to both neighbours, by one product with a
// power of ten), reading is the product of M. Eisel and D. Lemire. Here both need powers of ten that 128 bits hold exactly,
// or the inverses of such, so the tables are short.
#pragma once

#include <cstdint>
#include <cstring>

namespace lineprotocol {

using uint128 = unsigned __int128;

struct Power {
    uint64_t high, low;
};

inline uint64_t high_half(uint128 value) { return static_cast<uint64_t>(value >> 64); }

constexpr int kPowers = 28;  // of five, that is: 5**27 is the last one within 63 bits

struct PowerTables {
    Power ten[kPowers] = {};      // 10**i, moved up until the top bit is set
    Power inverse[kPowers] = {};  // 1 / 5**i, the same, rounded up
    uint64_t whole[20] = {};      // 10**i

    constexpr PowerTables() {
        uint64_t ten_power = 1;
        for (int i = 0; i < 20; ++i, ten_power *= 10) whole[i] = ten_power;
        uint64_t five = 1;
        for (int i = 0; i < kPowers; ++i, five *= 5) {
            int bits = 64 - __builtin_clzll(five);
            ten[i] = {five << (64 - bits), 0};
            // 2**(bits + 127) / five, digit by digit of base two, rounded up.
            uint64_t rest = 0;
            uint128 quotient = 0;
            for (int bit = bits + 127; bit >= 0; --bit) {
                uint128 doubled = static_cast<uint128>(rest) * 2 + (bit == bits + 127 ? 1 : 0);
                quotient = quotient * 2 + (doubled >= five ? 1 : 0);
                rest = static_cast<uint64_t>(doubled >= five ? doubled - five : doubled);
            }
            if (five == 1) quotient = static_cast<uint128>(1) << 127;
            else quotient += 1;
            inverse[i] = {static_cast<uint64_t>(quotient >> 64), static_cast<uint64_t>(quotient)};
        }
    }
};

inline constexpr PowerTables kPowerTables{};

struct Decimal {
    uint64_t digits;  // may end in zeros
    int exponent;     // of ten, from -27 to 0
};

// The shortest decimal that reads back as `number`, the closest to it of those. For numbers from 1e-5 to below 1e15.
inline Decimal shortest(double number) {
    uint64_t bits;
    std::memcpy(&bits, &number, sizeof bits);
    uint64_t fraction = bits & ((uint64_t{1} << 52) - 1);
    uint64_t c = fraction | uint64_t{1} << 52;
    int q = static_cast<int>(bits >> 52) - 1075;  // number = c * 2**q, and q is from -69 to -3
    bool closer = fraction == 0;                  // the lower neighbour is only half as far
    int k = (q * 1262611 - (closer ? 524031 : 0)) >> 22;
    int h = q + ((-k * 1741647) >> 19) + 1;
    uint64_t power = kPowerTables.ten[-k].high;  // exact: its lower half is zero
    auto scaled = [&](uint64_t value) {  // rounded to odd
        uint128 product = static_cast<uint128>(power) * (value << h);
        return high_half(product) | (static_cast<uint64_t>(product) > 1);
    };
    uint64_t odd = c & 1;
    uint64_t lower = scaled(4 * c - 2 + closer) + odd;
    uint64_t middle = scaled(4 * c);
    uint64_t upper = scaled(4 * c + 2) - odd;
    uint64_t s = middle / 4;
    uint64_t tens = s / 10;
    bool down = lower <= 40 * tens;
    bool up = 40 * tens + 40 <= upper;
    if (down != up) return {tens + up, k + 1};
    down = lower <= 4 * s;
    up = 4 * s + 4 <= upper;
    if (down != up) return {s + up, k};
    uint64_t half = 4 * s + 2;
    return {s + (middle > half || (middle == half && (s & 1) != 0)), k};
}

// digits / 10**places, correctly rounded. `digits` is not zero; `places` is from 0 to 27.
inline double divided(uint64_t digits, int places) {
    int zeros = __builtin_clzll(digits);
    uint64_t w = digits << zeros;
    const Power& power = kPowerTables.inverse[places];
    uint128 product = static_cast<uint128>(w) * power.high;
    uint64_t high = high_half(product), low = static_cast<uint64_t>(product);
    if ((high & 0x1FF) == 0x1FF) {  // what is missing below might carry up to the bits that count
        uint64_t more = high_half(static_cast<uint128>(w) * power.low);
        low += more;
        high += low < more;
    }
    unsigned top = static_cast<unsigned>(high >> 63);
    uint64_t mantissa = high >> (top + 9);
    int exponent = ((217706 * -places) >> 16) + 63 + static_cast<int>(top) - zeros + 1023;
    // Exactly between two doubles: to the even one.
    if (low <= 1 && places <= 4 && (mantissa & 3) == 1 && mantissa << (top + 9) == high) mantissa &= ~uint64_t{1};
    mantissa = (mantissa + (mantissa & 1)) >> 1;
    if (mantissa >= uint64_t{1} << 53) {
        mantissa = uint64_t{1} << 52;
        ++exponent;
    }
    uint64_t bits = (mantissa & ((uint64_t{1} << 52) - 1)) | static_cast<uint64_t>(exponent) << 52;
    double number;
    std::memcpy(&number, &bits, sizeof number);
    return number;
}

struct DigitPairs {
    char of[200] = {};
    constexpr DigitPairs() {
        for (int i = 0; i < 100; ++i) {
            of[2 * i] = static_cast<char>('0' + i / 10);
            of[2 * i + 1] = static_cast<char>('0' + i % 10);
        }
    }
};

inline constexpr DigitPairs kDigitPairs{};

inline int count_digits(uint64_t number) {
    int bits = 64 - __builtin_clzll(number | 1);
    int guess = (bits * 1233) >> 12;
    return guess + (number >= kPowerTables.whole[guess] || number == 0);
}

// Eight digits of a number below 10**8.
inline void put_eight(char* to, uint32_t number) {
    uint32_t upper = number / 10000, lower = number % 10000;
    std::memcpy(to, kDigitPairs.of + upper / 100 * 2, 2);
    std::memcpy(to + 2, kDigitPairs.of + upper % 100 * 2, 2);
    std::memcpy(to + 4, kDigitPairs.of + lower / 100 * 2, 2);
    std::memcpy(to + 6, kDigitPairs.of + lower % 100 * 2, 2);
}

// The last `count` digits of `number`, with zeros before them where it has fewer.
inline void put_digits(char* to, uint64_t number, int count) {
    char* p = to + count;
    for (; p - to >= 8; number /= 100000000) {
        p -= 8;
        put_eight(p, static_cast<uint32_t>(number % 100000000));
    }
    uint32_t rest = static_cast<uint32_t>(number);
    for (; p - to >= 2; rest /= 100) {
        p -= 2;
        std::memcpy(p, kDigitPairs.of + rest % 100 * 2, 2);
    }
    if (p != to) *to = static_cast<char>('0' + rest);
}

// Whether eight bytes are digits, and their value then: the bytes are added up in pairs, fours and eights.
inline bool read_eight(const char* p, uint64_t* value) {
    uint64_t word;
    std::memcpy(&word, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    uint64_t digits = word - 0x3030303030303030;
    if (((word + 0x4646464646464646) | digits) & 0x8080808080808080) return false;
    digits = digits * 10 + (digits >> 8);
    digits = ((digits & 0x000000FF000000FF) * (100 + (uint64_t{1000000} << 32)) +
              (digits >> 16 & 0x000000FF000000FF) * (1 + (uint64_t{10000} << 32))) >> 32;
    *value = digits;
    return true;
}

}  // namespace lineprotocol
