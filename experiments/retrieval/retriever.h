#pragma once

#include <functional>
#include <memory>
#include <string>

#include "lib/params.h"
#include "lib/registry.h"

namespace surprisal {

/// Something that can be asked while an answer is written. Const after construction; one thread.
class Retriever {
 public:
  virtual ~Retriever() = default;
  /// What to put into the answer, markers included; "" for nothing found.
  virtual std::string retrieve(const std::string& query) const = 0;
  /// Whether it holds this very text, so that a benchmark's question would bring its own answer.
  virtual bool holds(const std::string& /*text*/) const { return false; }
};

/// One row of the table of retrievers.
struct RetrieverEntry {
  std::string summary;  ///< one line
  /// Reads the parameters (strictly) and opens it; null on a describing reader.
  std::function<std::unique_ptr<Retriever>(ParamReader&)> create;
};
using RetrieverRegistry = Registry<RetrieverEntry>;

/// calculator, command, corpus
RetrieverRegistry builtin_retrievers();

/// Builds one from its YAML map {type: NAME, parameters...}.
/// @param resolved  out (may be null): every parameter with its value
/// @throws Error(kConfig, kUnknownName) with file:line; Error(kIo)
std::unique_ptr<Retriever> create_retriever(const RetrieverRegistry& registry,
                                            const YAML::Node& node, const std::string& file,
                                            Json* resolved);

}  // namespace surprisal
