# distutils: language = c++
# cython: language_level=3, boundscheck=False, wraparound=False, binding=True, cdivision=True
"""Sums of fields over many metrics. The reference is the aggregator basicstats."""

from cpython.dict cimport PyDict_GetItem, PyDict_Next, PyDict_Size
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM


cdef class Sums:
    """What is known of one field of one series: attributes as the reference's have them."""

    cdef readonly long long count
    cdef readonly double min, max, sum, mean, squares, first, last

    cdef void take(self, double value) noexcept:
        cdef double delta
        if self.count == 0:
            self.min = self.max = self.sum = self.mean = self.first = value
            self.count = 1
        else:
            # Only what is smaller or larger counts, also where some are NaN.
            if value < self.min:
                self.min = value
            if value > self.max:
                self.max = value
            self.sum += value
            self.count += 1
            delta = value - self.mean
            self.mean += delta / <double>self.count
            self.squares += delta * (value - self.mean)
        self.last = value


def add_sums(metrics, dict found not None, sums_of):
    """Take the metrics' numbers into account. `found`: the sums of each series by field, by the series' name with the keys and
    values of its tags in their order. `sums_of(metric)`: the dict of a series that is not there."""
    cdef dict tags, fields, sums
    cdef tuple series
    cdef PyObject* key
    cdef PyObject* value
    cdef PyObject* known
    cdef Py_ssize_t at, index
    cdef Sums one
    cdef double number
    for metric in metrics:
        tags, fields = metric.tags, metric.fields
        series = PyTuple_New(1 + 2 * PyDict_Size(tags))
        name = metric.name
        Py_INCREF(name)
        PyTuple_SET_ITEM(series, 0, name)
        at, index = 0, 1
        while PyDict_Next(tags, &at, &key, &value):
            Py_INCREF(<object>key)
            PyTuple_SET_ITEM(series, index, <object>key)
            Py_INCREF(<object>value)
            PyTuple_SET_ITEM(series, index + 1, <object>value)
            index += 2
        known = PyDict_GetItem(found, series)
        if known == NULL:
            sums = sums_of(metric)
            found[series] = sums
        else:
            sums = <dict>known
        for field, given in fields.items():
            kind = type(given)
            if kind is float:
                number = <double>given
            elif kind is str or kind is bool:
                continue
            else:
                number = float(given)
            known = PyDict_GetItem(sums, field)
            if known == NULL:
                one = Sums.__new__(Sums)
                sums[field] = one
            else:
                one = <Sums>known
            one.take(number)
