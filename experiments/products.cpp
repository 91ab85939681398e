#include "experiments/products.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "experiments/config_tree.h"
#include "experiments/manifest.h"
#include "experiments/results_format.h"
#include "experiments/sample_index.h"
#include "experiments/sample_json.h"
#include "experiments/trace_writer.h"
#include "lib/files.h"

namespace surprisal {
namespace {

namespace fs = std::filesystem;

/// Gives a finished file a second name; copies where the file system has no hard links.
void publish_twin(const std::string& from, const std::string& to) {
  const std::string temporary = to + ".tmp";
  std::error_code failure;
  fs::remove(temporary, failure);
  fs::create_hard_link(from, temporary, failure);
  if (failure) {
    fs::copy_file(from, temporary, fs::copy_options::overwrite_existing, failure);
    if (failure) throw Error(ErrorCode::kIo, temporary + ": cannot write: " + failure.message());
  }
  publish_file(temporary, to);
}

TraceHeader trace_header(const Plan& plan) {
  TraceHeader header{
      .config_sha256 = plan.config_sha256, .model_sha256 = "", .options = plan.config.engine.trace};
  header.twins = plan.config.counterfactual.probability > 0;
  for (const PlannedModel& model : plan.models) {
    header.model_sha256 +=
        (header.model_sha256.empty() ? "" : ",") + model.provenance.weights_sha256;
    header.layers = std::max(header.layers, model.config.num_hidden_layers);
    header.heads = std::max(header.heads, model.config.num_attention_heads);
    header.vocab_size = std::max(header.vocab_size, model.config.vocab_size);
  }
  return header;
}

}  // namespace

void for_each_sample(const Plan& plan,
                     const std::function<void(size_t, const Prompt&, int64_t)>& visit) {
  for (const auto& [key, prompts] : plan.prompts) {
    std::vector<size_t> cells;
    for (size_t c = 0; c < plan.cells.size(); ++c)
      if (std::pair(plan.cells[c].model, plan.cells[c].task) == key) cells.push_back(c);
    for (const Prompt& prompt : prompts)
      for (const size_t cell : cells)
        for (int64_t repeat = 0; repeat < plan.config.repeats; ++repeat)
          visit(cell, prompt, repeat);
  }
}

std::vector<CellResult> build_products(const Plan& plan, const Spool& spool,
                                       const RunDirectory& directory, const Json& manifest) {
  const SampleIndex index(plan, spool);
  const std::string config_yaml = yaml_text(plan.config.resolved);
  const std::string traces = directory.part_file("traces.h5");
  FileWriter lines(directory.part_file("samples.jsonl"));
  TraceWriter trace(traces + ".tmp", trace_header(plan));
  ResultsBuilder builder(plan);
  const Prompt* previous = nullptr;
  int64_t question = -1;
  for_each_sample(plan, [&](size_t c, const Prompt& prompt, int64_t repeat) {
    const Cell& cell = plan.cells[c];
    const int64_t doc_id = plan.tasks[cell.task].task->problems()[prompt.problem].doc_id;
    const std::string name = "cell " + cell.id + ", problem " + std::to_string(doc_id) +
                             ", repeat " + std::to_string(repeat);
    const auto record = index.find(c, doc_id, repeat);
    if (!record) throw Error(ErrorCode::kInternal, spool.path() + ": lacks " + name);
    const Sample sample = decode_sample(spool.read(*record), spool.path() + ": " + name);
    if (previous != &prompt) ++question;
    previous = &prompt;
    lines.write(dump_line(sample_to_json(sample)) + "\n");
    trace.add(sample, static_cast<int64_t>(c), question,
              plan.models[cell.model].config.num_attention_heads,
              plan.cells[c].sampler->needs().position_gap);
    builder.add(c, sample);
  });
  std::vector<CellResult> results = builder.finish();
  trace.finish(results, config_yaml, manifest.dump(2));

  lines.publish();
  publish_file(traces + ".tmp", traces);
  publish_twin(directory.part_file("samples.jsonl"), directory.file("samples.jsonl"));
  publish_twin(traces, directory.file("traces.h5"));
  write_file_atomically(directory.file("config.yaml"), config_yaml);
  write_file_atomically(directory.file("cells.json"), cells_json(plan).dump(2) + "\n");
  write_file_atomically(directory.file("results.json"), results_json(results).dump(2) + "\n");
  write_file_atomically(directory.file("results.csv"), results_csv(results));
  return results;
}

}  // namespace surprisal
