#include "samplers/trial.h"

#include <algorithm>
#include <cmath>

namespace surprisal {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

Error bad_request(const std::string& message) {
  return Error(ErrorCode::kConfig, "request: " + message);
}

double number_of(const Json& value, const std::string& key) {
  if (value.is_number()) return value.get<double>();
  if (value.is_null() || value == "-inf" || value == "-Infinity") return -kInfinity;
  if (value == "Infinity" || value == "inf") return kInfinity;
  if (value == "NaN" || value == "nan") return std::numeric_limits<double>::quiet_NaN();
  throw bad_request(key + ": expected numbers (null for -inf), found " + dump_line(value));
}

const Json& list_of(const Json& request, const std::string& key) {
  const Json& list = request.at(key);
  if (!list.is_array()) throw bad_request(key + ": expected a list");
  return list;
}

int64_t integer_of(const Json& request, const std::string& key, int64_t absent, int64_t smallest,
                   int64_t largest) {
  if (!request.contains(key)) return absent;
  const Json& value = request[key];
  if (!value.is_number_integer() || value < smallest || value > largest)
    throw bad_request(key + ": expected an integer from " + std::to_string(smallest) + " to " +
                      std::to_string(largest) + ", found " + dump_line(value));
  return value.get<int64_t>();
}

std::vector<float> logits_of(const Json& request) {
  if (request.contains("logits") == request.contains("probs"))
    throw bad_request("expected either logits or probs");
  const bool is_probs = request.contains("probs");
  std::vector<float> logits;
  for (const Json& value : list_of(request, is_probs ? "probs" : "logits")) {
    const double number = number_of(value, is_probs ? "probs" : "logits");
    if (is_probs && !(number >= 0)) throw bad_request("probs: expected numbers >= 0");
    logits.push_back(static_cast<float>(is_probs ? std::log(number) : number));
  }
  return logits;
}

/// The statistics a request's attention scores give rise to, and what they view.
struct Attention {
  std::vector<float> per_head, per_layer;
  AttentionStatistics statistics;
  PaddedAttentionStatistics padded;
};

std::unique_ptr<Attention> attention_of(const Json& request, const Needs& needs) {
  if (!request.contains("attention_scores")) return nullptr;
  const Json& rows = list_of(request, "attention_scores");
  const size_t slots = rows.empty() || !rows[0].is_array() ? 0 : rows[0].size();
  if (slots == 0) throw bad_request("attention_scores: expected [H, S] numbers");
  const auto total = static_cast<int64_t>(slots);
  const int64_t valid = integer_of(request, "valid_slots", total, 1, total);
  std::vector<float> scores;
  for (const Json& row : rows) {
    if (!row.is_array() || row.size() != slots)
      throw bad_request("attention_scores: every head needs a list of " + std::to_string(slots));
    for (int64_t slot = 0; slot < valid; ++slot) {
      const double score = number_of(row[static_cast<size_t>(slot)], "attention_scores");
      if (!std::isfinite(score)) throw bad_request("attention_scores: expected finite numbers");
      scores.push_back(static_cast<float>(score));
    }
  }
  const auto heads = static_cast<int64_t>(rows.size());
  auto attention = std::make_unique<Attention>();
  attention->per_head.resize(rows.size() * static_cast<size_t>(kHeadStatistics));
  attention->per_layer.resize(static_cast<size_t>(kLayerStatistics));
  attention_layer_statistics(scores, heads, attention->per_head, attention->per_layer);
  attention->statistics = {1, heads, valid, attention->per_head, attention->per_layer};
  if (needs.padded_slots > 0) {
    const int64_t cache = request.contains("valid_slots") ? total : needs.padded_slots;
    attention->padded = padded_attention_statistics(scores, heads, cache);
  }
  return attention;
}

Json action_json(const Action& action) {
  struct Visitor {
    Json operator()(const Emit& a) const { return {{"kind", "emit"}, {"token", a.token}}; }
    Json operator()(const Inject& a) const {
      return {{"kind", "inject"}, {"tokens", a.tokens}, {"text", a.text}};
    }
    Json operator()(const Branch& a) const {
      return {{"kind", "branch"}, {"candidates", a.candidates}};
    }
    Json operator()(const Rewind& a) const {
      return {{"kind", "rewind"}, {"count", a.count}, {"ban", a.ban}};
    }
    Json operator()(const AskUser& a) const {
      return {{"kind", "ask"}, {"question", a.question}, {"options", a.options}};
    }
    Json operator()(const Retrieve& a) const { return {{"kind", "retrieve"}, {"query", a.query}}; }
    Json operator()(const Stop& a) const { return {{"kind", "stop"}, {"reason", a.reason}}; }
  };
  return std::visit(Visitor{}, action);
}

/// Unknown numbers (NaN) become null.
Json decision_json(const Decision& decision, const StepView& view) {
  Json kept_ids = Json::array(), kept_logits = Json::array();
  std::vector<double> probs(view.logits.size(), 0);
  for (const Candidate& candidate : decision.distribution) {
    kept_ids.push_back(candidate.token);
    kept_logits.push_back(candidate.logit);
    probs[static_cast<size_t>(candidate.token)] = candidate.probability;
  }
  Json action = action_json(decision.action);
  action["action"] = kActionNames[static_cast<size_t>(decision.kind)];
  action["gate"] = kGateNames[static_cast<size_t>(decision.gate)];
  action["temperature"] = decision.temperature;
  action["kept"] = decision.kept;
  action["sampling_logprob"] = decision.sampling_logprob;
  action["threshold_margin"] = decision.threshold_margin;

  Json metrics = {{"entropy", view.statistics->entropy},
                  {"varentropy", view.statistics->varentropy},
                  {"max_probability", view.statistics->max_probability},
                  {"second_probability", view.statistics->second_probability}};
  if (view.attention != nullptr) {
    const AttentionMeans means = attention_means(*view.attention);
    metrics["attention_entropy"] = means.entropy;
    metrics["attention_varentropy"] = means.varentropy;
    metrics["attention_agreement"] = means.agreement;
    metrics["attention_sink"] = means.sink_mass;
  }
  Json own = {{"entropy", decision.decision_entropy}, {"varentropy", decision.decision_varentropy}};
  for (const auto& [name, value] : decision.metrics) own[name] = value;
  return {{"kept_ids", kept_ids},
          {"kept_logits", kept_logits},
          {"probs", probs},
          {"decision", action},
          {"state", kStateNames[static_cast<size_t>(decision.state)]},
          {"metrics", metrics},
          {"decision_metrics", own}};
}

/// A sampler and the context it has seen so far.
class Trial {
 public:
  Trial(const Sampler& sampler, uint64_t key)
      : sampler_(sampler), state_(sampler.start()), key_(key) {}

  void read_prompt(const Json& request) {
    if (!request.contains("prompt_logits")) return;
    for (const Json& row : list_of(request, "prompt_logits"))
      sampler_.observe_prompt(logits_of({{"logits", row}}), state_.get());
  }

  Json step(const Json& request) {
    if (!request.is_object()) throw bad_request("a step must be an object");
    const std::vector<float> logits = logits_of(request);
    const DistributionStatistics statistics = distribution_statistics(logits);
    const auto attention = attention_of(request, sampler_.needs());
    read_context(request, static_cast<int64_t>(logits.size()));

    StepView view;
    view.logits = logits;
    view.statistics = &statistics;
    view.attention = attention ? &attention->statistics : nullptr;
    if (attention && sampler_.needs().padded_slots > 0) view.padded_attention = &attention->padded;
    view.tokens = context_;
    view.prompt_length = prompt_length_;
    view.want_distribution = true;
    const Draws draws(key_, static_cast<uint32_t>(context_.size()));
    const Decision decision = sampler_.decide(view, state_.get(), draws);
    if (const auto* emit = std::get_if<Emit>(&decision.action)) context_.push_back(emit->token);
    if (const auto* inject = std::get_if<Inject>(&decision.action)) {
      context_.insert(context_.end(), inject->tokens.begin(), inject->tokens.end());
      source_ = TokenSource::kInjected;
    }
    return decision_json(decision, view);
  }

 private:
  /// Takes the request's history, and tells the sampler of what is new in the answer.
  void read_context(const Json& request, int64_t vocab) {
    if (request.contains("history")) {
      context_.clear();
      for (const Json& token : list_of(request, "history")) {
        if (!token.is_number_integer() || token < 0 || token >= vocab)
          throw bad_request("history: expected token ids below " + std::to_string(vocab));
        context_.push_back(token.get<TokenId>());
      }
      if (context_.size() < observed_)
        throw bad_request("history: shorter than what the sampler has already seen");
    }
    const auto length = static_cast<int64_t>(context_.size());
    prompt_length_ = integer_of(request, "prompt_length", prompt_length_, 0, length);
    for (observed_ = std::max(observed_, static_cast<size_t>(prompt_length_));
         observed_ < context_.size(); ++observed_)
      sampler_.observe(context_[observed_], source_, state_.get());
    source_ = TokenSource::kSampled;
  }

  const Sampler& sampler_;
  std::unique_ptr<SamplerState> state_;
  uint64_t key_;
  std::vector<TokenId> context_;
  int64_t prompt_length_ = 0;
  size_t observed_ = 0;
  TokenSource source_ = TokenSource::kSampled;  ///< of the context's new tokens
};

}  // namespace

Json run_trial(const Json& request, const SamplerRegistry& registry,
               const SamplerContext& context) {
  if (!request.is_object()) throw bad_request("expected an object");
  if (!request.contains("sampler")) throw bad_request("'sampler' is required");
  for (const auto& [key, value] : request.items()) {
    static const std::vector<std::string> known = {
        "sampler", "logits",      "probs", "history", "prompt_length", "attention_scores",
        "id",      "valid_slots", "seed",  "steps",   "prompt_logits"};
    if (std::find(known.begin(), known.end(), key) == known.end())
      throw unknown_name_error("key", key, known, "request");
  }
  const auto sampler = create_sampler(registry, yaml_from_json(request["sampler"]), "sampler",
                                      "request", context, nullptr);
  const auto seed =
      static_cast<uint64_t>(integer_of(request, "seed", 0, 0, std::numeric_limits<int64_t>::max()));
  Trial trial(*sampler, draws_key(seed, "", 0));
  trial.read_prompt(request);
  if (!request.contains("steps")) return trial.step(request);
  Json results = Json::array();
  for (const Json& step : list_of(request, "steps")) results.push_back(trial.step(step));
  return {{"steps", results}};
}

std::string quote_non_finite(std::string_view line) {
  std::string result;
  bool in_string = false;
  for (size_t i = 0; i < line.size();) {
    size_t length = 1;
    if (in_string) {
      if (line[i] == '\\' && i + 1 < line.size()) length = 2;
      if (line[i] == '"') in_string = false;
    } else if (line[i] == '"') {
      in_string = true;
    } else {
      for (const std::string_view word : {"-Infinity", "Infinity", "NaN"}) {
        if (!line.substr(i).starts_with(word)) continue;
        length = word.size();
        result += '"' + std::string(word) + '"';
        break;
      }
    }
    if (length <= 2) result += line.substr(i, length);
    i += length;
  }
  return result;
}

}  // namespace surprisal
