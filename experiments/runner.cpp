#include "experiments/runner.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <deque>
#include <optional>

#include "experiments/cell_guard.h"
#include "experiments/manifest.h"
#include "experiments/products.h"
#include "experiments/results_format.h"
#include "experiments/run_directory.h"
#include "experiments/sample_index.h"
#include "experiments/sample_json.h"
#include "experiments/scorers.h"
#include "experiments/spool.h"
#include "experiments/yoke.h"
#include "lib/draws.h"
#include "lib/files.h"

namespace surprisal {
namespace {

constexpr int64_t kSamplesPerSync = 64;  // a power loss costs at most these; a kill costs none
constexpr int64_t kCpuBatch = 32;        // measured: 16 rows give 85 tokens/s, 32 98, 64 96
constexpr int64_t kGpuBatch = 128;

/// What sharing has saved in a session.
std::string sharing_text(const Session& session) {
  char share[160];
  std::snprintf(
      share, sizeof share,
      "answers asked for %lld tokens, %lld were computed (%.2f); at most %lld rows and "
      "%.0f MB of cache at once",
      static_cast<long long>(session.requested_tokens),
      static_cast<long long>(session.computed_tokens),
      static_cast<double>(session.computed_tokens) / static_cast<double>(session.requested_tokens),
      static_cast<long long>(session.peak_rows),
      static_cast<double>(session.peak_cache_bytes) / 1e6);
  return share;
}

/// An answer still to be computed.
struct Pending {
  size_t cell;
  const Prompt* prompt;
  int64_t repeat;
};

/// Computes the answers that a spool lacks, model by model. Answers to one prompt are asked for one
/// after the other, whatever their cell, so that the engine can share what they have in common.
class Generation {
 public:
  Generation(const Plan& plan, const RunOptions& options, RunObserver& observer, Spool& spool)
      : plan_(plan), options_(options), observer_(observer), spool_(spool), index_(plan, spool) {
    for (const Cell& cell : plan.cells) guards_.emplace_back(*cell.sampler);
    progress_.samples_total = plan.samples();
    progress_.samples = progress_.samples_before = index_.size();
  }

  /// Returns when all is done or interrupted. @throws Error when a cell has failed
  void run(Session& session) {
    warn_of_leaked_questions();
    for (size_t model = 0; model < plan_.models.size() && !stopped(); ++model) {
      const std::vector<Pending> pending = pending_of(model);
      if (!pending.empty()) run_model(plan_.models[model], pending, session);
    }
    spool_.sync();
    report_failures();
  }

  const RunProgress& progress() const { return progress_; }

 private:
  bool stopped() const {
    if (options_.interrupted()) return true;
    if (!options_.fail_fast) return false;
    for (const CellGuard& guard : guards_)
      if (guard.failure()) return true;
    return false;
  }

  /// It itself, or the cell it is yoked to.
  bool has_failed(size_t cell) const {
    const std::optional<size_t>& other = plan_.cells[cell].yoked_to;
    return guards_[cell].failure() || (other && guards_[*other].failure());
  }

  /// A retriever that holds the problems brings their answers, too.
  void warn_of_leaked_questions() const {
    if (!plan_.retriever) return;
    int64_t asked = 0, held = 0;
    for (const PlannedTask& task : plan_.tasks)
      for (const size_t index : task.problems) {
        const Problem& problem = task.task->problems()[index];
        ++asked;
        held += plan_.retriever->holds(problem.messages.back().content);
      }
    if (held > 0)
      observer_.message("warning: the retriever holds " + std::to_string(held) + " of the " +
                        std::to_string(asked) +
                        " questions themselves: answers may be looked up, not found");
  }

  int64_t doc_id(const Pending& pending) const { return problem(pending).doc_id; }

  const Problem& problem(const Pending& pending) const {
    const Task& task = *plan_.tasks[plan_.cells[pending.cell].task].task;
    return task.problems()[pending.prompt->problem];
  }

  std::vector<Pending> pending_of(size_t model) const {
    std::vector<Pending> pending;
    for_each_sample(plan_, [&](size_t cell, const Prompt& prompt, int64_t repeat) {
      if (plan_.cells[cell].model != model) return;
      const Pending one{cell, &prompt, repeat};
      if (!index_.find(cell, doc_id(one), repeat)) pending.push_back(one);
    });
    return pending;
  }

  void run_model(const PlannedModel& planned, const std::vector<Pending>& pending,
                 Session& session) {
    observer_.message("loading " + planned.spec.path + " (" + planned.dtype() + ", " +
                      planned.placement.device.str() + ")");
    const std::unique_ptr<Model> model = load_model(planned.spec.path, planned.spec.options);
    EngineOptions engine_options = plan_.config.engine;
    if (engine_options.batch == 0) engine_options.batch = automatic_batch(planned);
    session.engine = plan_.config.resolved.value("engine", Json::object());
    session.engine["batch"] = engine_options.batch;
    Engine engine(*model, *planned.tokenizer, engine_options);

    size_t next = 0;
    bool yoked = false;
    const auto is_due = [&](const Pending& one) {
      return plan_.cells[one.cell].yoked_to.has_value() == yoked && !has_failed(one.cell);
    };
    const auto take_next = [&]() -> std::optional<GenerationRequest> {
      while (next < pending.size() && !is_due(pending[next])) ++next;
      if (next == pending.size()) return std::nullopt;
      const size_t id = next++;
      return make_request(planned, pending[id], static_cast<int64_t>(id));
    };
    const auto finished = [&](GenerationResult result) {
      const Pending& one = pending[static_cast<size_t>(result.id)];
      session.requested_tokens += result.cost.token_evaluations;
      for (const TwinRecord& pair : result.twins)
        session.requested_tokens +=
            pair.treated.token_evaluations + pair.untreated.token_evaluations;
      if (!guards_[one.cell].failure()) keep(one, std::move(result));
    };
    const auto on_token = [&](int64_t, TokenId, const TokenRecord&) {
      ++progress_.answer_tokens;
      observer_.progress(progress_);
    };
    // Yoked answers need the finished ones that they are yoked to.
    for (const bool second : {false, true}) {
      if (stopped()) break;
      next = 0;
      yoked = second;
      engine.run(
          take_next, finished, [&] { return stopped(); }, on_token);
    }
    session.computed_tokens += engine.counters().computed_tokens;
    session.forward_passes += engine.counters().forward_passes;
    session.peak_rows = std::max(session.peak_rows, engine.counters().peak_rows);
    session.peak_cache_bytes =
        std::max(session.peak_cache_bytes, engine.counters().peak_cache_bytes);
  }

  GenerationRequest make_request(const PlannedModel& model, const Pending& pending,
                                 int64_t id) const {
    const Cell& cell = plan_.cells[pending.cell];
    GenerationRequest request;
    request.id = id;
    request.prompt = pending.prompt->tokens;
    request.sampler = &guards_[pending.cell];
    const auto key_of = [&](int64_t repeat) {
      return draws_key(cell.seed, problem(pending).question_sha256, static_cast<uint64_t>(repeat));
    };
    request.strategy = cell.strategy.get();
    const int64_t answers = cell.strategy ? cell.strategy->answers() : 1;
    request.draws_key = key_of(pending.repeat * answers);
    if (cell.strategy)
      for (int64_t member = 0; member < answers; ++member)
        request.member_keys.push_back(key_of(pending.repeat * answers + member));
    if (cell.yoked_to)
      request.schedule = yoked_schedule(recorded(*cell.yoked_to, pending), request.draws_key);
    request.max_new_tokens = cell.max_new_tokens;
    request.budget = cell.budget;
    request.ask =
        cell.ask_policy == kPerson ? asking_about(problem(pending)) : ask_policy(cell.ask_policy);
    if (plan_.retriever)
      request.retrieve = [this, &guard = guards_[pending.cell]](const std::string& query) {
        return guard.attempt([&] { return plan_.retriever->retrieve(query); });
      };
    if (!cell.strategy) request.counterfactual = plan_.config.counterfactual;
    request.stop_strings = model.stop_strings(*plan_.tasks[cell.task].task);
    request.stop_tokens = model.stop_tokens();
    const Scorer scorer = cell.strategy ? cell.strategy->scorer() : Scorer::kStrict;
    request.extract_answer = [&task = *plan_.tasks[cell.task].task, &asked = problem(pending),
                              scorer](const std::string& text) {
      const std::string answer = extracted_answer(task.score(asked, text), scorer);
      return answer == kInvalidAnswer ? "" : answer;
    };
    return request;
  }

  /// The finished answer of another cell to the same question.
  Sample recorded(size_t cell, const Pending& pending) const {
    const auto record = index_.find(cell, doc_id(pending), pending.repeat);
    if (!record)
      throw Error(ErrorCode::kInternal, "the answer that another is yoked to is not there");
    return decode_sample(spool_.read(*record), spool_.path());
  }

  /// A person must know what the answer is an answer to.
  AskPolicy asking_about(const Problem& asked) const {
    return [this, &asked](const AskUser& question, const Draws& draws) {
      AskUser shown = question;
      shown.so_far = asked.messages.back().content + "\n\n" + question.so_far;
      return options_.person(shown, draws);
    };
  }

  Sample make_sample(const Pending& pending, GenerationResult result) const {
    const Cell& cell = plan_.cells[pending.cell];
    const PlannedTask& task = plan_.tasks[cell.task];
    const Problem& asked = problem(pending);
    Sample sample;
    sample.cell = cell.id;
    sample.doc_id = asked.doc_id;
    sample.repeat = pending.repeat;
    sample.seed = cell.seed;
    sample.question_sha256 = asked.question_sha256;
    sample.prompt = pending.prompt->text;
    sample.response = std::move(result.response);
    sample.foreign = std::move(result.foreign);
    sample.target = asked.target;
    sample.tags = asked.tags;
    const auto score = [&](const std::string& response, const std::vector<TextSpan>& foreign) {
      return task.task->score(
          asked, task.spec.score_inserted ? response : without_spans(response, foreign));
    };
    sample.score = score(sample.response, sample.foreign);
    sample.twins = std::move(result.twins);
    for (TwinRecord& pair : sample.twins)
      for (TwinAnswer* twin : {&pair.treated, &pair.untreated})
        twin->score = score(twin->response, twin->foreign);
    sample.stop_reason = result.stop_reason;
    sample.prompt_tokens = result.prompt_tokens;
    sample.generated_tokens = result.generated_tokens;
    sample.injected_tokens = result.injected_tokens;
    sample.retrieved_tokens = result.retrieved_tokens;
    sample.discarded_tokens = result.discarded_tokens;
    sample.interventions = result.interventions;
    sample.cost = result.cost;
    sample.tokens = std::move(result.tokens);
    sample.nodes = std::move(result.nodes);
    sample.events = std::move(result.events);
    sample.branches = std::move(result.branches);
    return sample;
  }

  void keep(const Pending& pending, GenerationResult result) {
    spool_.append(encode_sample(make_sample(pending, std::move(result))));
    index_.add(pending.cell, doc_id(pending), pending.repeat, spool_.records().back());
    if (++progress_.samples % kSamplesPerSync == 0) spool_.sync();
    observer_.progress(progress_);
  }

  void report_failures() const {
    std::string list;
    std::optional<ErrorCode> code;
    for (size_t c = 0; c < guards_.size(); ++c) {
      const std::optional<Error>& failure = guards_[c].failure();
      if (!failure) continue;
      if (!code) code = failure->code();
      const Cell& cell = plan_.cells[c];
      list += "\n  sampler '" + cell.sampler_name + "', cell " + cell.id +
              (cell.swept.empty() ? "" : " (" + setting_text(cell.swept) + ")") + ": " +
              failure->what();
    }
    if (code)
      throw Error(*code,
                  "some cells failed; answers of the others are kept, and no results are "
                  "written:" +
                      list);
  }

  const Plan& plan_;
  const RunOptions& options_;
  RunObserver& observer_;
  Spool& spool_;
  SampleIndex index_;
  std::deque<CellGuard> guards_;  // per cell
  RunProgress progress_;
};

std::string spool_header(const Plan& plan) {
  return Json({{"format", "surprisal-spool"},
               {"part", "main"},
               {"config_sha256", plan.config_sha256}})
      .dump();
}

std::vector<std::string> product_paths(const RunDirectory& directory) {
  std::vector<std::string> paths;
  for (const char* name : {"results.csv", "results.json", "samples.jsonl", "traces.h5",
                           "cells.json", "config.yaml", "manifest.json"})
    paths.push_back(directory.file(name));
  return paths;
}

}  // namespace

int64_t automatic_batch(const PlannedModel& model) {
  return model.placement.device.is_cpu() ? kCpuBatch : kGpuBatch;
}

RunOutcome run_plan(const Plan& plan, const RunOptions& options, RunObserver& observer) {
  using Status = RunOutcome::Status;
  const RunDirectory directory = RunDirectory::of(plan.config);
  directory.require_same_run(plan);
  RunOutcome outcome;
  outcome.directory = directory.path();
  outcome.products = product_paths(directory);
  if (directory.is_finished(plan)) {
    const std::string results = directory.file("results.json");
    outcome.status = Status::kAlreadyFinished;
    outcome.results = results_from_json(read_json_file(results), results);
    return outcome;
  }

  if (!options.person)
    for (const Cell& cell : plan.cells)
      if (cell.ask_policy == kPerson)
        throw Error(
            ErrorCode::kUsage,
            "ask_policy: person needs somebody at a terminal: run_experiment --interactive");
  directory.create();
  Spool spool(directory.part_file("spool"), spool_header(plan));
  directory.unmark();
  if (spool.dropped_bytes() > 0)
    observer.message("the last answer was cut short; it will be computed again");
  const std::optional<Json> before = directory.manifest();
  const Json earlier = before ? before->at("sessions") : Json::array();
  Session session;
  session.command = options.command;
  session.started = utc_now();
  session.threads = options.threads;
  const auto write_manifest = [&] {
    const Json manifest = make_manifest(plan, earlier, session);
    write_file_atomically(directory.file("manifest.json"), manifest.dump(2) + "\n");
    return manifest;
  };
  write_manifest();

  Generation generation(plan, options, observer, spool);
  if (const int64_t there = generation.progress().samples; there > 0)
    observer.message("going on: " + std::to_string(there) + " of " +
                     std::to_string(plan.samples()) + " answers are there");
  const auto start = std::chrono::steady_clock::now();
  generation.run(session);
  outcome.progress = generation.progress();
  session.samples = outcome.progress.samples - outcome.progress.samples_before;
  session.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  session.ended = utc_now();
  if (session.requested_tokens > 0) observer.message(sharing_text(session));
  const Json manifest = write_manifest();
  if (outcome.progress.samples < outcome.progress.samples_total) {
    outcome.status = Status::kInterrupted;
    return outcome;
  }
  outcome.results = build_products(plan, spool, directory, manifest);
  directory.mark_finished(plan);
  outcome.status = Status::kFinished;
  return outcome;
}

}  // namespace surprisal
