#include "lib/bpe_model.h"

#include <algorithm>
#include <cstdio>
#include <queue>

#include "lib/error.h"
#include "lib/unicode.h"

namespace surprisal {
namespace {

uint64_t pair_key(TokenId left, TokenId right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
}

struct AlphabetTables {
  std::array<std::string, 256> characters;
  std::array<int, 0x144> bytes;  // by code point, -1 where it stands for none

  AlphabetTables() {
    bytes.fill(-1);
    char32_t next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD);
      const char32_t code_point = printable ? static_cast<char32_t>(byte) : next++;
      append_utf8(characters[static_cast<size_t>(byte)], code_point);
      bytes[code_point] = byte;
    }
  }
};

const AlphabetTables& alphabet() {
  static const AlphabetTables tables;
  return tables;
}

std::string fallback_token(int byte) {
  char text[8];
  std::snprintf(text, sizeof text, "<0x%02X>", static_cast<unsigned>(byte));
  return text;
}

}  // namespace

std::string_view ByteAlphabet::character(unsigned char byte) {
  return alphabet().characters[byte];
}

std::string ByteAlphabet::text(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) out += character(static_cast<unsigned char>(byte));
  return out;
}

std::optional<std::string> ByteAlphabet::bytes(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Utf8Unit unit = next_utf8(text);
    const auto& table = alphabet().bytes;
    if (unit.code_point >= table.size() || table[unit.code_point] < 0) return std::nullopt;
    out.push_back(static_cast<char>(table[unit.code_point]));
    text.remove_prefix(unit.length);
  }
  return out;
}

BpeModel::BpeModel(StringMap<TokenId> vocabulary,
                   const std::vector<std::pair<std::string, std::string>>& merges,
                   const Options& options)
    : vocabulary_(std::move(vocabulary)), options_(options) {
  for (int byte = 0; byte < 256; ++byte)
    byte_ids_[static_cast<size_t>(byte)] =
        options_.byte_level ? find(ByteAlphabet::character(static_cast<unsigned char>(byte)))
                            : find(fallback_token(byte));
  merges_.reserve(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const std::string &left = merges[rank].first, &right = merges[rank].second;
    const auto token = [&](const std::string& text) {
      if (const auto id = find(text)) return *id;
      throw Error(ErrorCode::kFormat, "merge " + std::to_string(rank) + " ('" + left + "' + '" +
                                          right + "') needs the token '" + text +
                                          "', which the vocabulary lacks");
    };
    // A pair listed twice keeps its later rank, as in the reference.
    merges_[pair_key(token(left), token(right))] = {static_cast<uint32_t>(rank),
                                                    token(left + right)};
  }
}

std::optional<TokenId> BpeModel::find(std::string_view token) const {
  const auto found = vocabulary_.find(token);
  return found == vocabulary_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<TokenId> BpeModel::byte_id(char byte) const {
  return byte_ids_[static_cast<unsigned char>(byte)];
}

const BpeModel::Merge* BpeModel::find_merge(TokenId left, TokenId right) const {
  const auto found = merges_.find(pair_key(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

void BpeModel::encode(std::string_view piece, std::vector<TokenId>& ids) const {
  if (options_.ignore_merges) {
    const auto whole = options_.byte_level ? find(ByteAlphabet::text(piece)) : find(piece);
    if (whole) return ids.push_back(*whole);
  }
  const std::vector<TokenId> parts = merge(symbols(piece));
  ids.insert(ids.end(), parts.begin(), parts.end());
}

std::vector<TokenId> BpeModel::symbols(std::string_view piece) const {
  std::vector<TokenId> ids;
  ids.reserve(piece.size());
  bool unknown_pending = false;  // held back, as the next may fuse with it
  const auto flush = [&] {
    if (unknown_pending) ids.push_back(*options_.unknown);
    unknown_pending = false;
  };
  for (size_t at = 0; at < piece.size();) {
    const size_t length = options_.byte_level ? 1 : next_utf8(piece.substr(at)).length;
    const std::string_view unit = piece.substr(at, length);
    at += length;
    if (const auto id = options_.byte_level ? byte_id(unit[0]) : find(unit)) {
      flush();
      ids.push_back(*id);
    } else if (options_.byte_fallback &&
               std::ranges::all_of(unit, [&](char byte) { return byte_id(byte).has_value(); })) {
      // The reference does not flush here either.
      for (const char byte : unit) ids.push_back(*byte_id(byte));
    } else if (options_.unknown) {
      if (!options_.fuse_unknown) flush();
      unknown_pending = true;
    }
  }
  flush();
  return ids;
}

std::vector<TokenId> BpeModel::merge(std::vector<TokenId> ids) const {
  // The symbols stay where they are, as a doubly linked list; a merge keeps the left one.
  constexpr size_t kNone = SIZE_MAX;
  constexpr TokenId kRemoved = -1;
  struct Candidate {
    uint32_t rank;
    size_t at;
  };
  const auto later = [](const Candidate& a, const Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.at > b.at;
  };
  std::vector<size_t> previous(ids.size()), next(ids.size());
  std::vector<Candidate> heap;
  const auto candidate = [&](size_t left, size_t right) -> std::optional<Candidate> {
    const Merge* known = find_merge(ids[left], ids[right]);
    if (known == nullptr) return std::nullopt;
    return Candidate{known->rank, left};
  };
  for (size_t i = 0; i < ids.size(); ++i) {
    previous[i] = i == 0 ? kNone : i - 1;
    next[i] = i + 1 == ids.size() ? kNone : i + 1;
    if (next[i] == kNone) continue;
    if (const auto found = candidate(i, i + 1)) heap.push_back(*found);
  }
  if (heap.empty()) return ids;
  std::priority_queue queue(later, std::move(heap));
  const auto consider = [&](size_t left, size_t right) {
    if (left == kNone || right == kNone) return;
    if (const auto found = candidate(left, right)) queue.push(*found);
  };
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    const size_t right = next[top.at];
    if (ids[top.at] == kRemoved || right == kNone) continue;
    const Merge* known = find_merge(ids[top.at], ids[right]);
    if (known == nullptr || known->rank != top.rank) continue;  // the pair is there no more
    ids[top.at] = known->result;
    ids[right] = kRemoved;
    next[top.at] = next[right];
    if (next[right] != kNone) previous[next[right]] = top.at;
    consider(previous[top.at], top.at);
    consider(top.at, next[top.at]);
  }
  std::erase(ids, kRemoved);
  return ids;
}

}  // namespace surprisal
