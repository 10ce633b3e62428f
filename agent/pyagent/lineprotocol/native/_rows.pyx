# distutils: language = c++
# cython: language_level=3, boundscheck=False, wraparound=False, binding=True
"""Rows of CSV to lines without Python objects: see rows.hpp. The reference is `pyagent.importer.columns`."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport INT64_MIN, int64_t, uint64_t
from libcpp.string cimport string
from libcpp.vector cimport vector


cdef extern from "rows.hpp" namespace "lineprotocol":
    cdef cppclass Span:
        const char* data
        size_t size

    cdef cppclass Buffer:
        char* data
        size_t size

    cdef enum class Kind(int):
        pass

    cdef enum class Clock(int):
        pass

    cdef enum class End(int):
        block, odd, hour

    cdef cppclass CellSpec:
        int index
        string fallback

    cdef cppclass TagSpec:
        string key
        CellSpec cell

    cdef cppclass FieldSpec:
        string key
        CellSpec cell
        Kind kind
        char decimal
        string removed

    cdef cppclass Offsets "std::unordered_map<int64_t, int64_t>":
        int64_t& operator[](int64_t)

    cdef cppclass Zone:
        bint is_utc
        Offsets offsets
        int64_t missing

    cdef cppclass TimeReader:
        Clock form
        int64_t unit
        Zone zone

    cdef cppclass CRows "lineprotocol::Rows":
        char separator
        size_t width
        bint strict_width
        bint missing_words
        string first_header
        string last_header
        CellSpec measurement
        vector[TagSpec] tags
        vector[FieldSpec] fields
        bint has_value
        CellSpec field_name
        FieldSpec value
        CellSpec time_cell
        TimeReader time
        bint has_time
        bint has_start
        int64_t start
        int64_t unit
        size_t longest
        Buffer out
        vector[uint64_t] ends
        vector[uint64_t] starts
        uint64_t points
        CRows() except +
        void clear() except + nogil
        End run(Span, size_t*, bint, uint64_t) except + nogil


cdef class Rows:
    """A table's plan: see `pyagent.importer.fast`, which makes it. `hours`: gives the offset of a local hour, None where the
    clock is changed in it or near it."""

    cdef CRows* rows
    cdef object hours

    def __cinit__(self):
        self.rows = new CRows()

    def __dealloc__(self):
        del self.rows

    def __init__(self, plan, hours):
        cdef FieldSpec field
        cdef TagSpec tag
        cdef CRows* rows = self.rows
        self.hours = hours
        rows.separator = <char>plan["separator"]
        rows.width = plan["width"]
        rows.strict_width = plan["strict_width"]
        rows.missing_words = plan["missing_words"]
        rows.first_header, rows.last_header = plan["header"]
        rows.measurement = _cell(plan["measurement"])
        for key, cell in plan["tags"]:
            tag.key, tag.cell = key, _cell(cell)
            rows.tags.push_back(tag)
        for spec in plan["fields"]:
            rows.fields.push_back(_field(spec))
        if plan["value"] is not None:
            rows.has_value = True
            rows.field_name = _cell(plan["field_name"])
            rows.value = _field(plan["value"])
        if plan["time"] is not None:
            rows.has_time = True
            cell, form, unit, is_utc = plan["time"]
            rows.time_cell = _cell(cell)
            rows.time.form = <Clock><int>form
            rows.time.unit, rows.time.zone.is_utc = unit, is_utc
        if plan["start"] is not None:
            rows.has_start, rows.start = True, plan["start"]
        rows.unit = plan["unit"]
        rows.longest = plan["longest"]

    def run(self, bytes text, size_t position, bint final, uint64_t base, uint64_t points):
        """Lines from `position` on: how far they go, and of them the bytes, ends, starts, and how many they are. Other threads
        run meanwhile."""
        cdef Span span
        cdef End end
        cdef CRows* rows = self.rows
        cdef int64_t hour
        span.data, span.size = PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text)
        rows.clear()
        rows.points = points
        while True:
            with nogil:
                end = rows.run(span, &position, final, base)
            if end != End.hour:
                break
            hour = rows.time.zone.missing
            offset = self.hours(hour)
            rows.time.zone.offsets[hour] = INT64_MIN if offset is None else offset
        return (
            position,
            PyBytes_FromStringAndSize(rows.out.data, rows.out.size),
            PyBytes_FromStringAndSize(<const char*>rows.ends.data(), rows.ends.size() * 8),
            PyBytes_FromStringAndSize(<const char*>rows.starts.data(), rows.starts.size() * 8),
            rows.points,
        )


cdef CellSpec _cell(spec) except *:
    cdef CellSpec cell
    cell.index, cell.fallback = spec
    return cell


cdef FieldSpec _field(spec) except *:
    cdef FieldSpec field
    key, cell, kind, decimal, removed = spec
    field.key, field.cell, field.kind = key, _cell(cell), <Kind><int>kind
    field.decimal, field.removed = <char>ord(decimal), removed
    return field
