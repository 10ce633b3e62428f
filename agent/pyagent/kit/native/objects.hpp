// What metrics become in other formats. One that is out of the ordinary (text beyond ASCII, a number that needs an exponent) is
// left to the reference, the serializer of the format in pyagent_plugins/serializers.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "metrics.hpp"

namespace records {

using lineprotocol::Span;

class MetricWriter {
public:
    lineprotocol::Output out;

protected:
    struct Entry {
        Span key;
        PyObject* value;
    };

    std::vector<Entry> entries_;
    Span name_;
    PyObject *tags_ = nullptr, *fields_ = nullptr;
    int64_t time_ = 0;

    template <size_t kSize>
    void put_plain(const char (&text)[kSize]) { out.put(text, kSize - 1); }

    static bool ascii(PyObject* text, Span& bytes) {
        if (!PyUnicode_CheckExact(text) || !PyUnicode_IS_ASCII(text)) return false;
        bytes = {static_cast<const char*>(PyUnicode_DATA(text)), static_cast<size_t>(PyUnicode_GET_LENGTH(text))};
        return true;
    }

    // The metric's parts; false where one is out of the ordinary.
    bool take(PyObject* metric) {
        using lineprotocol::slot;
        using lineprotocol::types;
        if (Py_TYPE(metric) != types.metric) return false;
        PyObject *name = slot(metric, types.name), *time = slot(metric, types.time);
        tags_ = slot(metric, types.tags), fields_ = slot(metric, types.fields);
        if (name == nullptr || !ascii(name, name_) || tags_ == nullptr || !PyDict_CheckExact(tags_) || fields_ == nullptr ||
            !PyDict_CheckExact(fields_) || time == nullptr || !PyLong_CheckExact(time))
            return false;
        int overflow = 0;
        time_ = PyLong_AsLongLongAndOverflow(time, &overflow);
        return overflow == 0;
    }

    // Keys and values in their order.
    bool read(PyObject* dict) {
        entries_.clear();
        PyObject *key, *value;
        for (Py_ssize_t at = 0; PyDict_Next(dict, &at, &key, &value);) {
            Entry entry{{nullptr, 0}, value};
            if (!ascii(key, entry.key)) return false;
            entries_.push_back(entry);
        }
        return true;
    }

    bool read_sorted(PyObject* dict) {
        if (!read(dict)) return false;
        auto before = [](const Entry& a, const Entry& b) { return lineprotocol::compare(a.key, b.key) < 0; };
        if (!std::is_sorted(entries_.begin(), entries_.end(), before)) std::sort(entries_.begin(), entries_.end(), before);
        return true;
    }

    // A number that needs no exponent. False for others.
    bool put_double(double number) {
        double size = std::fabs(number);
        if (!std::isfinite(number) || (size != 0 && (size < 1e-6 || size >= 1e21))) return false;
        lineprotocol::put_double(out, number);
        return true;
    }

    bool put_integer(PyObject* value) {
        int overflow = 0;
        int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow);
        if (overflow != 0) return false;
        lineprotocol::put_signed(out, number);
        return true;
    }
};

// Objects of JSON.
class Objects : public MetricWriter {
public:
    // `unit`: ns, of the timestamps; at least 1.
    explicit Objects(int64_t unit) : unit_(unit) {}

    // False, and nothing written, where it is out of the ordinary.
    bool put(PyObject* metric) {
        size_t start = out.size;
        if (take(metric) && put_taken()) return true;
        out.size = start;
        return false;
    }

private:
    int64_t unit_;

    void put_text(Span text) {
        char* to = out.room(text.size * 6 + 2);
        *to++ = '"';
        for (const char* p = text.data; p != text.end(); ++p) {
            char c = *p;
            if (static_cast<unsigned char>(c) >= ' ' && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&') {
                *to++ = c;
                continue;
            }
            *to++ = '\\';
            switch (c) {
                case '"': case '\\': *to++ = c; break;
                case '\n': *to++ = 'n'; break;
                case '\r': *to++ = 'r'; break;
                case '\t': *to++ = 't'; break;
                case '\f': *to++ = 'f'; break;
                case '\b': *to++ = 'b'; break;
                default: {
                    constexpr char kHex[] = "0123456789abcdef";
                    *to++ = 'u', *to++ = '0', *to++ = '0';
                    *to++ = kHex[static_cast<unsigned char>(c) >> 4];
                    *to++ = kHex[c & 15];
                }
            }
        }
        *to++ = '"';
        out.size = static_cast<size_t>(to - out.data);
    }

    bool put_taken() {
        Span text;
        if (!read_sorted(fields_)) return false;
        put_plain("{\"fields\":{");
        bool any = false;
        for (const Entry& entry : entries_) {
            if (PyFloat_CheckExact(entry.value) && !std::isfinite(PyFloat_AS_DOUBLE(entry.value))) continue;
            if (any) out.put(',');
            any = true;
            put_text(entry.key);
            out.put(':');
            if (!put_value(entry.value)) return false;
        }
        put_plain("},\"name\":");
        put_text(name_);
        put_plain(",\"tags\":{");
        if (!read_sorted(tags_)) return false;
        any = false;
        for (const Entry& entry : entries_) {
            if (!ascii(entry.value, text)) return false;
            if (any) out.put(',');
            any = true;
            put_text(entry.key);
            out.put(':');
            put_text(text);
        }
        put_plain("},\"timestamp\":");
        lineprotocol::put_signed(out, time_ / unit_);
        out.put('}');
        return true;
    }

    bool put_value(PyObject* value) {
        PyTypeObject* type = Py_TYPE(value);
        if (type == &PyFloat_Type) return put_double(PyFloat_AS_DOUBLE(value));
        if (type == &PyLong_Type) return put_integer(value);
        if (value == Py_True) put_plain("true");
        else if (value == Py_False) put_plain("false");
        else {
            Span text;
            if (!ascii(value, text)) return false;
            put_text(text);
        }
        return true;
    }
};

// Rows of CSV: the time, the name, the tags' values and the fields', by their keys.
class Rows : public MetricWriter {
public:
    // `unit`: ns, of the timestamps; at least 1. `separator` is in no number.
    Rows(int64_t unit, char separator) : unit_(unit), separator_(separator) {}

    bool put(PyObject* metric) {
        size_t start = out.size;
        if (take(metric) && time_ >= 0 && put_taken()) return true;
        out.size = start;
        return false;
    }

private:
    int64_t unit_;
    char separator_;

    bool put_taken() {
        lineprotocol::put_signed(out, time_ / unit_);
        out.put(separator_);
        if (!put_text(name_) || !put_all(tags_) || !put_all(fields_)) return false;
        out.put('\n');
        return true;
    }

    bool put_all(PyObject* dict) {
        if (!read_sorted(dict)) return false;
        for (const Entry& entry : entries_) {
            out.put(separator_);
            if (!put_value(entry.value)) return false;
        }
        return true;
    }

    // One that needs quotes is out of the ordinary.
    bool put_text(Span text) {
        for (const char* p = text.data; p != text.end(); ++p)
            if (*p == separator_ || *p == '"' || *p == '\n' || *p == '\r' || *p == '\\') return false;
        if (text.size > 0 && static_cast<unsigned char>(text.data[0]) <= ' ') return false;
        out.put(text);
        return true;
    }

    bool put_value(PyObject* value) {
        PyTypeObject* type = Py_TYPE(value);
        if (type == &PyFloat_Type) return put_double(PyFloat_AS_DOUBLE(value));
        if (type == &PyLong_Type) return put_integer(value);
        Span text;
        if (value == Py_True) put_plain("true");
        else if (value == Py_False) put_plain("false");
        else return ascii(value, text) && put_text(text);
        return true;
    }
};

// Maps of MessagePack.
class Packs : public MetricWriter {
public:
    bool put(PyObject* metric) {
        size_t start = out.size;
        if (take(metric) && put_taken()) return true;
        out.size = start;
        return false;
    }

private:
    // `count` bytes, the most significant first.
    void put_bytes(uint64_t number, int count) {
        char* to = out.room(8);
        for (int i = count - 1; i >= 0; --i) *to++ = static_cast<char>(number >> (8 * i));
        out.size += static_cast<size_t>(count);
    }

    void put_kind(unsigned char kind, uint64_t number, int count) {
        out.put(static_cast<char>(kind));
        put_bytes(number, count);
    }

    void put_size(size_t size, unsigned char small, size_t most, unsigned char kind, bool byte) {
        if (size < most) out.put(static_cast<char>(small | size));
        else if (byte && size < 1 << 8) put_kind(kind, size, 1);
        else if (size < 1 << 16) put_kind(static_cast<unsigned char>(kind + byte), size, 2);
        else put_kind(static_cast<unsigned char>(kind + byte + 1), size, 4);
    }

    void put_text(Span text) {
        put_size(text.size, 0xA0, 32, 0xD9, true);
        out.put(text);
    }

    void put_map(PyObject* dict) { put_size(static_cast<size_t>(PyDict_GET_SIZE(dict)), 0x80, 16, 0xDE, false); }

    void put_time() {
        int64_t seconds = time_ / 1'000'000'000, rest = time_ % 1'000'000'000;
        if (rest < 0) --seconds, rest += 1'000'000'000;
        if (seconds < 0 || seconds >= int64_t{1} << 34) {
            put_plain("\xC7\x0C\xFF");
            put_bytes(static_cast<uint64_t>(rest), 4);
            put_bytes(static_cast<uint64_t>(seconds), 8);
        } else if (rest != 0 || seconds >= int64_t{1} << 32) {
            put_plain("\xD7\xFF");
            put_bytes(static_cast<uint64_t>(rest) << 34 | static_cast<uint64_t>(seconds), 8);
        } else {
            put_plain("\xD6\xFF");
            put_bytes(static_cast<uint64_t>(seconds), 4);
        }
    }

    void put_signed(int64_t number) {
        uint64_t size = static_cast<uint64_t>(number >= 0 ? number : -(number + 1)), bits = static_cast<uint64_t>(number);
        if (number >= -32 && number < 128) out.put(static_cast<char>(number));
        else if (size < 1 << 7) put_kind(0xD0, bits, 1);
        else if (size < 1 << 15) put_kind(0xD1, bits, 2);
        else if (size < uint64_t{1} << 31) put_kind(0xD2, bits, 4);
        else put_kind(0xD3, bits, 8);
    }

    bool put_taken() {
        put_plain("\x84\xA4name");
        put_text(name_);
        put_plain("\xA4time");
        put_time();
        put_plain("\xA4tags");
        put_map(tags_);
        Span text;
        if (!read(tags_)) return false;
        for (const Entry& entry : entries_) {
            if (!ascii(entry.value, text)) return false;
            put_text(entry.key);
            put_text(text);
        }
        put_plain("\xA6" "fields");
        put_map(fields_);
        if (!read(fields_)) return false;
        for (const Entry& entry : entries_) {
            put_text(entry.key);
            if (!put_value(entry.value)) return false;
        }
        return true;
    }

    bool put_value(PyObject* value) {
        PyTypeObject* type = Py_TYPE(value);
        Span text;
        if (type == &PyFloat_Type) {
            double number = PyFloat_AS_DOUBLE(value);
            uint64_t bits;
            std::memcpy(&bits, &number, sizeof bits);
            put_kind(0xCB, bits, 8);
        } else if (type == &PyLong_Type) {
            int overflow = 0;
            int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow);
            if (overflow != 0) return false;
            put_signed(number);
        } else if (value == Py_True || value == Py_False) {
            out.put(static_cast<char>(value == Py_True ? 0xC3 : 0xC2));
        } else {
            if (!ascii(value, text)) return false;
            put_text(text);
        }
        return true;
    }
};

}  // namespace records
