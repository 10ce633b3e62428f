// Times of CSV cells: the forms of pyagent/importer/times.py that need no calendar of time zones. What is odd in any way is
// left to that module: all functions here say false then.
#pragma once

#include <unordered_map>

#include "numbers.hpp"

namespace lineprotocol {

constexpr int64_t kSecond = 1000000000;

enum class Clock : int { none, number, number_or_rfc3339, rfc3339, year_first, day_first, month_first };

// Days from 1970 to a date (H. Hinnant's days_from_civil).
inline int64_t days_from_date(int64_t year, unsigned month, unsigned day) {
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    unsigned of_era = static_cast<unsigned>(year - era * 400);
    unsigned of_year = (153 * (month + (month > 2 ? -3u : 9u)) + 2) / 5 + day - 1;
    return era * 146097 + static_cast<int64_t>(of_era * 365 + of_era / 4 - of_era / 100 + of_year) - 719468;
}

inline bool is_date(unsigned year, unsigned month, unsigned day) {
    if (year < 1 || month < 1 || month > 12 || day < 1) return false;
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    unsigned days = month == 2 ? 28 + leap : 30 + ((0x15AA >> month) & 1);
    return day <= days;
}

// Of local hours, how far the clock is east of UTC then. Filled by Python, which knows the zones.
struct Zone {
    bool is_utc = true;
    std::unordered_map<int64_t, int64_t> offsets;
    int64_t missing = 0;  // the hour that was asked for and is not there
};

class TimeReader {
public:
    Clock form = Clock::none;
    int64_t unit = 1;
    Zone zone;
    bool lacks_hour = false;

    // ns since the epoch.
    bool read(Span text, int64_t* time) {
        p_ = text.data;
        end_ = text.end();
        switch (form) {
            case Clock::number: return number(time);
            case Clock::number_or_rfc3339:
                return text.size > 4 && text.data[4] == '-' ? rfc3339(time) : number(time);
            case Clock::rfc3339: return rfc3339(time);
            case Clock::year_first:
            case Clock::day_first:
            case Clock::month_first: return date(time);
            default: return false;
        }
    }

private:
    const char* p_ = nullptr;
    const char* end_ = nullptr;

    bool number(int64_t* time) {
        bool negative = p_ != end_ && *p_ == '-';
        if (p_ != end_ && (negative || *p_ == '+')) ++p_;
        Digits digits;
        p_ = read_digits(p_, end_, digits);
        return digits.count != 0 && p_ == end_ && signed_value(digits, negative, time) &&
               !__builtin_mul_overflow(*time, unit, time) && fits(*time);
    }

    static bool fits(int64_t time) { return time >= kTimeMin && time <= kTimeMax; }

    // Exactly `count` digits.
    bool digits(int count, unsigned* value) {
        if (end_ - p_ < count) return false;
        unsigned found = 0;
        for (int i = 0; i < count; ++i, ++p_) {
            unsigned digit = static_cast<unsigned char>(*p_ - '0');
            if (digit > 9) return false;
            found = found * 10 + digit;
        }
        *value = found;
        return true;
    }

    // As many digits as there are, at most four.
    int some_digits(unsigned* value) {
        int count = 0;
        for (*value = 0; p_ != end_ && count < 5 && static_cast<unsigned char>(*p_ - '0') < 10; ++p_, ++count)
            *value = *value * 10 + static_cast<unsigned>(*p_ - '0');
        return count;
    }

    bool skip(char c) {
        if (p_ == end_ || *p_ != c) return false;
        ++p_;
        return true;
    }

    // Digits behind the point, to nanoseconds.
    bool fraction(int64_t* ns) {
        *ns = 0;
        if (p_ == end_ || (*p_ != '.' && *p_ != ',')) return true;
        ++p_;
        int count = 0;
        for (; p_ != end_ && static_cast<unsigned char>(*p_ - '0') < 10; ++p_, ++count)
            if (count < 9) *ns = *ns * 10 + (*p_ - '0');
        for (int i = count; i < 9; ++i) *ns *= 10;
        return count != 0;
    }

    bool put(int64_t seconds, int64_t ns, int64_t* time) {
        return !__builtin_mul_overflow(seconds, kSecond, time) && !__builtin_add_overflow(*time, ns, time) && fits(*time);
    }

    bool rfc3339(int64_t* time) {
        unsigned year, month, day, hour, minute, second;
        if (!digits(4, &year) || !skip('-') || !digits(2, &month) || !skip('-') || !digits(2, &day)) return false;
        if (!skip('T') && !skip('t')) return false;
        if (!digits(2, &hour) || !skip(':') || !digits(2, &minute) || !skip(':') || !digits(2, &second)) return false;
        int64_t ns, offset = 0;
        if (!fraction(&ns) || !is_date(year, month, day) || hour > 23 || minute > 59 || second > 59) return false;
        if (!skip('Z') && !skip('z')) {
            bool west = p_ != end_ && *p_ == '-';
            unsigned hours, minutes;
            if (!west && (p_ == end_ || *p_ != '+')) return false;
            ++p_;
            if (!digits(2, &hours) || !skip(':') || !digits(2, &minutes) || hours > 23 || minutes > 59) return false;
            offset = static_cast<int64_t>(hours * 60 + minutes) * (west ? -60 : 60);
        }
        if (p_ != end_) return false;
        return put(days_from_date(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset, ns, time);
    }

    bool date(int64_t* time) {
        unsigned first, second, third;
        int first_count = some_digits(&first);
        if (p_ == end_ || first_count == 0) return false;
        char between = *p_++;
        if (between != '-' && between != '.' && between != '/') return false;
        int second_count = some_digits(&second);
        if (second_count < 1 || second_count > 2 || !skip(between)) return false;
        int third_count = some_digits(&third);
        unsigned year, month, day;
        if (form == Clock::year_first) {
            if (first_count != 4 || third_count < 1 || third_count > 2) return false;
            year = first, month = second, day = third;
        } else {
            if (first_count > 2 || third_count != 4) return false;
            year = third;
            day = form == Clock::day_first ? first : second;
            month = form == Clock::day_first ? second : first;
        }
        if (!is_date(year, month, day)) return false;
        int64_t seconds = days_from_date(year, month, day) * 86400, ns = 0;
        if (p_ != end_) {
            if (!skip(' ') && !skip('T')) return false;
            unsigned hour, minute, rest = 0;
            int count = some_digits(&hour);
            if (count < 1 || count > 2 || !skip(':') || !digits(2, &minute)) return false;
            if (skip(':') && (!digits(2, &rest) || !fraction(&ns))) return false;
            if (hour > 23 || minute > 59 || rest > 59) return false;
            seconds += hour * 3600 + minute * 60 + rest;
            if (p_ != end_) return (skip('Z') && p_ == end_) && put(seconds, ns, time);
        }
        if (!zone.is_utc) {
            int64_t hour = seconds >= 0 ? seconds / 3600 : -((-seconds + 3599) / 3600);
            auto found = zone.offsets.find(hour);
            if (found == zone.offsets.end()) {
                zone.missing = hour;
                lacks_hour = true;
                return false;
            }
            if (found->second == INT64_MIN) return false;  // the clock is changed in it
            seconds -= found->second;
        }
        return put(seconds, ns, time);
    }
};

}  // namespace lineprotocol
