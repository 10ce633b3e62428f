// Rows of CSV to lines of line protocol, for tables whose columns are all of kinds that are common. The reference is
// pyagent/importer/columns.py: a row that is odd in any way is left to it, so what is written here has to be what it writes,
// and nothing has to be told.
#pragma once

#include <string>
#include <vector>

#include "clock.hpp"

namespace lineprotocol {

enum class Kind : int { odd, string, real, integer, unsigned_integer, boolean };

struct CellSpec {
    int index;  // -1: in no row
    std::string fallback;
};

struct TagSpec {
    std::string key;  // ",key="
    CellSpec cell;
};

struct FieldSpec {
    std::string key;  // "key="
    CellSpec cell;
    Kind kind;
    char decimal;
    std::string removed;  // what is left out of numbers
};

enum class End : int { block, odd, hour };

class Rows {
public:
    char separator = ',';
    size_t width = 0;
    bool strict_width = false;
    bool missing_words = false;
    std::string first_header, last_header;
    CellSpec measurement{-1, ""};
    std::vector<TagSpec> tags;
    std::vector<FieldSpec> fields;
    bool has_value = false;
    CellSpec field_name{-1, ""};
    FieldSpec value{"", {-1, ""}, Kind::odd, '.', ""};
    CellSpec time_cell{-1, ""};
    TimeReader time;
    bool has_time = false;
    bool has_start = false;
    int64_t start = 0;
    int64_t unit = 1;
    size_t longest = 0;

    Buffer out;
    std::vector<uint64_t> ends, starts;
    uint64_t points = 0;

    void clear() {
        out.size = 0;
        ends.clear();
        starts.clear();
    }

    // Goes on from `position`, which is moved behind the last row that is done. `base`: bytes of lines before these.
    End run(Span text, size_t* position, bool final, uint64_t base) {
        while (*position < text.size) {
            size_t mark = out.size;
            const char* row = text.data + *position;
            const char* behind = split(row, text.end(), final);
            if (behind == nullptr) return End::odd;
            time.lacks_hour = false;
            bool empty = cells_.size() == 1 && cells_[0].size == 0 && *row != '"';
            if (!empty && !write(static_cast<size_t>(behind - row))) {
                out.size = mark;
                return time.lacks_hour ? End::hour : End::odd;
            }
            if (!empty) {
                ends.push_back(base + out.size);
                starts.push_back(*position);
                ++points;
            }
            *position = static_cast<size_t>(behind - text.data);
        }
        return End::block;
    }

private:
    std::vector<Span> cells_;
    std::string plain_;

    // The cells of the row at `p`; where the next one begins, or null where it does not end here or its quotes are odd.
    const char* split(const char* p, const char* end, bool final) {
        cells_.clear();
        const char* const row = p;
        for (;;) {
            if (p != end && *p == '"') {
                const char* start = ++p;
                for (;;) {
                    p = static_cast<const char*>(std::memchr(p, '"', static_cast<size_t>(end - p)));
                    if (p == nullptr) return nullptr;
                    if (p + 1 != end && p[1] == '"') return nullptr;  // rare enough for the reference
                    break;
                }
                Span cell{start, static_cast<size_t>(p - start)};
                if (std::memchr(cell.data, '\r', cell.size) != nullptr) return nullptr;
                cells_.push_back(cell);
                ++p;
            } else {
                const char* start = p;
                while (p != end && *p != separator && *p != '\n') {
                    if (*p == '"') return nullptr;
                    ++p;
                }
                if (p == end && !final) return nullptr;
                Span cell{start, static_cast<size_t>(p - start)};
                if ((p == end || *p == '\n') && cell.size != 0 && cell.data[cell.size - 1] == '\r') --cell.size;
                cells_.push_back(cell);
            }
            if (p == end) return final ? (p == row ? nullptr : p) : nullptr;
            if (*p == separator) {
                ++p;
                continue;
            }
            if (*p == '\n') return p + 1;
            if (*p == '\r' && p + 1 != end && p[1] == '\n') return p + 2;
            return nullptr;
        }
    }

    Span value_of(const CellSpec& spec) const {
        if (spec.index >= 0 && static_cast<size_t>(spec.index) < cells_.size()) {
            Span cell = cells_[static_cast<size_t>(spec.index)];
            if (cell.size != 0) return cell;
        }
        return {spec.fallback.data(), spec.fallback.size()};
    }

    bool write(size_t row_size) {
        if (cells_[0].size != 0 && cells_[0].data[0] == '#') return false;
        if ((longest != 0 && row_size > longest) || row_size > 65535) return false;  // it may hold more than InfluxDB takes
        if (cells_.size() != width) {
            if (strict_width) return false;
            for (size_t i = width; i < cells_.size(); ++i)
                if (cells_[i].size != 0) return false;
        }
        if (is_header()) return false;
        if (missing_words)
            for (const Span& cell : cells_)  // blanks around a cell are left out
                if (cell.size != 0 && (cell.data[0] == ' ' || cell.data[cell.size - 1] == ' ')) return false;
        Span name = value_of(measurement);
        if (name.size == 0 || name.data[0] == '#' || name.data[0] == '\0' || !is_utf8(name)) return false;
        if (!put_escaped(out, name, Position::measurement)) return false;
        for (const TagSpec& tag : tags) {
            Span text = value_of(tag.cell);
            if (text.size == 0) continue;
            if (!is_utf8(text) || (missing_words && is_blank(text))) return false;
            size_t mark = out.size;
            out.put({tag.key.data(), tag.key.size()});
            if (!put_escaped(out, text, Position::tag)) out.size = mark;
        }
        out.put(' ');
        size_t before = out.size;
        if (has_value && !write_named()) return false;
        for (const FieldSpec& field : fields) {
            Span text = value_of(field.cell);
            if (text.size == 0) continue;
            size_t mark = out.size;
            if (out.size != before) out.put(',');
            out.put({field.key.data(), field.key.size()});
            bool missing = false;
            if (!write_value(field, text, &missing)) return false;
            if (missing) out.size = mark;
        }
        if (out.size == before) return false;
        return write_time();
    }

    bool is_header() const {
        return width != 0 && cells_.size() == width &&
               equal(cells_[0], {first_header.data(), first_header.size()}) &&
               equal(cells_[width - 1], {last_header.data(), last_header.size()});
    }

    // The field whose name is in the row.
    bool write_named() {
        Span text = value_of(value.cell), name = value_of(field_name);
        if (!is_utf8(name)) return false;
        if (text.size == 0 || name.size == 0) return true;
        size_t mark = out.size;
        if (!put_escaped(out, name, Position::field)) return true;
        out.put('=');
        bool missing = false;
        if (!write_value(value, text, &missing)) return false;
        if (missing) out.size = mark;
        return true;
    }

    bool write_time() {
        if (!has_time) {
            if (has_start) {
                out.put(' ');
                put_signed(out, start + static_cast<int64_t>(points));
            }
            out.put('\n');
            return true;
        }
        Span text = value_of(time_cell);
        int64_t ns;
        if (text.size == 0 || !time.read(text, &ns)) return false;
        if (unit != 1) ns = ns >= 0 ? ns / unit : -((-ns + unit - 1) / unit);
        out.put(' ');
        put_signed(out, ns);
        out.put('\n');
        return true;
    }

    bool write_value(const FieldSpec& field, Span text, bool* missing) {
        if (missing_words && (*missing = is_missing(text))) return true;
        switch (field.kind) {
            case Kind::string:
                if (!is_utf8(text)) return false;
                put_string(out, text);
                return true;
            case Kind::real: return write_real(field, text);
            case Kind::integer:
            case Kind::unsigned_integer: return write_whole(field, text);
            case Kind::boolean: return write_boolean(text);
            default: return false;
        }
    }

    // A number with a point, and nothing in it that is left out. Only single bytes can be.
    bool plain(const FieldSpec& field, Span* text) {
        bool clean = field.decimal == '.';
        for (size_t i = 0; i < text->size; ++i) {
            unsigned char c = static_cast<unsigned char>(text->data[i]);
            if (c >= 0x80) return false;
            if (clean && field.removed.find(static_cast<char>(c)) != std::string::npos) clean = false;
        }
        if (clean) return true;
        plain_.clear();
        for (size_t i = 0; i < text->size; ++i) {
            char c = text->data[i];
            if (field.removed.find(c) != std::string::npos) continue;
            plain_.push_back(c == field.decimal ? '.' : c);
        }
        *text = {plain_.data(), plain_.size()};
        return true;
    }

    bool write_real(const FieldSpec& field, Span text) {
        if (field.decimal == '.' && write_as_it_is(text)) return true;
        if (!plain(field, &text)) return false;
        if (write_as_it_is(text)) return true;
        const char* p = text.data;
        const char* end = text.end();
        bool negative = p != end && *p == '-';
        if (p != end && (negative || *p == '+')) ++p;
        Digits digits;
        p = read_digits(p, end, digits);
        int places = 0;
        if (p != end && *p == '.') {
            const char* fraction = ++p;
            p = read_digits(p, end, digits);
            places = static_cast<int>(p - fraction);
        }
        // What has an exponent or very many digits is for the reference.
        if (p != end || digits.count == 0 || !digits.fits || digits.count > 19 || places >= kPowers) return false;
        double number = digits.value == 0 ? 0.0 : divided(digits.value, places);
        size_t mark = out.size;
        if (negative) out.put('-');
        if (put_usual(out, number)) return true;
        out.size = mark;
        return false;
    }

    // Up to 15 digits are the shortest that read back as the same double, if nothing in them could be left out.
    bool write_as_it_is(Span text) {
        if (text.size == 0 || text.size > 17) return false;
        const char* p = text.data;
        const char* end = text.end();
        if (*p == '-') ++p;
        const char* begin = p;
        while (p != end && static_cast<unsigned char>(*p - '0') < 10) ++p;
        ptrdiff_t whole = p - begin;
        if (whole == 0 || (whole > 1 && *begin == '0')) return false;
        ptrdiff_t places = 0;
        if (p != end) {
            if (*p != '.') return false;
            const char* fraction = ++p;
            while (p != end && static_cast<unsigned char>(*p - '0') < 10) ++p;
            places = p - fraction;
            if (p != end || places == 0 || p[-1] == '0') return false;
        }
        if (whole + places > 15) return false;
        out.put(text);
        return true;
    }

    bool write_whole(const FieldSpec& field, Span text) {
        if (!plain(field, &text)) return false;
        const char* p = text.data;
        const char* end = text.end();
        bool is_signed = field.kind == Kind::integer;
        bool negative = false;
        if (is_signed && p != end && (*p == '-' || *p == '+')) negative = *p++ == '-';
        Digits digits;
        p = read_digits(p, end, digits);
        if (p != end || digits.count == 0 || !digits.fits) return false;
        if (is_signed) {
            int64_t number;
            if (!signed_value(digits, negative, &number)) return false;
            put_signed(out, number);
            out.put('i');
        } else {
            put_unsigned(out, digits.value);
            out.put('u');
        }
        return true;
    }

    bool write_boolean(Span text) {
        switch (text.data[0]) {
            case 't': case 'T': case 'y': case 'Y': case '1': out.put("true", 4); return true;
            case 'f': case 'F': case 'n': case 'N': case '0': out.put("false", 5); return true;
            default: return false;
        }
    }

    static bool is_blank(Span text) {
        for (size_t i = 0; i < text.size; ++i)
            if (!is_space(text.data[i])) return false;
        return true;
    }

    static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

    // MISSING of values.py.
    static bool is_missing(Span text) {
        while (text.size != 0 && is_space(text.data[text.size - 1])) --text.size;
        while (text.size != 0 && is_space(*text.data)) ++text.data, --text.size;
        if (text.size == 0) return true;
        if (text.size > 4) return false;
        char small[5] = {};
        for (size_t i = 0; i < text.size; ++i) {
            char c = text.data[i];
            small[i] = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
        }
        for (const char* word : {"null", "nan", "n/a", "na", "none", "nil", "mm", "-", "--", "#n/a", "."})
            if (std::strlen(word) == text.size && std::memcmp(small, word, text.size) == 0) return true;
        return false;
    }

    static bool is_utf8(Span text) {
        const unsigned char* p = reinterpret_cast<const unsigned char*>(text.data);
        const unsigned char* end = p + text.size;
        while (p != end) {
            unsigned char c = *p++;
            if (c < 0x80) continue;
            int more = c >= 0xC2 && c <= 0xDF ? 1 : c >= 0xE0 && c <= 0xEF ? 2 : c >= 0xF0 && c <= 0xF4 ? 3 : 0;
            if (more == 0 || end - p < more) return false;
            unsigned char second = *p;
            if ((c == 0xE0 && second < 0xA0) || (c == 0xED && second > 0x9F) || (c == 0xF0 && second < 0x90) ||
                (c == 0xF4 && second > 0x8F))
                return false;
            for (int i = 0; i < more; ++i, ++p)
                if ((*p & 0xC0) != 0x80) return false;
        }
        return true;
    }
};

}  // namespace lineprotocol
