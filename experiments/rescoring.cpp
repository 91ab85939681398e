#include "experiments/rescoring.h"

#include <map>
#include <memory>

#include "experiments/experiment_config.h"
#include "experiments/sample_json.h"
#include "experiments/text_table.h"
#include "lib/error.h"

namespace surprisal {
namespace {

constexpr size_t kShownChanges = 20;

/// The task of a cell as it is today, its problems by number.
struct TodaysTask {
  std::unique_ptr<Task> task;
  std::map<int64_t, const Problem*> problems;
  bool score_inserted = false;
};

/// Where the data of a task lies: that of the config's task of the same name.
std::string recorded_data(const RecordedRun& run, const std::string& task) {
  for (const Json& entry : run.config.value("tasks", Json::array()))
    if (entry.value("name", "") == task) return entry.value("data", "");
  return "";
}

TodaysTask recreate_task(const RecordedRun& run, const Json& identity, const TaskRegistry& registry,
                         const std::string& data, std::vector<std::string>& notes) {
  Json keys = identity;
  for (const char* key : {"version", "data_sha256"}) keys.erase(key);
  const std::string name = identity.value("name", "");
  keys["data"] = data.empty() ? recorded_data(run, name) : data;
  TaskSpec spec;
  spec.node = yaml_from_json(keys);
  spec.owner = "task";
  TodaysTask today;
  today.task = create_task(registry, spec, run.path + "/cells.json", nullptr);
  if (today.task->data_sha256() != identity.value("data_sha256", ""))
    throw Error(ErrorCode::kFormat, run.path + ": task " + name + ": the data in '" +
                                        keys["data"].get<std::string>() +
                                        "' is not what the run was made with; name its folder "
                                        "with --data");
  const std::string version = identity.value("version", "");
  if (today.task->version() != version)
    notes.push_back("Task " + name + " was scored by the rules of '" + version +
                    "' and is now by '" + today.task->version() + "'.");
  for (const Problem& problem : today.task->problems()) today.problems[problem.doc_id] = &problem;
  today.score_inserted = identity.value("score_inserted", false);
  return today;
}

void rescore_answer(const Sample& sample, const Problem& problem, const TodaysTask& today,
                    RescoredCell& cell, std::vector<ScoreChange>& changes) {
  const std::string text =
      today.score_inserted ? sample.response : without_spans(sample.response, sample.foreign);
  const Score now = today.task->score(problem, text);
  cell.answers += 1;
  for (size_t s = 0; s < std::size(kScorerNames); ++s) {
    const auto scorer = static_cast<Scorer>(s);
    const ScoreChange change{.cell = cell.cell,
                             .doc_id = sample.doc_id,
                             .repeat = sample.repeat,
                             .scorer = scorer,
                             .extracted_before = extracted_answer(sample.score, scorer),
                             .extracted_now = extracted_answer(now, scorer),
                             .right_before = is_right(sample.score, scorer),
                             .right_now = is_right(now, scorer)};
    cell.right_before[s] += change.right_before;
    cell.right_now[s] += change.right_now;
    if (change.right_before != change.right_now || change.extracted_before != change.extracted_now)
      changes.push_back(change);
  }
}

std::string verdict(bool right) {
  return right ? "right" : "wrong";
}

}  // namespace

RescoreReport rescore(const RecordedRun& run, const TaskRegistry& registry,
                      const std::string& data) {
  RescoreReport report;
  std::map<std::string, TodaysTask> tasks;  // by identity
  for (const RecordedCell& cell : run.cells) {
    if (!cell.identity.contains("task"))
      throw Error(ErrorCode::kFormat, run.path + "/cells.json: cell " + cell.id + " has no task");
    const Json& identity = cell.identity.at("task");
    const auto [place, is_new] = tasks.try_emplace(canonical_json(identity));
    if (is_new) place->second = recreate_task(run, identity, registry, data, report.notes);
    const TodaysTask& today = place->second;

    RescoredCell rescored{.cell = cell.id, .name = cell.name()};
    for (const RecordedCell::Question& question : cell.questions) {
      const auto found = today.problems.find(question.doc_id);
      if (found == today.problems.end() ||
          found->second->question_sha256 != question.question_sha256)
        throw Error(ErrorCode::kFormat, run.path + ": task " + cell.task + " has no problem " +
                                            std::to_string(question.doc_id) +
                                            " with the text of the run's");
      for (const Sample& sample : question.answers)
        rescore_answer(sample, *found->second, today, rescored, report.changes);
    }
    report.cells.push_back(std::move(rescored));
  }
  return report;
}

Json rescore_json(const RescoreReport& report) {
  Json cells = Json::array(), changes = Json::array();
  for (const RescoredCell& cell : report.cells) {
    Json entry = {{"cell", cell.cell}, {"name", cell.name}, {"answers", cell.answers}};
    for (size_t s = 0; s < std::size(kScorerNames); ++s)
      entry[std::string(kScorerNames[s])] = {{"right_before", cell.right_before[s]},
                                             {"right_now", cell.right_now[s]}};
    cells.push_back(std::move(entry));
  }
  for (const ScoreChange& change : report.changes)
    changes.push_back({{"cell", change.cell},
                       {"doc_id", change.doc_id},
                       {"repeat", change.repeat},
                       {"scorer", kScorerNames[static_cast<size_t>(change.scorer)]},
                       {"extracted_before", change.extracted_before},
                       {"extracted_now", change.extracted_now},
                       {"right_before", change.right_before},
                       {"right_now", change.right_now}});
  return {{"format", "surprisal-rescore"},
          {"cells", std::move(cells)},
          {"changes", std::move(changes)},
          {"notes", report.notes}};
}

std::string rescore_text(const RescoreReport& report) {
  std::vector<std::vector<std::string>> rows = {{"cell", "sampler", "answers"}};
  for (const auto name : kScorerNames) rows[0].push_back(std::string(name) + " %, before -> now");
  int64_t answers = 0;
  for (const RescoredCell& cell : report.cells) {
    answers += cell.answers;
    rows.push_back({cell.cell, cell.name, std::to_string(cell.answers)});
    const auto percent = [&](int64_t right) {
      return fixed(100 * static_cast<double>(right) / static_cast<double>(cell.answers), 1);
    };
    for (size_t s = 0; s < std::size(kScorerNames); ++s)
      rows.back().push_back(percent(cell.right_before[s]) + " -> " + percent(cell.right_now[s]));
  }
  std::string text = aligned_table(rows, 2);
  text += report.changes.empty()
              ? "Nothing changed: " + std::to_string(answers) + " answers are scored as before.\n"
              : std::to_string(report.changes.size()) + " extractions or verdicts of " +
                    std::to_string(answers) + " answers changed:\n";
  for (size_t i = 0; i < report.changes.size() && i < kShownChanges; ++i) {
    const ScoreChange& change = report.changes[i];
    text += "  cell " + change.cell + ", problem " + std::to_string(change.doc_id) + ", repeat " +
            std::to_string(change.repeat) + ", " +
            std::string(kScorerNames[static_cast<size_t>(change.scorer)]) + ": " +
            dump_line(change.extracted_before) + " (" + verdict(change.right_before) + ") -> " +
            dump_line(change.extracted_now) + " (" + verdict(change.right_now) + ")\n";
  }
  if (report.changes.size() > kShownChanges)
    text += "  and " + std::to_string(report.changes.size() - kShownChanges) +
            " more (--json lists all)\n";
  for (const std::string& note : report.notes) text += "note: " + note + "\n";
  return text;
}

}  // namespace surprisal
