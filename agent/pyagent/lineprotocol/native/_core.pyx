# distutils: language = c++
# cython: language_level=3, boundscheck=False, wraparound=False, binding=True
"""The native core: the reference's functions, with the same results. The work is in the headers beside this file."""

from array import array

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint64_t
from libcpp.vector cimport vector

from pyagent.api.metric import Metric, MetricType, Uint
from pyagent.api.line_options import LineOptions
from pyagent.lineprotocol.results import (
    EPOCH,
    MAX_ERROR_BYTES,
    METRIC_BYTES,
    TIME_MAX,
    TIME_MIN,
    Content,
    Encoded,
    InvalidLine,
    Parsed,
    Relayed,
    too_much,
    unit_ns,
)
from pyagent.lineprotocol.text import as_bytes, from_bytes, to_bytes


cdef extern from "text.hpp" namespace "lineprotocol":
    cdef cppclass Span:
        const char* data
        size_t size

    cdef cppclass Buffer:
        char* data
        size_t size


cdef extern from "python.hpp" namespace "lineprotocol":
    bint init_types(object metric, object uint, object untyped) except +*

    cdef cppclass NoCollection:
        pass


cdef extern from "scan.hpp" namespace "lineprotocol":
    const size_t kMaxData

    cdef cppclass Bad:
        const char* reason
        const char* at

    cdef cppclass BadLine:
        Bad bad
        Span text

    cdef cppclass BadLines:
        vector[BadLine] first
        uint64_t count

    cdef cppclass Times:
        int64_t fallback
        int64_t unit
        int64_t step
        bint fallback_fits


cdef extern from "encode.hpp" namespace "lineprotocol":
    cdef cppclass Options:
        bint uint_support
        bint sort_fields
        bint omit_timestamp
        Py_ssize_t max_line_bytes

    cdef cppclass Encoder:
        Buffer out
        vector[uint64_t] ends
        int64_t oldest
        int64_t newest
        const char* reason
        Encoder(const Options&) except +
        void set_defaults(object pairs) except +
        bint encode(object metric) except +
        void add(Span lines, bint any, int64_t time) except +


cdef extern from "parse.hpp" namespace "lineprotocol":
    cdef cppclass Parser:
        BadLines bad_lines
        bint too_much
        Parser(Span data, const Times&, uint64_t) except +
        bint parse(list metrics) except +*


cdef extern from "relay.hpp" namespace "lineprotocol":
    cdef cppclass Rounding:
        int64_t to
        int64_t rest

    int64_t rounded(int64_t, const Rounding&)

    cdef cppclass Relay:
        Buffer out
        vector[uint64_t] ends
        BadLines bad_lines
        int64_t oldest
        int64_t newest
        Span odd
        int64_t odd_time
        bint too_much
        Relay(Span data, const Times&, const Options&, const Rounding&, uint64_t) except +
        void add_tags(const vector[Span]&) except +
        bint run() except + nogil
        void add(Span lines, bint any, int64_t time) except +


cdef extern from "lossless.hpp" namespace "lineprotocol":
    bint init_kinds(object members) except +*

    cdef cppclass Packer:
        Buffer out
        vector[uint64_t] ends
        int64_t oldest
        int64_t newest
        const char* reason
        bint pack(object metric) except +
        void add(Span record, bint any, int64_t time) except +

    cdef cppclass Unpacker:
        Unpacker(Span data) except +
        bint unpack(list metrics) except +*
cdef extern from "metrics.hpp" namespace "lineprotocol":
    object _plain_metric "lineprotocol::plain_metric"(
        object name, object fields, object tags, object time, object kind, object pins
    )
    bint round_metric(object metric, const Rounding&) except? False
    bint _add_tags "lineprotocol::add_tags"(object metric, object tags) except? False


cdef object DEFAULT = LineOptions()

init_types(Metric, Uint, MetricType.UNTYPED)
init_kinds(sorted(MetricType))


def encode(metrics, options=DEFAULT, tags=()):
    """As the reference's `encode`."""
    if not _plain_pairs(tags):
        return _reference_encode(metrics, options, tags)
    cdef Encoder* encoder = new Encoder(_options(options))
    cdef list rejected = []
    cdef Span lines
    cdef bytes data
    try:
        encoder.set_defaults(tags)
        for metric in metrics:
            if encoder.encode(metric):
                continue
            if encoder.reason != NULL:
                rejected.append((metric, encoder.reason.decode()))
                continue
            alone = _reference_encode([metric], options, tags)
            data = alone.data
            lines.data, lines.size = PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)
            encoder.add(lines, alone.count == 1, alone.oldest)
            rejected += alone.rejected
        return _encoded(encoder.out, encoder.ends, encoder.oldest, encoder.newest, rejected)
    finally:
        del encoder


def plain_metric(name, fields, tags, time, kind, pins):
    """As the reference's `plain_metric`."""
    return _plain_metric(name, fields, tags, time, kind, pins)


def round_times(list metrics, precision):
    """As the reference's `round_times`."""
    cdef Rounding rounding
    if precision <= 1:
        return
    if precision >= 2**62:
        _reference_round(metrics, precision)
        return
    rounding.to = precision
    rounding.rest = EPOCH % precision
    for metric in metrics:
        if not round_metric(metric, rounding):
            _reference_round((metric,), precision)


def add_tags(list metrics, tags):
    """As the reference's `add_tags`."""
    cdef dict added = dict(tags)
    if not added:
        return
    for metric in metrics:
        if not _add_tags(metric, added):
            _reference_add(metric, added)


def parse(data, default_time, precision="ns", *, apart=False, most=0):
    """As the reference's `parse`."""
    cdef bytes text = as_bytes(data)
    cdef list metrics = []
    if <size_t>len(text) > kMaxData:
        return _reference_parse(text, default_time, precision, apart=apart, most=most)
    cdef NoCollection still
    cdef Parser* parser = new Parser(_span(text), _times(default_time, precision, apart), most)
    try:
        parser.parse(metrics)
        if parser.too_much:
            raise too_much(most)
        return Parsed(metrics, _errors(text, parser.bad_lines.first), parser.bad_lines.count)
    finally:
        del parser


def relay(data, default_time, precision="ns", options=DEFAULT, *, tags=None, round_to=1, apart=False, most=0):
    """As the reference's `relay`. Other threads run meanwhile."""
    cdef bytes text = as_bytes(data)
    cdef list rejected = [], kept = []
    cdef Rounding rounding
    cdef vector[Span] spans
    cdef bint done
    if <size_t>len(text) > kMaxData or not 0 <= round_to < 2**62 or not _plain(tags):
        return _reference_relay(
            text, default_time, precision, options, tags=tags, round_to=round_to, apart=apart, most=most
        )
    rounding.to = round_to
    rounding.rest = EPOCH % round_to if round_to > 1 else 0
    cdef Times times = _times(default_time, precision, apart)
    cdef Relay* relaying = new Relay(_span(text), times, _options(options), rounding, most)
    try:
        for key, value in (tags or {}).items():
            if key and value:
                kept += [to_bytes(key), to_bytes(value)]
        for item in kept:
            spans.push_back(_span(item))
        relaying.add_tags(spans)
        rest = most
        while True:
            with nogil:
                done = relaying.run()
            if relaying.too_much:
                raise too_much(most)
            if done:
                break
            rest -= METRIC_BYTES + relaying.odd.size
            if most and rest < 0:
                raise too_much(most)
            alone_text = <bytes>relaying.odd.data[: relaying.odd.size]
            metrics = parse(alone_text, relaying.odd_time, precision, most=most).metrics
            for metric in metrics:
                if tags:
                    metric.tags = {**tags, **metric.tags}
                metric.time = rounded(metric.time, rounding)
            alone = encode(metrics, options)
            relaying.add(_span(alone.data), alone.count == 1, alone.oldest)
            rejected += alone.rejected
        encoded = _encoded(relaying.out, relaying.ends, relaying.oldest, relaying.newest, rejected)
        return Relayed(encoded, _errors(text, relaying.bad_lines.first), relaying.bad_lines.count)
    finally:
        del relaying


def pack(metrics):
    """As the reference's `pack`."""
    cdef Packer* packer = new Packer()
    cdef list rejected = []
    cdef Span record
    cdef bytes data
    try:
        for metric in metrics:
            if packer.pack(metric):
                continue
            if packer.reason != NULL:
                rejected.append((metric, packer.reason.decode()))
                continue
            alone = _reference_pack([metric])
            data = alone.data
            record.data, record.size = PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)
            packer.add(record, alone.count == 1, alone.oldest)
            rejected += alone.rejected
        encoded = _encoded(packer.out, packer.ends, packer.oldest, packer.newest, rejected)
        encoded.content = Content.METRICS
        return encoded
    finally:
        del packer


def unpack(bytes data not None):
    """As the reference's `unpack`."""
    cdef list metrics = []
    cdef NoCollection still
    cdef Unpacker* unpacker = new Unpacker(_span(data))
    try:
        if not unpacker.unpack(metrics):
            raise ValueError("the data are no records of metrics")
        return metrics
    finally:
        del unpacker


# The reference is imported when something out of the ordinary asks for it, which in many processes is never.
def _reference_encode(metrics, options, tags):
    from pyagent.lineprotocol.encoder import encode

    return encode(metrics, options, tags)


def _reference_round(metrics, precision):
    from pyagent.lineprotocol.metrics import round_times

    round_times(metrics, precision)


def _reference_add(metric, tags):
    metric.tags = {**tags, **metric.tags}


def _reference_pack(metrics):
    from pyagent.lineprotocol.lossless import pack

    return pack(metrics)


def _reference_parse(*arguments, **named):
    from pyagent.lineprotocol.parser import parse

    return parse(*arguments, **named)


def _reference_relay(*arguments, **named):
    from pyagent.lineprotocol.relaying import relay

    return relay(*arguments, **named)


cdef bint _plain_pairs(tags) except -1:
    """Whether it is a tuple of pairs of str."""
    if type(tags) is not tuple:
        return False
    for pair in tags:
        if type(pair) is not tuple or len(pair) != 2 or type(pair[0]) is not str or type(pair[1]) is not str:
            return False
    return True


cdef bint _plain(tags) except -1:
    """Whether all are str, and no two keys can be the same bytes: surrogates could make them so."""
    for key, value in (tags or {}).items():
        if type(key) is not str or type(value) is not str:
            return False
        try:
            key.encode()
        except UnicodeEncodeError:
            return False
    return True


cdef Span _span(bytes text):
    cdef Span span
    span.data, span.size = PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text)
    return span


cdef Options _options(options) except *:
    cdef Options plain
    plain.uint_support = options.uint_support
    plain.sort_fields = options.sort_fields
    plain.omit_timestamp = options.omit_timestamp
    plain.max_line_bytes = min(max(options.max_line_bytes, 0), 2**62)
    return plain


cdef Times _times(default_time, precision, apart) except *:
    cdef Times times
    times.unit = unit_ns(precision)
    times.step = 1 if apart and times.unit == 1 else 0
    cut = default_time - default_time % times.unit
    times.fallback_fits = TIME_MIN <= cut <= TIME_MAX
    times.fallback = cut if times.fallback_fits else 0
    return times


cdef object _encoded(const Buffer& out, const vector[uint64_t]& ends, int64_t oldest, int64_t newest, list rejected):
    data = PyBytes_FromStringAndSize(out.data, out.size)
    offsets = array("Q", PyBytes_FromStringAndSize(<const char*>ends.data(), ends.size() * 8))
    return Encoded(data, offsets, oldest, newest, rejected)


cdef list _errors(bytes data, const vector[BadLine]& bad_lines):
    cdef const char* base = PyBytes_AS_STRING(data)
    cdef list errors = []
    cdef size_t i
    line, line_start = 1, 0
    for i in range(bad_lines.size()):
        at = bad_lines[i].bad.at - base
        line += data.count(b"\n", line_start, at)
        line_start = data.rfind(b"\n", 0, at) + 1
        column = len(from_bytes(data[line_start:at])) + 1
        text = from_bytes(bad_lines[i].text.data[: min(bad_lines[i].text.size, MAX_ERROR_BYTES)])
        errors.append(InvalidLine(line, column, bad_lines[i].bad.reason.decode(), text))
    return errors
