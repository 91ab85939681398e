#include "experiments/calibration.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

#include "experiments/text_table.h"
#include "lib/error.h"
#include "lib/yaml.h"

namespace surprisal {
namespace {

constexpr std::string_view kFormat = "surprisal-calibration";
constexpr int64_t kTailTokens = 10;  // their order statistic varies by a third of its rank

/// 900 of "q0.90" or "q0.9"; nullopt for what is not a quantile at all.
/// @throws Error(kConfig) for one outside [0, 1] or finer than the kept steps
std::optional<int64_t> quantile_step(const std::string& text, const std::string& where) {
  if (text.size() < 2 || text[0] != 'q' || text.find_first_of("0123456789.", 1) != 1)
    return std::nullopt;
  double share = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, status] = std::from_chars(text.data() + 1, end, share);
  const double step = share * Calibration::kSteps;
  constexpr double kRounding = 1e-6;  // of the product; a whole step is 1
  const bool whole = std::abs(step - std::round(step)) < kRounding;
  if (status != std::errc() || stop != end || !(share >= 0 && share <= 1) || !whole)
    throw Error(ErrorCode::kConfig, where + ": '" + text.substr(0, 40) +
                                        "': a quantile is q0 to q1 with at most three decimals");
  return std::llround(step);
}

struct Resolver {
  const Calibration* calibration;
  const std::string& where;
  std::vector<ResolvedQuantile>* resolved;

  /// A quantile that hardly a token lies beyond is the value of one token.
  void require_enough_tokens(int64_t step, const std::string& quantile) const {
    const int64_t shorter_side = std::min(step, Calibration::kSteps - step);
    if (shorter_side == 0 ||
        shorter_side * calibration->tokens >= kTailTokens * Calibration::kSteps)
      return;
    throw Error(ErrorCode::kConfig,
                quantile + ": the calibration saw " + std::to_string(calibration->tokens) +
                    " tokens, and at least " + std::to_string(kTailTokens) +
                    " should lie beyond a quantile; calibrate on more problems");
  }

  void visit(YAML::Node map, const std::string& prefix) const {
    for (auto entry : map) {
      const std::string name = entry.first.Scalar();
      const std::string key = prefix + name;
      if (entry.second.IsMap()) visit(entry.second, key + ".");
      if (!entry.second.IsScalar()) continue;
      const std::string text = entry.second.Scalar();
      const std::string place = where + ": " + key;
      const std::string signal = threshold_signal(name);
      if (signal.empty()) continue;
      const auto step = quantile_step(text, place);
      if (!step) continue;
      if (calibration == nullptr)
        throw Error(ErrorCode::kConfig,
                    place + ": '" + text +
                        "' is a quantile and the model has no calibration; make one with "
                        "`calibrate MODEL --task NAME --output FILE` and name it as "
                        "model.calibration");
      require_enough_tokens(*step, place + ": '" + text + "'");
      const double value = calibration->at(signal, *step);
      entry.second = yaml_from_json(value);
      if (resolved != nullptr) resolved->push_back({key, text, signal, value});
    }
  }
};

}  // namespace

std::string threshold_signal(const std::string& name) {
  constexpr std::pair<std::string_view, std::string_view> kPrefixes[] = {
      {"entropy_", "entropy"},
      {"calm_entropy", "entropy"},
      {"varentropy_", "varentropy"},
      {"max_probability_", "max_probability"},
      {"attention_entropy_", "attention_entropy"},
      {"agreement_", "attention_agreement"}};
  for (const auto& [prefix, signal] : kPrefixes)
    if (name.starts_with(prefix)) return std::string(signal);
  return "";
}

double Calibration::at(const std::string& signal, int64_t step) const {
  const auto found = quantiles.find(signal);
  if (found == quantiles.end())
    throw Error(ErrorCode::kConfig, "the calibration of " + model + " on " + task +
                                        " did not record " + signal +
                                        "; calibrate again with attention statistics");
  return found->second.at(static_cast<size_t>(step));
}

std::vector<double> question_weighted_quantiles(const std::vector<std::vector<double>>& answers) {
  std::vector<std::pair<double, double>> weighted;  // value, weight
  double total = 0;
  for (const std::vector<double>& values : answers) {
    if (values.empty()) continue;
    total += 1;
    for (const double value : values)
      weighted.emplace_back(value, 1 / static_cast<double>(values.size()));
  }
  if (weighted.empty()) throw Error(ErrorCode::kInternal, "quantiles of nothing");
  std::sort(weighted.begin(), weighted.end());
  std::vector<double> quantiles;
  double below = 0;  // weight up to and including weighted[next - 1]
  size_t next = 0;
  constexpr double kRounding = 1e-9;  // of the summed weights, in answers
  for (int64_t step = 0; step <= Calibration::kSteps; ++step) {
    const double wanted = total * static_cast<double>(step) / Calibration::kSteps;
    while (next < weighted.size() && (next == 0 || below < wanted - kRounding))
      below += weighted[next++].second;
    quantiles.push_back(weighted[next - 1].first);
  }
  return quantiles;
}

Calibration calibration_of_trace(const TraceReader& trace) {
  const std::string& path = trace.file().path();
  if (trace.rows("cells") != 1)
    throw Error(ErrorCode::kFormat, path + ": a calibration is made from one greedy cell; found " +
                                        std::to_string(trace.rows("cells")) + " cells");
  const auto begins = trace.column("samples", "token_begin").read<int64_t>();
  const auto counts = trace.column("samples", "token_count").read<int64_t>();
  Calibration calibration;
  calibration.questions = std::ssize(begins);
  calibration.tokens = trace.rows("tokens");
  if (calibration.tokens == 0) throw Error(ErrorCode::kFormat, path + ": holds no token");
  for (const std::string_view signal : kCalibratedSignals) {
    const auto column = trace.column("tokens", std::string(signal)).read<float>();
    if (std::any_of(column.begin(), column.end(), [](float v) { return !std::isfinite(v); }))
      continue;
    std::vector<std::vector<double>> answers;
    for (size_t s = 0; s < begins.size(); ++s) {
      if (begins[s] < 0 || counts[s] < 0 || begins[s] > std::ssize(column) - counts[s])
        throw Error(ErrorCode::kFormat, path + ": a sample's tokens lie outside /tokens");
      answers.emplace_back(column.begin() + begins[s], column.begin() + begins[s] + counts[s]);
    }
    calibration.quantiles[std::string(signal)] = question_weighted_quantiles(answers);
  }
  return calibration;
}

Json calibration_json(const Calibration& calibration) {
  Json quantiles = Json::object();
  for (const auto& [signal, values] : calibration.quantiles) quantiles[signal] = values;
  return {{"format", kFormat},
          {"model", calibration.model},
          {"weights_sha256", calibration.weights_sha256},
          {"dtype", calibration.dtype},
          {"task", calibration.task},
          {"split", calibration.split},
          {"data_sha256", calibration.data_sha256},
          {"questions", calibration.questions},
          {"tokens", calibration.tokens},
          {"weights", "every question the same"},
          {"quantile_step", 1.0 / Calibration::kSteps},
          {"quantiles", std::move(quantiles)}};
}

std::string calibration_text(const Calibration& calibration) {
  constexpr int64_t kShown[] = {100, 250, 500, 750, 900, 950, 990};
  std::vector<std::vector<std::string>> rows = {{"signal"}};
  for (const int64_t step : kShown)
    rows[0].push_back("q" + fixed(static_cast<double>(step) / Calibration::kSteps, 2));
  for (const auto& [signal, values] : calibration.quantiles) {
    rows.push_back({signal});
    for (const int64_t step : kShown)
      rows.back().push_back(fixed(values.at(static_cast<size_t>(step)), 3));
  }
  return calibration.model + " (" + calibration.dtype + "), greedy on " + calibration.task + " " +
         calibration.split + ": " + std::to_string(calibration.questions) + " questions, " +
         std::to_string(calibration.tokens) + " tokens\n" + aligned_table(rows, 1);
}

Calibration read_calibration(const std::string& path) {
  const Json json = read_json_file(path);
  Calibration calibration;
  try {
    if (json.at("format") != kFormat)
      throw Error(ErrorCode::kFormat, path + ": not a calibration of this toolkit");
    json.at("model").get_to(calibration.model);
    json.at("weights_sha256").get_to(calibration.weights_sha256);
    json.at("dtype").get_to(calibration.dtype);
    json.at("task").get_to(calibration.task);
    json.at("split").get_to(calibration.split);
    json.at("data_sha256").get_to(calibration.data_sha256);
    json.at("questions").get_to(calibration.questions);
    json.at("tokens").get_to(calibration.tokens);
    for (const auto& [signal, values] : json.at("quantiles").items())
      values.get_to(calibration.quantiles[signal]);
  } catch (const Json::exception& error) {
    throw Error(ErrorCode::kFormat, path + ": not a calibration: " + error.what());
  }
  for (const auto& [signal, values] : calibration.quantiles)
    if (values.size() != Calibration::kSteps + 1 || !std::is_sorted(values.begin(), values.end()))
      throw Error(ErrorCode::kFormat,
                  path + ": quantiles of '" + signal + "' should be 1001 rising numbers");
  return calibration;
}

YAML::Node resolve_quantiles(const YAML::Node& sampler, const Calibration* calibration,
                             const std::string& where, std::vector<ResolvedQuantile>* resolved) {
  std::vector<ResolvedQuantile> found;
  YAML::Node copy = YAML::Clone(sampler);
  if (!copy.IsMap()) return sampler;
  Resolver{calibration, where, &found}.visit(copy, "");
  if (found.empty()) return sampler;  // with its line numbers
  for (const ResolvedQuantile& entry : found)
    if (entry.signal.starts_with("attention_") && copy["layers"].IsDefined())
      throw Error(ErrorCode::kConfig, where + ": " + entry.key +
                                          ": calibrations average attention over all layers, and "
                                          "this sampler reads some; give a number");
  if (resolved != nullptr) *resolved = std::move(found);
  return copy;
}

}  // namespace surprisal
