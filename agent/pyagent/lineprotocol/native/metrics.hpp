// Metrics on their way from a plugin: made of plain arguments, their times rounded, tags added. What is out of the ordinary
// is left to Python, which then decides about that metric alone.
#pragma once

#include "numbers.hpp"
#include "python.hpp"
#include "relay.hpp"

namespace lineprotocol {

// A new reference to a metric that keeps these; each is a new reference and given away, also where it fails.
inline PyObject* new_metric(PyObject* name, PyObject* tags, PyObject* fields, PyObject* time, PyObject* kind) {
    PyObject* metric = bare_metric();
    if (metric == nullptr) {
        for (PyObject* part : {name, tags, fields, time, kind}) Py_DECREF(part);
        return nullptr;
    }
    slot(metric, types.name) = name;
    slot(metric, types.tags) = tags;
    slot(metric, types.fields) = fields;
    slot(metric, types.time) = time;
    slot(metric, types.kind) = kind;
    return metric;
}

enum class Fit { as_it_is, nothing, as_float, odd };

// Whether a field takes this value as it is. `pin`: the type that the field is declared with; null: none.
inline Fit fit(PyObject* value, PyObject* pin) {
    PyTypeObject* type = Py_TYPE(value);
    PyTypeObject* wanted = reinterpret_cast<PyTypeObject*>(pin);
    if (type == &PyLong_Type) {
        int overflow = 0;
        PyLong_AsLongLongAndOverflow(value, &overflow);
        if (overflow != 0) return Fit::odd;
        if (wanted == &PyFloat_Type) return Fit::as_float;
    } else if (type == types.uint) {
        if (PyLong_AsUnsignedLongLong(value) == static_cast<unsigned long long>(-1) && PyErr_Occurred()) {
            PyErr_Clear();
            return Fit::odd;
        }
    } else if (value == Py_None) {
        return Fit::nothing;
    } else if (type != &PyFloat_Type && type != &PyUnicode_Type && type != &PyBool_Type) {
        return Fit::odd;
    }
    return wanted == nullptr || wanted == type ? Fit::as_it_is : Fit::odd;
}

// A new dict of what a plugin gives as fields; null where one is out of the ordinary or none is left.
inline PyObject* plain_fields(PyObject* given, PyObject* pins) {
    Ref fields(PyDict_Copy(given));
    if (!fields) return nullptr;
    PyObject *key, *value;
    for (Py_ssize_t at = 0; PyDict_Next(given, &at, &key, &value);) {
        if (!PyUnicode_CheckExact(key)) return nullptr;
        PyObject* pin = nullptr;
        if (pins != nullptr && (pin = PyDict_GetItemWithError(pins, key)) == nullptr && PyErr_Occurred()) return nullptr;
        switch (fit(value, pin)) {
            case Fit::as_it_is: break;
            case Fit::odd: return nullptr;
            case Fit::nothing:
                if (PyDict_DelItem(fields.get(), key) != 0) return nullptr;
                break;
            case Fit::as_float: {
                Ref number(PyFloat_FromDouble(static_cast<double>(PyLong_AsLongLong(value))));
                if (!number || PyDict_SetItem(fields.get(), key, number.get()) != 0) return nullptr;
            }
        }
    }
    return PyDict_GET_SIZE(fields.get()) != 0 ? fields.release() : nullptr;
}

// A new dict of what a plugin gives as tags; null where one is out of the ordinary.
inline PyObject* plain_tags(PyObject* given) {
    if (given == Py_None) return PyDict_New();
    if (!PyDict_CheckExact(given)) return nullptr;
    PyObject *key, *value;
    for (Py_ssize_t at = 0; PyDict_Next(given, &at, &key, &value);)
        if (!PyUnicode_CheckExact(key) || !PyUnicode_CheckExact(value)) return nullptr;
    return PyDict_Copy(given);
}

// A new reference: a metric, or None where something is out of the ordinary. `pins`: by measurement, by field, the type that
// the field is declared with. Null: an exception.
inline PyObject* plain_metric(PyObject* name, PyObject* fields, PyObject* tags, PyObject* time, PyObject* kind,
                              PyObject* pins) {
    if (PyUnicode_CheckExact(name) && PyUnicode_GET_LENGTH(name) != 0 && PyDict_CheckExact(fields) &&
        PyLong_CheckExact(time) && Py_TYPE(kind) == Py_TYPE(types.untyped) && PyDict_CheckExact(pins)) {
        PyObject* declared = PyDict_GET_SIZE(pins) != 0 ? PyDict_GetItemWithError(pins, name) : nullptr;
        if (declared == nullptr || PyDict_CheckExact(declared)) {
            Ref own_tags(plain_tags(tags));
            if (own_tags) {
                if (PyObject* own_fields = plain_fields(fields, declared))
                    return new_metric(Py_NewRef(name), own_tags.release(), own_fields, Py_NewRef(time), Py_NewRef(kind));
            }
        }
    }
    if (PyErr_Occurred()) return nullptr;
    return Py_NewRef(Py_None);
}

// Rounds a metric's time; false where it is out of the ordinary, or an exception is set.
inline bool round_metric(PyObject* metric, const Rounding& rounding) {
    if (Py_TYPE(metric) != types.metric) return false;
    PyObject*& time = slot(metric, types.time);
    if (time == nullptr || !PyLong_CheckExact(time)) return false;
    int overflow = 0;
    int64_t ns = PyLong_AsLongLongAndOverflow(time, &overflow);
    if (overflow != 0 || ns < kTimeMin + rounding.to || ns > kTimeMax - rounding.to) return false;
    int64_t result = rounded(ns, rounding);
    if (result == ns) return true;
    PyObject* number = PyLong_FromLongLong(result);
    if (number == nullptr) return false;
    Py_SETREF(time, number);
    return true;
}

// Gives a metric a new dict of tags, those of its own over `tags`; false where it is out of the ordinary, or with an exception.
inline bool add_tags(PyObject* metric, PyObject* tags) {
    if (Py_TYPE(metric) != types.metric) return false;
    PyObject*& own = slot(metric, types.tags);
    if (own == nullptr || !PyDict_CheckExact(own)) return false;
    Ref all(PyDict_Copy(tags));
    if (!all || PyDict_Update(all.get(), own) != 0) return false;
    Py_SETREF(own, all.release());
    return true;
}

}  // namespace lineprotocol
