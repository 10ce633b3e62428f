// Points of a program, encoded where they are given: one call for each, into one buffer. What is out of the ordinary, or is
// not to be taken, is left to the caller, which says why.
#pragma once

#include <ctime>

#include "encode.hpp"

namespace lineprotocol {

// The types that a schema may ask for.
constexpr long kAsGiven = 0, kFloat = 1, kInteger = 2, kUnsigned = 3, kBoolean = 4, kString = 5;
constexpr int64_t kExact = int64_t{1} << 53;  // integers up to here are doubles without loss
constexpr size_t kMostText = 1 << 20;         // bytes of a string that InfluxDB takes

class Intake : public Encoder {
public:
    // Points and bytes that may wait; the caller changes them.
    uint64_t room = 0, room_bytes = 0;
    // A bare time is a number of these nanoseconds, and within these bounds.
    int64_t unit = 1, earliest = 0, latest = 0;
    // Nanoseconds that a point may be ahead of the clock.
    int64_t ahead = 0;

    Intake(const Options& options, PyObject* integer) : Encoder(options), integer_(reinterpret_cast<PyTypeObject*>(integer)) {}

    // The number of points that wait; 0 if this one is out of the ordinary, -1 if there is no room. `schemas`: null, or a dict
    // of a measurement's or the default (None) dict of types.
    Py_ssize_t put(PyObject* name, PyObject* fields, PyObject* tags, PyObject* time, PyObject* schemas) {
        if (ends.size() >= room || out.size >= room_bytes) return -1;
        size_t start = out.size;
        if (put_point(name, fields, tags, time, schemas)) return static_cast<Py_ssize_t>(ends.size());
        out.size = start;
        return 0;
    }

    // The line of the last point.
    Span last() const {
        size_t start = ends.size() > 1 ? ends[ends.size() - 2] : 0;
        return {out.data + start, out.size - start};
    }

    // Lines that were encoded elsewhere, each of one point, with the offsets of their ends.
    void append(Span lines, const uint64_t* offsets, size_t count, int64_t first, int64_t last) {
        if (count == 0) return;
        uint64_t base = out.size;
        oldest = ends.empty() ? first : std::min(oldest, first);
        newest = ends.empty() ? last : std::max(newest, last);
        out.put(lines);
        for (size_t i = 0; i < count; ++i) ends.push_back(base + offsets[i]);
    }

    // Forget what was taken out, and give back the memory of an unusual amount.
    void clear() {
        if (out.capacity() > kKept) {
            Buffer none;
            out.swap(none);
            std::vector<uint64_t>().swap(ends);
        }
        out.size = 0;
        ends.clear();
        oldest = newest = 0;
    }

protected:
    // As Encoder's, but nothing is cut off, left out or replaced.
    bool put_new_head(PyObject* const* texts, size_t count) override {
        if (!sound(texts[0]) || PyUnicode_READ_CHAR(texts[0], 0) == '#') return false;
        for (size_t i = 1; i < count; i += 2)
            if (!sound(texts[i]) || !sound(texts[i + 1]) || reserved(texts[i])) return false;
        return Encoder::put_new_head(texts, count);
    }

private:
    static constexpr size_t kKept = 4 << 20;
    PyTypeObject* integer_;
    int64_t clock_ = 0;  // when it was last read, ns
    Ref no_tags_{PyDict_New()};

    static int64_t now() {
        timespec time;
        clock_gettime(CLOCK_REALTIME, &time);
        return static_cast<int64_t>(time.tv_sec) * 1000000000 + time.tv_nsec;
    }

    static bool is_text(PyObject* text, const char* wanted) {
        return PyUnicode_IS_ASCII(text) && std::strcmp(static_cast<const char*>(PyUnicode_DATA(text)), wanted) == 0;
    }

    static bool reserved(PyObject* key) {
        return is_text(key, "time") || is_text(key, "_field") || is_text(key, "_measurement");
    }

    static bool is_utf8(PyObject* text) {
        if (PyUnicode_KIND(text) == PyUnicode_1BYTE_KIND) return true;
        for (Py_ssize_t i = 0; i < PyUnicode_GET_LENGTH(text); ++i) {
            Py_UCS4 c = PyUnicode_READ_CHAR(text, i);
            if (c >= 0xD800 && c <= 0xDFFF) return false;
        }
        return true;
    }

    // Whether a name, key or tag's value is kept as it is by whoever reads the line.
    static bool sound(PyObject* text) {
        Py_ssize_t length = PyUnicode_GET_LENGTH(text);
        if (length == 0) return false;
        Py_UCS4 c = 0;
        for (Py_ssize_t i = 0; i < length; ++i) {
            c = PyUnicode_READ_CHAR(text, i);
            if (c == '\t' || c == '\n' || c == '\f' || c == '\r' || c == '\0' || (c >= 0xD800 && c <= 0xDFFF)) return false;
        }
        return c != '\\';
    }

    bool put_point(PyObject* name, PyObject* fields, PyObject* tags, PyObject* time, PyObject* schemas) {
        if (tags == Py_None) tags = no_tags_.get();
        if (!PyUnicode_CheckExact(name) || !PyDict_CheckExact(tags) || !PyDict_CheckExact(fields)) return false;
        int64_t ns;
        if (time == Py_None) {
            ns = now();
        } else {
            int overflow = 0;
            if (!PyLong_CheckExact(time)) return false;
            int64_t given = PyLong_AsLongLongAndOverflow(time, &overflow);
            if (overflow != 0 || given < earliest / unit || given > latest / unit) return false;
            ns = given * unit;
            // What is not ahead of an older reading of the clock is not ahead now.
            if (ns - clock_ > ahead && ns - (clock_ = now()) > ahead) return false;
        }
        size_t start = out.size;
        if (!put_head(name, tags)) return false;
        size_t head = out.size - start;
        out.put(' ');
        longest_ = 0;
        PyObject* types = schemas == nullptr ? nullptr : PyDict_GetItem(schemas, name);
        if (types == nullptr && schemas != nullptr) types = PyDict_GetItem(schemas, Py_None);
        PyObject *key, *value;
        for (Py_ssize_t at = 0; PyDict_Next(fields, &at, &key, &value);)
            if (!put_value(key, value, types)) return false;
        if (out.size == start + head + 1) return false;
        out.data[out.size - 1] = ' ';  // instead of the last comma
        put_signed(out, ns);
        out.put('\n');
        if (!key_fits(head, longest_)) return false;
        encoded(ns);
        return true;
    }

    // A field with a comma behind it; None is no field.
    bool put_value(PyObject* key, PyObject* value, PyObject* types) {
        size_t start = out.size;
        PyObject*& plain = plain_keys[reinterpret_cast<uintptr_t>(key) / 16 % kPlainKeys];
        if (key == plain) {
            out.put(static_cast<const char*>(PyUnicode_DATA(key)), static_cast<size_t>(PyUnicode_GET_LENGTH(key)));
        } else {
            if (!PyUnicode_CheckExact(key) || !sound(key) || reserved(key)) return false;
            scratch_.size = 0;
            Span text = text_bytes(key, scratch_);
            if (!put_escaped(out, text, Position::field)) return false;
            bool as_it_is = PyUnicode_IS_ASCII(key) && text.size <= kLongHead && equal(text, out.span(start));
            if (as_it_is) Py_XSETREF(plain, Py_NewRef(key));
        }
        if (value == Py_None) {
            out.size = start;
            return true;
        }
        longest_ = std::max(longest_, out.size - start);
        out.put('=');
        long wanted = kAsGiven;
        if (types != nullptr) {
            PyObject* code = PyDict_GetItem(types, key);
            if (code != nullptr) wanted = PyLong_AsLong(code);
        }
        if (!put_typed(value, wanted)) return false;
        out.put(',');
        return true;
    }

    bool put_typed(PyObject* value, long wanted) {
        PyTypeObject* type = Py_TYPE(value);
        bool open = wanted == kAsGiven;
        if (type == &PyFloat_Type && (open || wanted == kFloat)) {
            double number = PyFloat_AS_DOUBLE(value);
            if (!std::isfinite(number)) return false;
            put_double(out, number);
            return true;
        }
        if (type == &PyLong_Type && (open || wanted <= kInteger)) {
            int overflow = 0;
            int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow);
            if (overflow != 0 || (wanted != kInteger && (number > kExact || number < -kExact))) return false;
            put_signed(out, number);
            if (wanted == kInteger) out.put('i');
            return true;
        }
        if (type == integer_ && (open || wanted == kInteger)) {
            int overflow = 0;
            int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow);
            if (overflow != 0) return false;
            put_signed(out, number);
            out.put('i');
            return true;
        }
        if (type == &PyUnicode_Type && (open || wanted == kString)) {
            if (!is_utf8(value)) return false;
            scratch_.size = 0;
            Span text = text_bytes(value, scratch_);
            if (text.size > kMostText) return false;
            put_string(out, text);
            return true;
        }
        if (type == &PyBool_Type && (open || wanted == kBoolean)) {
            value == Py_True ? out.put("true", 4) : out.put("false", 5);
            return true;
        }
        return false;
    }
};

}  // namespace lineprotocol
