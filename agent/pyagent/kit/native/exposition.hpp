// Prometheus' text format to metrics, without Python where that can be. What is out of the ordinary (a fault, a name in
// quotes) makes the page odd: the reference, pyagent/kit/exposition.py, then reads it from the start.
#pragma once

#include <algorithm>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "metrics.hpp"

namespace exposition {

using lineprotocol::Buffer;
using lineprotocol::Digits;
using lineprotocol::equal;
using lineprotocol::Ref;
using lineprotocol::Span;

enum Kind { untyped, counter, gauge, summary, histogram, nothing };  // the first five as MetricType has them

inline PyObject* kinds[5];

inline bool init_kinds(PyObject* members) {
    if (PyList_GET_SIZE(members) != 5) {
        PyErr_SetString(PyExc_TypeError, "MetricType has not five members");
        return false;
    }
    for (int i = 0; i < 5; ++i) kinds[i] = Py_NewRef(PyList_GET_ITEM(members, i));
    return true;
}

inline bool is_blank(char c) { return c == ' ' || c == '\t'; }
inline bool is_digit(char c) { return static_cast<unsigned char>(c - '0') < 10; }
inline bool is_letter(char c) { return static_cast<unsigned char>((c | 0x20) - 'a') < 26 || c == '_'; }
inline bool is_name(char c) { return is_letter(c) || is_digit(c) || c == ':'; }

// As Go's FormatFloat(number, 'g', -1, 64).
inline void put_go_float(Buffer& out, double number) {
    if (!std::isfinite(number)) {
        out.put(std::isnan(number) ? Span{"NaN", 3} : number > 0 ? Span{"+Inf", 4} : Span{"-Inf", 4});
        return;
    }
    if (std::signbit(number)) {
        out.put('-');
        number = -number;
    }
    if (number == 0) {
        out.put('0');
        return;
    }
    char text[40], digits[24];
    const char* end = std::to_chars(text, text + 40, number, std::chars_format::scientific).ptr;
    int count = 0, power = 0;
    const char* p = text;
    for (; *p != 'e'; ++p)
        if (*p != '.') digits[count++] = *p;
    std::from_chars(p[1] == '+' ? p + 2 : p + 1, end, power);
    while (count > 1 && digits[count - 1] == '0') --count;
    if (power < -4 || power >= 6) {
        out.put(digits[0]);
        if (count > 1) {
            out.put('.');
            out.put(digits + 1, static_cast<size_t>(count - 1));
        }
        out.put('e');
        out.put(power < 0 ? '-' : '+');
        int size = power < 0 ? -power : power;
        if (size < 10) out.put('0');
        lineprotocol::put_unsigned(out, static_cast<uint64_t>(size));
        return;
    }
    if (power < 0) out.put("0.000", static_cast<size_t>(1 - power));
    for (int i = 0; i < count || i <= power; ++i) {
        if (power >= 0 && i == power + 1) out.put('.');
        out.put(i < count ? digits[i] : '0');
    }
}

// Text seen before in this page, by what it is written as: few labels and values make most of a page.
class Texts {
public:
    ~Texts() {
        for (Entry& entry : entries_) Py_XDECREF(entry.text);
    }
    // A new reference; null without an exception where it is not UTF-8.
    PyObject* get(Span raw) {
        Entry& entry = entries_[lineprotocol::hash_bytes(raw) % kEntries];
        if (entry.text != nullptr && equal(entry.raw, raw)) return Py_NewRef(entry.text);
        PyObject* text = make(raw);
        if (text != nullptr) {
            Py_XSETREF(entry.text, Py_NewRef(text));
            entry.raw = raw;
        }
        return text;
    }
    // Of text that does not stay where it is.
    static PyObject* make(Span raw) {
        unsigned char high = 0;
        for (const char* p = raw.data; p != raw.end(); ++p) high |= static_cast<unsigned char>(*p);
        if (high < 0x80) return lineprotocol::new_text(raw);
        PyObject* text = PyUnicode_DecodeUTF8(raw.data, static_cast<Py_ssize_t>(raw.size), nullptr);
        if (text == nullptr && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) PyErr_Clear();
        return text;
    }

private:
    static constexpr size_t kEntries = 1024;
    struct Entry {
        Span raw{nullptr, 0};
        PyObject* text = nullptr;
    };
    Entry entries_[kEntries];
};

struct Label {
    Span key, value;
    bool escaped;
};

// A long page is read in a thread, and nobody else would run until it was: no bytecode, no turn.
inline void let_others(unsigned& turns) {
    if (++turns % 256 != 0) return;
    Py_BEGIN_ALLOW_THREADS
    Py_END_ALLOW_THREADS
}

// A summary or a histogram of one set of labels.
struct Parts {
    Ref tags;
    int64_t time = 0;  // ms; none where it is not above 0
    double count = 0, sum = 0;
    std::vector<std::pair<double, double>> parts;
};

struct Family {
    Span name;
    Kind kind = untyped;
    bool typed = false, helped = false;
    Ref text;  // its name
    std::vector<PyObject*> metrics;
    std::deque<Parts> parts;
    std::unordered_map<std::string, Parts*> by_labels;

    ~Family() {
        unsigned turns = 0;
        for (PyObject* metric : metrics) {
            Py_DECREF(metric);
            let_others(turns);
        }
    }
    bool is_special() const { return kind >= summary; }
    bool is_special_label(Span key) const {
        return kind == summary ? equal(key, {"quantile", 8}) : kind > summary && equal(key, {"le", 2});
    }
};

enum class Part { value, count, sum, bucket };

class Page {
public:
    bool odd = false, too_much = false;

    // `most`: bytes of memory that it may become, about.
    Page(Span data, int version, int64_t now, bool ignore_timestamp, PyObject* tags, int64_t most)
        : data_(data),
          version_(version),
          now_(now),
          ignore_timestamp_(ignore_timestamp),
          given_(tags),
          kept_left_(most),
          made_left_(most) {}

    // Appends the metrics to a list. False with an exception where memory fails; `odd`, `too_much`: they do not count.
    bool read(PyObject* metrics) {
        odd = !read_lines();
        if (PyErr_Occurred()) return false;
        if (odd || too_much) return true;
        for (Family& family : families_) {
            if (family.kind == nothing) continue;
            for (PyObject* metric : family.metrics)
                if (PyList_Append(metrics, metric) < 0) return false;
            for (Parts& parts : family.parts) {
                if (!(version_ == 1 ? put_whole(metrics, family, parts) : put_parts(metrics, family, parts))) return false;
                if (too_much) return true;
                let_others(turns_);
            }
        }
        return true;
    }

private:
    Span data_;
    int version_;
    int64_t now_;
    bool ignore_timestamp_;
    PyObject* given_;  // tags of all
    int64_t kept_left_, made_left_;  // bytes
    unsigned turns_ = 0;
    Ref now_object_, prometheus_, value_names_[3], count_, sum_, le_, quantile_;
    std::deque<Family> families_;
    std::unordered_map<std::string_view, Family*> by_name_;
    Span last_name_{nullptr, 0};
    Family* last_family_ = nullptr;
    Part last_part_ = Part::value;
    std::vector<Label> labels_;
    std::string key_;
    Texts texts_;
    Buffer scratch_;

    static constexpr int64_t kMetricBytes = 500, kValueBytes = 80;  // of ../page_room.py

    // Counts what is kept of the page until all of it is read, or the metrics.
    void keep(size_t values, int metrics = 1) { take(kept_left_, values, metrics); }
    void make(size_t values) { take(made_left_, values, 1); }
    void take(int64_t& left, size_t values, int metrics) {
        left -= kMetricBytes * metrics + kValueBytes * static_cast<int64_t>(values);
        too_much = too_much || left < 0;
    }

    bool init() {
        now_object_.reset(PyLong_FromLongLong(now_));
        prometheus_.reset(PyUnicode_FromString("prometheus"));
        value_names_[untyped].reset(PyUnicode_FromString("value"));
        value_names_[counter].reset(PyUnicode_FromString("counter"));
        value_names_[gauge].reset(PyUnicode_FromString("gauge"));
        count_.reset(PyUnicode_FromString("count"));
        sum_.reset(PyUnicode_FromString("sum"));
        le_.reset(PyUnicode_FromString("le"));
        quantile_.reset(PyUnicode_FromString("quantile"));
        return now_object_ && prometheus_ && value_names_[untyped] && value_names_[counter] && value_names_[gauge] && count_ &&
               sum_ && le_ && quantile_;
    }

    // False for what is odd, and with an exception.
    bool read_lines() {
        if (!init()) return false;
        const char* end = data_.end();
        for (const char* p = data_.data; p != end;) {
            const char* stop = static_cast<const char*>(std::memchr(p, '\n', static_cast<size_t>(end - p)));
            while (p != end && is_blank(*p)) ++p;
            if (p == end) break;
            if (stop == nullptr) return false;
            if (*p == '#') {
                if (!read_comment(p, stop)) return false;
            } else if (p != stop) {
                if (!read_sample(p, stop)) return false;
            }
            if (too_much) return true;
            p = stop + 1;
            let_others(turns_);
        }
        return true;
    }

    static const char* blanks(const char* p, const char* end) {
        while (p != end && is_blank(*p)) ++p;
        return p;
    }
    static const char* word(const char* p, const char* end) {
        while (p != end && !is_blank(*p)) ++p;
        return p;
    }
    static Span between(const char* from, const char* to) { return {from, static_cast<size_t>(to - from)}; }

    // A name from `p` on; gives where it ends, null where there is none.
    static const char* name_end(const char* p, const char* end) {
        if (p == end || !(is_letter(*p) || *p == ':')) return nullptr;
        while (p != end && is_name(*p)) ++p;
        return p != end && *p == '"' ? nullptr : p;
    }

    bool read_comment(const char* p, const char* end) {
        p = blanks(p + 1, end);
        const char* behind = word(p, end);
        Span keyword = between(p, behind);
        bool help = equal(keyword, {"HELP", 4});
        if (!help && !equal(keyword, {"TYPE", 4})) return true;
        p = blanks(behind, end);
        if (p == end) return true;
        behind = name_end(p, end);
        if (behind == nullptr || (behind != end && !is_blank(*behind))) return false;
        if (behind == end) return true;
        Part part;
        Family& family = find(between(p, behind), part);
        p = blanks(behind, end);
        if (p == end) return true;
        if (help) {
            // Escapes are looked at by the reference.
            if (family.helped || std::memchr(p, '\\', static_cast<size_t>(end - p)) != nullptr) return false;
            return family.helped = true;
        }
        if (family.typed) return false;
        std::string kind(p, end);
        for (char& c : kind)
            if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
        if (kind == "counter")
            family.kind = counter;
        else if (kind == "gauge")
            family.kind = gauge;
        else if (kind == "summary")
            family.kind = summary;
        else if (kind == "histogram")
            family.kind = histogram;
        else if (kind == "gaugehistogram" || kind == "gauge_histogram")
            family.kind = nothing;
        else if (kind != "untyped")
            return false;
        last_family_ = nullptr;
        return family.typed = true;
    }

    Family* known(Span name) {
        auto found = by_name_.find(std::string_view(name.data, name.size));
        return found == by_name_.end() ? nullptr : found->second;
    }

    Family& find(Span name, Part& part) {
        if (last_family_ != nullptr && equal(last_name_, name)) {
            part = last_part_;
            return *last_family_;
        }
        part = Part::value;
        Family* family = known(name);
        if (family == nullptr) family = owner(name, "_count", Part::count, part);
        if (family == nullptr) family = owner(name, "_sum", Part::sum, part);
        if (family == nullptr) family = owner(name, "_bucket", Part::bucket, part);
        if (family == nullptr) {
            keep(0);
            family = &families_.emplace_back();
            family->name = name;
            by_name_.emplace(std::string_view(name.data, name.size), family);
        }
        last_name_ = name, last_family_ = family, last_part_ = part;
        return *family;
    }

    Family* owner(Span name, std::string_view suffix, Part meant, Part& part) {
        if (name.size <= suffix.size() || !equal({name.end() - suffix.size(), suffix.size()}, {suffix.data(), suffix.size()}))
            return nullptr;
        Family* family = known({name.data, name.size - suffix.size()});
        if (family == nullptr || !family->is_special() || (meant == Part::bucket && family->kind == summary)) return nullptr;
        part = meant;
        return family;
    }

    bool read_sample(const char* p, const char* end) {
        const char* behind = name_end(p, end);
        if (behind == nullptr) return false;
        Part part;
        Family& family = find(between(p, behind), part);
        family.typed = true;
        p = blanks(behind, end);
        labels_.clear();
        if (p != end && *p == '{' && (p = read_labels(p + 1, end)) == nullptr) return false;
        behind = word(p, end);
        double value;
        if (!read_number(between(p, behind), &value)) return false;
        int64_t time = 0;
        bool has_time = behind != end;
        if (has_time && !read_time(blanks(behind, end), end, &time)) return false;
        return family.is_special() ? put_part(family, part, value, has_time, time) : put_sample(family, value, time);
    }

    // From behind the brace on; gives where the value begins.
    const char* read_labels(const char* p, const char* end) {
        for (;;) {
            p = blanks(p, end);
            if (p == end) return nullptr;
            if (*p == '}') return blanks(p + 1, end);
            if (!is_letter(*p)) return nullptr;
            const char* start = p;
            while (p != end && (is_letter(*p) || is_digit(*p))) ++p;
            Label label{between(start, p), {nullptr, 0}, false};
            p = blanks(p, end);
            if (p == end || *p != '=') return nullptr;
            p = blanks(p + 1, end);
            if (p == end || *p != '"') return nullptr;
            start = ++p;
            while (p != end && *p != '"') {
                if (*p == '\\') {
                    label.escaped = true;
                    if (++p == end || (*p != '\\' && *p != '"' && *p != 'n')) return nullptr;
                }
                ++p;
            }
            if (p == end) return nullptr;
            label.value = between(start, p);
            p = blanks(p + 1, end);
            if (p == end || (*p != ',' && *p != '}')) return nullptr;
            if (*p == ',') ++p;
            if (equal(label.key, {"__name__", 8})) return nullptr;
            labels_.push_back(label);
        }
    }

    static bool is_word(Span text, const char* lower) {
        for (size_t i = 0; i < text.size; ++i)
            if ((text.data[i] | 0x20) != lower[i]) return false;
        return lower[text.size] == '\0';
    }

    // As Go's ParseFloat reads it. What is too large is left to the reference.
    bool read_number(Span text, double* value) {
        if (text.size == 0) return false;
        const char* p = text.data;
        const char* end = text.end();
        bool negative = *p == '-';
        if (negative || *p == '+') ++p;
        const char* start = p;
        Digits digits;
        p = lineprotocol::read_digits(p, end, digits);
        if (p == end && p != start && digits.count <= 15) {
            *value = static_cast<double>(digits.value);
            if (negative) *value = -*value;
            return true;
        }
        size_t count = static_cast<size_t>(p - start);
        if (p != end && *p == '.') {
            const char* point = ++p;
            while (p != end && is_digit(*p)) ++p;
            count += static_cast<size_t>(p - point);
        }
        if (count == 0) {
            Span name = between(start, end);
            if (is_word(name, "inf") || is_word(name, "infinity"))
                *value = negative ? -HUGE_VAL : HUGE_VAL;
            else if (is_word(text, "nan"))
                *value = std::numeric_limits<double>::quiet_NaN();
            else
                return false;
            return true;
        }
        if (p != end && (*p | 0x20) == 'e') {
            if (++p != end && (*p == '+' || *p == '-')) ++p;
            const char* exponent = p;
            while (p != end && is_digit(*p)) ++p;
            if (p == exponent) return false;
        }
        if (p != end) return false;
        *value = lineprotocol::read_double(between(start, end));
        if (negative) *value = -*value;
        return std::isfinite(*value);
    }

    // 0 where the sample has none that counts. Times beyond what a metric takes are left to the reference.
    static bool read_time(const char* p, const char* end, int64_t* time) {
        bool negative = p != end && *p == '-';
        if (p != end && (*p == '-' || *p == '+')) ++p;
        Digits digits;
        const char* start = p;
        p = lineprotocol::read_digits(p, end, digits);
        if (p == start || p != end || digits.count > 13 || digits.value > 9'000'000'000'000u) return false;
        *time = negative ? 0 : static_cast<int64_t>(digits.value);
        return true;
    }

    // A new reference. Null for what is not UTF-8, or with an exception.
    PyObject* label_text(const Label& label) {
        if (!label.escaped) return texts_.get(label.value);
        scratch_.size = 0;
        char* to = scratch_.room(label.value.size);
        for (const char* p = label.value.data; p != label.value.end(); ++p) {
            if (*p == '\\') *to++ = *++p == 'n' ? '\n' : *p;
            else *to++ = *p;
        }
        scratch_.size = static_cast<size_t>(to - scratch_.data);
        return Texts::make(scratch_.span());
    }

    // Tags of the labels, without the special one; that is read into `position`. A new reference, null for what is odd and
    // with an exception.
    PyObject* new_tags(const Family& family, double* position) {
        Ref tags(PyDict_Copy(given_));
        if (!tags) return nullptr;
        for (size_t i = 0; i < labels_.size(); ++i) {
            const Label& label = labels_[i];
            if (family.is_special_label(label.key)) {
                if (label.escaped || !read_number(label.value, position)) return nullptr;
                continue;
            }
            for (size_t before = 0; before < i; ++before)
                if (equal(labels_[before].key, label.key)) return nullptr;
            if (label.value.size == 0) continue;
            Ref key(texts_.get(label.key));
            Ref value(key ? label_text(label) : nullptr);
            if (!value || PyDict_SetItem(tags.get(), key.get(), value.get()) < 0) return nullptr;
        }
        return tags.release();
    }

    PyObject* text_of(Family& family) {
        if (!family.text) family.text.reset(lineprotocol::new_text(family.name));
        return family.text.get();
    }

    PyObject* new_time(int64_t time) {
        return ignore_timestamp_ || time == 0 ? Py_NewRef(now_object_.get()) : PyLong_FromLongLong(time * 1'000'000);
    }

    bool put_sample(Family& family, double value, int64_t time) {
        Ref tags(new_tags(family, nullptr));
        PyObject* name = text_of(family);
        if (!tags || name == nullptr) return false;
        if (!std::isfinite(value)) return true;
        make(static_cast<size_t>(PyDict_GET_SIZE(tags.get())) + 1);
        PyObject* metric = new_single(version_ == 1 ? name : prometheus_.get(), tags.release(),
                                      version_ == 1 ? value_names_[family.kind].get() : name, value, time, family.kind);
        if (metric == nullptr) return false;
        family.metrics.push_back(metric);
        return true;
    }

    // With one field. Takes over the tags. Null with an exception.
    PyObject* new_single(PyObject* name, PyObject* tags, PyObject* field, double value, int64_t time, Kind kind) {
        Ref own_tags(tags), fields(PyDict_New()), number(PyFloat_FromDouble(value)), when(new_time(time));
        if (!fields || !number || !when || PyDict_SetItem(fields.get(), field, number.get()) < 0) return nullptr;
        return lineprotocol::new_metric(Py_NewRef(name), own_tags.release(), fields.release(), when.release(),
                                        Py_NewRef(kinds[kind]));
    }

    bool put_part(Family& family, Part part, double value, bool has_time, int64_t time) {
        double position = std::numeric_limits<double>::quiet_NaN();
        // The labels in one order, as they are written; escapes have one spelling each.
        std::vector<const Label*> order;
        for (const Label& label : labels_)
            if (!family.is_special_label(label.key)) order.push_back(&label);
        std::sort(order.begin(), order.end(),
                  [](const Label* a, const Label* b) { return lineprotocol::compare(a->key, b->key) < 0; });
        key_.clear();
        for (const Label* label : order) {
            key_.append(label->key.data, label->key.size).append("=\"");
            key_.append(label->value.data, label->value.size).push_back('"');
        }
        Ref tags;
        Parts*& parts = family.by_labels[key_];
        if (parts == nullptr) {
            tags.reset(new_tags(family, &position));
            if (!tags) return false;
            keep(labels_.size());
            parts = &family.parts.emplace_back();
            parts->tags.reset(tags.release());
        } else {
            for (const Label& label : labels_)
                if (family.is_special_label(label.key) && (label.escaped || !read_number(label.value, &position))) return false;
        }
        keep(1, 0);
        bool counts = family.kind != summary && (part == Part::count || (part != Part::sum && !std::isnan(position)));
        if (counts) {
            if (value < 0) return false;
            value += 0.0;
        }
        if (part == Part::sum)
            parts->sum = value;
        else if (part == Part::count)
            parts->count = family.kind == summary ? whole(value) : value;
        else if (!std::isnan(position))
            parts->parts.emplace_back(position, value);
        if (has_time) parts->time = time;
        return true;
    }

    static double whole(double value) { return std::isfinite(value) ? std::trunc(value) + 0.0 : value; }

    static bool set_number(PyObject* fields, PyObject* key, double value) {
        Ref number(PyFloat_FromDouble(value));
        return key != nullptr && number && PyDict_SetItem(fields, key, number.get()) == 0;
    }

    PyObject* new_position(double position) {
        scratch_.size = 0;
        put_go_float(scratch_, position);
        return lineprotocol::new_text(scratch_.span());
    }

    // Version 1: one metric.
    bool put_whole(PyObject* metrics, Family& family, Parts& parts) {
        Ref fields(PyDict_New()), when(new_time(parts.time));
        if (!fields || !when || !set_number(fields.get(), count_.get(), parts.count) ||
            !set_number(fields.get(), sum_.get(), parts.sum))
            return false;
        for (auto& [position, value] : parts.parts) {
            if (!std::isfinite(value)) continue;
            Ref name(new_position(position));
            if (!set_number(fields.get(), name.get(), value)) return false;
        }
        return append(metrics, family, text_of(family), parts.tags.get(), fields, when);
    }

    // Version 2: count and sum, and one metric for each part.
    bool put_parts(PyObject* metrics, Family& family, Parts& parts) {
        PyObject* name = text_of(family);
        if (name == nullptr) return false;
        Ref count(PyUnicode_FromFormat("%U_count", name)), sum(PyUnicode_FromFormat("%U_sum", name));
        Ref field(family.kind == histogram ? PyUnicode_FromFormat("%U_bucket", name) : Py_NewRef(name));
        Ref fields(PyDict_New()), when(new_time(parts.time));
        if (!field || !fields || !when || !set_number(fields.get(), count.get(), parts.count) ||
            !set_number(fields.get(), sum.get(), parts.sum))
            return false;
        Ref whole_tags(PyDict_Copy(parts.tags.get()));
        if (!whole_tags || !append(metrics, family, prometheus_.get(), whole_tags.get(), fields, when)) return false;
        bool infinite = family.kind != histogram;
        for (auto& [position, value] : parts.parts) {
            infinite = infinite || position == HUGE_VAL;
            if (!put_position(metrics, family, parts, field.get(), position, value)) return false;
        }
        return infinite || put_position(metrics, family, parts, field.get(), HUGE_VAL, parts.count);
    }

    bool put_position(PyObject* metrics, Family& family, Parts& parts, PyObject* field, double position, double value) {
        if (!std::isfinite(value) || too_much) return true;
        make(static_cast<size_t>(PyDict_GET_SIZE(parts.tags.get())) + 2);
        Ref tags(PyDict_Copy(parts.tags.get())), text(new_position(position));
        PyObject* key = family.kind == histogram ? le_.get() : quantile_.get();
        if (!tags || !text || PyDict_SetItem(tags.get(), key, text.get()) < 0) return false;
        Ref metric(new_single(prometheus_.get(), tags.release(), field, value, parts.time, family.kind));
        return metric && PyList_Append(metrics, metric.get()) == 0;
    }

    bool append(PyObject* metrics, Family& family, PyObject* name, PyObject* tags, Ref& fields, Ref& when) {
        if (name == nullptr) return false;
        make(static_cast<size_t>(PyDict_GET_SIZE(tags) + PyDict_GET_SIZE(fields.get())));
        Ref metric(lineprotocol::new_metric(Py_NewRef(name), Py_NewRef(tags), fields.release(), when.release(),
                                            Py_NewRef(kinds[family.kind])));
        return metric && PyList_Append(metrics, metric.get()) == 0;
    }
};

}  // namespace exposition
