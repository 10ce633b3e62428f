// What relaying remembers of measurements and tags.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "text.hpp"

namespace lineprotocol {

// Heads that were checked before, and how they are written with the same default tags.
class Heads {
public:
    // Where the head is kept as written; null if it is not.
    const char* find(uint64_t hash, Span raw, size_t* size) const {
        const Entry& entry = entries_[place(hash)];
        if (entry.age != age_ || entry.hash != hash || !equal({texts_.data + entry.start, entry.raw}, raw)) return nullptr;
        *size = entry.written;
        return texts_.data + entry.start + (entry.plain ? 0 : entry.raw);
    }

    void add(uint64_t hash, Span raw, Span written, bool plain) {
        if (texts_.size > kTexts) forget();
        entries_[place(hash)] = {hash, texts_.size, raw.size, written.size, age_, plain};
        texts_.put(raw);
        if (!plain) texts_.put(written);
    }

    void for_tags(std::string tags) {
        if (tags != tags_) forget();
        tags_ = std::move(tags);
    }

    // A call takes them all, so that no two share them. Only used while the interpreter is held.
    static std::unique_ptr<Heads> take() {
        std::unique_ptr<Heads> heads = std::move(spare());
        return heads != nullptr ? std::move(heads) : std::make_unique<Heads>();
    }
    static void give_back(std::unique_ptr<Heads> heads) { spare() = std::move(heads); }

private:
    struct Entry {
        uint64_t hash = 0;
        size_t start = 0, raw = 0, written = 0;
        uint32_t age = 0;
        bool plain = false;  // written as it was read
    };
    static constexpr size_t kEntries = 4096, kTexts = 1 << 18;  // bytes
    std::vector<Entry> entries_ = std::vector<Entry>(kEntries);
    Buffer texts_;
    uint32_t age_ = 1;
    std::string tags_;

    static size_t place(uint64_t hash) { return (hash ^ hash >> 32) % kEntries; }

    void forget() {
        texts_.size = 0;
        if (++age_ == 0) {
            std::fill(entries_.begin(), entries_.end(), Entry());
            age_ = 1;
        }
    }

    static std::unique_ptr<Heads>& spare() {
        static std::unique_ptr<Heads> heads;
        return heads;
    }
};

}  // namespace lineprotocol
