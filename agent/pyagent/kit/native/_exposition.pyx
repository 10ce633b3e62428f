# distutils: language = c++
# cython: language_level=3, boundscheck=False, wraparound=False, binding=True
"""Prometheus' text format to metrics: see exposition.hpp. The reference is `pyagent.kit.exposition`."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t

from pyagent.api.metric import Metric, MetricType, Uint
from pyagent.kit.page_room import most_made, too_much


cdef extern from "text.hpp" namespace "lineprotocol":
    cdef cppclass Span:
        const char* data
        size_t size


cdef extern from "python.hpp" namespace "lineprotocol":
    bint init_types(object metric, object uint, object untyped) except +*


cdef extern from "exposition.hpp" namespace "exposition":
    bint init_kinds(object members) except +*

    cdef cppclass Page:
        bint odd, too_much
        Page(Span data, int version, int64_t now, bint ignore_timestamp, object tags, int64_t most) except +
        bint read(list metrics) except +*


init_types(Metric, Uint, MetricType.UNTYPED)
init_kinds(sorted(MetricType))


def read_exposition(bytes data not None, int version, now, bint ignore_timestamp, dict tags not None):
    """As the reference; None where the page has something out of the ordinary, which may be a fault. Others get their turn
    while it reads."""
    cdef list metrics = []
    cdef Span span
    if not -(2**63) <= now < 2**63:
        return None
    span.data, span.size = PyBytes_AS_STRING(data), <size_t>PyBytes_GET_SIZE(data)
    most = most_made(len(data))
    cdef Page* page = new Page(span, version, now, ignore_timestamp, tags, most)
    try:
        page.read(metrics)
        if page.too_much:
            raise too_much(most)
        return None if page.odd else metrics
    finally:
        del page
