#include "experiments/retrieval/calculator.h"
#include "experiments/retrieval/command.h"
#include "experiments/retrieval/corpus.h"

namespace surprisal {

RetrieverRegistry builtin_retrievers() {
  RetrieverRegistry registry("retriever");
  registry.add("calculator", Calculator::entry());
  registry.add("command", Command::entry());
  registry.add("corpus", Corpus::entry());
  return registry;
}

std::unique_ptr<Retriever> create_retriever(const RetrieverRegistry& registry,
                                            const YAML::Node& node, const std::string& file,
                                            Json* resolved) {
  ParamReader reader(node, "retriever", file);
  const std::string type = reader.string("type", std::nullopt, "run_experiment --list retrievers");
  std::unique_ptr<Retriever> retriever = registry.get(type, reader.place("type")).create(reader);
  reader.finish();
  if (resolved != nullptr) *resolved = reader.resolved();
  return retriever;
}

}  // namespace surprisal
