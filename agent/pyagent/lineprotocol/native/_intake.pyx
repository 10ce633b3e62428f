# distutils: language = c++
# cython: language_level=3, boundscheck=False, wraparound=False, binding=True
"""Points taken one by one into one buffer. A module of its own: an agent has no use for it."""

from array import array

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint64_t
from libcpp.vector cimport vector

from pyagent.api.metric import Metric, MetricType, Uint
from pyagent.lineprotocol.results import Encoded


cdef extern from "text.hpp" namespace "lineprotocol":
    cdef cppclass Span:
        const char* data
        size_t size

    cdef cppclass Buffer:
        char* data
        size_t size


cdef extern from "python.hpp" namespace "lineprotocol":
    bint init_types(object metric, object uint, object untyped) except +*


cdef extern from "encode.hpp" namespace "lineprotocol":
    cdef cppclass Options:
        bint uint_support
        bint sort_fields
        bint omit_timestamp
        Py_ssize_t max_line_bytes


cdef extern from "intake.hpp" namespace "lineprotocol":
    cdef cppclass Taker "lineprotocol::Intake":
        Buffer out
        vector[uint64_t] ends
        int64_t oldest
        int64_t newest
        uint64_t room
        uint64_t room_bytes
        int64_t unit
        int64_t earliest
        int64_t latest
        int64_t ahead
        Taker(const Options&, object integer) except +
        Py_ssize_t put(object name, object fields, object tags, object time, PyObject* schemas) except +
        Span last()
        void append(Span lines, const uint64_t* offsets, size_t count, int64_t first, int64_t last) except +
        void clear()


init_types(Metric, Uint, MetricType.UNTYPED)


cdef class Intake:
    """See pyagent.client.intake. Each method is one step for other threads and for signals."""

    cdef Taker* taker
    cdef dict schemas
    cdef dict tags
    cdef object integer
    cdef Py_ssize_t batch
    cdef bint journal

    def __cinit__(
        self,
        integer,
        *,
        schemas=None,
        tags=None,
        Py_ssize_t batch=0,
        bint journal=False,
        int64_t unit,
        int64_t earliest,
        int64_t latest,
        int64_t ahead,
    ):
        cdef Options options
        options.uint_support = True
        options.sort_fields = options.omit_timestamp = False
        options.max_line_bytes = 0
        self.integer = integer
        self.schemas, self.tags, self.batch, self.journal = schemas, tags, batch, journal
        self.taker = new Taker(options, integer)
        self.taker.unit, self.taker.earliest, self.taker.latest, self.taker.ahead = unit, earliest, latest, ahead

    def __dealloc__(self):
        del self.taker

    def __len__(self):
        return self.taker.ends.size()

    @property
    def size(self):
        return self.taker.out.size

    def set_room(self, uint64_t points, uint64_t size):
        self.taker.room, self.taker.room_bytes = points, size

    def allow_ahead(self):
        self.taker.ahead = 2**62

    def add(self, name, fields, tags=None, time=None):
        return self.taker.put(name, fields, tags, time, <PyObject*>self.schemas if self.schemas is not None else NULL)

    def add_line(self, name, fields, tags=None, time=None):
        cdef PyObject* schemas = <PyObject*>self.schemas if self.schemas is not None else NULL
        cdef Py_ssize_t count = self.taker.put(name, fields, tags, time, schemas)
        if count <= 0:
            return count, b""
        cdef Span line = self.taker.last()
        return count, PyBytes_FromStringAndSize(line.data, line.size)

    def append(self, encoded):
        cdef bytes data = encoded.data
        cdef vector[uint64_t] offsets
        cdef Span lines
        if len(self) and (len(self) + encoded.count > self.taker.room or self.size + len(data) > self.taker.room_bytes):
            return -1
        if self.taker.room == 0 or self.taker.room_bytes == 0:
            return -1
        for end in encoded.ends:
            offsets.push_back(end)
        lines.data, lines.size = PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)
        self.taker.append(lines, offsets.data(), offsets.size(), encoded.oldest, encoded.newest)
        return len(self)

    def drain(self):
        cdef Taker* taker = self.taker
        # Bytes are made without anybody's code being run, of other threads or of finalizers: nothing can come in between.
        data = PyBytes_FromStringAndSize(taker.out.data, taker.out.size)
        ends = PyBytes_FromStringAndSize(<const char*>taker.ends.data(), taker.ends.size() * 8)
        cdef int64_t oldest = taker.oldest, newest = taker.newest
        taker.clear()
        return Encoded(data, array("Q", ends), oldest, newest, [])


def write(self, measurement, fields, tags=None, time=None):
    """What the usual call of Writer.write takes, in one step; all else is left to the writer."""
    cdef Intake intake = self._intake
    cdef PyObject* schemas = <PyObject*>intake.schemas if intake.schemas is not None else NULL
    cdef Py_ssize_t count
    if intake.tags is not None:
        tags = {**intake.tags, **(tags or {})}
    if intake.journal:
        count = self._add(measurement, fields, tags, time)
    else:
        count = intake.taker.put(measurement, fields, tags, time, schemas)
    if not 1 < count < intake.batch:
        self._rest(count, measurement, fields, tags, time)
