#include "experiments/retrieval/corpus.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "lib/files.h"
#include "lib/unicode.h"

namespace surprisal {
namespace {

namespace fs = std::filesystem;

constexpr size_t kLargestFile = size_t{256} << 20;
constexpr size_t kMostWords = 64;  ///< of a query; the last ones count

/// Runs of letters and digits; everything that is not ASCII counts as a letter.
std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || byte >= 0x80)
      words.back() += c;
    else if (!words.back().empty())
      words.emplace_back();
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

/// The words as an FTS5 expression: quoted, so that nothing in them is an operator.
std::string match_expression(const std::vector<std::string>& words, const std::string& between) {
  std::string expression;
  for (const std::string& word : words)
    expression += (expression.empty() ? "\"" : between + "\"") + word + '"';
  return expression;
}

std::vector<std::string> files_below(const std::string& folder) {
  std::error_code error;
  std::vector<std::string> files;
  for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error))
    if (at->is_regular_file(error) &&
        (at->path().extension() == ".txt" || at->path().extension() == ".md"))
      files.push_back(at->path().string());
  if (error) throw Error(ErrorCode::kIo, folder + ": " + error.message());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

Corpus::Corpus(const Options& options) : options_(options) {
  database_.execute("CREATE VIRTUAL TABLE passages USING fts5(text, tokenize='unicode61')");
  database_.execute("BEGIN");
  int64_t passages = 0;
  for (const std::string& file : files_below(options_.folder)) {
    const std::string text = replace_invalid_utf8(read_file(file, kLargestFile));
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = std::min(text.find("\n\n", begin), text.size());
      const std::string passage = text.substr(begin, end - begin);
      begin = end + 2;
      if (words_of(passage).empty()) continue;
      database_.execute("INSERT INTO passages VALUES (?)", {passage});
      ++passages;
    }
  }
  database_.execute("COMMIT");
  if (passages == 0)
    throw Error(ErrorCode::kConfig,
                options_.folder + ": no text in it; a corpus is a folder of *.txt or *.md files");
}

std::string Corpus::retrieve(const std::string& query) const {
  std::vector<std::string> words = words_of(query);
  if (words.size() > kMostWords) words.erase(words.begin(), words.end() - kMostWords);
  if (words.empty()) return "";
  const auto found = database_.query(
      "SELECT text FROM passages WHERE passages MATCH ? ORDER BY rank, rowid LIMIT 1",
      {match_expression(words, " OR ")});
  if (!found || found->empty()) return "";
  std::string passage = found->front();
  if (passage.size() > static_cast<size_t>(options_.most_characters)) {
    passage.resize(static_cast<size_t>(options_.most_characters));
    while (!passage.empty() && !is_valid_utf8(passage)) passage.pop_back();
  }
  return options_.before + passage + options_.after;
}

bool Corpus::holds(const std::string& text) const {
  const std::vector<std::string> words = words_of(text);
  if (words.empty()) return false;
  std::string phrase;
  for (const std::string& word : words) phrase += (phrase.empty() ? "" : " ") + word;
  const auto found = database_.query("SELECT rowid FROM passages WHERE passages MATCH ? LIMIT 1",
                                     {'"' + phrase + '"'});
  return found && !found->empty();
}

RetrieverEntry Corpus::entry() {
  return {"a folder of text files, searched by BM25 (SQLite FTS5); the best paragraph goes in",
          [](ParamReader& params) -> std::unique_ptr<Retriever> {
            Options options;
            options.folder = params.string("folder", std::nullopt, "of *.txt and *.md files");
            options.before = params.string("before", " [", "goes in before the passage");
            options.after = params.string("after", "] ", "goes in behind it");
            options.most_characters = params.integer("most_characters", 500, {.min = 1, .max = 1e6},
                                                     "bytes", "of a passage; the rest is cut off");
            if (params.is_describing()) return nullptr;
            return std::make_unique<Corpus>(options);
          }};
}

}  // namespace surprisal
