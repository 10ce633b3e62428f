// Metrics to lines. What is out of the ordinary is left to the reference, which then decides about that metric alone.
#pragma once

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "numbers.hpp"
#include "python.hpp"
#include "scan.hpp"
#include "table.hpp"

namespace lineprotocol {

struct Options {
    bool uint_support, sort_fields, omit_timestamp;
    Py_ssize_t max_line_bytes;
};

constexpr size_t kLongHead = 1024;  // not kept, so that the cache's size is bounded

// Why a metric cannot be encoded, in the words of ../encoder.py.
constexpr const char* kNoName = "invalid name";
constexpr const char* kNoFields = "no serializable fields";
constexpr const char* kLongKey = "max key length exceeded";
constexpr const char* kLongField = "need more space: a field does not fit max_line_bytes";

// Whether receivers take a key of a field that is so long, written behind such a head.
inline bool key_fits(size_t head, size_t key) { return head + 4 + key <= kMaxKey; }

// Spreads the fields of the line at `start` over lines of at most `limit` bytes. `pairs`: the ends of the fields, from the
// buffer's start. False if one field is too long. Beyond `most` bytes it stops.
inline bool spread(Buffer& out, size_t start, size_t head, size_t tail, const std::vector<size_t>& pairs, size_t limit,
                   size_t most = SIZE_MAX) {
    if (out.size - start <= limit) return true;
    Buffer lines;
    Span line = out.span(start);
    Span tail_text{line.end() - tail, tail};
    size_t width = 0;  // of the line being written; 0 before the first
    size_t begin = start + head + 1;
    for (size_t end : pairs) {
        Span pair{out.data + begin, end - begin};
        if (head + 1 + pair.size + tail > limit) return false;
        if (lines.size > most) break;
        if (width != 0 && width + 1 + pair.size <= limit) {
            lines.put(',');
            width += 1 + pair.size;
        } else {
            if (width != 0) lines.put(tail_text);
            lines.put(line.data, head + 1);
            width = head + 1 + pair.size + tail;
        }
        lines.put(pair);
        begin = end + 1;
    }
    lines.put(tail_text);
    out.size = start;
    out.put(lines.span());
    return true;
}

// A tag as plain bytes.
struct TagText {
    Span key, value;
};

// Tags in the order of their keys, none of which is empty. What cannot be written is left out, and so is one whose key, as
// written, was written before. False where two keys are the same bytes.
inline bool put_tags(Buffer& out, std::vector<TagText>& tags) {
    auto before = [](const TagText& a, const TagText& b) { return compare(a.key, b.key) < 0; };
    if (!std::is_sorted(tags.begin(), tags.end(), before)) std::stable_sort(tags.begin(), tags.end(), before);
    bool maybe_alike = false;
    for (size_t i = 0; i < tags.size(); ++i) {
        if (i != 0 && equal(tags[i - 1].key, tags[i].key)) return false;
        maybe_alike = maybe_alike || !is_injective(tags[i].key);
    }
    std::set<std::string> written;
    for (const TagText& tag : tags) {
        size_t start = out.size;
        out.put(',');
        bool kept = put_escaped(out, tag.key, Position::tag);
        size_t key_end = out.size;
        out.put('=');
        kept = kept && put_escaped(out, tag.value, Position::tag);
        if (kept && maybe_alike) kept = written.emplace(out.data + start, key_end - start).second;
        if (!kept) out.size = start;
    }
    return true;
}

// A series seen before: its name, its tags' keys and values, and all of them as written, with the default tags that it was
// written with.
struct Series {
    uint64_t hash;
    size_t count;  // of texts
    size_t size;
    PyObject* defaults;  // by identity; null: none
    PyObject** texts() { return reinterpret_cast<PyObject**>(this + 1); }
    char* head() { return reinterpret_cast<char*>(texts() + count); }

    static Series* make(uint64_t hash, PyObject* const* texts, size_t count, Span head, PyObject* defaults) {
        void* memory = std::malloc(sizeof(Series) + count * sizeof(PyObject*) + head.size);
        if (memory == nullptr) throw std::bad_alloc();
        Series* series = new (memory) Series{hash, count, head.size, Py_XNewRef(defaults)};
        for (size_t i = 0; i < count; ++i) {
            Py_INCREF(texts[i]);
            series->texts()[i] = texts[i];
        }
        std::memcpy(series->head(), head.data, head.size);
        return series;
    }
    static void free(Series* series) {
        for (size_t i = 0; i < series->count; ++i) Py_DECREF(series->texts()[i]);
        Py_XDECREF(series->defaults);
        std::free(series);
    }
};

inline Table<Series, 4096> series_table;

// Keys, known by where they are, that are written as they are: a plugin gives the same ones again and again.
constexpr size_t kPlainKeys = 256;
inline PyObject* plain_keys[kPlainKeys] = {};

class Encoder {
public:
    Output out;
    std::vector<uint64_t> ends;
    int64_t oldest = 0, newest = 0;
    const char* reason = nullptr;  // why the last metric cannot be encoded, where that is sure

    explicit Encoder(const Options& options) : options_(options) {}
    virtual ~Encoder() = default;

    // Tags for metrics that have none of these keys: a tuple of pairs of exact str, which the caller holds.
    void set_defaults(PyObject* pairs) {
        if (PyTuple_GET_SIZE(pairs) == 0) return;
        defaults_ = pairs;
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(pairs); ++i) {
            PyObject* pair = PyTuple_GET_ITEM(pairs, i);
            default_texts_.push_back(PyTuple_GET_ITEM(pair, 0));
            default_texts_.push_back(PyTuple_GET_ITEM(pair, 1));
        }
    }

    // False, and nothing written, if the metric is out of the ordinary.
    bool encode(PyObject* metric) {
        size_t start = out.size;
        reason = nullptr;
        if (Py_TYPE(metric) == types.metric && put_metric(metric)) return true;
        out.size = start;
        return false;
    }

    // Adds lines that the reference wrote.
    void add(Span lines, bool any, int64_t time) {
        out.put(lines);
        if (any) encoded(time);
    }

protected:
    Options options_;
    struct Sorted {
        Span text;
        PyObject *key, *value;
    };
    Buffer scratch_, keys_;
    std::vector<size_t> pairs_;
    std::vector<PyObject*> texts_;
    std::vector<TagText> tags_;
    std::vector<Sorted> sorted_;
    size_t longest_ = 0;  // of the fields' keys as written
    PyObject* defaults_ = nullptr;
    std::vector<PyObject*> default_texts_;

    bool fail(const char* why) {
        reason = why;
        return false;
    }

    void encoded(int64_t time) {
        oldest = ends.empty() ? time : std::min(oldest, time);
        newest = ends.empty() ? time : std::max(newest, time);
        ends.push_back(out.size);
    }

    bool put_metric(PyObject* metric) {
        PyObject* name = slot(metric, types.name);
        PyObject* tags = slot(metric, types.tags);
        PyObject* fields = slot(metric, types.fields);
        PyObject* time = slot(metric, types.time);
        if (name == nullptr || !PyUnicode_CheckExact(name) || tags == nullptr || !PyDict_CheckExact(tags) ||
            fields == nullptr || !PyDict_CheckExact(fields) || time == nullptr || !PyLong_CheckExact(time))
            return false;
        int overflow = 0;
        int64_t ns = PyLong_AsLongLongAndOverflow(time, &overflow);
        if (overflow != 0 || ns < kTimeMin || ns > kTimeMax) return false;
        size_t start = out.size;
        if (!put_head(name, tags)) return false;
        size_t head = out.size - start;
        out.put(' ');
        if (options_.max_line_bytes > 0) pairs_.clear();
        longest_ = 0;
        if (!(options_.sort_fields ? put_sorted(fields) : put_fields(fields))) return false;
        if (out.size == start + head + 1) return fail(kNoFields);
        out.data[out.size - 1] = ' ';  // instead of the last comma
        if (options_.omit_timestamp) {
            out.data[out.size - 1] = '\n';
        } else {
            put_signed(out, ns);
            out.put('\n');
        }
        if (!key_fits(head, longest_)) return fail(kLongKey);
        if (options_.max_line_bytes > 0) {
            size_t tail = out.size - pairs_.back();
            if (!spread(out, start, head, tail, pairs_, static_cast<size_t>(options_.max_line_bytes)))
                return fail(kLongField);
        }
        encoded(ns);
        return true;
    }

    bool put_head(PyObject* name, PyObject* tags) {
        size_t pairs = static_cast<size_t>(PyDict_GET_SIZE(tags));
        texts_.resize(1 + 2 * pairs);
        PyObject** texts = texts_.data();
        texts[0] = name;
        size_t count = 1;
        auto joined = [](uint64_t hash, PyObject* text) {  // Python's hashes are good ones: adding up is enough
            return (hash << 7 | hash >> 57) + static_cast<uint64_t>(text_hash(text));
        };
        uint64_t hash = joined(pairs ^ reinterpret_cast<uintptr_t>(defaults_) >> 4, name);
        PyObject *key, *value;
        for (Py_ssize_t at = 0; PyDict_Next(tags, &at, &key, &value);) {
            if (!PyUnicode_CheckExact(key) || !PyUnicode_CheckExact(value)) return false;
            texts[count++] = key;
            texts[count++] = value;
            hash = joined(joined(hash, key), value);
        }
        Series* known = series_table.find(hash, [&](Series& series) {
            if (series.count != count || series.defaults != defaults_) return false;
            for (size_t i = 0; i < count; ++i)
                if (!same_text(series.texts()[i], texts[i])) return false;
            return true;
        });
        if (known != nullptr) {
            out.put(known->head(), known->size);
            return true;
        }
        size_t start = out.size;
        size_t own = count;
        for (size_t i = 0; i < default_texts_.size(); i += 2) {
            bool is_there = false;
            for (size_t k = 1; k < own && !is_there; k += 2) is_there = same_text(texts_[k], default_texts_[i]);
            if (is_there) continue;
            texts_.push_back(default_texts_[i]);
            texts_.push_back(default_texts_[i + 1]);
            count += 2;
        }
        if (!put_new_head(texts_.data(), count)) return false;
        Span head = out.span(start);
        if (head.size <= kLongHead && series_table.worth(hash))
            series_table.add(Series::make(hash, texts_.data(), own, head, defaults_));
        return true;
    }

    virtual bool put_new_head(PyObject* const* texts, size_t count) {
        size_t start = out.size;
        scratch_.size = 0;
        if (!put_escaped(out, text_bytes(texts[0], scratch_), Position::measurement) || out.data[start] == '#') return false;
        tags_.clear();
        keys_.size = 0;
        size_t room = 0;
        for (size_t i = 1; i < count; ++i) room += static_cast<size_t>(PyUnicode_GET_LENGTH(texts[i])) * 4;
        keys_.room(room + 1);  // so that it never moves while the spans point into it
        for (size_t i = 1; i < count; i += 2) {
            Span key = text_bytes(texts[i], keys_);
            if (key.size != 0) tags_.push_back({key, text_bytes(texts[i + 1], keys_)});
        }
        return put_tags(out, tags_);
    }

    // Each field with a comma behind it.
    bool put_fields(PyObject* fields) {
        PyObject *key, *value;
        for (Py_ssize_t at = 0; PyDict_Next(fields, &at, &key, &value);)
            if (!put_field(key, value)) return false;
        return true;
    }

    bool put_sorted(PyObject* fields) {
        sorted_.clear();
        keys_.size = 0;
        size_t room = 0;
        PyObject *key, *value;
        for (Py_ssize_t at = 0; PyDict_Next(fields, &at, &key, &value);) {
            if (!PyUnicode_CheckExact(key)) return false;
            if (!PyUnicode_IS_ASCII(key)) room += static_cast<size_t>(PyUnicode_GET_LENGTH(key)) * 4;
        }
        keys_.room(room + 1);
        for (Py_ssize_t at = 0; PyDict_Next(fields, &at, &key, &value);)
            sorted_.push_back({text_bytes(key, keys_), key, value});
        std::stable_sort(sorted_.begin(), sorted_.end(),
                         [](const Sorted& a, const Sorted& b) { return compare(a.text, b.text) < 0; });
        for (const Sorted& field : sorted_)
            if (!put_field(field.key, field.value)) return false;
        return true;
    }

    bool put_field(PyObject* key, PyObject* value) {
        size_t start = out.size;
        PyObject*& plain = plain_keys[reinterpret_cast<uintptr_t>(key) / 16 % kPlainKeys];
        if (key == plain) {
            out.put(static_cast<const char*>(PyUnicode_DATA(key)), static_cast<size_t>(PyUnicode_GET_LENGTH(key)));
        } else {
            if (!PyUnicode_CheckExact(key)) return false;
            scratch_.size = 0;
            Span text = text_bytes(key, scratch_);
            if (!put_escaped(out, text, Position::field)) return true;
            bool as_it_is = PyUnicode_IS_ASCII(key) && text.size <= kLongHead && equal(text, out.span(start));
            if (as_it_is) Py_XSETREF(plain, Py_NewRef(key));
        }
        longest_ = std::max(longest_, out.size - start);
        out.put('=');
        PyTypeObject* type = Py_TYPE(value);
        if (type == &PyFloat_Type) {
            double number = PyFloat_AS_DOUBLE(value);
            if (!std::isfinite(number)) {
                out.size = start;
                return true;
            }
            put_double(out, number);
        } else if (type == &PyLong_Type) {
            int overflow = 0;
            int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow);
            if (overflow != 0) return false;
            put_signed(out, number);
            out.put('i');
        } else if (type == &PyUnicode_Type) {
            scratch_.size = 0;
            put_string(out, text_bytes(value, scratch_));
        } else if (value == Py_True) {
            out.put("true", 4);
        } else if (value == Py_False) {
            out.put("false", 5);
        } else if (type == types.uint) {
            uint64_t number = PyLong_AsUnsignedLongLong(value);
            if (number == static_cast<uint64_t>(-1) && PyErr_Occurred()) {
                PyErr_Clear();
                return false;
            }
            if (!options_.uint_support) number = std::min(number, uint64_t{INT64_MAX});
            put_unsigned(out, number);
            out.put(options_.uint_support ? 'u' : 'i');
        } else {
            return false;
        }
        if (options_.max_line_bytes > 0) pairs_.push_back(out.size);
        out.put(',');
        return true;
    }
};

}  // namespace lineprotocol
