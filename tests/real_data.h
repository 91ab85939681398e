#pragma once

#include <filesystem>
#include <optional>

namespace surprisal::test {

/// `below` this checkout's data folder, where the set-up puts real weights and problems; empty when
/// it is not there, so that a test can skip visibly.
inline std::optional<std::filesystem::path> real_data(const std::filesystem::path& below) {
  const auto path = std::filesystem::path(SURPRISAL_SOURCE_DIR) / "data" / below;
  if (!std::filesystem::exists(path)) return std::nullopt;
  return path;
}

/// SmolLM2-135M-Instruct as tools/setup.sh prepares it (a Hugging Face folder, bfloat16).
inline std::optional<std::filesystem::path> real_model() {
  return real_data("models/SmolLM2-135M-Instruct/config.json")
             ? real_data("models/SmolLM2-135M-Instruct")
             : std::nullopt;
}

/// GSM8K as `tools/fetch_data.py gsm8k` brings it: train.jsonl, test.jsonl, fewshot_cot*.jsonl.
inline std::optional<std::filesystem::path> real_gsm8k() {
  return real_data("gsm8k/test.jsonl") ? real_data("gsm8k") : std::nullopt;
}

/// What a test says when it skips: `GTEST_SKIP() << kNoRealModel;`
inline constexpr const char* kNoRealModel =
    "no real model: tools/fetch_model.py smollm2-135m-instruct brings it";
inline constexpr const char* kNoGsm8k = "no GSM8K: tools/fetch_data.py gsm8k brings it";

}  // namespace surprisal::test
