#include "samplers/python/exchange.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "lib/error.h"
#include "samplers/chain_step.h"
#include "samplers/greedy.h"

namespace py = pybind11;

namespace surprisal {
namespace {

using Floats = py::array_t<float>;

template <typename Names>
py::dict named_layers(const AttentionStatistics& attention, const Names& names, bool per_head) {
  py::dict fields;
  const auto layers = static_cast<py::ssize_t>(attention.layers);
  const auto heads = static_cast<py::ssize_t>(attention.heads);
  for (size_t s = 0; s < std::size(names); ++s) {
    Floats values(per_head ? std::vector<py::ssize_t>{layers, heads}
                           : std::vector<py::ssize_t>{layers});
    float* out = values.mutable_data();
    for (int64_t layer = 0; layer < layers; ++layer)
      if (per_head)
        for (int64_t head = 0; head < heads; ++head)
          *out++ = attention.head(layer, head, static_cast<HeadStatistic>(s));
      else
        *out++ = attention.layer(layer, static_cast<LayerStatistic>(s));
    fields[names[s]] = values;
  }
  return fields;
}

py::object attention_of(const AttentionStatistics& attention, const py::object& make) {
  constexpr const char* kHeadNames[] = {"entropy",   "varentropy",     "max_probability",
                                        "sink_mass", "mean_abs_score", "log_sum_exp"};
  constexpr const char* kLayerNames[] = {"agreement", "agreement_rescaled",
                                         "agreement_without_first"};
  return make(**named_layers(attention, kHeadNames, true),
              **named_layers(attention, kLayerNames, false),
              py::arg("valid_length") = attention.valid_length);
}

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorCode::kConfig, "decide(): " + message);
}

std::vector<TokenId> tokens_of(const py::handle& list, const StepView& view) {
  const auto tokens = list.cast<std::vector<TokenId>>();
  for (const TokenId token : tokens)
    if (token < 0 || static_cast<size_t>(token) >= view.logits.size())
      refuse("token " + std::to_string(token) + " is not in the vocabulary");
  if (tokens.empty()) refuse("an empty list of tokens");
  return tokens;
}

TokenId token_of(const py::handle& value, const StepView& view) {
  const auto token = py::module_::import("operator").attr("index")(value).cast<TokenId>();
  if (!can_emit(view, token))
    refuse("token " + std::to_string(token) + " is banned or not in the vocabulary");
  return token;
}

template <typename Names>
size_t choice(const py::handle& value, const Names& names, const std::string& key) {
  const auto name = value.cast<std::string>();
  const auto found = std::find(std::begin(names), std::end(names), name);
  if (found == std::end(names)) refuse(key + ": '" + name + "' is unknown");
  return static_cast<size_t>(found - std::begin(names));
}

/// Reads an answer's keys, each once; finish() refuses the others.
class Answer {
 public:
  explicit Answer(const py::dict& dict) : dict_(dict) {}

  bool take(const char* key, py::object& value) {
    if (!dict_.contains(key)) return false;
    value = dict_[key];
    read_.insert(key);
    return true;
  }
  void finish() const {
    for (const auto& [key, value] : dict_)
      if (read_.count(py::str(key).cast<std::string>()) == 0)
        refuse("unknown or second key '" + py::str(key).cast<std::string>() + "'");
  }

 private:
  py::dict dict_;
  std::set<std::string> read_;
};

void take_action(Answer& answer, Decision& decision, const StepView& view,
                 const Tokenizer* tokenizer) {
  py::object value, more;
  if (answer.take("emit", value)) {
    decision.action = Emit{token_of(value, view)};
  } else if (answer.take("inject", value)) {
    decision.kind = ActionKind::kThink;
    if (!py::isinstance<py::str>(value)) {
      decision.action = Inject{tokens_of(value, view), ""};
      return;
    }
    if (tokenizer == nullptr) refuse("inject: a text needs a tokenizer; give token ids");
    const auto text = value.cast<std::string>();
    decision.action = Inject{tokenizer->encode(text, false, false), text};
  } else if (answer.take("branch", value)) {
    decision.kind = ActionKind::kBranch;
    Branch branch{tokens_of(value, view), {}};
    if (answer.take("horizon", more)) branch.plan.horizon = more.cast<int64_t>();
    if (answer.take("stop_at", more))
      branch.plan.stop_at = static_cast<BranchPlan::StopAt>(choice(more, kStopAtNames, "stop_at"));
    if (answer.take("compare", more))
      branch.plan.compare =
          static_cast<BranchPlan::Compare>(choice(more, kCompareNames, "compare"));
    if (branch.plan.horizon < 1) refuse("horizon: must be at least 1");
    decision.action = std::move(branch);
  } else if (answer.take("rewind", value)) {
    decision.kind = ActionKind::kRewind;
    const auto count = value.cast<int64_t>();
    if (count < 1 || count > static_cast<int64_t>(view.generated().size()))
      refuse("rewind: must be between 1 and the number of tokens generated");
    decision.action = Rewind{count, !answer.take("ban", more) || more.cast<bool>()};
  } else if (answer.take("ask", value)) {
    decision.kind = ActionKind::kAsk;
    AskUser ask{value.cast<std::string>(), {}};
    if (answer.take("options", more)) ask.options = more.cast<std::vector<std::string>>();
    decision.action = std::move(ask);
  } else if (answer.take("retrieve", value)) {
    decision.kind = ActionKind::kRetrieve;
    decision.action = Retrieve{value.cast<std::string>()};
  } else if (answer.take("stop", value)) {
    decision.kind = ActionKind::kStop;
    decision.action = Stop{value.cast<std::string>()};
  } else {
    refuse(
        "expected a token id, or a dictionary with one of emit, inject, branch, rewind, ask, "
        "retrieve, stop");
  }
}

/// `probs` [V]: what the token was drawn from.
void take_distribution(const py::object& value, Decision& decision, const StepView& view) {
  const auto probs = py::array_t<double, py::array::c_style | py::array::forcecast>::ensure(value);
  if (!probs || probs.size() != static_cast<py::ssize_t>(view.logits.size()))
    refuse("probs: expected a number for each token");
  const auto* emit = std::get_if<Emit>(&decision.action);
  double total = 0;
  for (py::ssize_t i = 0; i < probs.size(); ++i) {
    const double p = probs.data()[i];
    if (!(p >= 0)) refuse("probs: negative or NaN");
    total += p;
    if (p == 0) continue;
    ++decision.kept;
    const auto token = static_cast<TokenId>(i);
    if (emit != nullptr && emit->token == token) decision.sampling_logprob = std::log(p);
    if (view.want_distribution)
      decision.distribution.push_back(
          {token, view.logits[static_cast<size_t>(i)], static_cast<float>(p)});
  }
  constexpr double kRounding = 1e-3;  // of float32 or float16 arithmetic in a script
  if (std::abs(total - 1) > kRounding) refuse("probs: they add up to " + std::to_string(total));
  if (emit != nullptr && std::isnan(decision.sampling_logprob))
    refuse("emit: a token whose probability is 0");
}

}  // namespace

py::object python_view(const StepView& view, const Draws& draws) {
  const py::object make = py::module_::import("types").attr("SimpleNamespace");
  const DistributionStatistics& s = *view.statistics;
  const auto vocabulary = static_cast<py::ssize_t>(view.logits.size());
  const size_t tokens = view.logits.size();
  return make(
      py::arg("logits") = Floats(vocabulary, view.logits.data()),
      py::arg("statistics") = make(
          py::arg("entropy") = s.entropy, py::arg("varentropy") = s.varentropy,
          py::arg("log_sum_exp") = s.log_sum_exp, py::arg("max_probability") = s.max_probability,
          py::arg("second_probability") = s.second_probability, py::arg("argmax") = s.argmax,
          py::arg("support") = s.support),
      py::arg("attention") =
          view.attention != nullptr ? attention_of(*view.attention, make) : py::none(),
      py::arg("tokens") =
          py::array_t<TokenId>(static_cast<py::ssize_t>(view.tokens.size()), view.tokens.data()),
      py::arg("prompt_length") = view.prompt_length,
      py::arg("remaining_tokens") = view.remaining_tokens, py::arg("may_inject") = view.may_inject,
      py::arg("may_branch") = view.may_branch,
      py::arg("uniform") =
          py::cpp_function([draws](uint32_t index) { return draws.uniform(kPythonDraw, index); },
                           py::arg("index") = 0),
      py::arg("gumbel") = py::cpp_function([draws, tokens] {
        py::array_t<double> noise(static_cast<py::ssize_t>(tokens));
        GumbelNoise values(draws, kTokenDraw);
        for (size_t i = 0; i < tokens; ++i)
          noise.mutable_data()[i] = values.value(static_cast<uint32_t>(i));
        return noise;
      }));
}

Decision decision_of(const py::object& given, const StepView& view, const Tokenizer* tokenizer) {
  Decision decision;
  if (!py::isinstance<py::dict>(given)) {
    if (!py::hasattr(given, "__index__"))
      refuse("expected a token id or a dictionary, found " +
             py::str(py::type::of(given)).cast<std::string>());
    decision.action = Emit{token_of(given, view)};
    return decision;
  }
  Answer answer(given.cast<py::dict>());
  take_action(answer, decision, view, tokenizer);
  py::object value;
  if (answer.take("probs", value)) take_distribution(value, decision, view);
  if (answer.take("temperature", value)) decision.temperature = value.cast<double>();
  if (answer.take("state", value))
    decision.state = static_cast<State>(choice(value, kStateNames, "state"));
  if (answer.take("metrics", value))
    for (const auto& [name, number] : value.cast<std::map<std::string, double>>())
      decision.metrics.emplace_back(name, number);
  answer.finish();
  return decision;
}

}  // namespace surprisal
