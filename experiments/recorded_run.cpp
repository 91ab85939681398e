#include "experiments/recorded_run.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

#include "experiments/sample_json.h"
#include "experiments/sweep.h"
#include "lib/error.h"
#include "lib/json_difference.h"

namespace surprisal {
namespace {

namespace fs = std::filesystem;

Error format_error(const std::string& where, const std::string& message) {
  return Error(ErrorCode::kFormat, where + ": " + message);
}

std::vector<RecordedCell> read_cells(const std::string& file) {
  std::vector<RecordedCell> cells;
  try {
    for (const Json& entry : read_json_file(file)) {
      RecordedCell cell;
      entry.at("id").get_to(cell.id);
      entry.at("model").get_to(cell.model);
      entry.at("task").get_to(cell.task);
      entry.at("sampler").get_to(cell.sampler);
      entry.at("sampler_label").get_to(cell.sampler_label);
      for (const auto& [key, value] : entry.at("swept").items())
        cell.swept.emplace_back(key, value);
      cell.choice = entry.value("choice", "");
      cell.identity = entry.at("identity");
      cells.push_back(std::move(cell));
    }
  } catch (const Json::exception& error) {
    throw format_error(file, std::string("not a list of cells: ") + error.what());
  }
  if (cells.empty()) throw format_error(file, "holds no cell");
  return cells;
}

/// Sorts answers into their cells and questions.
void read_samples(const std::string& file, bool keep_texts, std::vector<RecordedCell>& cells) {
  std::map<std::string, size_t> cell_index;
  for (size_t c = 0; c < cells.size(); ++c) cell_index[cells[c].id] = c;
  std::vector<std::map<int64_t, RecordedCell::Question>> questions(cells.size());

  std::ifstream in(file, std::ios::binary);
  if (!in) throw Error(ErrorCode::kIo, file + ": cannot be read");
  std::string line;
  for (int64_t number = 1; std::getline(in, line); ++number) {
    const std::string where = file + ":" + std::to_string(number);
    Sample sample = sample_from_json(parse_json(line, where), where);
    const auto found = cell_index.find(sample.cell);
    if (found == cell_index.end())
      throw format_error(where, "cell '" + sample.cell + "' is not in cells.json");
    if (!keep_texts) {
      sample.prompt = {};
      sample.response = {};
    }
    RecordedCell::Question& question = questions[found->second][sample.doc_id];
    if (question.answers.empty()) {
      question.doc_id = sample.doc_id;
      question.question_sha256 = sample.question_sha256;
    } else if (question.question_sha256 != sample.question_sha256) {
      throw format_error(where, "problem " + std::to_string(sample.doc_id) +
                                    " has another text than on an earlier line");
    }
    question.answers.push_back(std::move(sample));
  }
  if (in.bad()) throw Error(ErrorCode::kIo, file + ": cannot be read to its end");
  for (size_t c = 0; c < cells.size(); ++c)
    for (auto& [doc_id, question] : questions[c]) cells[c].questions.push_back(std::move(question));
}

/// Every question of a cell must have the answers 0, 1, ..., R - 1.
void order_repeats(const std::string& file, RecordedCell& cell) {
  if (cell.questions.empty())
    throw format_error(file, "holds no answer of cell " + cell.id + " (" + cell.name() + ")");
  for (RecordedCell::Question& question : cell.questions) {
    std::sort(question.answers.begin(), question.answers.end(),
              [](const Sample& a, const Sample& b) { return a.repeat < b.repeat; });
    bool complete = std::ssize(question.answers) == cell.repeats();
    for (size_t r = 0; r < question.answers.size(); ++r)
      complete = complete && question.answers[r].repeat == static_cast<int64_t>(r);
    if (!complete)
      throw format_error(file, "cell " + cell.id + " (" + cell.name() + "), problem " +
                                   std::to_string(question.doc_id) +
                                   ": a repeat is missing or stands twice");
  }
}

void read_manifest(const std::string& file, RecordedRun& run) {
  const Json manifest = read_json_file(file);
  try {
    run.config = manifest.at("config");
    for (RecordedCell& cell : run.cells)
      for (const Json& model : manifest.at("models"))
        if (model.at("weights_sha256") == cell.identity.at("model").at("weights_sha256"))
          model.at("provenance").get_to(cell.model_provenance);
  } catch (const Json::exception& error) {
    throw format_error(file, std::string("not a manifest: ") + error.what());
  }
}

}  // namespace

std::string RecordedCell::setting() const {
  return own_setting_text(sampler, swept);
}

std::string RecordedCell::name() const {
  return named_setting(sampler, swept);
}

Json RecordedCell::conditions() const {
  Json rest = identity;
  rest.erase("sampler");
  return rest;
}

RecordedRun read_recorded_run(const std::string& path, bool keep_texts) {
  const fs::path folder(path);
  if (!fs::is_directory(folder)) throw Error(ErrorCode::kIo, path + ": no such run directory");
  if (!fs::exists(folder / "done.json"))
    throw format_error(path,
                       "this run is not finished (it has no done.json); start run_experiment "
                       "again, it goes on where it stopped");
  RecordedRun run;
  run.path = path;
  run.cells = read_cells(folder / "cells.json");
  const std::string samples = folder / "samples.jsonl";
  read_samples(samples, keep_texts, run.cells);
  for (RecordedCell& cell : run.cells) order_repeats(samples, cell);
  read_manifest(folder / "manifest.json", run);
  return run;
}

void require_comparable(const RecordedCell& one, const RecordedCell& other) {
  const std::string both = "cell " + one.id + " (" + one.name() + ") and cell " + other.id + " (" +
                           other.name() + ") cannot be compared: ";
  for (const RecordedCell* cell : {&one, &other})
    if (cell->identity.value("ask_policy", "") == "person")
      throw Error(ErrorCode::kUsage, both + "cell " + cell->id +
                                         " was steered by a person (run_experiment --interactive), "
                                         "so its answers are not its sampler's");
  const std::string differences = json_difference(one.conditions(), other.conditions());
  if (!differences.empty())
    throw Error(ErrorCode::kUsage,
                both + "they differ in more than their sampler:\n" + differences);
  for (size_t q = 0; q < std::max(one.questions.size(), other.questions.size()); ++q) {
    const bool same = q < one.questions.size() && q < other.questions.size() &&
                      one.questions[q].doc_id == other.questions[q].doc_id &&
                      one.questions[q].question_sha256 == other.questions[q].question_sha256;
    if (!same)
      throw Error(ErrorCode::kUsage, both + "they did not answer the same problems (" +
                                         std::to_string(one.questions.size()) + " and " +
                                         std::to_string(other.questions.size()) +
                                         "); run both with the same `limit` or `ids`");
  }
}

}  // namespace surprisal
