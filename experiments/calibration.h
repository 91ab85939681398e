#pragma once

#include <yaml-cpp/yaml.h>

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "experiments/trace_reader.h"
#include "lib/json.h"

namespace surprisal {

/// Signals whose thresholds may be written as quantiles: columns of /tokens.
inline constexpr std::array<std::string_view, 5> kCalibratedSignals = {
    "entropy", "varentropy", "max_probability", "attention_entropy", "attention_agreement"};

/// How a model's signals are distributed over the tokens of its own greedy text. Thresholds written
/// as quantiles ("q0.90") mean the same share of tokens for models of every size.
///
/// Every question weighs the same, however long its answer: a token counts 1 / (tokens of its
/// answer). The quantile at p is the smallest value that at least a share p of the weight does not
/// exceed.
struct Calibration {
  static constexpr int64_t kSteps = 1000;  ///< quantiles are kept at 0, 0.001, ..., 1

  std::string weights_sha256, model, dtype;
  std::string task, split, data_sha256;
  int64_t questions = 0, tokens = 0;
  std::map<std::string, std::vector<double>> quantiles;  ///< signal -> kSteps + 1 values, rising

  /// @param step  of kSteps
  /// @throws Error(kConfig) for a signal that was not recorded
  double at(const std::string& signal, int64_t step) const;
};

/// Quantiles of one signal over the tokens of several answers, at 0, 1 / kSteps, ..., 1.
/// @param answers  one answer's values each; answers without tokens have no weight
std::vector<double> question_weighted_quantiles(const std::vector<std::vector<double>>& answers);

/// The distributions in a trace of one greedy cell; the caller fills in what the run was.
/// Signals that were not recorded (NaN) are left out.
/// @throws Error(kFormat) on a trace of several cells or without a token
Calibration calibration_of_trace(const TraceReader& trace);

Json calibration_json(const Calibration& calibration);
/// For a terminal: some quantiles of every signal.
std::string calibration_text(const Calibration& calibration);
/// What calibration_json() wrote, from an untrusted file. @throws Error(kIo, kFormat)
Calibration read_calibration(const std::string& path);

/// The signal that a threshold of this name is compared with, or "": "entropy" of "entropy_cut".
std::string threshold_signal(const std::string& name);

/// One threshold that was written as a quantile.
struct ResolvedQuantile {
  std::string key;       ///< "entropy_cut", "low_low.agreement_below"
  std::string quantile;  ///< "q0.90", as written
  std::string signal;
  double value = 0;
};

/// A sampler's map with every quantile replaced by this model's value. Thresholds are known by
/// their names: the signal's (or "calm_entropy", "agreement_..."), in a sampler that reads nats.
/// @param calibration  null: none; then a quantile is an error that says how to make one
/// @param where        for messages: "configs/a.yaml: sampler 'quadrant'"
/// @throws Error(kConfig)
YAML::Node resolve_quantiles(const YAML::Node& sampler, const Calibration* calibration,
                             const std::string& where, std::vector<ResolvedQuantile>* resolved);

}  // namespace surprisal
