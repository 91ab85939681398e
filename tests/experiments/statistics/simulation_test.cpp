// The whole pipeline on invented runs whose truth is known: do intervals cover it as often as they
// say, do tests cry wolf as seldom? Repeat with more simulations to look closer:
//   SURPRISAL_SIMULATIONS=20000 build/release/tests/statistics_simulation_test
// Draws are fixed by number, so a result never changes from run to run.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "experiments/comparison_report.h"
#include "experiments/statistics/detectable_effect.h"
#include "experiments/statistics/paired_binary.h"
#include "lib/draws.h"
#include "tests/experiments/statistics/recorded_world.h"

namespace surprisal {
namespace {

/// Chance of a false alarm of each check: 5e-4, both sides together.
constexpr double kStandardErrors = 3.5;

int64_t simulations() {
  const char* asked = std::getenv("SURPRISAL_SIMULATIONS");
  return asked != nullptr ? std::atoll(asked) : 600;
}

/// How often something happened.
struct Rate {
  int64_t hits = 0, trials = 0;
  void count(bool hit) {
    hits += hit;
    ++trials;
  }
  double value() const { return static_cast<double>(hits) / static_cast<double>(trials); }
};

/// Within the binomial error of some rate between `low` and `high`.
void expect_rate(const std::string& what, const Rate& rate, double low, double high) {
  const auto error = [&](double p) {
    return kStandardErrors * std::sqrt(p * (1 - p) / static_cast<double>(rate.trials));
  };
  std::cout << what << ": " << rate.value() << " (expected " << low << " to " << high << ", error "
            << error(low) << ")\n";
  EXPECT_GE(rate.value(), low - error(low)) << what;
  EXPECT_LE(rate.value(), high + error(high)) << what;
}

bool covers(const std::optional<Interval>& interval, double truth) {
  return interval.value().low <= truth && truth <= interval.value().high;
}

std::string verdict(bool right) {
  return right ? "right" : "wrong";
}

constexpr const char* kDeclared = R"({"baseline": "base", "family": ["a", "b", "c"]})";

ComparisonReport report_of(const std::vector<RecordedRun>& runs) {
  ComparisonRequest request;
  request.bootstrap.resamples = 400;
  return compare_runs(runs, request);
}

/// Independent questions, answered once: three methods that differ from the baseline with known
/// chances of winning and losing a question.
struct IndependentWorld {
  int64_t questions = 200;
  double base_accuracy = 0.4;
  double won = 0.1, lost = 0.1;  ///< of all questions

  std::vector<RecordedRun> draw(uint64_t simulation) const {
    std::vector<RecordedCell> cells = {invented_cell("0", "base", "chain"),
                                       invented_cell("1", "a", "x"), invented_cell("2", "b", "x"),
                                       invented_cell("3", "c", "x")};
    for (int64_t q = 0; q < questions; ++q) {
      const Draws draws(simulation, static_cast<uint32_t>(q));
      const bool right = draws.uniform(0) < base_accuracy;
      add_question(cells[0], {verdict(right)});
      for (uint32_t c = 1; c < cells.size(); ++c) {
        const double change = right ? lost / base_accuracy : won / (1 - base_accuracy);
        add_question(cells[c], {verdict(right != (draws.uniform(c) < change))});
      }
    }
    return {invented_run(std::move(cells), kDeclared)};
  }
};

/// Coverage of Tango's interval, summed over all outcomes.
double exact_tango_coverage(int64_t n, double won, double lost) {
  double covered = 0;
  for (int64_t b = 0; b <= n; ++b)
    for (int64_t c = 0; b + c <= n; ++c) {
      const auto x = static_cast<double>(b), y = static_cast<double>(c),
                 rest = static_cast<double>(n - b - c);
      const double log_probability = std::lgamma(static_cast<double>(n) + 1) - std::lgamma(x + 1) -
                                     std::lgamma(y + 1) - std::lgamma(rest + 1) +
                                     x * std::log(won) + y * std::log(lost) +
                                     rest * std::log(1 - won - lost);
      if (log_probability < -25) continue;  // all of them together: below 1e-6
      if (covers(tango_interval({n - b - c, b, c, 0}), won - lost))
        covered += std::exp(log_probability);
    }
  return covered;
}

TEST(Simulation, TangoCoversAsOftenAsItSays) {
  constexpr double kLattice = 0.008;  // counts are whole, so no interval covers exactly 95 %
  for (const auto& [n, won, lost] :
       {std::tuple{200, 0.12, 0.07}, {100, 0.05, 0.05}, {300, 0.02, 0.06}, {60, 0.2, 0.1}})
    EXPECT_NEAR(exact_tango_coverage(n, won, lost), 0.95, kLattice) << n;
}

TEST(Simulation, IndependentQuestionsWithADifference) {
  IndependentWorld world;
  world.won = 0.12;
  world.lost = 0.07;
  Rate tango, bootstrap, found;
  const double truth = world.won - world.lost;
  for (int64_t s = 0; s < simulations(); ++s) {
    const ComparisonReport report = report_of(world.draw(static_cast<uint64_t>(s)));
    const Comparison& comparison = report.groups[0].comparisons[0];  // one a world: independent
    tango.count(covers(comparison.tango, truth));
    bootstrap.count(covers(comparison.bootstrap[0].interval, truth));
    found.count(comparison.test->p <= 0.05);
  }
  const double exact = exact_tango_coverage(world.questions, world.won, world.lost);
  expect_rate("Tango's interval covers", tango, exact, exact);
  expect_rate("the bootstrap's interval covers", bootstrap, 0.94, 0.96);
  const double power = mcnemar_power(world.questions, world.won + world.lost, truth, 0.05);
  expect_rate("McNemar finds the difference", found, power, power);
}

TEST(Simulation, FalseFindingsOfAFamily) {
  const IndependentWorld world;
  Rate single, family;
  for (int64_t s = 0; s < simulations(); ++s) {
    const ComparisonReport report = report_of(world.draw(static_cast<uint64_t>(s) | 1ull << 40));
    bool any = false;
    for (const Comparison& comparison : report.groups[0].comparisons)
      any = any || comparison.test->verdict == Verdict::kBetter ||
            comparison.test->verdict == Verdict::kWorse;
    single.count(report.groups[0].comparisons[0].test->p <= 0.05);
    family.count(any);
  }
  const double level = mcnemar_power(world.questions, world.won + world.lost, 0, 0.05);
  expect_rate("McNemar's false findings", single, level, level);
  expect_rate("a false finding among three, after Holm", family, 0, 0.05);
}

/// Questions from templates, answered four times: difficulty and the method's effect vary from
/// template to template and from question to question.
struct ClusteredWorld {
  int64_t templates = 24, questions_each = 8, repeats = 4;
  double effect = 0;

  std::vector<RecordedRun> draw(uint64_t simulation, const std::string& analysis) const {
    RecordedCell base = invented_cell("0", "base", "chain"), method = invented_cell("1", "a", "x");
    for (int64_t t = 0; t < templates; ++t) {
      const Draws of_template(simulation, static_cast<uint32_t>(t));
      const double shift = effect + 0.2 * (2 * of_template.uniform(1) - 1);
      for (int64_t q = 0; q < questions_each; ++q) {
        const Draws of_question(simulation, static_cast<uint32_t>(t), static_cast<uint32_t>(q) + 1);
        const double chance = 0.2 + 0.25 * of_template.uniform(0) + 0.25 * of_question.uniform(0);
        std::vector<std::string> before, after;
        for (uint32_t r = 0; r < repeats; ++r) {
          before.push_back(verdict(of_question.uniform(1, r) < chance));
          after.push_back(verdict(of_question.uniform(2, r) < chance + shift));
        }
        const std::string name = std::to_string(t);
        add_question(base, before, 100, name);
        add_question(method, after, 100, name);
      }
    }
    return {invented_run({std::move(base), std::move(method)}, analysis)};
  }
};

TEST(Simulation, TemplatesAndRepeats) {
  ClusteredWorld world;
  world.effect = 0.05;
  Rate by_template, by_question, accuracy;
  for (int64_t s = 0; s < simulations(); ++s) {
    const ComparisonReport report = report_of(world.draw(
        static_cast<uint64_t>(s) | 2ull << 40, R"({"baseline": "base", "family": ["a"]})"));
    const Comparison& comparison = report.groups[0].comparisons[0];
    by_question.count(covers(comparison.bootstrap[0].interval, world.effect));
    by_template.count(covers(comparison.bootstrap[1].interval, world.effect));
  }
  expect_rate("the bootstrap by template covers", by_template, 0.94, 0.96);
  // Why clusters matter: taking questions for independent, the interval is too narrow.
  std::cout << "the bootstrap by question covers: " << by_question.value() << "\n";
  EXPECT_LT(by_question.value(), 0.93);
}

TEST(Simulation, FalseFindingsOfTheSignFlipTest) {
  const ClusteredWorld world;
  Rate found;
  for (int64_t s = 0; s < simulations(); ++s) {
    const ComparisonReport report =
        report_of(world.draw(static_cast<uint64_t>(s) | 3ull << 40,
                             R"({"baseline": "base", "family": ["a"], "cluster": "template_id"})"));
    found.count(report.groups[0].comparisons[0].test->verdict != Verdict::kNotShown);
  }
  // Sums are whole numbers with ties, so the exact test stays a little below its level.
  expect_rate("the sign-flip test's false findings", found, 0.04, 0.05);
}

/// Repeats of independent questions: Wilson's interval at the effective number of answers.
TEST(Simulation, AccuracyWithRepeats) {
  Rate covered;
  for (int64_t s = 0; s < simulations(); ++s) {
    std::vector<Tally> tallies;
    for (uint32_t q = 0; q < 150; ++q) {
      const Draws draws(static_cast<uint64_t>(s) | 4ull << 40, q);
      const double chance = 0.7 * draws.uniform(0);
      Tally tally{4, 0};
      for (uint32_t r = 0; r < 4; ++r) tally.correct += draws.uniform(1, r) < chance;
      tallies.push_back(tally);
    }
    const Proportion share = clustered_proportion(tallies);
    covered.count(share.low <= 0.35 && 0.35 <= share.high);
  }
  expect_rate("Wilson's interval with repeats covers", covered, 0.94, 0.96);
}

/// A method half-way between two baselines in cost, whose accuracy lies by a known amount above
/// what mixing the two would reach.
TEST(Simulation, DistanceFromTheFrontier) {
  constexpr double kTruth = 0.06;
  Rate covered;
  for (int64_t s = 0; s < simulations(); ++s) {
    RecordedCell cheap = invented_cell("0", "base", "greedy");
    RecordedCell dear = invented_cell("1", "minp", "chain");
    RecordedCell method = invented_cell("2", "a", "x");
    for (uint32_t q = 0; q < 150; ++q) {
      const Draws draws(static_cast<uint64_t>(s) | 5ull << 40, q);
      const double chance = 0.4 * draws.uniform(0);  // accuracies 0.3, 0.5 and 0.4 + truth
      // Mean costs 200, 400 and 300, dearer where the question is harder.
      const auto cost = [&](double mean, uint32_t draw) {
        return static_cast<int64_t>(mean * (1.3 - 1.5 * chance) * (0.5 + draws.uniform(draw)) +
                                    0.5);
      };
      add_question(cheap, {verdict(draws.uniform(1) < 0.1 + chance)}, cost(200, 4));
      add_question(dear, {verdict(draws.uniform(2) < 0.3 + chance)}, cost(400, 5));
      add_question(method, {verdict(draws.uniform(3) < 0.2 + kTruth + chance)}, cost(300, 6));
    }
    const std::vector<RecordedRun> runs = {
        invented_run({cheap, dear, method}, R"({"baseline": "base", "family": ["a"]})")};
    const ComparisonReport report = report_of(runs);
    covered.count(
        covers(report.groups[0].frontier.value().entries.back().distance_interval, kTruth));
  }
  expect_rate("the distance's interval covers", covered, 0.935, 0.965);
}

}  // namespace
}  // namespace surprisal
