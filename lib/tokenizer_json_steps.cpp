#include <initializer_list>

#include "lib/tokenizer_json.h"

namespace surprisal {
namespace {

Error unsupported(const JsonPlace& place, const std::string& known) {
  return place.error(ErrorCode::kUnsupported,
                     "this build knows " + known + "; found " + place.excerpt());
}

/// The steps of a Sequence, or the one step that stands there; none when it is null.
std::vector<JsonPlace> flatten(const JsonPlace& place, std::string_view list) {
  if (place.value().is_null()) return {};
  if (place.at("type").string() != "Sequence") return {place};
  std::vector<JsonPlace> steps;
  const JsonPlace members = place.at(list);
  for (size_t i = 0; i < members.array_size(); ++i)
    for (const JsonPlace& step : flatten(members.element(i), list)) steps.push_back(step);
  return steps;
}

ReplaceText read_replace(const JsonPlace& step) {
  const auto pattern = step.at("pattern").find("String");
  if (!pattern || pattern->string().empty())
    throw unsupported(step, "Replace with a literal String pattern");
  return {pattern->string(), step.at("content").string()};
}

SplitWords read_split(const JsonPlace& step) {
  const auto regex = step.at("pattern").find("Regex");
  const auto pattern = regex ? find_word_pattern(regex->string()) : std::nullopt;
  if (!pattern || step.at("behavior").string() != "Isolated" || step.at("invert").boolean())
    throw unsupported(step, "Split by the published regexes of GPT-2, Llama-3 and Qwen2, Isolated");
  return {*pattern};
}

MarkSpaces read_metaspace(const JsonPlace& step) {
  using Prepend = MarkSpaces::Prepend;
  if (step.at("replacement").string() != "\xE2\x96\x81")
    throw unsupported(step, "Metaspace with the replacement U+2581");
  const std::string scheme = step.string_or("prepend_scheme", "always");
  MarkSpaces marks{Prepend::kAlways, step.boolean_or("split", true)};
  if (scheme == "first") {
    marks.prepend = Prepend::kFirst;
  } else if (scheme == "never") {
    marks.prepend = Prepend::kNever;
  } else if (scheme != "always") {
    throw unsupported(step, "the prepend schemes always, first and never");
  }
  if (!step.boolean_or("add_prefix_space", true)) {  // the older spelling of "never"
    if (step.find("prepend_scheme") && marks.prepend != Prepend::kNever)
      throw step.error(ErrorCode::kFormat, "add_prefix_space contradicts prepend_scheme");
    marks.prepend = Prepend::kNever;
  }
  return marks;
}

}  // namespace

std::vector<NormalizerStep> read_normalizer(const JsonPlace& place) {
  std::vector<NormalizerStep> steps;
  for (const JsonPlace& step : flatten(place, "normalizers")) {
    const std::string& type = step.at("type").string();
    if (type == "NFC") {
      steps.emplace_back(ComposeNfc{});
    } else if (type == "Prepend") {
      steps.emplace_back(PrependText{step.at("prepend").string()});
    } else if (type == "Replace") {
      steps.emplace_back(read_replace(step));
    } else {
      throw unsupported(step, "the normalizers NFC, Prepend, Replace and Sequence");
    }
  }
  return steps;
}

PreTokenizerPlan read_pre_tokenizer(const JsonPlace& place) {
  PreTokenizerPlan plan;
  for (const JsonPlace& step : flatten(place, "pretokenizers")) {
    const std::string& type = step.at("type").string();
    if (plan.byte_level) throw unsupported(step, "ByteLevel as the last pre-tokenizer only");
    if (type == "Digits") {
      plan.steps.emplace_back(SplitNumbers{step.boolean_or("individual_digits", false)});
    } else if (type == "Split") {
      plan.steps.emplace_back(read_split(step));
    } else if (type == "Metaspace") {
      plan.steps.emplace_back(read_metaspace(step));
    } else if (type == "ByteLevel") {
      if (step.at("add_prefix_space").boolean()) plan.steps.emplace_back(PrependSpace{});
      if (step.boolean_or("use_regex", true))
        plan.steps.emplace_back(SplitWords{WordPattern::kGpt2});
      plan.byte_level = true;
    } else {
      throw unsupported(step,
                        "the pre-tokenizers ByteLevel, Digits, Metaspace, Split and Sequence");
    }
  }
  return plan;
}

DecoderPlan read_decoder(const JsonPlace& place) {
  DecoderPlan plan;
  bool fused = false, stripped = false;
  const std::vector<JsonPlace> steps = flatten(place, "decoders");
  for (const JsonPlace& step : steps) {
    const std::string& type = step.at("type").string();
    // The order of the published files: [Replace..., ByteFallback, Fuse, Strip], or ByteLevel
    // alone.
    if (type == "ByteLevel" && steps.size() == 1) {
      plan.byte_level = true;
    } else if (type == "Replace" && !plan.rules.whole_fallback_runs && !fused) {
      plan.replacements.push_back(read_replace(step));
    } else if (type == "ByteFallback" && !plan.rules.whole_fallback_runs && !fused) {
      plan.rules.whole_fallback_runs = true;
    } else if (type == "Fuse") {
      fused = true;
    } else if (type == "Strip" && fused && !stripped && step.at("content").string() == " " &&
               step.at("stop").integer(0, 0) == 0) {
      plan.rules.leading_spaces_dropped =
          static_cast<size_t>(step.at("start").integer(0, INT32_MAX));
      stripped = true;
    } else {
      throw unsupported(step, "the decoders ByteLevel, or [Replace, ByteFallback, Fuse, Strip]");
    }
  }
  if (steps.empty()) throw unsupported(place, "tokenizers that have a decoder");
  return plan;
}

}  // namespace surprisal
