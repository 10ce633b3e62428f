# distutils: language = c++
# cython: language_level=3, boundscheck=False, wraparound=False, binding=True
"""CSV, logfmt and JSON to metrics: see records.hpp; and metrics to JSON, CSV and MessagePack: see objects.hpp. The references
are the parsers of these formats, and the serializers."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.ref cimport PyObject
from libc.stdint cimport int64_t
from libcpp.vector cimport vector

from pyagent.api.metric import Metric, MetricType, Uint


cdef extern from "text.hpp" namespace "lineprotocol":
    cdef cppclass Span:
        const char* data
        size_t size

    cdef cppclass Buffer:
        char* data
        size_t size
        void put(Span span) except +


cdef extern from "python.hpp" namespace "lineprotocol":
    bint init_types(object metric, object uint, object untyped) except +*

    cdef cppclass NoCollection:
        pass


cdef extern from "records.hpp" namespace "records":
    cdef cppclass Cells:
        char delimiter
        Py_ssize_t skipped
        PyObject* names
        vector[long] columns
        vector[Span] missing
        PyObject* before
        PyObject* behind
        PyObject* measurement
        PyObject* measurement_column
        PyObject* guess
        PyObject* typed
        PyObject* time
        PyObject* now
        PyObject* named
        int64_t unit
        bint timed

    cdef cppclass Table:
        bint odd
        Table(Span data, const Cells& cells) except +
        bint read(list metrics) except +*

    cdef cppclass Pairs:
        bint odd
        Pairs(
            Span data, PyObject* name, PyObject* tags, PyObject* role_of, PyObject* guess, PyObject* unquoted, PyObject* now
        ) except +
        bint read(list metrics) except +*

    cdef cppclass Document:
        bint odd
        Document(
            Span data,
            PyObject* measurement,
            PyObject* tags,
            PyObject* role_of,
            PyObject* text_of,
            PyObject* number_text,
            PyObject* time_of,
            PyObject* now,
        ) except +
        bint read(list metrics) except +*


cdef extern from "records.hpp" namespace "records":
    const char* _find_open "records::find_open"(const char* start, const char* end)


cdef extern from "objects.hpp" namespace "records":
    cdef cppclass Objects:
        Buffer out
        Objects(int64_t unit) except +
        bint put(object metric) except +

    cdef cppclass Rows:
        Buffer out
        Rows(int64_t unit, char separator) except +
        bint put(object metric) except +

    cdef cppclass Packs:
        Buffer out
        Packs() except +
        bint put(object metric) except +


init_types(Metric, Uint, MetricType.UNTYPED)


cdef Span _span(bytes text):
    cdef Span span
    span.data, span.size = PyBytes_AS_STRING(text), <size_t>PyBytes_GET_SIZE(text)
    return span


def read_rows(
    bytes data not None,
    *,
    char delimiter,
    Py_ssize_t skipped,
    list names not None,
    list columns not None,
    list missing not None,
    dict before,
    dict behind,
    str measurement not None,
    str measurement_column,
    guess,
    typed,
    time,
    int64_t unit,
    bint timed,
    now,
    named,
):
    """Metrics of the rows, whose lines end in LF alone; None where something is out of the ordinary, which may be a fault.

    `columns`: for each of `names` what its values become, by the numbers of `Column` in records.hpp. `missing`: values that
    count as none. `before`, `behind`: tags that those of columns replace, and that replace those. `typed((name, text, column))`
    gives a value of a column's type, `time(text)` a time, `guess(text)` a value by its look, `named(value)` a measurement.
    """
    cdef Cells cells
    cdef list metrics = []
    cdef Table* table
    if len(names) != len(columns):
        raise ValueError("there is not one column for each name")
    cells.delimiter, cells.skipped, cells.unit, cells.timed = delimiter, skipped, unit, timed
    cells.names = <PyObject*>names
    for column in columns:
        cells.columns.push_back(column)
    for text in missing:
        cells.missing.push_back(_span(text))
    cells.before = <PyObject*>before if before else NULL
    cells.behind = <PyObject*>behind if behind else NULL
    cells.measurement = <PyObject*>measurement
    cells.measurement_column = <PyObject*>measurement_column if measurement_column is not None else NULL
    cells.guess, cells.typed, cells.time = <PyObject*>guess, <PyObject*>typed, <PyObject*>time
    cells.now, cells.named = <PyObject*>now, <PyObject*>named
    cdef NoCollection still
    table = new Table(_span(data), cells)
    try:
        table.read(metrics)
        return None if table.odd else metrics
    finally:
        del table


def read_pairs(bytes data not None, str measurement not None, dict tags not None, role_of, guess, unquoted, now):
    """Metrics of lines of logfmt, None where something is out of the ordinary, which may be a fault. `role_of(key)` is 1 for a
    tag's key, else 0."""
    cdef list metrics = []
    cdef NoCollection still
    cdef Pairs* pairs = new Pairs(
        _span(data), <PyObject*>measurement, <PyObject*>tags, <PyObject*>role_of, <PyObject*>guess, <PyObject*>unquoted,
        <PyObject*>now,
    )
    try:
        pairs.read(metrics)
        return None if pairs.odd else metrics
    finally:
        del pairs


def read_objects(
    bytes data not None, str measurement not None, dict tags not None, role_of, text_of, number_text, time_of, now
):
    """Metrics of an object or a list of them, None where something is out of the ordinary, which may be a fault.

    `role_of(key)`: 1 for a tag, 2 for a field that may be text or a boolean, 4 for the measurement, 8 for the time; their sum
    where a key is several. `text_of(literal)` reads a string with escapes, `number_text(number)` writes a tag, `time_of(value)`
    reads a time; None: all are of the time `now`.
    """
    cdef list metrics = []
    cdef NoCollection still
    cdef Document* document = new Document(
        _span(data),
        <PyObject*>measurement,
        <PyObject*>tags,
        <PyObject*>role_of,
        <PyObject*>text_of,
        <PyObject*>number_text,
        <PyObject*>time_of if time_of is not None else NULL,
        <PyObject*>now,
    )
    try:
        document.read(metrics)
        return None if document.odd else metrics
    finally:
        del document


def write_objects(metrics, int64_t unit, object_of):
    """Objects of JSON with commas between them, as the serializer writes them. `unit`: ns, of timestamps. `object_of(metric)`:
    the bytes of one that is out of the ordinary."""
    cdef Objects* objects
    cdef bytes alone
    cdef bint first = True
    if unit < 1:
        raise ValueError("a unit of time has at least a nanosecond")
    objects = new Objects(unit)
    try:
        for metric in metrics:
            if not first:
                objects.out.put(_span(b","))
            first = False
            if not objects.put(metric):
                alone = object_of(metric)
                objects.out.put(_span(alone))
        return PyBytes_FromStringAndSize(objects.out.data, objects.out.size)
    finally:
        del objects


def write_rows(metrics, int64_t unit, char separator, row_of):
    """Rows of CSV, as the serializer writes them. `unit`: ns, of timestamps. `row_of(metric)`: the bytes of one that is out of
    the ordinary, with the end of the line."""
    cdef Rows* rows
    cdef bytes alone
    if unit < 1:
        raise ValueError("a unit of time has at least a nanosecond")
    rows = new Rows(unit, separator)
    try:
        for metric in metrics:
            if not rows.put(metric):
                alone = row_of(metric)
                rows.out.put(_span(alone))
        return PyBytes_FromStringAndSize(rows.out.data, rows.out.size)
    finally:
        del rows


def write_packs(metrics, pack_of):
    """Maps of MessagePack, as the serializer writes them. `pack_of(metric)`: the bytes of one that is out of the ordinary."""
    cdef bytes alone
    cdef Packs* packs = new Packs()
    try:
        for metric in metrics:
            if not packs.put(metric):
                alone = pack_of(metric)
                packs.out.put(_span(alone))
        return PyBytes_FromStringAndSize(packs.out.data, packs.out.size)
    finally:
        del packs


def find_open(bytes lines not None, Py_ssize_t start):
    """As `pyagent.kit.framing.find_open`."""
    cdef const char* data = PyBytes_AS_STRING(lines)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(lines)
    if not 0 <= start <= size:
        raise ValueError("the start is not within the lines")
    cdef const char* found = _find_open(data + start, data + size)
    return -1 if found == NULL else found - data
