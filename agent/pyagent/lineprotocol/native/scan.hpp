// Line protocol as tokens. See ../parser.py for the grammar and for what a bad line costs; reasons and places of errors are
// those of the reference.
#pragma once

#include <set>
#include <string_view>
#include <vector>

#include "values.hpp"

namespace lineprotocol {

constexpr size_t kMaxKey = 65535;       // MAX_KEY_BYTES of ../results.py
constexpr size_t kMaxFields = 1 << 20;  // MAX_FIELDS

struct Tag {
    Span key, value;  // as written
};

struct Head {
    Span name;
    std::vector<Tag> tags;
    bool plain;  // written as it is read
};

struct Line {
    Span head;
    Fields fields;
    int64_t time;
};

inline const char* skip_blanks(const char* p, const char* end) {
    while (p != end && is(*p, BLANK)) ++p;
    return p;
}

// To the first byte of a line that has something in it.
inline const char* skip_leading(const char* p, const char* end) {
    for (;;) {
        p = skip_blanks(p, end);
        if (p != end && *p == '#') {
            p = static_cast<const char*>(std::memchr(p, '\n', static_cast<size_t>(end - p)));
            if (p == nullptr) return end;
        }
        if (at_crlf(p, end)) ++p;
        if (p == end || *p != '\n') return p;
        ++p;
    }
}

// Behind the closing quote of the string whose opening quote is at `p`; null if it is never closed.
inline const char* skip_string(const char* p, const char* end) {
    for (++p; p != end; ++p) {
        if (*p == '"') return p + 1;
        if (*p == '\\' && ++p == end) return nullptr;
    }
    return nullptr;
}

// The LF that ends the bad line at `start`, or the end of the data.
inline const char* end_of_line(const char* start, const char* end, const Bad& bad) {
    if (!bad.quotes) {
        const void* found = std::memchr(start, '\n', static_cast<size_t>(end - start));
        return found == nullptr ? end : static_cast<const char*>(found);
    }
    const char* p = run(start, end, HEAD_END);
    if (p < bad.at) p = bad.at;
    for (; p != end && *p != '\n'; ++p) {
        if (*p != '=' || p + 1 == end || p[1] != '"') continue;
        const char* behind = skip_string(p + 1, end);
        if (behind != nullptr && at_value_end(behind, end)) p = behind - 1;
    }
    return p;
}

inline const char* reserved(Span key) {
    if (equal(key, {"time", 4})) return "cannot use reserved tag key \"time\"";
    if (equal(key, {"_field", 6})) return "cannot use reserved tag key \"_field\"";
    if (equal(key, {"_measurement", 12})) return "cannot use reserved tag key \"_measurement\"";
    return nullptr;
}

// As `run`; tells whether what was passed is written as it is read.
inline const char* run_plain(const char* p, const char* end, unsigned end_class, bool& plain) {
    unsigned seen = 0;
    for (; p != end && !is(*p, end_class); ++p) seen |= classes(*p);
    plain = plain && (seen & NAME_ESCAPE) == 0;
    if (p == end || *p != '\\') return p;
    plain = false;
    return run(p, end, end_class);
}

inline bool scan_head(Span head, Head& found, Bad& bad) {
    if (head.size > kMaxKey) return fail(bad, "max key length exceeded", head.data);
    found.plain = true;
    found.tags.clear();
    const char* end = head.end();
    const char* p = run_plain(head.data, end, NAME_END, found.plain);
    if (p == head.data) return fail(bad, "missing measurement", p);
    found.name = {head.data, static_cast<size_t>(p - head.data)};
    Span largest{};
    std::set<std::string_view> seen;  // of many tags; few are compared one by one
    while (p != end) {
        const char* key = p + 1;
        p = run_plain(key, end, KEY_END, found.plain);
        if (p == key) return fail(bad, "missing tag key", key);
        Span tag{key, static_cast<size_t>(p - key)};
        const char* equals = p;
        if (p == end || *p != '=') return fail(bad, "missing tag value", equals);
        const char* value = p + 1;
        bool starts_with_equals = value != end && *value == '=';
        if (starts_with_equals) found.plain = false;
        p = run_plain(value + starts_with_equals, end, KEY_END, found.plain);
        if (p == value) return fail(bad, "missing tag value", equals);
        if (p != end && *p == '=') return fail(bad, "invalid tag format", p);
        if (found.tags.empty() || compare(largest, tag) < 0) {  // new, and in its place
            largest = tag;
            if (!seen.empty()) seen.emplace(tag.data, tag.size);
        } else {
            found.plain = false;
            bool twice = false;
            if (found.tags.size() < 16) {
                for (const Tag& other : found.tags) twice = twice || equal(other.key, tag);
            } else {
                if (seen.empty())
                    for (const Tag& other : found.tags) seen.emplace(other.key.data, other.key.size);
                twice = !seen.emplace(tag.data, tag.size).second;
            }
            if (twice) return fail(bad, "duplicate tags", key);
        }
        if (const char* reason = reserved(tag)) return fail(bad, reason, key);
        found.tags.push_back({tag, {value, static_cast<size_t>(p - value)}});
    }
    return true;
}

// The fields from `p` on; null if one is bad, else behind the last. `room`: bytes that a key may have.
inline const char* scan_fields(const char* p, const char* end, ptrdiff_t room, Line& line, Bad& bad) {
    auto failed = [&](const char* reason, const char* at, bool quotes = true) -> const char* {
        fail(bad, reason, at, quotes);
        return nullptr;
    };
    line.fields.resize(0);
    for (;;) {
        Field field;
        field.places = 0;
        const char* key = p;
        bool plain_key = true, fits = true;
        p = run_plain(p, end, KEY_END, plain_key);
        if (p == key)
            return failed(line.fields.empty() && (p == end || *p == '\n') ? "missing fields" : "missing field key", p);
        if (p == end || *p != '=') return failed("invalid field format", p);
        ptrdiff_t key_size = p - key;
        const char* value = ++p;
        if (at_value_end(p, end)) return failed("missing field value", p);
        const char* out_of_range = "invalid float";
        if (*p == '"') {
            const char* behind = skip_string(p, end);
            bool closed = behind != nullptr;
            if (!closed || !at_value_end(behind, end)) {
                if (!closed || std::memchr(p, '\n', static_cast<size_t>(behind - p)))
                    return failed("unbalanced quotes", p, false);
                return failed("invalid field format", behind, false);
            }
            field.kind = Kind::string;
            field.set_value(p + 1, behind - 1);
            field.plain = std::memchr(p, '\\', static_cast<size_t>(behind - p)) == nullptr;
            p = behind;
        } else if (static_cast<unsigned char>(*p - '0') < 10 || *p == '-' || *p == '.' || *p == 'N' || *p == 'n') {
            if (!scan_number(p, end, field, fits, bad)) return nullptr;
            p = field.value().end();
            if (field.kind != Kind::number) {
                out_of_range = *p == 'i' ? "integer outside range" : "unsigned integer outside range";
                ++p;
            }
        } else if (scan_boolean(p, end, field)) {
            p = field.value().end();
        } else {
            return failed("invalid boolean", p);
        }
        if (key_size > room) return failed("max key length exceeded", key);
        if (!fits) return failed(out_of_range, value);
        if (line.fields.size() == kMaxFields) return failed("too many fields", key);
        field.key_data = key;
        field.key_size = static_cast<uint16_t>(key_size);
        field.plain_key = plain_key;
        line.fields.push_back(field);
        if (p == end || *p != ',') return p;
        ++p;
    }
}

struct Times {
    int64_t fallback;  // ns, already a whole number of units
    int64_t unit;      // ns
    int64_t step;      // ns from a line without a time to the next
    bool fallback_fits;
};

// The time from `p` on; null if it is bad, else behind the line's LF.
inline const char* scan_time(const char* p, const char* end, const char* start, Times& times, Line& line, Bad& bad) {
    auto failed = [&](const char* reason, const char* at) -> const char* {
        fail(bad, reason, at);
        return nullptr;
    };
    const char* written = skip_blanks(p, end);
    p = written;
    bool negative = p != end && *p == '-';
    Digits digits;
    p = read_digits(negative ? p + 1 : p, end, digits);
    bool timed = digits.count != 0;
    if (negative && !timed) return failed("bad timestamp", written);
    while (p != end && *p == ' ') ++p;
    if (at_crlf(p, end)) ++p;
    if (p != end && *p != '\n') return failed("bad timestamp", written);
    if (!timed) {
        if (!times.fallback_fits || times.fallback > kTimeMax) return failed("time outside range", start);
        line.time = times.fallback;
        times.fallback += times.step;
    } else if (!signed_value(digits, negative, &line.time) ||
               __builtin_mul_overflow(line.time, times.unit, &line.time) || line.time < kTimeMin || line.time > kTimeMax) {
        return failed("time outside range", written);
    }
    return p == end ? p : p + 1;
}

// What `run` gives for HEAD_END. The C library looks for single bytes many at a time.
inline const char* find_space(const char* p, const char* end) {
    auto find = [p](char c, const char* until) {
        return static_cast<const char*>(std::memchr(p, c, static_cast<size_t>(until - p)));
    };
    const char* line_end = find('\n', end);
    const char* space = find(' ', line_end == nullptr ? end : line_end);
    return space == nullptr || find('\\', space) ? run(p, end, HEAD_END) : space;
}

// Measurement and tags of the line at `start`, without the space behind them; null if there is none.
inline const char* find_head(const char* start, const char* end, Head& scratch, Bad& bad) {
    const char* p = find_space(start, end);
    if (p != start && p != end && *p == ' ') return p;
    if (p == start || scan_head({start, static_cast<size_t>(p - start)}, scratch, bad)) fail(bad, "missing fields", p);
    return nullptr;
}

// What is behind the head that ends at `p`; null if it is bad, else behind the line's LF.
inline const char* scan_rest(const char* p, const char* end, const char* start, Times& times, Line& line, Bad& bad) {
    line.head = {start, static_cast<size_t>(p - start)};
    p = scan_fields(skip_blanks(p, end), end, static_cast<ptrdiff_t>(kMaxKey) - 4 - (p - start), line, bad);
    return p == nullptr ? nullptr : scan_time(p, end, start, times, line, bad);
}

struct BadLine {
    Bad bad;
    Span text;
};

// The first bad lines, and how many there are: a body of nothing else must not fill the memory with what is wrong with it.
struct BadLines {
    static constexpr size_t most = 1000;  // MAX_ERRORS of ../results.py
    std::vector<BadLine> first;
    uint64_t count = 0;

    void add(const Bad& bad, Span text) {
        if (count++ < most) first.push_back({bad, text});
    }
};

}  // namespace lineprotocol
