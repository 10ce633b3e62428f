// Metrics to objects of JSON. One that is out of the ordinary (text beyond ASCII, a number that needs an exponent) is left to
// the reference, pyagent_plugins/serializers/json.py.
#pragma once

#include <algorithm>
#include <vector>

#include "metrics.hpp"

namespace records {

using lineprotocol::Span;

class Objects {
public:
    lineprotocol::Output out;

    // `unit`: ns, of the timestamps; at least 1.
    explicit Objects(int64_t unit) : unit_(unit) {}

    // False, and nothing written, where it is out of the ordinary.
    bool put(PyObject* metric) {
        size_t start = out.size;
        if (Py_TYPE(metric) == lineprotocol::types.metric && put_metric(metric)) return true;
        out.size = start;
        return false;
    }

private:
    struct Entry {
        Span key;
        PyObject* value;
    };

    int64_t unit_;
    std::vector<Entry> entries_;

    template <size_t kSize>
    void put_plain(const char (&text)[kSize]) { out.put(text, kSize - 1); }

    static bool ascii(PyObject* text, Span& bytes) {
        if (!PyUnicode_CheckExact(text) || !PyUnicode_IS_ASCII(text)) return false;
        bytes = {static_cast<const char*>(PyUnicode_DATA(text)), static_cast<size_t>(PyUnicode_GET_LENGTH(text))};
        return true;
    }

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

    bool read(PyObject* dict) {
        entries_.clear();
        PyObject *key, *value;
        for (Py_ssize_t at = 0; PyDict_Next(dict, &at, &key, &value);) {
            Entry entry{{nullptr, 0}, value};
            if (!ascii(key, entry.key)) return false;
            entries_.push_back(entry);
        }
        auto before = [](const Entry& a, const Entry& b) { return lineprotocol::compare(a.key, b.key) < 0; };
        if (!std::is_sorted(entries_.begin(), entries_.end(), before)) std::sort(entries_.begin(), entries_.end(), before);
        return true;
    }

    bool put_metric(PyObject* metric) {
        using lineprotocol::slot;
        using lineprotocol::types;
        PyObject *name = slot(metric, types.name), *tags = slot(metric, types.tags), *fields = slot(metric, types.fields),
                 *time = slot(metric, types.time);
        Span text;
        if (name == nullptr || !ascii(name, text) || tags == nullptr || !PyDict_CheckExact(tags) || fields == nullptr ||
            !PyDict_CheckExact(fields) || time == nullptr || !PyLong_CheckExact(time))
            return false;
        int overflow = 0;
        int64_t ns = PyLong_AsLongLongAndOverflow(time, &overflow);
        if (overflow != 0 || !read(fields)) return false;
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
        put_text(text);
        put_plain(",\"tags\":{");
        if (!read(tags)) return false;
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
        lineprotocol::put_signed(out, ns / unit_);
        out.put('}');
        return true;
    }

    bool put_value(PyObject* value) {
        PyTypeObject* type = Py_TYPE(value);
        if (type == &PyFloat_Type) {
            double number = PyFloat_AS_DOUBLE(value), size = std::fabs(number);
            if (size != 0 && (size < 1e-6 || size >= 1e21)) return false;
            lineprotocol::put_double(out, number);
            return true;
        }
        if (type == &PyLong_Type) {
            int overflow = 0;
            int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow);
            if (overflow != 0) return false;
            lineprotocol::put_signed(out, number);
            return true;
        }
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

}  // namespace records
