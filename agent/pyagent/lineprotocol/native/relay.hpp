// Lines to lines, without Python: runs while other threads do.
#pragma once

#include <algorithm>
#include <memory>
#include <string>

#include "encode.hpp"
#include "heads.hpp"
#include "scan.hpp"

namespace lineprotocol {

// A tag to add where a line has none of its key; plain bytes, none empty.
struct DefaultTag {
    Span key, value;
};

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

    Relay(Span data, const Times& times, const Options& options, const Rounding& rounding)
        : position_(data.data), end_(data.end()), times_(times), options_(options), rounding_(rounding) {}
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

    // False where it stopped at a line that is left to the reference; call it again then.
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
            if (odd_head || !put_rest(line)) {
                out.size = line;
                odd = {start, static_cast<size_t>(p - start)};
                return false;
            }
        }
        return true;
    }

    // Adds lines that the reference wrote.
    void add(Span lines, bool any, int64_t time) {
        out.put(lines);
        if (any) encoded(time);
    }

private:
    const char* position_;
    const char* end_;
    Times times_;
    Options options_;
    Rounding rounding_;
    std::vector<DefaultTag> defaults_;
    std::unique_ptr<Heads> heads_ = Heads::take();
    Buffer scratch_;
    Head head_;
    Line line_;
    std::vector<DefaultTag> tags_;
    std::vector<size_t> pairs_;
    std::set<std::string_view> keys_;

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

    // False if two keys could be written alike.
    bool put_new_head() {
        scratch_.size = 0;
        size_t room = head_.name.size;
        for (const Tag& tag : head_.tags) room += tag.key.size + tag.value.size;
        scratch_.room(room + 1);  // so that it never moves while spans point into it
        if (!put_escaped(out, plain(head_.name, false), Position::measurement)) return false;
        tags_.clear();
        for (const Tag& tag : head_.tags) tags_.push_back({plain(tag.key), plain(tag.value)});
        size_t own = tags_.size();
        for (const DefaultTag& tag : defaults_) {
            bool there = false;
            for (size_t i = 0; i < own && !there; ++i) there = equal(tags_[i].key, tag.key);
            if (!there) tags_.push_back(tag);
        }
        auto before = [](const DefaultTag& a, const DefaultTag& b) { return compare(a.key, b.key) < 0; };
        if (!std::is_sorted(tags_.begin(), tags_.end(), before)) std::stable_sort(tags_.begin(), tags_.end(), before);
        for (const DefaultTag& tag : tags_) {
            if (!is_injective(tag.key)) return false;
            size_t mark = out.size;
            out.put(',');
            put_escaped(out, tag.key, Position::tag);
            out.put('=');
            if (!put_escaped(out, tag.value, Position::tag)) out.size = mark;
        }
        return true;
    }

    Span plain(Span raw, bool equals = true) {
        if (std::memchr(raw.data, '\\', raw.size) == nullptr) return raw;
        size_t start = scratch_.size;
        unescape(scratch_, raw, equals);
        return scratch_.span(start);
    }

    // False if a key comes twice, or the line is too long to be sure of it.
    bool put_rest(size_t start) {
        size_t head = out.size - start;
        out.put(' ');
        if (keys_twice()) return false;
        if (options_.sort_fields) sort_fields();
        pairs_.clear();
        for (const Field& field : line_.fields) {
            if (field.plain_key) out.put(field.key);
            else if (!put_key(field.key)) return false;
            out.put('=');
            put_value(field);
            if (options_.max_line_bytes > 0) pairs_.push_back(out.size);
            out.put(',');
        }
        int64_t time = rounded(line_.time, rounding_);
        out.data[out.size - 1] = options_.omit_timestamp ? '\n' : ' ';
        if (!options_.omit_timestamp) {
            put_signed(out, time);
            out.put('\n');
        }
        if (out.size - start > kLongLine) return false;
        if (options_.max_line_bytes > 0) {
            size_t tail = out.size - pairs_.back();
            if (!spread(out, start, head, tail, pairs_, static_cast<size_t>(options_.max_line_bytes))) return false;
        }
        encoded(time);
        return true;
    }

    bool keys_twice() {
        // A key's bit: its size and two of its bytes. Only keys with one bit are compared.
        uint64_t bits = 0;
        bool maybe = false;
        for (const Field& field : line_.fields) {
            Span key = field.key;
            uint64_t mixed = key.size * 31 + static_cast<unsigned char>(key.data[key.size / 2]) * 7u +
                             static_cast<unsigned char>(key.end()[-1]);
            uint64_t bit = uint64_t{1} << (mixed & 63);
            maybe = maybe || (bits & bit) != 0;
            bits |= bit;
        }
        if (!maybe) return false;
        size_t count = line_.fields.size();
        if (count <= 16) {
            for (size_t i = 1; i < count; ++i)
                for (size_t j = 0; j < i; ++j)
                    if (equal(line_.fields[i].key, line_.fields[j].key)) return true;
            return false;
        }
        keys_.clear();
        for (const Field& field : line_.fields)
            if (!keys_.emplace(field.key.data, field.key.size).second) return true;
        return false;
    }

    void sort_fields() {
        scratch_.size = 0;
        size_t room = 0;
        for (const Field& field : line_.fields) room += field.key.size;
        scratch_.room(room + 1);
        std::vector<std::pair<Span, size_t>> order;
        for (size_t i = 0; i < line_.fields.size(); ++i) order.emplace_back(plain(line_.fields[i].key), i);
        std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return compare(a.first, b.first) < 0; });
        std::vector<Field> sorted;
        for (const auto& entry : order) sorted.push_back(line_.fields[entry.second]);
        line_.fields.swap(sorted);
    }

    bool put_key(Span raw) {
        scratch_.size = 0;
        unescape(scratch_, raw);
        return put_escaped(out, scratch_.span(), Position::field);
    }

    // Whether the digits that were read are those that would be written.
    static bool is_shortest(const Field& field) {
        double number = std::fabs(field.number);
        if (field.places == 0 || !is_usual(number)) return false;
        Decimal decimal = shortest(number);
        for (; decimal.exponent < -field.places; ++decimal.exponent) {
            if (decimal.digits % 10 != 0) return false;
            decimal.digits /= 10;
        }
        return decimal.digits == field.digits && decimal.exponent == -field.places;
    }

    void put_value(const Field& field) {
        switch (field.kind) {
            case Kind::number:
                if (field.plain || is_shortest(field)) out.put(field.value);
                else put_double(out, field.number);
                return;
            case Kind::integer:
                if (field.plain) out.put(field.value);
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
            out.put(field.value);
            out.put('"');
            return;
        }
        scratch_.size = 0;
        unquote(scratch_, field.value);
        put_string(out, scratch_.span());
    }
};

}  // namespace lineprotocol
