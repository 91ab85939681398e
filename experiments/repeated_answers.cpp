#include "experiments/repeated_answers.h"

#include <algorithm>
#include <map>

#include "experiments/scorers.h"
#include "experiments/statistics/repeated_samples.h"

namespace surprisal {

std::vector<int64_t> shown_subset_sizes(int64_t repeats) {
  std::vector<int64_t> sizes;
  for (int64_t k = 2; k < repeats; k *= 2) sizes.push_back(k);
  if (repeats > 1) sizes.push_back(repeats);
  return sizes;
}

double question_pass_at_k(const RecordedCell::Question& question, Scorer scorer, int64_t k) {
  const auto right =
      std::count_if(question.answers.begin(), question.answers.end(),
                    [&](const Sample& sample) { return is_right(sample.score, scorer); });
  return pass_at_k(std::ssize(question.answers), right, k);
}

double question_majority_at_k(const RecordedCell::Question& question, Scorer scorer, int64_t k) {
  VoteCounts votes;
  std::map<std::string, int64_t> wrong;
  for (const Sample& sample : question.answers) {
    const std::string& answer = extracted_answer(sample.score, scorer);
    if (is_right(sample.score, scorer))
      ++votes.right;
    else if (answer == kInvalidAnswer)
      ++votes.abstaining;
    else
      ++wrong[answer];
  }
  std::vector<int64_t> wrong_counts;
  for (const auto& [answer, count] : wrong) wrong_counts.push_back(count);
  votes.wrong = wrong_counts;
  return majority_at_k(votes, k);
}

double question_cost_of_k(const RecordedCell::Question& question, int64_t k) {
  double evaluations = 0;
  for (const Sample& sample : question.answers)
    evaluations += static_cast<double>(sample.cost.token_evaluations);
  const double mean = evaluations / static_cast<double>(question.answers.size());
  const auto prompt = static_cast<double>(question.answers.at(0).prompt_tokens);
  return prompt + static_cast<double>(k) * (mean - prompt);
}

}  // namespace surprisal
