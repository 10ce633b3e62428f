// Rows of CSV, lines of logfmt and objects of JSON to metrics, without Python where that can be. What is out of the ordinary
// (a fault, a quote within a value) makes the data odd: the parser's own code, which is the reference, then reads them from the
// start. What is odd about one value alone (a number in an unusual spelling) is asked of a function of the reference.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "metrics.hpp"

namespace records {

using lineprotocol::Digits;
using lineprotocol::equal;
using lineprotocol::Ref;
using lineprotocol::Span;

constexpr size_t kMostKeys = 1 << 16;  // different ones of one text
constexpr size_t kLongName = 1024;     // bytes of a key
constexpr int kMostDepth = 64;

inline bool is_digit(char c) { return static_cast<unsigned char>(c - '0') < 10; }
inline Span between(const char* from, const char* to) { return {from, static_cast<size_t>(to - from)}; }
inline bool is_ascii(Span text) {
    unsigned char high = 0;
    for (const char* p = text.data; p != text.end(); ++p) high |= static_cast<unsigned char>(*p);
    return high < 0x80;
}

// What a function of Python's gives for one argument. Null: it has raised; an Exception is cleared, as the reference will say
// what is wrong, and any other stays.
inline PyObject* ask(PyObject* function, PyObject* argument) {
    if (argument == nullptr) return nullptr;
    PyObject* answer = PyObject_CallOneArg(function, argument);
    if (answer == nullptr && PyErr_ExceptionMatches(PyExc_Exception) && !PyErr_ExceptionMatches(PyExc_MemoryError))
        PyErr_Clear();
    return answer;
}

inline PyObject* ask(PyObject* function, Span text) {
    Ref argument(lineprotocol::new_text(text));
    return ask(function, argument.get());
}

// A number without an exponent, up to 19 digits: the usual ones.
struct Number {
    bool whole = false;
    bool negative = false;
    Digits digits;
    int places = 0;

    bool read(Span text) {
        const char* p = text.data;
        const char* end = text.end();
        negative = p != end && *p == '-';
        if (p != end && (*p == '-' || *p == '+')) ++p;
        p = lineprotocol::read_digits(p, end, digits);
        whole = p == end;
        if (!whole && *p == '.') {
            size_t before = digits.count;
            p = lineprotocol::read_digits(p + 1, end, digits);
            places = static_cast<int>(digits.count - before);
        }
        return p == end && digits.count != 0 && digits.count <= 19;
    }
    bool integer(int64_t* value) const { return whole && lineprotocol::signed_value(digits, negative, value); }
    double real() const {
        double value = digits.value == 0 ? 0.0 : lineprotocol::divided(digits.value, places);
        return negative ? -value : value;
    }
};

inline bool is_any(Span text, const char* one, const char* other, const char* third) {
    for (const char* word : {one, other, third})
        if (text.size == std::strlen(word) && std::memcmp(text.data, word, text.size) == 0) return true;
    return false;
}

// Whether it may be a number in an unusual spelling, given that it begins as numbers do and is no usual one.
inline bool may_be_number(Span text) {
    const char* p = text.data;
    if (*p == '-' || *p == '+') ++p;
    if (p == text.end() || !(is_digit(*p) || *p == '.' || *p == '_')) return true;  // of the words for infinity
    if (p + 1 != text.end() && (p[1] | 0x20) == 'x') return true;
    for (; p != text.end(); ++p)
        if (!is_digit(*p) && *p != '.' && *p != '_' && (*p | 0x20) != 'e' && *p != '-' && *p != '+') return false;
    return true;
}

// As `guess_value` of pyagent.kit.numbers, which is `guess`. A new reference.
inline PyObject* guessed(Span text, PyObject* guess) {
    if (text.size == 0) return lineprotocol::new_text(text);
    char first = *text.data;
    if (is_digit(first) || first == '-' || first == '+' || first == '.' || first == '_') {
        Number number;
        if (number.read(text)) {
            int64_t value;
            if (number.integer(&value)) return PyLong_FromLongLong(value);
            return PyFloat_FromDouble(number.real());
        }
        return may_be_number(text) ? ask(guess, text) : lineprotocol::new_text(text);
    }
    if (first == 't' || first == 'T') {
        if (text.size == 1 || is_any(text, "true", "TRUE", "True")) return Py_NewRef(Py_True);
    } else if (first == 'f' || first == 'F') {
        if (text.size == 1 || is_any(text, "false", "FALSE", "False")) return Py_NewRef(Py_False);
    } else if ((text.size == 3 || text.size == 8) && std::memchr("iInN", first, 4) != nullptr) {
        return ask(guess, text);  // perhaps infinity, or no number
    }
    return lineprotocol::new_text(text);
}

// Short texts seen before in these data, which stay where they are.
class Texts {
public:
    ~Texts() {
        for (Entry& entry : entries_) Py_XDECREF(entry.text);
    }
    PyObject* get(Span raw) {
        if (raw.size > 64) return lineprotocol::new_text(raw);
        Entry& entry = entries_[lineprotocol::hash_bytes(raw) % kEntries];
        if (entry.text != nullptr && equal(entry.raw, raw)) return Py_NewRef(entry.text);
        PyObject* text = lineprotocol::new_text(raw);
        if (text != nullptr) {
            Py_XSETREF(entry.text, Py_NewRef(text));
            entry.raw = raw;
        }
        return text;
    }

private:
    static constexpr size_t kEntries = 512;
    struct Entry {
        Span raw{nullptr, 0};
        PyObject* text = nullptr;
    };
    Entry entries_[kEntries];
};

// A key, in JSON with those above it. `role`: what the reference does with its values.
struct Key {
    std::string path, leaf;
    const Key* parent = nullptr;
    Ref text;
    long role = 0;
    uint64_t seen = 0;    // the last record that had it
    Key* next = nullptr;  // what came behind it the last time

    bool is(const Key* above, Span raw) const { return parent == above && equal({leaf.data(), leaf.size()}, raw); }
};

class Keys {
public:
    // `role_of`: asked once for each key.
    explicit Keys(PyObject* role_of) : role_of_(role_of) { last_ = &start_; }

    void begin() { last_ = &start_; }

    // Null for what is odd, and with an exception.
    Key* find(Span raw, const Key* parent = nullptr) {
        Key* key = last_->next;
        if (key == nullptr || !key->is(parent, raw)) {
            key = look_up(raw, parent);
            if (key == nullptr) return nullptr;
            last_->next = key;
        }
        return last_ = key;
    }

private:
    PyObject* role_of_;
    Key start_;
    Key* last_;
    std::string path_;
    std::unordered_map<std::string, std::unique_ptr<Key>> keys_;

    Key* look_up(Span raw, const Key* parent) {
        path_.clear();
        if (parent != nullptr) path_.append(parent->path).push_back('_');
        path_.append(raw.data, raw.size);
        if (path_.size() > kLongName) return nullptr;
        std::unique_ptr<Key>& key = keys_[path_];
        if (key != nullptr) return key.get();
        if (keys_.size() > kMostKeys) return nullptr;
        auto made = std::make_unique<Key>();
        made->path = path_;
        made->leaf.assign(raw.data, raw.size);
        made->parent = parent;
        made->text.reset(PyUnicode_DecodeUTF8(path_.data(), static_cast<Py_ssize_t>(path_.size()), nullptr));
        if (!made->text) {
            if (PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) PyErr_Clear();
            return nullptr;
        }
        Ref role(ask(role_of_, made->text.get()));
        if (!role) return nullptr;
        made->role = PyLong_AsLong(role.get());
        if (made->role == -1 && PyErr_Occurred()) return nullptr;
        key = std::move(made);
        return key.get();
    }
};

// A new time, by the function `now`.
inline PyObject* present(PyObject* now) { return PyObject_CallNoArgs(now); }

inline bool append(PyObject* metrics, PyObject* name, Ref& tags, Ref& fields, Ref& time) {
    Ref metric(lineprotocol::new_metric(Py_NewRef(name), tags.release(), fields.release(), time.release(),
                                        Py_NewRef(lineprotocol::types.untyped)));
    return metric && PyList_Append(metrics, metric.get()) == 0;
}

// CSV, whose lines end in LF alone ------------------------------------------------------------------------------------------

enum class Column : long { left_out, tag, time, guess, as_int, as_float, as_bool, as_text, untyped };

struct Cells {
    char delimiter = ',';
    Py_ssize_t skipped = 0;    // columns on the left
    PyObject* names = nullptr; // list of str
    std::vector<long> columns;
    std::vector<Span> missing;
    PyObject *before = nullptr, *behind = nullptr;  // tags that those of columns replace, and that replace those
    PyObject *measurement = nullptr, *measurement_column = nullptr;  // null: none
    PyObject *guess = nullptr, *typed = nullptr, *time = nullptr, *now = nullptr, *named = nullptr;
    int64_t unit = 0;  // ns, of times that are numbers; 0: they are none
    bool timed = false;
};

class Table {
public:
    bool odd = false;

    Table(Span data, const Cells& cells) : p_(data.data), end_(data.end()), cells_(cells) {}

    // Appends the metrics to a list. False with an exception; `odd`: the metrics do not count.
    bool read(PyObject* metrics) {
        odd = !rows(metrics);
        return !PyErr_Occurred();
    }

private:
    const char* p_;
    const char* end_;
    const Cells& cells_;
    Texts texts_;
    bool last_ = false;  // the cell just read ends its row

    // The next cell of the row. False for what is odd.
    bool cell(Span& value) {
        if (p_ != end_ && *p_ == '"') {
            const char* start = ++p_;
            const char* quote = static_cast<const char*>(std::memchr(p_, '"', static_cast<size_t>(end_ - p_)));
            if (quote == nullptr) return false;
            value = between(start, quote);
            p_ = quote + 1;
            last_ = p_ == end_ || *p_ == '\n';
            if (!last_ && *p_ != cells_.delimiter) return false;
            if (p_ != end_) ++p_;
            return true;
        }
        const char* start = p_;
        const char delimiter = cells_.delimiter;
        while (p_ != end_ && *p_ != delimiter && *p_ != '\n') {
            if (*p_ == '"') return false;
            ++p_;
        }
        last_ = p_ == end_ || *p_ == '\n';
        value = between(start, p_);
        if (p_ != end_) ++p_;
        return true;
    }

    bool is_missing(Span value) const {
        for (Span text : cells_.missing)
            if (equal(text, value)) return true;
        return false;
    }

    bool rows(PyObject* metrics) {
        while (p_ != end_) {
            if (*p_ == '\n') {
                ++p_;
                continue;
            }
            if (!row(metrics)) return false;
        }
        return true;
    }

    bool row(PyObject* metrics) {
        Ref tags(cells_.before != nullptr ? PyDict_Copy(cells_.before) : PyDict_New()), fields(PyDict_New()), time;
        if (!tags || !fields) return false;
        const size_t columns = cells_.columns.size();
        Py_ssize_t index = -cells_.skipped;
        do {
            Span value;
            if (!cell(value)) return false;
            if (index < 0 || static_cast<size_t>(index) >= columns) continue;
            Column column = static_cast<Column>(cells_.columns[static_cast<size_t>(index)]);
            if (column == Column::left_out || (!cells_.missing.empty() && is_missing(value))) continue;
            PyObject* name = PyList_GET_ITEM(cells_.names, index);
            if (column == Column::time) {
                time.reset(time_of(value));
                if (!time) return false;
                continue;
            }
            Ref made(column == Column::tag ? texts_.get(value) : value_of(column, name, value));
            if (!made || PyDict_SetItem(column == Column::tag ? tags.get() : fields.get(), name, made.get()) < 0) return false;
        } while (++index, !last_);
        if (cells_.behind != nullptr && PyDict_Update(tags.get(), cells_.behind) < 0) return false;
        if (!cells_.timed) time.reset(present(cells_.now));
        if (!time) return false;
        PyObject* measurement = cells_.measurement;
        Ref own;
        if (cells_.measurement_column != nullptr) {
            PyObject* given = PyDict_GetItemWithError(fields.get(), cells_.measurement_column);
            if (given == nullptr && PyErr_Occurred()) return false;
            if (given != nullptr) {
                own.reset(ask(cells_.named, given));
                if (!own || PyDict_DelItem(fields.get(), cells_.measurement_column) < 0) return false;
                if (PyUnicode_GetLength(own.get()) != 0) measurement = own.get();
            }
        }
        return append(metrics, measurement, tags, fields, time);
    }

    PyObject* time_of(Span text) {
        Number number;
        int64_t value;
        if (cells_.unit != 0 && number.read(text) && number.integer(&value) &&
            !__builtin_mul_overflow(value, cells_.unit, &value))
            return PyLong_FromLongLong(value);
        return ask(cells_.time, text);
    }

    PyObject* value_of(Column column, PyObject* name, Span text) {
        Number number;
        int64_t whole;
        switch (column) {
            case Column::guess: return guessed(text, cells_.guess);
            case Column::as_text: return lineprotocol::new_text(text);
            case Column::as_int:
                if (number.read(text) && number.integer(&whole)) return PyLong_FromLongLong(whole);
                break;
            case Column::as_float:
                if (number.read(text)) return PyFloat_FromDouble(number.real());
                break;
            case Column::as_bool: break;
            default: return nullptr;
        }
        Ref own(lineprotocol::new_text(text)), kind(PyLong_FromLong(static_cast<long>(column)));
        Ref arguments(own && kind ? PyTuple_Pack(3, name, own.get(), kind.get()) : nullptr);
        return ask(cells_.typed, arguments.get());
    }
};

// logfmt ------------------------------------------------------------------------------------------------------------------

class Pairs {
public:
    bool odd = false;

    // `role_of`: whether a key is a tag's. `unquoted`: what a text with escapes stands for.
    Pairs(Span data, PyObject* name, PyObject* tags, PyObject* role_of, PyObject* guess, PyObject* unquoted, PyObject* now)
        : p_(data.data), end_(data.end()), name_(name), given_(tags), guess_(guess), unquoted_(unquoted), now_(now),
          keys_(role_of) {}

    bool read(PyObject* metrics) {
        odd = false;
        while (p_ != end_ && !odd) {
            const char* stop = static_cast<const char*>(std::memchr(p_, '\n', static_cast<size_t>(end_ - p_)));
            if (stop == nullptr) stop = end_;
            odd = !line(metrics, stop);
            p_ = stop == end_ ? end_ : stop + 1;
        }
        return !PyErr_Occurred();
    }

private:
    const char* p_;
    const char* end_;
    PyObject *name_, *given_, *guess_, *unquoted_, *now_;
    Keys keys_;
    Texts texts_;

    static bool is_blank(char c) { return static_cast<unsigned char>(c) <= ' '; }

    bool line(PyObject* metrics, const char* end) {
        Ref tags, fields;
        bool own_tags = false;
        keys_.begin();
        const char* p = p_;
        for (;;) {
            while (p != end && is_blank(*p)) ++p;
            if (p == end) break;
            const char* start = p;
            while (p != end && !is_blank(*p) && *p != '=' && *p != '"') ++p;
            Span raw = between(start, p);
            if (raw.size == 0 || (p != end && *p == '"')) return false;
            Span value{p, 0};
            bool escaped = false;
            if (p != end && *p == '=') {
                start = ++p;
                if (p != end && *p == '"') {
                    start = ++p;
                    for (; p != end && *p != '"'; ++p)
                        if (*p == '\\') {
                            escaped = true;
                            if (++p == end) return false;
                        }
                    if (p == end) return false;
                    value = between(start, p);
                    ++p;
                } else {
                    while (p != end && !is_blank(*p) && *p != '=' && *p != '"') ++p;
                    if (p != end && !is_blank(*p)) return false;
                    value = between(start, p);
                }
            }
            if (!is_ascii(raw)) return false;
            if (value.size == 0) continue;
            Key* key = keys_.find(raw);
            if (key == nullptr) return false;
            Ref text;
            if (escaped) {
                text.reset(ask(unquoted_, value));
                if (!text) return false;
                if (PyUnicode_GetLength(text.get()) == 0) continue;
            }
            if (key->role != 0) {
                if (!tags) tags.reset(PyDict_Copy(given_));
                if (!text) text.reset(texts_.get(value));
                if (!tags || !text || PyDict_SetItem(tags.get(), key->text.get(), text.get()) < 0) return false;
                own_tags = true;
                continue;
            }
            if (!fields) fields.reset(PyDict_New());
            Ref made(text ? ask(guess_, text.get()) : guessed(value, guess_));
            if (!fields || !made || PyDict_SetItem(fields.get(), key->text.get(), made.get()) < 0) return false;
        }
        if (!fields && !own_tags) return true;
        if (!tags) tags.reset(PyDict_Copy(given_));
        if (!fields) fields.reset(PyDict_New());
        Ref time(present(now_));
        return tags && fields && time && append(metrics, name_, tags, fields, time);
    }
};

// JSON --------------------------------------------------------------------------------------------------------------------

class Document {
public:
    enum Role : long { tag = 1, field = 2, name = 4, time = 8 };
    bool odd = false;

    // `role_of`: bits of Role for a flattened key. `text_of`: what a string with escapes, given with its quotes, stands for.
    // `number_text`: a number as a tag shows it. `time_of`: null where no key has the time.
    Document(Span data, PyObject* measurement, PyObject* tags, PyObject* role_of, PyObject* text_of, PyObject* number_text,
             PyObject* time_of, PyObject* now)
        : p_(data.data), end_(data.end()), measurement_(measurement), given_(tags), text_of_(text_of),
          number_text_(number_text), time_of_(time_of), now_(now), keys_(role_of) {}

    bool read(PyObject* metrics) {
        odd = !whole(metrics);
        return !PyErr_Occurred();
    }

private:
    const char* p_;
    const char* end_;
    PyObject *measurement_, *given_, *text_of_, *number_text_, *time_of_, *now_;
    Keys keys_;
    Texts texts_;
    uint64_t count_ = 0;
    Ref name_, time_, tags_, fields_;

    void blanks() {
        while (p_ != end_ && (*p_ == ' ' || *p_ == '\n' || *p_ == '\t' || *p_ == '\r')) ++p_;
    }
    bool next(char c) {
        blanks();
        if (p_ == end_ || *p_ != c) return false;
        ++p_;
        return true;
    }

    bool whole(PyObject* metrics) {
        blanks();
        if (p_ == end_) return false;
        if (*p_ == '{') {
            if (!record(metrics)) return false;
        } else {
            if (!next('[')) return false;
            if (!next(']')) {
                do {
                    blanks();
                    if (p_ == end_ || *p_ != '{' || !record(metrics)) return false;
                } while (next(','));
                if (!next(']')) return false;
            }
        }
        blanks();
        return p_ == end_;
    }

    bool record(PyObject* metrics) {
        ++count_;
        keys_.begin();
        name_.reset(Py_NewRef(measurement_));
        time_.reset(time_of_ == nullptr ? Py_NewRef(now_) : nullptr);
        tags_.reset(PyDict_Copy(given_));
        fields_.reset(PyDict_New());
        if (!tags_ || !fields_ || !object(nullptr, 0) || !time_) return false;
        return append(metrics, name_.get(), tags_, fields_, time_);
    }

    // From its brace on. `above`: its key, null for a record.
    bool object(const Key* above, int depth) {
        ++p_;
        if (next('}')) return true;
        do {
            blanks();
            if (p_ == end_ || *p_ != '"') return false;
            Span raw;
            bool escaped;
            if (!string(raw, escaped) || escaped || raw.size == 0) return false;
            if (!next(':') || !value(raw, above, depth)) return false;
        } while (next(','));
        return next('}');
    }

    bool list(const Key* above, int depth) {
        ++p_;
        if (next(']')) return true;
        size_t index = 0;
        do {
            char digits[24];
            char* to = std::to_chars(digits, digits + 24, index++).ptr;
            if (!value(between(digits, to), above, depth)) return false;
        } while (next(','));
        return next(']');
    }

    // A string from its quote on, without its quotes. False for what is odd.
    bool string(Span& raw, bool& escaped) {
        const char* start = ++p_;
        escaped = false;
        for (; p_ != end_ && *p_ != '"'; ++p_) {
            if (static_cast<unsigned char>(*p_) < ' ') return false;
            if (*p_ == '\\') {
                escaped = true;
                if (++p_ == end_ || static_cast<unsigned char>(*p_) < ' ') return false;
            }
        }
        if (p_ == end_) return false;
        raw = between(start, p_);
        ++p_;
        return true;
    }

    bool word(const char* text, size_t size) {
        if (static_cast<size_t>(end_ - p_) < size || std::memcmp(p_, text, size) != 0) return false;
        p_ += size;
        return true;
    }

    bool value(Span raw, const Key* above, int depth) {
        // Of a key that comes twice, also by joining, the reference knows which value counts.
        Key* key = keys_.find(raw, above);
        if (key == nullptr || key->seen == count_) return false;
        key->seen = count_;
        blanks();
        if (p_ == end_) return false;
        switch (*p_) {
            case '{': return depth < kMostDepth && object(key, depth + 1);
            case '[': return depth < kMostDepth && list(key, depth + 1);
            case 'n': return word("null", 4);
            case 't': return word("true", 4) && boolean(*key, Py_True);
            case 'f': return word("false", 5) && boolean(*key, Py_False);
            case '"': return text(*key);
            default: return number(*key);
        }
    }

    bool set(Ref& dict, const Key& key, PyObject* made) {
        return made != nullptr && PyDict_SetItem(dict.get(), key.text.get(), made) == 0;
    }

    bool set_time(PyObject* made) {
        time_.reset(ask(time_of_, made));
        return static_cast<bool>(time_);
    }

    bool boolean(const Key& key, PyObject* made) {
        if (key.role & time) return set_time(made);
        if (key.role & tag) {
            Ref shown(PyUnicode_FromString(made == Py_True ? "true" : "false"));
            return set(tags_, key, shown.get());
        }
        return !(key.role & field) || set(fields_, key, made);
    }

    bool text(const Key& key) {
        const char* quote = p_;
        Span raw;
        bool escaped;
        if (!string(raw, escaped)) return false;
        if (!escaped && key.role == 0) return true;
        Ref made;
        if (escaped) {
            Ref bytes(PyBytes_FromStringAndSize(quote, p_ - quote));
            made.reset(ask(text_of_, bytes.get()));
        } else if (is_ascii(raw)) {
            made.reset(texts_.get(raw));
        } else {
            made.reset(PyUnicode_DecodeUTF8(raw.data, static_cast<Py_ssize_t>(raw.size), nullptr));
            if (!made && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) PyErr_Clear();
        }
        if (!made) return false;
        if (key.role & name) name_.reset(Py_NewRef(made.get()));
        if (key.role & time) return set_time(made.get());
        if (key.role & tag) return set(tags_, key, made.get());
        return !(key.role & field) || set(fields_, key, made.get());
    }

    bool number(const Key& key) {
        const char* start = p_;
        if (*p_ == '-') ++p_;
        const char* whole = p_;
        Digits digits;
        p_ = lineprotocol::read_digits(p_, end_, digits);
        if (p_ == whole || (*whole == '0' && p_ - whole > 1)) return false;
        size_t before = digits.count;
        if (p_ != end_ && *p_ == '.') {
            p_ = lineprotocol::read_digits(p_ + 1, end_, digits);
            if (digits.count == before) return false;
        }
        bool scientific = p_ != end_ && (*p_ == 'e' || *p_ == 'E');
        if (scientific) {
            ++p_;
            if (p_ != end_ && (*p_ == '+' || *p_ == '-')) ++p_;
            const char* exponent = p_;
            while (p_ != end_ && is_digit(*p_)) ++p_;
            if (p_ == exponent) return false;
        }
        double value;
        if (!scientific && digits.count <= 19) {
            value = digits.value == 0 ? 0.0 : lineprotocol::divided(digits.value, static_cast<int>(digits.count - before));
            if (*start == '-') value = -value;
        } else {
            value = lineprotocol::read_double(between(start, p_));
            if (!std::isfinite(value)) return false;
        }
        Ref made(PyFloat_FromDouble(value));
        if (!made) return false;
        if (key.role & time) return set_time(made.get());
        if (key.role & tag) {
            Ref shown(ask(number_text_, made.get()));
            return set(tags_, key, shown.get());
        }
        return set(fields_, key, made.get());
    }
};

// Line protocol -----------------------------------------------------------------------------------------------------------

// Where the line ends in which a string begins and does not end, or what looks like one, from `start` on; null: there is none.
inline const char* find_open(const char* start, const char* end) {
    const char* p = start;
    while (p != end && (p = static_cast<const char*>(std::memchr(p, '"', static_cast<size_t>(end - p)))) != nullptr) {
        bool opens = p != start && p[-1] == '=';
        ++p;
        if (!opens) continue;
        const char* q = p;
        while (q != end && *q != '"' && *q != '\n') {
            if (*q == '\\' && q + 1 != end && q[1] != '\n') ++q;
            ++q;
        }
        if (q != end && *q == '\n') return q + 1;
    }
    return nullptr;
}

}  // namespace records
