// Lines to metrics.
#pragma once

#include "python.hpp"
#include "scan.hpp"
#include "table.hpp"

namespace lineprotocol {

constexpr size_t kLongKnown = 1024;  // not kept, so that the caches' size is bounded

// Text seen before, and what it was read as: a key, or a measurement with its tags.
struct Known {
    uint64_t hash;
    size_t size;
    PyObject* text;
    PyObject* tags;  // null for a key
    char* raw() { return reinterpret_cast<char*>(this + 1); }

    // Takes over both references.
    static Known* make(uint64_t hash, Span raw, PyObject* text, PyObject* tags) {
        void* memory = std::malloc(sizeof(Known) + raw.size);
        if (memory == nullptr) throw std::bad_alloc();
        Known* known = new (memory) Known{hash, raw.size, text, tags};
        std::memcpy(known->raw(), raw.data, raw.size);
        return known;
    }
    static void free(Known* known) {
        Py_XDECREF(known->text);
        Py_XDECREF(known->tags);
        std::free(known);
    }
};

inline Table<Known, 4096> head_table;
inline Table<Known, 1024> key_table;

template <class KnownTable>
Known* find_known(KnownTable& table, uint64_t hash, Span raw) {
    return table.find(hash, [&](Known& known) { return equal({known.raw(), known.size}, raw); });
}

class Parser {
public:
    BadLines bad_lines;
    bool too_much = false;

    // `most`: bytes of memory that the metrics may take, about; 0: any.
    Parser(Span data, const Times& times, uint64_t most) : data_(data), times_(times), most_(most) {}

    // Appends the metrics to a list, up to where they are `too_much`. False with an exception where memory or a type fails.
    // Other threads get their turn now and then.
    bool parse(PyObject* metrics) {
        const char* end = data_.end();
        for (const char* p = skip_leading(data_.data, end); p != end; p = skip_leading(p, end)) {
            const char* start = p;
            Bad bad;
            Ref name, tags;
            p = find_head(start, end, head_, bad);
            if (p != nullptr) {
                if (!read_head({start, static_cast<size_t>(p - start)}, name, tags, bad)) {
                    if (bad.reason == nullptr) return false;
                    p = nullptr;
                } else {
                    p = scan(p, end, start, bad);
                }
            }
            if (p == nullptr) {
                p = end_of_line(start, end, bad);
                bad_lines.add(bad, {start, static_cast<size_t>(p - start)});
                continue;
            }
            size_t values = static_cast<size_t>(PyDict_GET_SIZE(tags.get())) + line_.fields.size();
            made_ += kMetricBytes + kValueBytes * values + static_cast<size_t>(p - start);
            too_much = most_ != 0 && made_ > most_;
            if (too_much) return true;
            Ref metric(new_metric(name, tags));
            if (!metric || PyList_Append(metrics, metric.get()) < 0) return false;
        }
        return true;
    }

private:
    static constexpr uint64_t kMetricBytes = 500, kValueBytes = 80;  // METRIC_BYTES and VALUE_BYTES of ../results.py
    static constexpr ptrdiff_t kLongText = 1 << 20;                  // worth letting others run while it is scanned
    static constexpr size_t kTurn = 4096;                            // fields
    Span data_;
    Times times_;
    uint64_t most_, made_ = 0;
    Head head_;
    Line line_;
    Buffer scratch_;

    const char* scan(const char* p, const char* end, const char* start, Bad& bad) {
        if (end - p < kLongText) return scan_rest(p, end, start, times_, line_, bad);
        PyThreadState* state = PyEval_SaveThread();
        try {
            p = scan_rest(p, end, start, times_, line_, bad);
        } catch (...) {
            PyEval_RestoreThread(state);
            throw;
        }
        PyEval_RestoreThread(state);
        return p;
    }

    PyObject* new_unescaped(Span raw, bool equals = true) {
        if (std::memchr(raw.data, '\\', raw.size) == nullptr) return new_text(raw);
        scratch_.size = 0;
        unescape(scratch_, raw, equals);
        return new_text(scratch_.span());
    }

    // The same object for the same text, where that is kept. A new reference.
    PyObject* key_text(Span raw) {
        uint64_t hash = hash_bytes(raw);
        if (Known* known = find_known(key_table, hash, raw)) return Py_NewRef(known->text);
        PyObject* text = new_unescaped(raw);
        if (text != nullptr && raw.size <= kLongKnown) key_table.add(Known::make(hash, raw, Py_NewRef(text), nullptr));
        return text;
    }

    // False for a bad head, and with an exception and no reason in `bad`.
    bool read_head(Span raw, Ref& name, Ref& tags, Bad& bad) {
        uint64_t hash = hash_bytes(raw);
        if (Known* known = find_known(head_table, hash, raw)) {
            name.reset(Py_NewRef(known->text));
            // A copy may set off the garbage collector, and with it other threads that push this entry out.
            Ref kept(Py_NewRef(known->tags));
            tags.reset(PyDict_Copy(kept.get()));
            return static_cast<bool>(tags);
        }
        if (!scan_head(raw, head_, bad)) return false;
        name.reset(new_unescaped(head_.name, false));
        tags.reset(PyDict_New());
        if (!name || !tags) return false;
        for (const Tag& tag : head_.tags) {
            Ref key(key_text(tag.key));
            Ref value(key ? new_unescaped(tag.value) : nullptr);
            if (!value || PyDict_SetItem(tags.get(), key.get(), value.get()) < 0) return false;
        }
        if (raw.size > kLongKnown) return true;
        Ref copy(PyDict_Copy(tags.get()));
        if (!copy) return false;
        head_table.add(Known::make(hash, raw, Py_NewRef(name.get()), copy.release()));
        return true;
    }

    PyObject* new_value(const Field& field) {
        switch (field.kind) {
            case Kind::number: return PyFloat_FromDouble(field.number);
            case Kind::integer: return PyLong_FromLongLong(field.integer);
            case Kind::yes: return Py_NewRef(Py_True);
            case Kind::no: return Py_NewRef(Py_False);
            case Kind::unsigned_integer: {
                Ref number(PyLong_FromUnsignedLongLong(field.unsigned_integer));
                return number ? PyObject_CallOneArg(reinterpret_cast<PyObject*>(types.uint), number.get()) : nullptr;
            }
            case Kind::string: break;
        }
        if (field.plain) return new_text(field.value());
        scratch_.size = 0;
        unquote(scratch_, field.value());
        return new_text(scratch_.span());
    }

    PyObject* new_metric(Ref& name, Ref& tags) {
        Ref fields(PyDict_New());
        if (!fields) return nullptr;
        size_t count = 0;
        for (const Field& field : line_.fields) {
            if (++count % kTurn == 0) PyEval_RestoreThread(PyEval_SaveThread());
            Ref key(key_text(field.key()));
            Ref value(key ? new_value(field) : nullptr);
            if (!value || PyDict_SetItem(fields.get(), key.get(), value.get()) < 0) return nullptr;
        }
        Ref time(PyLong_FromLongLong(line_.time));
        if (!time) return nullptr;
        PyObject* metric = bare_metric();
        if (metric == nullptr) return nullptr;
        slot(metric, types.name) = name.release();
        slot(metric, types.tags) = tags.release();
        slot(metric, types.fields) = fields.release();
        slot(metric, types.time) = time.release();
        slot(metric, types.kind) = Py_NewRef(types.untyped);
        return metric;
    }
};

}  // namespace lineprotocol
