#include "experiments/comparison.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "experiments/statistics/paired_binary.h"
#include "experiments/statistics/sign_flip.h"
#include "lib/error.h"

namespace surprisal {
namespace {

constexpr const char* kTemplateTag = "template_id";

int64_t right_answers(const RecordedCell::Question& question, Scorer scorer) {
  return std::count_if(question.answers.begin(), question.answers.end(),
                       [&](const Sample& sample) { return is_right(sample.score, scorer); });
}

/// Per question: right answers of the cell minus the baseline's, times the other's repeats, so that
/// the sign is that of the difference of shares whatever the repeats.
std::vector<int64_t> question_differences(const RecordedCell& baseline, const RecordedCell& cell,
                                          Scorer scorer) {
  std::vector<int64_t> differences;
  for (size_t q = 0; q < cell.questions.size(); ++q)
    differences.push_back(right_answers(cell.questions[q], scorer) * baseline.repeats() -
                          right_answers(baseline.questions[q], scorer) * cell.repeats());
  return differences;
}

PairedCounts paired_counts(const RecordedCell& baseline, const RecordedCell& cell, Scorer scorer) {
  PairedCounts counts;
  for (size_t q = 0; q < cell.questions.size(); ++q) {
    const bool first = right_answers(cell.questions[q], scorer) > 0;
    const bool second = right_answers(baseline.questions[q], scorer) > 0;
    counts.both += first && second;
    counts.only_first += first && !second;
    counts.only_second += !first && second;
    counts.neither += !first && !second;
  }
  return counts;
}

ClusteredInterval bootstrap_difference(const std::vector<double>& differences,
                                       std::vector<size_t> clusters, const std::string& name,
                                       const ComparisonOptions& options) {
  const QuestionTable table{.series = 1, .values = differences, .clusters = std::move(clusters)};
  ClusteredInterval result{name, table.cluster_count(), std::nullopt};
  if (result.clusters >= kMinClusters)
    result.interval = expanded_percentile_interval(resampled_means(table, options.bootstrap),
                                                   result.clusters, options.confidence);
  return result;
}

}  // namespace

std::vector<double> question_accuracies(const RecordedCell& cell, Scorer scorer) {
  std::vector<double> accuracies;
  for (const RecordedCell::Question& question : cell.questions)
    accuracies.push_back(static_cast<double>(right_answers(question, scorer)) /
                         static_cast<double>(question.answers.size()));
  return accuracies;
}

std::optional<std::vector<size_t>> cluster_numbers(const RecordedCell& cell,
                                                   const std::string& tag) {
  std::vector<size_t> numbers(cell.questions.size());
  if (tag.empty()) {
    std::iota(numbers.begin(), numbers.end(), size_t{0});
    return numbers;
  }
  std::map<std::string, size_t> number_of;
  for (size_t q = 0; q < cell.questions.size(); ++q) {
    const auto& tags = cell.questions[q].answers.at(0).tags;
    const auto found = std::find_if(tags.begin(), tags.end(),
                                    [&](const auto& entry) { return entry.first == tag; });
    if (found == tags.end()) return std::nullopt;
    numbers[q] = number_of.emplace(canonical_json(found->second), number_of.size()).first->second;
  }
  return numbers;
}

Comparison compare_cells(const RecordedCell& baseline, const RecordedCell& cell,
                         const ComparisonOptions& options) {
  require_comparable(baseline, cell);
  Comparison result;
  result.baseline = baseline.id;
  result.cell = cell.id;
  result.questions = std::ssize(cell.questions);
  const std::vector<double> before = question_accuracies(baseline, options.scorer);
  const std::vector<double> after = question_accuracies(cell, options.scorer);
  std::vector<double> differences(after.size());
  for (size_t q = 0; q < after.size(); ++q) {
    differences[q] = after[q] - before[q];
    result.wins += differences[q] > 0;
    result.losses += differences[q] < 0;
  }
  const auto mean = [](const std::vector<double>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  };
  result.baseline_accuracy = mean(before);
  result.accuracy = mean(after);
  result.difference = mean(differences);
  if (baseline.repeats() == 1 && cell.repeats() == 1)
    result.tango =
        tango_interval(paired_counts(baseline, cell, options.scorer), options.confidence);
  result.bootstrap.push_back(
      bootstrap_difference(differences, *cluster_numbers(cell, ""), "question", options));
  if (auto templates = cluster_numbers(cell, kTemplateTag))
    result.bootstrap.push_back(
        bootstrap_difference(differences, std::move(*templates), kTemplateTag, options));
  return result;
}

DeclaredTest test_cells(const RecordedCell& baseline, const RecordedCell& cell,
                        const AnalysisPlan& plan) {
  require_comparable(baseline, cell);
  if (baseline.repeats() != cell.repeats())
    throw Error(ErrorCode::kUsage, "cells " + baseline.id + " and " + cell.id +
                                       " cannot be tested: they have " +
                                       std::to_string(baseline.repeats()) + " and " +
                                       std::to_string(cell.repeats()) + " answers a question");
  DeclaredTest test;
  double smallest_p = 1;
  if (cell.repeats() == 1 && plan.cluster.empty()) {
    const PairedCounts counts = paired_counts(baseline, cell, plan.primary);
    test.method = "exact McNemar test";
    test.informative = counts.discordant();
    test.p = mcnemar_exact_p(counts.only_first, counts.only_second);
    smallest_p = smallest_mcnemar_p(counts.discordant());
  } else {
    const auto clusters = cluster_numbers(cell, plan.cluster);
    if (!clusters)
      throw Error(ErrorCode::kUsage, "analysis: cluster: problems of task '" + cell.task +
                                         "' have no tag '" + plan.cluster + "'");
    const std::vector<int64_t> differences = question_differences(baseline, cell, plan.primary);
    std::vector<int64_t> sums(differences.size(), 0);
    for (size_t q = 0; q < differences.size(); ++q) sums[(*clusters)[q]] += differences[q];
    const SignFlipTest flips = sign_flip_test(sums);
    test.method = "exact sign-flip test of " +
                  (plan.cluster.empty() ? std::string("question") : plan.cluster) + " sums";
    test.informative = flips.informative;
    test.p = flips.p_value;
    smallest_p = flips.smallest_p;
  }
  test.holm_p = test.p;
  test.verdict = smallest_p > plan.alpha ? Verdict::kTooFew : Verdict::kNotShown;
  return test;
}

}  // namespace surprisal
