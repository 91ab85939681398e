#include "tests/experiments/statistics/recorded_world.h"

#include <filesystem>
#include <fstream>

#include "experiments/sample_json.h"
#include "experiments/scorers.h"
#include "lib/sha256.h"

namespace surprisal {

RecordedCell invented_cell(const std::string& id, const std::string& sampler,
                           const std::string& type) {
  RecordedCell cell;
  cell.id = id;
  cell.model = "tiny";
  cell.task = "sums";
  cell.sampler = sampler;
  cell.identity = {{"version", 1},
                   {"model", {{"weights_sha256", "aa"}, {"dtype", "float32"}}},
                   {"task", {{"name", "sums"}, {"data_sha256", "bb"}}},
                   {"sampler", {{"type", type}}},
                   {"seed", 0}};
  return cell;
}

void add_question(RecordedCell& cell, const std::vector<std::string>& answers,
                  int64_t token_evaluations, const std::string& cluster) {
  RecordedCell::Question question;
  question.doc_id = std::ssize(cell.questions);
  question.question_sha256 = sha256_hex("question " + std::to_string(question.doc_id));
  for (const std::string& answer : answers) {
    Sample sample;
    sample.cell = cell.id;
    sample.doc_id = question.doc_id;
    sample.question_sha256 = question.question_sha256;
    sample.repeat = std::ssize(question.answers);
    const std::string extracted = answer.empty() ? std::string(kInvalidAnswer) : answer;
    const bool right = answer == "right";
    sample.score = {extracted, extracted, extracted, right, right, right, !answer.empty()};
    sample.stop_reason = answer.empty() ? StopReason::kLength : StopReason::kEndOfText;
    sample.prompt_tokens = 40;
    sample.generated_tokens = token_evaluations - 40;
    sample.cost.token_evaluations = token_evaluations;
    if (!cluster.empty()) sample.tags.emplace_back("template_id", cluster);
    question.answers.push_back(std::move(sample));
  }
  cell.questions.push_back(std::move(question));
}

RecordedRun invented_run(std::vector<RecordedCell> cells, const std::string& analysis) {
  RecordedRun run;
  run.path = "runs/invented";
  run.cells = std::move(cells);
  run.config = Json::object();
  if (!analysis.empty()) run.config["analysis"] = parse_json(analysis, "test");
  return run;
}

void write_run(const RecordedRun& run, const std::string& folder) {
  std::filesystem::create_directories(folder);
  Json cells = Json::array();
  std::ofstream samples(folder + "/samples.jsonl");
  for (const RecordedCell& cell : run.cells) {
    Json swept = Json::object();
    for (const auto& [key, value] : cell.swept) swept[key] = value;
    cells.push_back({{"id", cell.id},
                     {"model", cell.model},
                     {"task", cell.task},
                     {"sampler", cell.sampler},
                     {"sampler_label", cell.sampler_label},
                     {"swept", std::move(swept)},
                     {"choice", cell.choice},
                     {"identity", cell.identity}});
    for (const RecordedCell::Question& question : cell.questions)
      for (const Sample& sample : question.answers)
        samples << dump_line(sample_to_json(sample)) << "\n";
  }
  const Json manifest = {
      {"config", run.config},
      {"models", {{{"weights_sha256", "aa"}, {"provenance", "dequantised from Q4_1"}}}}};
  std::ofstream(folder + "/cells.json") << cells.dump();
  std::ofstream(folder + "/manifest.json") << manifest.dump();
  std::ofstream(folder + "/done.json") << "{}";
}

}  // namespace surprisal
