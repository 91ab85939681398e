#pragma once

#include "experiments/retrieval/retriever.h"

namespace surprisal {

/// Completes the arithmetic that a query ends with: "... <<48/2=" gives "24>>", as in GSM8K's
/// solutions (arXiv:2110.14168), and "48 / 2 =" gives "24". Nothing for a text that ends otherwise,
/// for a number alone, and for what has no value. In double precision, 12 significant digits.
class Calculator : public Retriever {
 public:
  std::string retrieve(const std::string& query) const override;

  static RetrieverEntry entry();
};

}  // namespace surprisal
