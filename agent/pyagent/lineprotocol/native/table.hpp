// A bounded table of what was made before: two places for each hash, the older of them is given up.
#pragma once

#include <cstdint>
#include <cstddef>

namespace lineprotocol {

// Entries have `hash` and a function `free`. Whoever finds one compares in full, by `same`.
template <class Entry, size_t kSets>
class Table {
public:
    template <class Same>
    Entry* find(uint64_t hash, Same same) {
        Entry** set = sets_[place(hash)];
        if (set[0] != nullptr && set[0]->hash == hash && same(*set[0])) return set[0];
        if (set[1] != nullptr && set[1]->hash == hash && same(*set[1])) return set[1];
        return nullptr;
    }

    // Whether to keep what has this hash: not before its second time, because most of what is rare never comes again.
    bool worth(uint64_t hash) {
        uint32_t mark = static_cast<uint32_t>(hash >> 20) | 1;
        uint32_t& last = marks_[place(hash)];
        if (last == mark) return true;
        last = mark;
        return false;
    }

    void add(Entry* entry) {
        Entry** set = sets_[place(entry->hash)];
        Entry* old = set[1];
        set[1] = set[0];
        set[0] = entry;
        if (old != nullptr) Entry::free(old);
    }

private:
    Entry* sets_[kSets][2] = {};
    uint32_t marks_[kSets] = {};

    static size_t place(uint64_t hash) { return (hash ^ (hash >> 32)) % kSets; }
};

}  // namespace lineprotocol
