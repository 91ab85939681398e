#include "experiments/runner.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <tuple>

#include "experiments/results_format.h"
#include "experiments/trace_reader.h"
#include "lib/files.h"
#include "tests/experiments/example_plan.h"
#include "tests/experiments/temporary_folder.h"

namespace surprisal {
namespace {

using testing::error_of;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

/// Never finds a token.
class Failing : public Sampler {
 public:
  Decision decide(const StepView&, SamplerState*, const Draws&) const override {
    throw Error(ErrorCode::kNumeric, "no token is good enough");
  }
};

class CountingObserver : public RunObserver {
 public:
  void progress(const RunProgress& progress) override {
    EXPECT_GE(progress.samples, last.samples);
    EXPECT_GE(progress.answer_tokens, last.answer_tokens);
    last = progress;
  }
  void message(const std::string& text) override { messages += text + "\n"; }
  RunProgress last;
  std::string messages;
};

/// The example plan on a real (tiny) model.
Plan plan_in(const TemporaryFolder& folder, int64_t problems = 4, int64_t repeats = 1) {
  Plan plan = testing::example_plan(problems, repeats, folder.path());
  PlannedModel& model = plan.models[0];
  model.spec.path = std::string(SURPRISAL_SOURCE_DIR) + "/tests/models/fixtures/llama";
  model.spec.options = {.dtype = "float32", .device = "cpu"};
  model.config = load_model_config(model.spec.path);
  model.tokenizer = std::make_unique<testing::LetterTokenizer>(model.config.vocab_size);
  size_t doc = 0;
  for (Prompt& prompt : plan.prompts[{0, 0}]) prompt.tokens.push_back(static_cast<TokenId>(doc++));
  return plan;
}

TEST(Runner, FinishesARunAndThenHasNothingToDo) {
  const TemporaryFolder folder;
  const Plan plan = plan_in(folder);
  CountingObserver observer;
  const RunOutcome outcome = run_plan(plan, {}, observer);
  EXPECT_EQ(outcome.status, RunOutcome::Status::kFinished);
  EXPECT_EQ(observer.last.samples, 8);
  double tokens = 0;
  for (const CellResult& result : outcome.results)
    tokens += result.generated_tokens * static_cast<double>(result.n);
  EXPECT_EQ(static_cast<double>(observer.last.answer_tokens), tokens);
  for (const std::string& path : outcome.products) EXPECT_TRUE(std::filesystem::exists(path));
  CountingObserver again;
  const RunOutcome second = run_plan(plan, {}, again);
  EXPECT_EQ(second.status, RunOutcome::Status::kAlreadyFinished);
  EXPECT_EQ(results_json(second.results), results_json(outcome.results));
  EXPECT_EQ(again.messages, "");
}

TEST(Runner, AnInterruptedRunGoesOnToTheSameEnd) {
  const TemporaryFolder whole_folder, folder;
  CountingObserver observer;
  run_plan(plan_in(whole_folder), {}, observer);
  const Plan plan = plan_in(folder);
  int64_t before = 0;
  for (int64_t stop_at = 1;; ++stop_at) {
    CountingObserver counting;
    RunOptions options;
    options.interrupted = [&] { return counting.last.samples >= stop_at; };
    const RunOutcome outcome = run_plan(plan, options, counting);
    EXPECT_GE(outcome.progress.samples, before);
    before = outcome.progress.samples;
    if (outcome.status == RunOutcome::Status::kFinished) break;
    EXPECT_TRUE(outcome.results.empty());
    EXPECT_FALSE(std::filesystem::exists(outcome.directory + "/traces.h5"));
    ASSERT_LT(stop_at, 9);
  }
  EXPECT_EQ(trace_signature(TraceReader(folder.file("example"))),
            trace_signature(TraceReader(whole_folder.file("example"))));
  EXPECT_EQ(read_file(folder.file("example/samples.jsonl"), 1 << 20),
            read_file(whole_folder.file("example/samples.jsonl"), 1 << 20));
}

/// Runs a plan of eight answers to its end, interrupted after each of them.
void run_in_pieces(const Plan& plan) {
  for (int64_t stop_at = 1;; ++stop_at) {
    ASSERT_LT(stop_at, 9);
    CountingObserver counting;
    RunOptions options;
    options.interrupted = [&] { return counting.last.samples >= stop_at; };
    if (run_plan(plan, options, counting).status == RunOutcome::Status::kFinished) return;
  }
}

// What engine.mode: strict promises of float32 on a CPU.
TEST(Runner, BatchSharingChunksAndThreadsChangeNoBit) {
  const TemporaryFolder first_folder, second_folder;
  CountingObserver observer;
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  Plan alone = plan_in(first_folder, 6);
  alone.config.engine.batch = 1;
  alone.config.engine.sharing = false;
  alone.config.engine.prefill_chunk = 2;
  run_plan(alone, {}, observer);
  at::set_num_threads(3);
  CountingObserver together;
  Plan batch = plan_in(second_folder, 6);
  batch.config.engine.batch = 7;
  run_plan(batch, {}, together);
  at::set_num_threads(threads);
  EXPECT_EQ(read_file(first_folder.file("example/samples.jsonl"), 1 << 20),
            read_file(second_folder.file("example/samples.jsonl"), 1 << 20));
  EXPECT_EQ(trace_signature(TraceReader(first_folder.file("example"))),
            trace_signature(TraceReader(second_folder.file("example"))));
}

std::unique_ptr<Sampler> chain() {
  return create_sampler(builtin_samplers(), YAML::Load("{type: chain, steps: [{temperature: 1}]}"),
                        "", "", {}, nullptr);
}

std::unique_ptr<Strategy> strategy(const std::string& yaml) {
  return create_strategy(builtin_strategies(), YAML::Load(yaml), "", "", nullptr);
}

/// (cell, doc_id, repeat) -> response
std::map<std::tuple<std::string, int64_t, int64_t>, std::string> responses(
    const std::string& samples) {
  std::map<std::tuple<std::string, int64_t, int64_t>, std::string> all;
  std::istringstream lines(read_file(samples, 1 << 20));
  for (std::string line; std::getline(lines, line);) {
    const Json sample = parse_json(line, samples);
    all[{sample.at("cell"), sample.at("doc_id"), sample.at("repeat")}] = sample.at("response");
  }
  return all;
}

TEST(Runner, AnswersOfAVoteAreRepeatsOfItsSampler) {
  for (const int64_t k : {1, 2}) {
    const TemporaryFolder folder;
    Plan plan = plan_in(folder, 2, 4);
    plan.cells[0].sampler = chain();
    plan.cells[1].sampler = chain();
    plan.cells[1].strategy = strategy("{type: self_consistency, k: " + std::to_string(k) + "}");
    CountingObserver observer;
    run_plan(plan, {}, observer);
    const auto all = responses(folder.file("example/samples.jsonl"));
    std::set<std::string> distinct;
    for (int64_t doc = 0; doc < 2; ++doc)
      for (int64_t repeat = 0; repeat < 4 / k; ++repeat) {
        // This task extracts no answer, so the first one stands.
        EXPECT_EQ(all.at({"cell_b", doc, repeat}), all.at({"cell_a", doc, repeat * k}));
        distinct.insert(all.at({"cell_b", doc, repeat}));
      }
    EXPECT_GT(distinct.size(), 1u);
  }
}

TEST(Runner, AnInterruptedRunOfStrategiesGoesOnToTheSameEnd) {
  const auto with_strategies = [](Plan plan) {
    plan.cells[0].sampler = chain();
    plan.cells[0].strategy = strategy("{type: deepconf, n: 4, mode: online, warmup: 2, window: 2}");
    plan.cells[1].strategy = strategy("{type: beam_search, beams: 3}");
    return plan;
  };
  const TemporaryFolder whole_folder, folder;
  CountingObserver observer;
  run_plan(with_strategies(plan_in(whole_folder)), {}, observer);
  run_in_pieces(with_strategies(plan_in(folder)));
  EXPECT_EQ(trace_signature(TraceReader(folder.file("example"))),
            trace_signature(TraceReader(whole_folder.file("example"))));
  EXPECT_EQ(read_file(folder.file("example/samples.jsonl"), 1 << 20),
            read_file(whole_folder.file("example/samples.jsonl"), 1 << 20));
}

/// A sampler that thinks every now and then, and its yoked control.
Plan yoked_plan(Plan plan) {
  const auto thinking = [&](const std::string& rest) {
    const SamplerContext context{plan.models[0].tokenizer.get(), 0};
    return create_sampler(builtin_samplers(),
                          YAML::Load("{type: quadrant, entropy_cut: 0, low_low: argmax, high_low: "
                                     "argmax, high_high: argmax, reflecting: argmax, think: {text: "
                                     "wa, first_after: 2, cooldown: 2, cap: 3, max_per_answer: 3}" +
                                     rest + "}"),
                          "", "", context, nullptr);
  };
  for (Cell& cell : plan.cells) cell.max_new_tokens = 30;
  plan.cells[0].sampler = thinking(", gate: entropy");
  plan.cells[1].sampler = thinking(", gate: yoked");
  plan.cells[1].yoked_to = 0;
  return plan;
}

TEST(Runner, AYokedControlThinksAsOftenAndAsFarApartElsewhere) {
  const TemporaryFolder folder;
  const Plan plan = yoked_plan(plan_in(folder, 6, 2));
  CountingObserver observer;
  const RunOutcome outcome = run_plan(plan, {}, observer);
  const TraceReader trace(folder.file("example"));
  const auto cell = trace.column("samples", "cell").read<int64_t>();
  const auto doc = trace.column("samples", "doc_id").read<int64_t>();
  const auto repeat = trace.column("samples", "repeat").read<int64_t>();
  const auto sample = trace.column("events", "sample").read<int64_t>();
  const auto position = trace.column("events", "position").read<int32_t>();
  const auto kind = trace.column("events", "kind").read<uint8_t>();
  std::map<std::pair<int64_t, int64_t>, std::vector<int32_t>> places[2];  // by cell, of each answer
  for (size_t e = 0; e < sample.size(); ++e) {
    const auto s = static_cast<size_t>(sample[e]);
    if (static_cast<EventKind>(kind[e]) == EventKind::kThink)
      places[cell[s]][{doc[s], repeat[s]}].push_back(position[e]);
  }
  const auto gaps = [](const std::vector<int32_t>& at) {
    std::multiset<int32_t> all;
    for (size_t i = 1; i < at.size(); ++i) all.insert(at[i] - at[i - 1]);
    return all;
  };
  size_t planned = 0, done = 0, moved = 0;
  for (const auto& [answer, at] : places[0]) {
    const std::vector<int32_t>& yoked = places[1][answer];
    planned += at.size();
    done += yoked.size();
    moved += at != yoked;
    if (yoked.size() == at.size()) {
      EXPECT_EQ(gaps(yoked), gaps(at));
    } else {
      EXPECT_LT(yoked.size(), at.size());  // an answer that ended sooner
    }
  }
  EXPECT_GE(planned, 24u);
  EXPECT_GE(done, planned / 2);
  EXPECT_GE(moved, 6u);
  EXPECT_DOUBLE_EQ(outcome.results[0].interventions * 12, static_cast<double>(planned));
  EXPECT_DOUBLE_EQ(outcome.results[1].interventions * 12, static_cast<double>(done));
  EXPECT_EQ(outcome.results[1].planned_interventions, outcome.results[0].interventions);
  EXPECT_THAT(results_table(outcome.results),
              HasSubstr("of " + std::to_string(planned) + " interventions, placed at random, " +
                        std::to_string(planned - done) + " were left out"));
}

TEST(Runner, WhatAShorterYokedAnswerHasNoRoomForIsCounted) {
  const TemporaryFolder folder;
  Plan plan = yoked_plan(plan_in(folder, 6));
  plan.cells[1].max_new_tokens = 12;
  CountingObserver observer;
  const RunOutcome outcome = run_plan(plan, {}, observer);
  EXPECT_EQ(outcome.results[1].planned_interventions, outcome.results[0].interventions);
  EXPECT_LT(outcome.results[1].interventions, outcome.results[0].interventions);
  EXPECT_EQ(results_json(results_from_json(results_json(outcome.results), "t")),
            results_json(outcome.results));
}

TEST(Runner, AnInterruptedYokedRunGoesOnToTheSameEnd) {
  const TemporaryFolder whole_folder, folder;
  CountingObserver observer;
  run_plan(yoked_plan(plan_in(whole_folder)), {}, observer);
  run_in_pieces(yoked_plan(plan_in(folder)));
  EXPECT_EQ(trace_signature(TraceReader(folder.file("example"))),
            trace_signature(TraceReader(whole_folder.file("example"))));
}

TEST(Runner, ACellThatFailsTakesItsYokedControlWithIt) {
  const TemporaryFolder folder;
  Plan plan = yoked_plan(plan_in(folder));
  plan.cells[0].sampler = std::make_unique<Failing>();
  CountingObserver observer;
  const Error error = error_of([&] { run_plan(plan, {}, observer); });
  EXPECT_THAT(error.what(), HasSubstr("cell cell_a"));
  EXPECT_THAT(error.what(), Not(HasSubstr("cell cell_b")));
}

TEST(Runner, APersonIsAskedOnlyWhereOneIs) {
  const TemporaryFolder folder;
  Plan plan = plan_in(folder);
  plan.cells[0].ask_policy = kPerson;
  CountingObserver observer;
  EXPECT_THAT(error_of([&] { run_plan(plan, {}, observer); }).what(), HasSubstr("--interactive"));
  RunOptions options;
  options.person = ask_policy("first");
  EXPECT_EQ(run_plan(plan, options, observer).status, RunOutcome::Status::kFinished);
}

TEST(Runner, AFailingSamplerStopsItsOwnCell) {
  const TemporaryFolder folder;
  Plan plan = plan_in(folder);
  plan.cells[0].sampler = std::make_unique<Failing>();
  plan.cells[0].sampler_name = "failing";
  CountingObserver observer;
  const Error error = error_of([&] { run_plan(plan, {}, observer); });
  EXPECT_EQ(error.code(), ErrorCode::kNumeric);
  EXPECT_THAT(error.what(), HasSubstr("sampler 'failing', cell cell_a"));
  EXPECT_THAT(error.what(), HasSubstr("no token is good enough"));
  EXPECT_EQ(observer.last.samples, 4);  // all of the other cell's
  EXPECT_FALSE(std::filesystem::exists(folder.file("example/done.json")));

  plan.cells[0].sampler = std::make_unique<Greedy>();  // mended: only its answers are missing
  CountingObserver mended;
  EXPECT_EQ(run_plan(plan, {}, mended).status, RunOutcome::Status::kFinished);
  EXPECT_THAT(mended.messages, HasSubstr("4 of 8 answers are there"));
}

TEST(Runner, FailFastStopsTheRun) {
  const TemporaryFolder folder;
  Plan plan = plan_in(folder, 200);
  plan.config.engine.batch = 1;
  plan.cells[0].sampler = std::make_unique<Failing>();
  RunOptions options;
  options.fail_fast = true;
  CountingObserver observer;
  EXPECT_EQ(error_of([&] { run_plan(plan, options, observer); }).code(), ErrorCode::kNumeric);
  EXPECT_LT(observer.last.samples, 5);
}

TEST(Runner, RepeatsOfOneQuestionShareItsPromptAndDifferInDraws) {
  const TemporaryFolder folder;
  const Plan plan = plan_in(folder, 2, 3);
  CountingObserver observer;
  EXPECT_EQ(run_plan(plan, {}, observer).status, RunOutcome::Status::kFinished);
  EXPECT_EQ(observer.last.samples, 2 * 2 * 3);
  const TraceReader trace(folder.file("example"));
  EXPECT_THAT(trace.column("samples", "repeat").read<int64_t>(),
              ::testing::ElementsAre(0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2));
}

}  // namespace
}  // namespace surprisal
