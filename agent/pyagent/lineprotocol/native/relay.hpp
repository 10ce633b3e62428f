// Lines to lines, without Python: runs while other threads do.
#pragma once

#include <algorithm>
#include <memory>
#include <string>

#include "encode.hpp"
#include "heads.hpp"
#include "scan.hpp"

namespace lineprotocol {

struct Rounding {
    int64_t to;    // ns; 1 or less for none
    int64_t rest;  // of the start of 1970, counted from year 1
};

inline int64_t rounded(int64_t time, const Rounding& rounding) {
    if (rounding.to <= 1) return time;
    int64_t rest = time % rounding.to;
    if (rest < 0) rest += rounding.to;
    rest -= rounding.to - rounding.rest;  // the sum of both, less one period, cannot overflow
    if (rest < 0) rest += rounding.to;
    bool up = rest >= rounding.to - rest;
    if (up ? __builtin_add_overflow(time, rounding.to - rest, &time) : __builtin_sub_overflow(time, rest, &time))
        return up ? kTimeMax : kTimeMin;
    return std::min(std::max(time, kTimeMin), kTimeMax);
}

class Relay {
public:
    Output out;
    std::vector<uint64_t> ends;
    BadLines bad_lines;
    int64_t oldest = 0, newest = 0;
    Span odd{};  // the line that `run` stopped at
    int64_t odd_time = 0;
    bool too_much = false;

    // `most`: bytes that may be written, with what goes with each metric; 0: any.
    Relay(Span data, const Times& times, const Options& options, const Rounding& rounding, uint64_t most)
        : position_(data.data), end_(data.end()), times_(times), options_(options), rounding_(rounding), most_(most) {}
    ~Relay() { Heads::give_back(std::move(heads_)); }

    // All of them before the first `run`; the bytes have to last as long as this.
    void add_tags(const std::vector<Span>& keys_and_values) {
        std::string joined;
        for (size_t i = 0; i + 1 < keys_and_values.size(); i += 2) {
            Span key = keys_and_values[i], value = keys_and_values[i + 1];
            defaults_.push_back({key, value});
            for (Span text : {key, value}) joined += std::to_string(text.size) + ':' + std::string(text.data, text.size);
        }
        heads_->for_tags(std::move(joined));
    }

    // False where it stopped at a line that is left to others; call it again then. True at the end, and where it is
    // `too_much`.
    bool run() {
        for (position_ = skip_leading(position_, end_); position_ != end_; position_ = skip_leading(position_, end_)) {
            const char* start = position_;
            Bad bad;
            const char* p = find_head(start, end_, head_, bad);
            size_t line = out.size;
            bool odd_head = false;
            if (p != nullptr && !put_head({start, static_cast<size_t>(p - start)}, bad, odd_head)) p = nullptr;
            if (p != nullptr) p = scan_rest(p, end_, start, times_, line_, bad);
            if (p == nullptr) {
                out.size = line;
                position_ = end_of_line(start, end_, bad);
                bad_lines.add(bad, {start, static_cast<size_t>(position_ - start)});
                continue;
            }
            position_ = p;
            bool put = !odd_head && put_rest(line);
            too_much = too_much || (most_ != 0 && out.size + kMetricBytes * ends.size() > most_);
            if (too_much) return true;
            if (!put) {
                out.size = line;
                odd = {start, static_cast<size_t>(p - start)};
                odd_time = line_.time;
                return false;
            }
        }
        return true;
    }

    // Adds lines that others wrote.
    void add(Span lines, bool any, int64_t time) {
        out.put(lines);
        if (any) encoded(time);
    }

private:
    static constexpr size_t kFew = 16, kMostSteps = 128;
    static constexpr uint64_t kMetricBytes = 64;  // LINE_BYTES of ../results.py
    const char* position_;
    const char* end_;
    Times times_;
    Options options_;
    Rounding rounding_;
    uint64_t most_;
    std::vector<TagText> defaults_;
    std::unique_ptr<Heads> heads_ = Heads::take();
    Buffer scratch_;
    Head head_;
    Line line_;
    std::vector<TagText> tags_;
    std::vector<size_t> pairs_;
    std::vector<uint32_t> places_;

    void encoded(int64_t time) {
        oldest = ends.empty() ? time : std::min(oldest, time);
        newest = ends.empty() ? time : std::max(newest, time);
        ends.push_back(out.size);
    }

    bool put_head(Span raw, Bad& bad, bool& odd_head) {
        uint64_t hash = hash_bytes(raw);
        size_t size = 0;
        if (const char* known = heads_->find(hash, raw, &size)) {
            out.put(known, size);
            return true;
        }
        if (!scan_head(raw, head_, bad)) return false;
        size_t start = out.size;
        bool plain = head_.plain && defaults_.empty();
        if (plain) out.put(raw);
        else odd_head = !put_new_head();
        if (!odd_head && raw.size <= kLongHead) heads_->add(hash, raw, out.span(start), plain);
        return true;
    }

    // False if there is no name that can be written.
    bool put_new_head() {
        scratch_.size = 0;
        size_t room = head_.name.size;
        for (const Tag& tag : head_.tags) room += tag.key.size + tag.value.size;
        scratch_.room(room + 1);  // so that it never moves while spans point into it
        if (!put_escaped(out, plain(head_.name, false), Position::measurement)) return false;
        tags_.clear();
        for (const Tag& tag : head_.tags) tags_.push_back({plain(tag.key), plain(tag.value)});
        size_t own = tags_.size();
        for (const TagText& tag : defaults_) {
            bool there = false;
            for (size_t i = 0; i < own && !there; ++i) there = equal(tags_[i].key, tag.key);
            if (!there) tags_.push_back(tag);
        }
        return put_tags(out, tags_);
    }

    Span plain(Span raw, bool equals = true) {
        if (std::memchr(raw.data, '\\', raw.size) == nullptr) return raw;
        size_t start = scratch_.size;
        unescape(scratch_, raw, equals);
        return scratch_.span(start);
    }

    // False where the reference has more to say about the line.
    bool put_rest(size_t start) {
        size_t head = out.size - start;
        out.put(' ');
        merge_twins();
        if (options_.sort_fields) std::sort(line_.fields.begin(), line_.fields.end(), key_before);
        pairs_.clear();
        size_t longest = 0;
        for (const Field& field : line_.fields) {
            size_t mark = out.size;
            if (field.plain_key) out.put(field.key());
            else if (!put_key(field.key())) continue;
            longest = std::max(longest, out.size - mark);
            out.put('=');
            put_value(field);
            if (options_.max_line_bytes > 0) pairs_.push_back(out.size);
            out.put(',');
        }
        if (longest == 0 || !key_fits(head, longest)) return false;
        int64_t time = rounded(line_.time, rounding_);
        out.data[out.size - 1] = options_.omit_timestamp ? '\n' : ' ';
        if (!options_.omit_timestamp) {
            put_signed(out, time);
            out.put('\n');
        }
        if (options_.max_line_bytes > 0) {
            size_t tail = out.size - pairs_.back();
            size_t most = most_ != 0 ? most_ : SIZE_MAX;
            if (!spread(out, start, head, tail, pairs_, static_cast<size_t>(options_.max_line_bytes), most)) return false;
        }
        encoded(time);
        return true;
    }

    // Of fields with one key the last value counts, in the place of the first.
    void merge_twins() {
        if (line_.fields.size() <= kFew) {
            // A key's bit: its size and two of its bytes. Only keys with one bit are compared.
            uint64_t bits = 0;
            bool maybe = false;
            for (const Field& field : line_.fields) {
                Span key = field.key();
                uint64_t mixed = key.size * 31 + static_cast<unsigned char>(key.data[key.size / 2]) * 7u +
                                 static_cast<unsigned char>(key.end()[-1]);
                uint64_t bit = uint64_t{1} << (mixed & 63);
                maybe = maybe || (bits & bit) != 0;
                bits |= bit;
            }
            for (size_t i = maybe ? 1 : line_.fields.size(); i < line_.fields.size();) {
                size_t j = 0;
                while (j < i && !equal(line_.fields[i].key(), line_.fields[j].key())) ++j;
                if (j == i) ++i;
                else replace(j, i);
            }
            return;
        }
        if (has_twins()) keep_last();
    }

    // Whether a key comes twice, or there is no telling soon.
    bool has_twins() {
        size_t size = 64;
        while (size < 4 * line_.fields.size()) size *= 2;
        places_.assign(size, 0);
        for (size_t i = 0; i < line_.fields.size(); ++i) {
            Span key = line_.fields[i].key();
            size_t place = hash_bytes(key) & (size - 1);
            for (size_t steps = 0; places_[place] != 0; ++steps, place = (place + 1) & (size - 1))
                // Keys may be made so that all their hashes are the same.
                if (steps == kMostSteps || equal(line_.fields[places_[place] - 1].key(), key)) return true;
            places_[place] = static_cast<uint32_t>(i + 1);
        }
        return false;
    }

    void keep_last() {
        size_t count = line_.fields.size();
        std::vector<uint32_t>& order = places_;
        order.resize(count);
        for (size_t i = 0; i < count; ++i) order[i] = static_cast<uint32_t>(i);
        std::sort(order.begin(), order.end(), [this](uint32_t a, uint32_t b) {
            int found = compare(line_.fields[a].key(), line_.fields[b].key());
            return found != 0 ? found < 0 : a < b;
        });
        std::vector<bool> gone(count);
        for (size_t i = 0; i < count;) {
            size_t behind = i + 1;
            for (; behind < count && equal(line_.fields[order[i]].key(), line_.fields[order[behind]].key()); ++behind)
                gone[order[behind]] = true;
            if (behind > i + 1) line_.fields[order[i]] = line_.fields[order[behind - 1]];
            i = behind;
        }
        size_t kept = 0;
        for (size_t i = 0; i < count; ++i)
            if (!gone[i]) line_.fields[kept++] = line_.fields[i];
        line_.fields.resize(kept);
    }

    void replace(size_t first, size_t again) {
        line_.fields[first] = line_.fields[again];
        std::move(line_.fields.begin() + again + 1, line_.fields.end(), line_.fields.begin() + again);
        line_.fields.resize(line_.fields.size() - 1);
    }

    // Whether one key's text comes before the other's.
    static bool key_before(const Field& a, const Field& b) {
        if (a.plain_key && b.plain_key) return compare(a.key(), b.key()) < 0;
        const char *p = a.key().data, *q = b.key().data, *p_end = a.key().end(), *q_end = b.key().end();
        auto next = [](const char*& at, const char* end) {
            if (*at == '\\' && at + 1 != end && (at[1] == ',' || at[1] == ' ' || at[1] == '=')) ++at;
            return static_cast<unsigned char>(*at++);
        };
        while (p != p_end && q != q_end) {
            unsigned char one = next(p, p_end), other = next(q, q_end);
            if (one != other) return one < other;
        }
        return p == p_end && q != q_end;
    }

    bool put_key(Span raw) {
        scratch_.size = 0;
        unescape(scratch_, raw);
        return put_escaped(out, scratch_.span(), Position::field);
    }

    // Whether the digits that were read are those that would be written.
    static bool is_shortest(const Field& field) {
        double number = std::fabs(field.number);
        int places = static_cast<int>(field.places);
        if (places == 0 || !is_usual(number)) return false;
        Digits digits;
        const char* p = field.value().data;
        const char* end = field.value().end();
        if (*p == '-') ++p;
        p = read_digits(p, end, digits);
        read_digits(p + 1, end, digits);
        Decimal decimal = shortest(number);
        for (; decimal.exponent < -places; ++decimal.exponent) {
            if (decimal.digits % 10 != 0) return false;
            decimal.digits /= 10;
        }
        return decimal.digits == digits.value && decimal.exponent == -places;
    }

    void put_value(const Field& field) {
        switch (field.kind) {
            case Kind::number:
                if (field.plain || is_shortest(field)) out.put(field.value());
                else put_double(out, field.number);
                return;
            case Kind::integer:
                if (field.plain) out.put(field.value());
                else put_signed(out, field.integer);
                out.put('i');
                return;
            case Kind::unsigned_integer: {
                uint64_t number = field.unsigned_integer;
                put_unsigned(out, options_.uint_support ? number : std::min(number, uint64_t{INT64_MAX}));
                out.put(options_.uint_support ? 'u' : 'i');
                return;
            }
            case Kind::yes: out.put("true", 4); return;
            case Kind::no: out.put("false", 5); return;
            case Kind::string: break;
        }
        if (field.plain) {
            out.put('"');
            out.put(field.value());
            out.put('"');
            return;
        }
        scratch_.size = 0;
        unquote(scratch_, field.value());
        put_string(out, scratch_.span());
    }
};

}  // namespace lineprotocol
