#pragma once

#include <cstdint>
#include <string>

#include "experiments/retrieval/retriever.h"
#include "experiments/retrieval/sqlite.h"

namespace surprisal {

/// A folder of text files, searched by BM25 (SQLite FTS5). Passages are the paragraphs of its *.txt
/// and *.md files; the best one for a query is inserted between two markers.
class Corpus : public Retriever {
 public:
  struct Options {
    std::string folder;
    std::string before, after;  ///< markers
    int64_t most_characters;    ///< of a passage, in bytes
  };
  /// @throws Error(kIo) when it cannot be read; Error(kConfig) when it holds no text
  explicit Corpus(const Options& options);

  /// Any of the query's words may occur; the passage with the best BM25 score wins, the earlier
  /// among equals.
  std::string retrieve(const std::string& query) const override;
  /// Whether a passage has the words of `text` in this order.
  bool holds(const std::string& text) const override;

  static RetrieverEntry entry();

 private:
  Options options_;
  MemoryDatabase database_;
};

}  // namespace surprisal
