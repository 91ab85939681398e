#include "tools/listing.h"

#include <algorithm>
#include <filesystem>
#include <vector>

namespace surprisal {
namespace {

namespace fs = std::filesystem;

constexpr const char* kModelsFolder = "data/models";

void print_params(const std::vector<ParamDoc>& docs, std::ostream& out) {
  for (const ParamDoc& doc : docs) {
    // The rules of a chain within a sampler are those of `chain`, which lists them.
    if (const size_t nested = doc.name.find(".steps."); nested != std::string::npos) continue;
    out << "    " << doc.name << ": " << doc.type;
    if (!doc.allowed.empty()) out << " " << doc.allowed;
    if (!doc.unit.empty()) out << " (" << doc.unit << ")";
    if (doc.required)
      out << ", required";
    else if (!doc.default_value.is_null())
      out << ", default " << doc.default_value.dump();
    out << "\n        " << doc.description << "\n";
  }
}

void print_models(std::ostream& out) {
  std::vector<fs::path> folders;
  if (fs::is_directory(kModelsFolder))
    for (const auto& entry : fs::directory_iterator(kModelsFolder))
      if (fs::exists(entry.path() / "config.json")) folders.push_back(entry.path());
  std::sort(folders.begin(), folders.end());
  for (const fs::path& folder : folders) {
    out << folder.string() << "\n";
    try {
      const ModelConfig config = load_model_config(folder.string());
      out << "    " << config.model_type << ", " << config.num_hidden_layers << " layers, width "
          << config.hidden_size << ", vocabulary " << config.vocab_size << ", context "
          << config.max_position_embeddings << "\n";
    } catch (const Error& error) {
      out << "    cannot be used: " << error.what() << "\n";
    }
  }
  if (folders.empty()) out << "no model below " << kModelsFolder << "\n";
  out << "Any Hugging Face folder of a Llama-like model can be named by its path; "
         "tools/fetch_model.py brings models by name.\n";
}

}  // namespace

void print_listing(const std::string& what, const Registries& registries, std::ostream& out) {
  if (what == "models") return print_models(out);
  if (what == "retrievers") {
    for (const std::string& name : registries.retrievers.names()) {
      const RetrieverEntry& entry = registries.retrievers.get(name);
      out << name << ": " << entry.summary << "\n";
      ParamReader reader = ParamReader::describing("retriever '" + name + "'");
      entry.create(reader);
      print_params(reader.docs(), out);
    }
    return;
  }
  if (what == "strategies") {
    for (const std::string& name : registries.strategies.names()) {
      const StrategyEntry& entry = registries.strategies.get(name);
      out << name << ": " << entry.summary << "\n";
      ParamReader reader = ParamReader::describing("strategy '" + name + "'");
      entry.create(reader);
      print_params(reader.docs(), out);
    }
    out << "A strategy stands above a sampler: samplers: {vote: {type: chain, steps: [...], "
           "strategy: {type: self_consistency, k: 8}}}\n";
    return;
  }
  if (what == "samplers") {
    for (const std::string& name : registries.samplers.names()) {
      const SamplerEntry& entry = registries.samplers.get(name);
      out << name << ": " << entry.summary << "\n";
      ParamReader reader = ParamReader::describing("sampler '" + name + "'");
      entry.create(reader, {});
      print_params(reader.docs(), out);
    }
    return;
  }
  for (const std::string& name : registries.tasks.names()) {
    const TaskEntry& entry = registries.tasks.get(name);
    out << name << ": " << entry.summary << "\n";
    ParamReader reader = ParamReader::describing("task '" + name + "'");
    entry.create(reader, {});
    print_params(reader.docs(), out);
  }
  out << "Every task also takes:\n";
  print_params(common_task_docs(), out);
}

}  // namespace surprisal
