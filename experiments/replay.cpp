#include "experiments/replay.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "experiments/calibration.h"
#include "experiments/config_tree.h"
#include "experiments/recorded_run.h"
#include "experiments/text_table.h"
#include "experiments/trace_reader.h"
#include "lib/error.h"
#include "samplers/quadrant/config.h"

namespace surprisal {
namespace {

constexpr const char* kOutcomeNames[] = {"same", "changed", "undecidable"};

/// The columns of /tokens that decisions are replayed from.
struct Tokens {
  std::vector<int32_t> position, attempt, token_id, rank;
  std::vector<uint8_t> source, action;
  std::vector<float> entropy, varentropy, max_probability, second_probability;

  explicit Tokens(const TraceReader& trace) {
    const auto column = [&](const char* name) { return trace.column("tokens", name); };
    position = column("position").read<int32_t>();
    attempt = column("attempt").read<int32_t>();
    token_id = column("token_id").read<int32_t>();
    rank = column("rank").read<int32_t>();
    source = column("source").read<uint8_t>();
    action = column("action").read<uint8_t>();
    entropy = column("entropy").read<float>();
    varentropy = column("varentropy").read<float>();
    max_probability = column("max_probability").read<float>();
    second_probability = column("second_probability").read<float>();
  }
};

/// One decision of the recorded answer.
struct Step {
  int64_t position = 0, attempt = 0, rank = 0;
  TokenSource source = TokenSource::kSampled;
  ActionKind action = ActionKind::kChain;
  double entropy = 0, varentropy = 0, max_probability = 0, second_probability = 0;
};

/// Numbers in a sampler's parameters that a signal is compared with.
struct Thresholds {
  std::map<std::string, std::vector<double>> of_signal;

  void collect(const Json& parameters) {
    const bool cuts_probability = parameters.value("gate", "") == "max_probability";
    for (const auto& [name, value] : parameters.items()) {
      if (name == "max_probability_cut" && !cuts_probability) continue;
      if (value.is_object()) collect(value);
      const std::string signal = threshold_signal(name);
      if (!signal.empty() && value.is_number()) of_signal[signal].push_back(value.get<double>());
    }
  }
  bool is_near(const std::string& signal, double value) const {
    const auto found = of_signal.find(signal);
    return found != of_signal.end() &&
           std::any_of(found->second.begin(), found->second.end(), [&](double threshold) {
             return std::abs(value - threshold) <= kReplayTolerance * std::max(threshold, 1e-3);
           });
  }
  bool is_near(const Step& step) const {
    return is_near("entropy", step.entropy) || is_near("varentropy", step.varentropy) ||
           is_near("max_probability", step.max_probability);
  }
};

/// Parameters as recorded, without those that are off.
Json without_nulls(const Json& value) {
  if (!value.is_object()) return value;
  Json kept = Json::object();
  for (const auto& [key, child] : value.items())
    if (!child.is_null()) kept[key] = without_nulls(child);
  return kept;
}

/// A quadrant whose chains are stand-ins: only *what* it does matters here, not the token drawn.
struct Judge {
  Json parameters;  // resolved, with the real chains
  std::unique_ptr<Sampler> sampler;

  Judge(const Json& written, const SamplerRegistry& registry, const SamplerContext& context,
        const std::string& where) {
    YAML::Node node = yaml_from_json(written);
    create_sampler(registry, node, "sampler", where, context, &parameters);
    const YAML::Node plain = YAML::Load("{steps: [{temperature: 1}]}");
    node["base"] = plain;
    node["hotter"] = YAML::Clone(plain);
    sampler = create_sampler(registry, node, "sampler", where, context, nullptr);
  }

  ActionKind decide(const Step& step, int64_t remaining, SamplerState* state,
                    const Draws& draws) const {
    constexpr float kLogits[] = {0, 0};
    const DistributionStatistics statistics{.log_sum_exp = std::log(2.0),
                                            .entropy = step.entropy,
                                            .varentropy = step.varentropy,
                                            .max_probability = step.max_probability,
                                            .second_probability = step.second_probability,
                                            .argmax = 0,
                                            .support = 2};
    StepView view;
    view.logits = kLogits;
    view.statistics = &statistics;
    view.remaining_tokens = remaining;
    return sampler->decide(view, state, draws).kind;
  }
};

/// Why a sampler with these parameters cannot be followed through a trace, or "".
std::string obstacle_in(const Json& parameters) {
  const auto is_beyond = [](const std::string& action) {
    return action == "branch" || action == "ask" || action == "retrieve" || action == "rewind";
  };
  for (const auto& [name, value] : parameters.items()) {
    if (!value.is_object() || !value.contains("action")) continue;
    if (value.value("fork", "any") != "any")
      return "a gate asks for a fork, which the trace does not tell";
    if (is_beyond(value.at("action")))
      return "a state branches, asks, retrieves or rewinds, which takes the model";
  }
  if (parameters.value("gate", "states") == "yoked")
    return "a yoked sampler's places come from another one's answers";
  if (parameters.value("gate", "states") == "ending")
    return "the gate `ending` asks what the model would end with, which the trace does not tell";
  if (parameters.value("gate", "states") != "states" &&
      is_beyond(parameters.value("intervention", "think")))
    return "the intervention branches or asks, which takes the model";
  return "";
}

/// Whether an answer's interventions are limited by what it has cost or inserted.
bool has_budget(const Json& identity) {
  const Json budget = identity.value("budget", Json::object());
  return std::any_of(budget.begin(), budget.end(), [](const Json& limit) {
    return limit.is_number() && limit != std::numeric_limits<int64_t>::max();
  });
}

/// Chains whose draw depends on nothing but the distribution before them.
bool is_memoryless(const Json& chain) {
  const std::set<std::string> kPlain = {"temperature", "top_k", "top_p", "min_p"};
  for (const Json& step : chain.value("steps", Json::array()))
    for (const auto& [name, value] : step.items())
      if (!kPlain.contains(name)) return false;
  return true;
}

class Replay {
 public:
  Replay(const Json& before, const Json& after, const SamplerRegistry& registry,
         const SamplerContext& context, int64_t max_new_tokens, const std::string& where)
      : before_(before, registry, context, where + ": as recorded"),
        after_(after, registry, context, where + ": --set"),
        max_new_tokens_(max_new_tokens) {
    if (before_.sampler->needs().attention || after_.sampler->needs().attention)
      obstacle_ = "a gate reads attention, of which the trace has only means";
    for (const Judge* judge : {&before_, &after_})
      if (obstacle_.empty()) obstacle_ = obstacle_in(judge->parameters);
    thresholds_.collect(before_.parameters);
    thresholds_.collect(after_.parameters);
    for (const char* chain : {"base", "hotter"}) {
      same_chain_[chain] = before_.parameters.at(chain) == after_.parameters.at(chain);
      memoryless_ = memoryless_ && is_memoryless(before_.parameters.at(chain));
    }
    const std::string old_thought = before_.parameters.at("think").at("text"),
                      new_thought = after_.parameters.at("think").at("text");
    same_thought_ = old_thought == new_thought;
    if (!same_thought_ && context.tokenizer != nullptr) {
      const auto old_tokens = context.tokenizer->encode(old_thought, false, false);
      const auto new_tokens = context.tokenizer->encode(new_thought, false, false);
      alike_in_thoughts_ = std::ranges::mismatch(old_tokens, new_tokens).in1 - old_tokens.begin();
    }
  }

  /// Makes every answer undecidable.
  void refuse(const std::string& reason) { obstacle_ = reason; }

  /// @param missing_end  why the last decision is not among the steps, or ""
  void run(const std::vector<Step>& steps, uint64_t key, const std::string& missing_end,
           ReplayedAnswer& answer) const {
    if (!obstacle_.empty()) return undecidable(answer, steps.front().position, obstacle_);
    auto old_state = before_.sampler->start(), new_state = after_.sampler->start();
    int64_t taken = 0;
    for (size_t i = 0; i < steps.size(); ++i) {
      const Step& step = steps[i];
      const auto again = [&](const std::string& reason) {
        undecidable(answer, step.position, reason);
      };
      if (step.source != TokenSource::kSampled && step.source != TokenSource::kInjected)
        return again("branches, retrieved text and answers of people are not replayed");
      const bool inserted_on = step.source == TokenSource::kInjected && i > 0 &&
                               steps[i - 1].source == TokenSource::kInjected;
      if (!inserted_on) {
        if (thresholds_.is_near(step)) return again("a signal lies on a threshold");
        const Draws draws(key, static_cast<uint32_t>(step.position), 0,
                          static_cast<uint32_t>(step.attempt));
        const int64_t remaining = max_new_tokens_ - taken;
        if (before_.decide(step, remaining, old_state.get(), draws) != step.action)
          return again("the recorded action does not follow from the recorded settings");
        const ActionKind action = after_.decide(step, remaining, new_state.get(), draws);
        if (action == step.action) {
          if (action == ActionKind::kThink && !same_thought_)
            return changed(answer, step.position + alike_in_thoughts_, "another thought");
          if ((action == ActionKind::kChain && !same_chain_.at("base")) ||
              (action == ActionKind::kHotter && !same_chain_.at("hotter")))
            return again("drawn from a chain with other settings");
        } else if (action == ActionKind::kThink || step.action == ActionKind::kThink) {
          return changed(answer, step.position,
                         action == ActionKind::kThink ? "a thought more" : "a thought less");
        } else if (action != ActionKind::kArgmax) {
          return again("drawn where it was not, or from another chain");
        } else if (step.rank > 0) {
          return changed(answer, step.position, "the likeliest token instead of a drawn one");
        } else if (!memoryless_) {
          return again("a chain with a memory is left out once");
        }
      }
      ++taken;
    }
    if (!missing_end.empty()) return undecidable(answer, steps.back().position + 1, missing_end);
    answer.outcome = ReplayOutcome::kSame;
  }

 private:
  static void changed(ReplayedAnswer& answer, int64_t position, const std::string& reason) {
    answer.outcome = ReplayOutcome::kChanged;
    answer.position = position;
    answer.reason = reason;
  }
  static void undecidable(ReplayedAnswer& answer, int64_t position, const std::string& reason) {
    answer.outcome = ReplayOutcome::kUndecidable;
    answer.position = position;
    answer.reason = reason;
  }

  Judge before_, after_;
  int64_t max_new_tokens_;
  Thresholds thresholds_;
  std::map<std::string, bool> same_chain_;
  bool same_thought_ = true, memoryless_ = true;
  int64_t alike_in_thoughts_ = 0;  ///< tokens that both thoughts begin with
  std::string obstacle_;
};

/// Where each answer stands in the trace, and how it ended of itself.
struct TraceIndex {
  struct Row {
    int64_t begin = 0, count = 0;
    std::optional<Step> end_of_text;
  };
  std::map<std::tuple<std::string, int64_t, int64_t>, Row> rows;
};

uint8_t action_number(const std::string& name) {
  const auto found = std::find(std::begin(kActionNames), std::end(kActionNames), name);
  return static_cast<uint8_t>(found - std::begin(kActionNames));
}

TraceIndex read_index(const TraceReader& trace) {
  const auto cells = trace.column("cells", "id").read_strings();
  const auto cell = trace.column("samples", "cell").read<int64_t>();
  const auto doc_id = trace.column("samples", "doc_id").read<int64_t>();
  const auto repeat = trace.column("samples", "repeat").read<int64_t>();
  const auto begin = trace.column("samples", "token_begin").read<int64_t>();
  const auto count = trace.column("samples", "token_count").read<int64_t>();
  std::vector<TraceIndex::Row*> rows;
  TraceIndex index;
  for (size_t s = 0; s < cell.size(); ++s) {
    auto& row = index.rows[{cells.at(static_cast<size_t>(cell[s])), doc_id[s], repeat[s]}];
    row.begin = begin.at(s);
    row.count = count.at(s);
    rows.push_back(&row);
  }
  if (trace.rows("events") == 0) return index;
  const auto sample = trace.column("events", "sample").read<int64_t>();
  const auto position = trace.column("events", "position").read<int32_t>();
  const auto kind = trace.column("events", "kind").read<uint8_t>();
  const auto detail = trace.column("events", "detail").read_strings();
  for (size_t e = 0; e < sample.size(); ++e) {
    if (static_cast<EventKind>(kind[e]) != EventKind::kStop || !detail[e].starts_with('{'))
      continue;
    const std::string where = trace.file().path() + ": /events/detail";
    const Json end = parse_json(detail[e], where);
    try {
      rows.at(static_cast<size_t>(sample[e]))->end_of_text =
          Step{.position = position[e],
               .rank = end.at("rank").get<int64_t>(),
               .action = static_cast<ActionKind>(action_number(end.at("action"))),
               .entropy = end.at("entropy").get<double>(),
               .varentropy = end.at("varentropy").get<double>(),
               .max_probability = end.at("max_probability").get<double>(),
               .second_probability = end.at("second_probability").get<double>()};
    } catch (const Json::exception& error) {
      throw Error(ErrorCode::kFormat, where + ": " + error.what());
    }
  }
  return index;
}

std::vector<Step> steps_of(const TraceIndex::Row& row, const Tokens& tokens) {
  std::vector<Step> steps;
  for (auto i = static_cast<size_t>(row.begin); i < static_cast<size_t>(row.begin + row.count); ++i)
    steps.push_back({.position = tokens.position.at(i),
                     .attempt = tokens.attempt[i],
                     .rank = tokens.rank[i],
                     .source = static_cast<TokenSource>(tokens.source[i]),
                     .action = static_cast<ActionKind>(tokens.action[i]),
                     .entropy = tokens.entropy[i],
                     .varentropy = tokens.varentropy[i],
                     .max_probability = tokens.max_probability[i],
                     .second_probability = tokens.second_probability[i]});
  if (row.end_of_text) steps.push_back(*row.end_of_text);
  return steps;
}

/// "samplers.quadrant.entropy_cut=2" -> ("quadrant", "entropy_cut=2")
std::pair<std::string, std::string> split_override(const std::string& text) {
  constexpr std::string_view kPrefix = "samplers.";
  const size_t dot = text.find('.', kPrefix.size());
  if (!text.starts_with(kPrefix) || dot == std::string::npos || text.find('=') < dot)
    throw Error(ErrorCode::kUsage,
                "--set " + text +
                    ": expected samplers.NAME.KEY=VALUE; a trace can tell nothing "
                    "about other changes");
  return {text.substr(kPrefix.size(), dot - kPrefix.size()), text.substr(dot + 1)};
}

std::string model_path(const std::string& run, const RecordedCell& cell) {
  const std::string file = (std::filesystem::path(run) / "manifest.json").string();
  const Json manifest = read_json_file(file);
  try {
    for (const Json& model : manifest.at("models"))
      if (model.at("weights_sha256") == cell.identity.at("model").at("weights_sha256"))
        return model.at("path");
  } catch (const Json::exception& error) {
    throw Error(ErrorCode::kFormat, file + ": not a manifest: " + error.what());
  }
  throw Error(ErrorCode::kFormat, file + ": does not know the model of cell " + cell.id);
}

}  // namespace

std::vector<ReplayedAnswer> replay_run(const std::string& path,
                                       std::span<const std::string> overrides,
                                       const std::string& only, const SamplerRegistry& registry) {
  const RecordedRun run = read_recorded_run(path);
  std::map<std::string, std::vector<std::string>> changes;  // by sampler
  for (const std::string& text : overrides) {
    const auto [sampler, change] = split_override(text);
    changes[sampler].push_back(change);
  }
  std::set<std::string> samplers;
  for (const RecordedCell& cell : run.cells) samplers.insert(cell.sampler);
  for (const auto& [sampler, texts] : changes)
    if (!samplers.contains(sampler))
      throw unknown_name_error("sampler", sampler,
                               std::vector<std::string>(samplers.begin(), samplers.end()));

  const TraceReader trace(path);
  const Tokens tokens(trace);
  const TraceIndex index = read_index(trace);
  std::vector<ReplayedAnswer> answers;
  for (const RecordedCell& cell : run.cells) {
    if (!changes.contains(cell.sampler) || (!only.empty() && cell.id != only)) continue;
    const std::string where = path + ": cell " + cell.id;
    const Json before = without_nulls(cell.identity.at("sampler"));
    if (before.contains("strategy"))
      throw Error(ErrorCode::kUnsupported,
                  where + ": a strategy's answers are not replayed; only a sampler's own are");
    if (before.value("type", "") != "quadrant")
      throw Error(ErrorCode::kUnsupported, where + ": sampler '" + cell.sampler + "' is of type " +
                                               before.value("type", "?") +
                                               "; only quadrant is replayed");
    if (before.contains("yoked_to"))
      throw Error(ErrorCode::kUnsupported, where +
                                               ": a yoked sampler's places come from another "
                                               "one's answers; replay that one");
    const YAML::Node changed = yaml_from_json(before);
    apply_overrides(changed, changes.at(cell.sampler));
    const auto tokenizer = load_tokenizer(model_path(path, cell));
    const SamplerContext context{tokenizer.get(), 0};
    Replay replay(before, json_from_yaml(changed), registry, context,
                  cell.identity.at("task").at("max_new_tokens").get<int64_t>(), where);
    if (has_budget(cell.identity)) replay.refuse("a budget limits the answer");
    for (const RecordedCell::Question& question : cell.questions)
      for (const Sample& sample : question.answers) {
        const auto row = index.rows.find({cell.id, sample.doc_id, sample.repeat});
        if (row == index.rows.end())
          throw Error(ErrorCode::kFormat,
                      where + ": the trace lacks problem " + std::to_string(sample.doc_id));
        ReplayedAnswer& answer = answers.emplace_back();
        answer.cell = cell.id;
        answer.doc_id = sample.doc_id;
        answer.repeat = sample.repeat;
        const std::vector<Step> steps = steps_of(row->second, tokens);
        const bool lacks_end =
            sample.stop_reason == StopReason::kEndOfText && !row->second.end_of_text;
        if (steps.empty()) {
          answer.reason = "the trace has no token of it";
          continue;
        }
        replay.run(
            steps,
            draws_key(sample.seed, sample.question_sha256, static_cast<uint64_t>(sample.repeat)),
            lacks_end ? "the decision that ended it is not in the trace" : "", answer);
      }
  }
  if (answers.empty())
    throw Error(ErrorCode::kUsage, only.empty() ? "nothing to replay: give --set"
                                                : "no such cell of those samplers: " + only);
  return answers;
}

Json replayed_answer_json(const ReplayedAnswer& answer) {
  return {{"cell", answer.cell},
          {"doc_id", answer.doc_id},
          {"repeat", answer.repeat},
          {"outcome", kOutcomeNames[static_cast<size_t>(answer.outcome)]},
          {"position", answer.position < 0 ? Json(nullptr) : Json(answer.position)},
          {"reason", answer.reason}};
}

std::string replay_text(const std::vector<ReplayedAnswer>& answers) {
  std::map<std::tuple<std::string, ReplayOutcome, std::string>, int64_t> counts;
  for (const ReplayedAnswer& answer : answers)
    ++counts[{answer.cell, answer.outcome, answer.reason}];
  std::vector<std::vector<std::string>> rows = {{"cell", "outcome", "why", "answers"}};
  for (const auto& [key, count] : counts) {
    const auto& [cell, outcome, reason] = key;
    rows.push_back(
        {cell, kOutcomeNames[static_cast<size_t>(outcome)], reason, std::to_string(count)});
  }
  return aligned_table(rows, 3);
}

}  // namespace surprisal
