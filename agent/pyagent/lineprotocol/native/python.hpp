// Python's objects: text as bytes, and metrics without the cost of looking their attributes up.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <utility>

#include "text.hpp"

namespace lineprotocol {

// An owned reference.
class Ref {
public:
    Ref() = default;
    explicit Ref(PyObject* object) : object_(object) {}
    Ref(const Ref&) = delete;
    Ref& operator=(const Ref&) = delete;
    ~Ref() { Py_XDECREF(object_); }
    PyObject* get() const { return object_; }
    void reset(PyObject* object) { Py_XSETREF(object_, object); }
    PyObject* release() { return std::exchange(object_, nullptr); }
    explicit operator bool() const { return object_ != nullptr; }

private:
    PyObject* object_ = nullptr;
};

// No garbage collection while many metrics are made at once: none of them is garbage, and each collection would look at all.
class NoCollection {
public:
    NoCollection() : was_on_(PyGC_Disable() != 0) {}
    NoCollection(const NoCollection&) = delete;
    NoCollection& operator=(const NoCollection&) = delete;
    ~NoCollection() {
        if (was_on_) PyGC_Enable();
    }

private:
    bool was_on_;
};

struct Types {
    PyTypeObject* metric = nullptr;
    PyTypeObject* uint = nullptr;
    PyObject* untyped = nullptr;  // MetricType.UNTYPED
    Py_ssize_t name = 0, tags = 0, fields = 0, time = 0, kind = 0;  // where a metric keeps them
};

inline Types types;

// Where instances keep the slot `name`; -1 with an exception if it is no slot.
inline Py_ssize_t slot_offset(PyObject* type, const char* name) {
    Ref descriptor(PyObject_GetAttrString(type, name));
    if (!descriptor) return -1;
    if (Py_TYPE(descriptor.get()) == &PyMemberDescr_Type) {
        PyMemberDef* member = reinterpret_cast<PyMemberDescrObject*>(descriptor.get())->d_member;
        if (member->type == T_OBJECT_EX) return member->offset;
    }
    PyErr_Format(PyExc_TypeError, "Metric.%s is not a slot", name);
    return -1;
}

inline bool init_types(PyObject* metric, PyObject* uint, PyObject* untyped) {
    types.metric = reinterpret_cast<PyTypeObject*>(metric);
    types.uint = reinterpret_cast<PyTypeObject*>(uint);
    types.untyped = untyped;
    Py_INCREF(metric);
    Py_INCREF(uint);
    Py_INCREF(untyped);
    return (types.name = slot_offset(metric, "name")) > 0 && (types.tags = slot_offset(metric, "tags")) > 0 &&
           (types.fields = slot_offset(metric, "fields")) > 0 && (types.time = slot_offset(metric, "time")) > 0 &&
           (types.kind = slot_offset(metric, "kind")) > 0;
}

// Borrowed; null if it was never set.
inline PyObject*& slot(PyObject* object, Py_ssize_t offset) {
    return *reinterpret_cast<PyObject**>(reinterpret_cast<char*>(object) + offset);
}

// A new metric without its parts. The collector does not look at it: it is made of plain values, so it is part of no cycle, and
// a text of a million lines would have each of its metrics looked at several times.
inline PyObject* bare_metric() {
    PyObject* metric = types.metric->tp_alloc(types.metric, 0);
    if (metric != nullptr) PyObject_GC_UnTrack(metric);
    return metric;
}

inline Py_hash_t text_hash(PyObject* text) {
    Py_hash_t hash = reinterpret_cast<PyASCIIObject*>(text)->hash;
    return hash != -1 ? hash : PyObject_Hash(text);
}

inline bool same_text(PyObject* a, PyObject* b) {
    return a == b || (PyUnicode_GET_LENGTH(a) == PyUnicode_GET_LENGTH(b) && PyUnicode_KIND(a) == PyUnicode_KIND(b) &&
                      std::memcmp(PyUnicode_DATA(a), PyUnicode_DATA(b),
                                  static_cast<size_t>(PyUnicode_GET_LENGTH(a)) * PyUnicode_KIND(a)) == 0);
}

template <class Char>
char* put_utf8(char* to, const Char* p, size_t count) {
    for (const Char* end = p + count; p != end; ++p) {
        uint32_t c = *p;
        if (c < 0x80) {
            *to++ = static_cast<char>(c);
        } else if (c < 0x800) {
            *to++ = static_cast<char>(0xC0 | c >> 6);
            *to++ = static_cast<char>(0x80 | (c & 0x3F));
        } else if (c >= 0xDC80 && c <= 0xDCFF) {
            *to++ = static_cast<char>(c & 0xFF);  // a byte that was not UTF-8
        } else if (c < 0x10000) {
            if (c >= 0xD800 && c <= 0xDFFF) c = 0xFFFD;  // no bytes stand for it
            *to++ = static_cast<char>(0xE0 | c >> 12);
            *to++ = static_cast<char>(0x80 | (c >> 6 & 0x3F));
            *to++ = static_cast<char>(0x80 | (c & 0x3F));
        } else {
            *to++ = static_cast<char>(0xF0 | c >> 18);
            *to++ = static_cast<char>(0x80 | (c >> 12 & 0x3F));
            *to++ = static_cast<char>(0x80 | (c >> 6 & 0x3F));
            *to++ = static_cast<char>(0x80 | (c & 0x3F));
        }
    }
    return to;
}

// The bytes of an exact str, in itself or behind what `scratch` holds; true until `scratch` grows.
inline Span text_bytes(PyObject* text, Buffer& scratch) {
    size_t length = static_cast<size_t>(PyUnicode_GET_LENGTH(text));
    if (PyUnicode_IS_ASCII(text)) return {static_cast<const char*>(PyUnicode_DATA(text)), length};
    size_t start = scratch.size;
    char* to = scratch.room(length * 4);
    const void* data = PyUnicode_DATA(text);
    switch (PyUnicode_KIND(text)) {
        case PyUnicode_1BYTE_KIND: to = put_utf8(to, static_cast<const Py_UCS1*>(data), length); break;
        case PyUnicode_2BYTE_KIND: to = put_utf8(to, static_cast<const Py_UCS2*>(data), length); break;
        default: to = put_utf8(to, static_cast<const Py_UCS4*>(data), length);
    }
    scratch.size = static_cast<size_t>(to - scratch.data);
    return scratch.span(start);
}

// A new str; bytes that are not UTF-8 by surrogateescape.
inline PyObject* new_text(Span bytes) {
    unsigned char high = 0;
    for (const char* p = bytes.data; p != bytes.end(); ++p) high |= static_cast<unsigned char>(*p);
    if (high >= 0x80) return PyUnicode_DecodeUTF8(bytes.data, static_cast<Py_ssize_t>(bytes.size), "surrogateescape");
    PyObject* text = PyUnicode_New(static_cast<Py_ssize_t>(bytes.size), 127);
    if (text != nullptr && bytes.size != 0) std::memcpy(PyUnicode_DATA(text), bytes.data, bytes.size);
    return text;
}

}  // namespace lineprotocol
