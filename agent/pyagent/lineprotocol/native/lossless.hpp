// Metrics as records that lose nothing, and back: see ../lossless.py for the form. What is out of the ordinary is left to the
// reference, which then decides about that metric alone.
#pragma once

#include <algorithm>
#include <vector>

#include "encode.hpp"
#include "parse.hpp"

namespace lineprotocol {

constexpr size_t kKinds = 5;
inline PyObject* kinds[kKinds] = {};  // the members of Kind, by value

inline bool init_kinds(PyObject* members) {
    for (size_t i = 0; i < kKinds; ++i) kinds[i] = PySequence_GetItem(members, static_cast<Py_ssize_t>(i));
    return !PyErr_Occurred();
}

enum class Type : uint8_t { number, integer, unsigned_integer, string, yes, no };

class Packer {
public:
    Output out;
    std::vector<uint64_t> ends;
    int64_t oldest = 0, newest = 0;
    const char* reason = nullptr;  // why the last metric cannot be packed, where that is sure

    // False, and nothing written, if the metric is out of the ordinary.
    bool pack(PyObject* metric) {
        size_t start = out.size;
        reason = nullptr;
        if (Py_TYPE(metric) == types.metric && put_metric(metric)) return true;
        out.size = start;
        return false;
    }

    // Adds a record that the reference made.
    void add(Span record, bool any, int64_t time) {
        out.put(record);
        if (any) packed(time);
    }

private:
    Buffer scratch_;

    void packed(int64_t time) {
        oldest = ends.empty() ? time : std::min(oldest, time);
        newest = ends.empty() ? time : std::max(newest, time);
        ends.push_back(out.size);
    }

    bool put_metric(PyObject* metric) {
        PyObject* name = slot(metric, types.name);
        PyObject* tags = slot(metric, types.tags);
        PyObject* fields = slot(metric, types.fields);
        PyObject* time = slot(metric, types.time);
        PyObject* kind = slot(metric, types.kind);
        if (name == nullptr || !PyUnicode_CheckExact(name) || tags == nullptr || !PyDict_CheckExact(tags) ||
            fields == nullptr || !PyDict_CheckExact(fields) || time == nullptr || !PyLong_CheckExact(time) || kind == nullptr)
            return false;
        size_t number = 0;
        while (number < kKinds && kinds[number] != kind) ++number;
        if (number == kKinds) return false;
        int overflow = 0;
        int64_t ns = PyLong_AsLongLongAndOverflow(time, &overflow);
        if (overflow != 0) return false;
        if (PyDict_GET_SIZE(fields) == 0) {
            reason = kNoFields;
            return false;
        }
        out.put(static_cast<char>(number));
        put_raw(&ns);
        put_text(name);
        put_varint(static_cast<uint64_t>(PyDict_GET_SIZE(tags)));
        PyObject *key, *value;
        for (Py_ssize_t at = 0; PyDict_Next(tags, &at, &key, &value);) {
            if (!PyUnicode_CheckExact(key) || !PyUnicode_CheckExact(value)) return false;
            put_text(key);
            put_text(value);
        }
        put_varint(static_cast<uint64_t>(PyDict_GET_SIZE(fields)));
        for (Py_ssize_t at = 0; PyDict_Next(fields, &at, &key, &value);)
            if (!PyUnicode_CheckExact(key) || !put_field(key, value)) return false;
        packed(ns);
        return true;
    }

    bool put_field(PyObject* key, PyObject* value) {
        put_text(key);
        PyTypeObject* type = Py_TYPE(value);
        if (type == &PyFloat_Type) {
            double number = PyFloat_AS_DOUBLE(value);
            put_type(Type::number);
            put_raw(&number);
        } else if (type == &PyLong_Type) {
            int overflow = 0;
            int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow);
            if (overflow != 0) return false;
            put_type(Type::integer);
            put_raw(&number);
        } else if (type == &PyUnicode_Type) {
            put_type(Type::string);
            put_text(value);
        } else if (value == Py_True) {
            put_type(Type::yes);
        } else if (value == Py_False) {
            put_type(Type::no);
        } else if (type == types.uint) {
            uint64_t number = PyLong_AsUnsignedLongLong(value);
            if (number == static_cast<uint64_t>(-1) && PyErr_Occurred()) {
                PyErr_Clear();
                return false;
            }
            put_type(Type::unsigned_integer);
            put_raw(&number);
        } else {
            return false;
        }
        return true;
    }

    void put_type(Type type) { out.put(static_cast<char>(type)); }

    // Eight bytes, little-endian.
    void put_raw(const void* value) {
        uint64_t bits;
        std::memcpy(&bits, value, 8);
        char* to = out.room(8);
        for (int i = 0; i < 8; ++i) to[i] = static_cast<char>(bits >> (8 * i) & 0xFF);
        out.size += 8;
    }

    void put_varint(uint64_t number) {
        for (; number >= 0x80; number >>= 7) out.put(static_cast<char>((number & 0x7F) | 0x80));
        out.put(static_cast<char>(number));
    }

    void put_text(PyObject* text) {
        scratch_.size = 0;
        Span bytes = text_bytes(text, scratch_);
        put_varint(bytes.size);
        out.put(bytes);
    }
};

// Names, keys and tags that were read before.
inline Table<Known, 1024> plain_texts;

class Unpacker {
public:
    explicit Unpacker(Span data) : p_(data.data), end_(data.end()) {}

    // Appends the metrics to a list. False where the data are no records, or with an exception.
    bool unpack(PyObject* metrics) {
        while (p_ != end_) {
            Ref metric(next());
            if (!metric || PyList_Append(metrics, metric.get()) < 0) return false;
        }
        return true;
    }

private:
    const char* p_;
    const char* end_;

    bool has(uint64_t size) const { return size <= static_cast<uint64_t>(end_ - p_); }

    bool read_raw(void* value) {
        if (!has(8)) return false;
        uint64_t bits = 0;
        for (int i = 0; i < 8; ++i) bits |= static_cast<uint64_t>(static_cast<unsigned char>(p_[i])) << (8 * i);
        std::memcpy(value, &bits, 8);
        p_ += 8;
        return true;
    }

    bool read_varint(uint64_t& number) {
        number = 0;
        for (int shift = 0; shift <= 63; shift += 7) {
            if (p_ == end_) return false;
            unsigned char byte = static_cast<unsigned char>(*p_++);
            number |= static_cast<uint64_t>(byte & 0x7F) << shift;
            if (byte < 0x80) return true;
        }
        return false;
    }

    bool read_bytes(Span& text) {
        uint64_t size;
        if (!read_varint(size) || !has(size)) return false;
        text = {p_, static_cast<size_t>(size)};
        p_ += size;
        return true;
    }

    // The same object for the same text, where that is kept. A new reference.
    PyObject* known_text() {
        Span raw;
        if (!read_bytes(raw)) return nullptr;
        uint64_t hash = hash_bytes(raw);
        if (Known* known = find_known(plain_texts, hash, raw)) return Py_NewRef(known->text);
        PyObject* text = new_text(raw);
        if (text != nullptr && raw.size <= kLongKnown) plain_texts.add(Known::make(hash, raw, Py_NewRef(text), nullptr));
        return text;
    }

    PyObject* value() {
        if (p_ == end_) return nullptr;
        switch (static_cast<Type>(*p_++)) {
            case Type::number: {
                double number;
                return read_raw(&number) ? PyFloat_FromDouble(number) : nullptr;
            }
            case Type::integer: {
                int64_t number;
                return read_raw(&number) ? PyLong_FromLongLong(number) : nullptr;
            }
            case Type::unsigned_integer: {
                uint64_t number;
                if (!read_raw(&number)) return nullptr;
                Ref plain(PyLong_FromUnsignedLongLong(number));
                return plain ? PyObject_CallOneArg(reinterpret_cast<PyObject*>(types.uint), plain.get()) : nullptr;
            }
            case Type::string: {
                Span text;
                return read_bytes(text) ? new_text(text) : nullptr;
            }
            case Type::yes: return Py_NewRef(Py_True);
            case Type::no: return Py_NewRef(Py_False);
        }
        return nullptr;
    }

    PyObject* next() {
        size_t kind = static_cast<unsigned char>(*p_++);
        int64_t ns;
        if (kind >= kKinds || !read_raw(&ns)) return nullptr;
        Ref name(known_text()), tags(PyDict_New()), fields(PyDict_New());
        uint64_t count;
        if (!name || !tags || !fields || !read_varint(count)) return nullptr;
        for (; count != 0; --count) {
            Ref key(known_text());
            Ref text(key ? known_text() : nullptr);
            if (!text || PyDict_SetItem(tags.get(), key.get(), text.get()) < 0) return nullptr;
        }
        if (!read_varint(count)) return nullptr;
        for (; count != 0; --count) {
            Ref key(known_text());
            Ref found(key ? value() : nullptr);
            if (!found || PyDict_SetItem(fields.get(), key.get(), found.get()) < 0) return nullptr;
        }
        Ref time(PyLong_FromLongLong(ns));
        if (!time) return nullptr;
        PyObject* metric = bare_metric();
        if (metric == nullptr) return nullptr;
        slot(metric, types.name) = name.release();
        slot(metric, types.tags) = tags.release();
        slot(metric, types.fields) = fields.release();
        slot(metric, types.time) = time.release();
        slot(metric, types.kind) = Py_NewRef(kinds[kind]);
        return metric;
    }
};

}  // namespace lineprotocol
