#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "lib/json.h"

namespace surprisal::fuzz {

/// Damages inputs at random, reproducibly from its seed.
class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random_(seed) {}

  /// A few edits of single bytes and ranges: flipped, cut, doubled, swapped, inserted.
  std::string bytes(std::string text);

  /// A few edits of a JSON value's tree: members replaced by other kinds of values, moved numbers,
  /// renamed, dropped and doubled members.
  Json tree(Json value);

  /// tree() of a JSON text; bytes() of one that is none.
  std::string json_text(const std::string& text);

  /// A number from 0 to limit - 1. @pre limit > 0
  size_t below(size_t limit) { return random_() % limit; }

 private:
  Json surprise();
  void edit(Json& value);

  std::mt19937_64 random_;
};

}  // namespace surprisal::fuzz
