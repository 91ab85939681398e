#include "experiments/experiment_config.h"

#include <algorithm>
#include <functional>
#include <set>

#include "experiments/config_tree.h"

namespace surprisal {
namespace {

constexpr int64_t kMaxProblems = 10'000'000;
constexpr int64_t kMaxNewTokens = 1'000'000;
constexpr int64_t kMaxRepeats = 65'535;
constexpr int64_t kMaxKept = 100;
constexpr int64_t kMaxBatch = 4096;
constexpr int64_t kMaxTopK = 1000;
constexpr double kMaxExactInteger = 9007199254740991.0;  // 2^53 - 1

/// Names become folders and parts of dotted keys.
void require_plain_name(const ParamReader& reader, const std::string& key,
                        const std::string& name) {
  const bool plain = !name.empty() && name.size() <= 100 && name[0] != '.' && name[0] != '-' &&
                     std::all_of(name.begin(), name.end(), [](unsigned char c) {
                       return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.';
                     });
  if (!plain)
    throw reader.error(
        key, "'" + name.substr(0, 100) + "' is not a plain name (letters, digits, '_', '-', '.')");
}

ModelSpec read_model(ParamReader& reader) {
  ModelSpec spec;
  spec.path = reader.string("path", std::nullopt, "a Hugging Face folder with the model");
  spec.options.dtype =
      reader.choice("dtype", "auto", {"auto", "float32", "bfloat16", "float16", "int8"},
                    "arithmetic and storage of the weights; auto: what the device does best");
  spec.options.device = reader.string("device", "auto", "cpu, cuda, cuda:N or auto");
  spec.calibration =
      reader.string("calibration", "", "file of `calibrate`: what thresholds like q0.90 mean here");
  return spec;
}

/// The keys every task has. The reader is left open for the task's own.
TaskSpec read_common_task_keys(ParamReader& reader) {
  TaskSpec spec;
  spec.owner = reader.owner();
  spec.name = reader.string("name", std::nullopt, "run_experiment --list tasks");
  spec.options.data = reader.string("data", "", "folder with the benchmark's files");
  spec.options.split = reader.string("split", "test", "which problems");
  spec.limit = reader.optional_integer("limit", {1, kMaxProblems}, "problems", "the first N only");
  spec.ids = reader.integers("ids", {}, {0, kMaxProblems}, "", "these doc_ids only");
  spec.options.chat_template =
      reader.boolean("chat_template", true, "ask through the model's chat format");
  spec.max_new_tokens =
      reader
          .optional_integer("max_new_tokens", {1, kMaxNewTokens}, "tokens",
                            "longest answer: sampled, injected and retrieved tokens; "
                            "null: the task's default")
          .value_or(0);
  spec.score_inserted =
      reader.boolean("score_inserted", false, "let scorers read injected and retrieved text too");
  if (spec.limit && !spec.ids.empty()) throw reader.error("ids", "give either limit or ids");
  if (std::set<int64_t>(spec.ids.begin(), spec.ids.end()).size() != spec.ids.size())
    throw reader.error("ids", "an id stands twice");
  return spec;
}

/// One entry under `singular`, or a list of them under `plural`; resolved() holds the list.
template <typename Spec>
std::vector<Spec> read_one_or_many(
    ParamReader& reader, const std::string& singular, const std::string& plural,
    const std::string& description,
    const std::function<Spec(const YAML::Node&, const std::string& owner, Json*)>& read) {
  const YAML::Node one = reader.raw(singular, "map", description);
  const YAML::Node many = reader.raw(plural, "list", "several of them");
  if (one.IsDefined() == many.IsDefined())
    throw reader.error(one.IsDefined() ? plural : singular,
                       "give either `" + singular + "` or `" + plural + "`");
  std::vector<Spec> specs;
  Json resolved = Json::array();
  const auto add = [&](const YAML::Node& node, const std::string& owner) {
    Json entry;
    specs.push_back(read(node, owner, &entry));
    resolved.push_back(std::move(entry));
  };
  if (one.IsDefined()) {
    add(one, singular);
  } else {
    if (!many.IsSequence() || many.size() == 0)
      throw reader.error(plural, "expected a list with at least one entry");
    for (size_t i = 0; i < many.size(); ++i) add(many[i], plural + "." + std::to_string(i));
  }
  reader.set_resolved(plural, std::move(resolved));
  return specs;
}

/// `NAME: {yoked_to: OTHER}`: whose control a sampler is, "" for an ordinary one.
std::string read_yoke(const ParamReader& reader, const std::string& name, const YAML::Node& node,
                      const std::vector<SamplerSpec>& before) {
  if (!node.IsMap() || !node["yoked_to"].IsDefined()) return "";
  ParamReader yoke(node, "sampler '" + name + "'", reader.file());
  const std::string other = yoke.string(
      "yoked_to", std::nullopt, "the sampler as often and as far apart as which it intervenes");
  yoke.finish();
  std::vector<std::string> known;
  for (const SamplerSpec& spec : before)
    if (spec.yoked_to.empty()) known.push_back(spec.name);
  if (std::ranges::find(known, other) == known.end())
    throw unknown_name_error("sampler that stands before it and is not yoked itself", other, known,
                             yoke.place("yoked_to"));
  return other;
}

std::vector<SamplerSpec> read_samplers(ParamReader& reader) {
  const YAML::Node node = reader.raw("samplers", "map", "named samplers: {NAME: {type: ...}}");
  if (!node.IsDefined() || !node.IsMap() || node.size() == 0)
    throw reader.error("samplers", "expected a map of named samplers, at least one");
  std::vector<SamplerSpec> specs;
  for (const auto& entry : node) {
    const std::string name = entry.first.Scalar();
    require_plain_name(reader, "samplers", name);
    if (name.find('.') != std::string::npos)
      throw reader.error("samplers", "'" + name + "': no dots in a sampler's name, they part keys");
    specs.push_back({name, entry.second, read_yoke(reader, name, entry.second, specs)});
  }
  reader.set_resolved("samplers", json_from_yaml(node));
  return specs;
}

int64_t read_batch(ParamReader& reader) {
  const YAML::Node node = reader.raw("batch", "integer or auto", "answers extended at once");
  if (!node.IsDefined() || (node.IsScalar() && node.Scalar() == "auto")) {
    reader.set_resolved("batch", "auto");
    return 0;
  }
  return reader.integer("batch", std::nullopt, {1, kMaxBatch}, "rows", "answers extended at once");
}

void read_engine(ParamReader& reader, EngineOptions& engine) {
  engine.batch = read_batch(reader);
  reader.choice("mode", "fast", {"fast", "strict"},  // make_plan() refuses models that cannot
                "strict: the same bits in any batch; fast: the last bits may differ");
  engine.sharing =
      reader.boolean("sharing", true, "compute once what several answers have in common");
  engine.prefill_chunk = reader.integer("prefill_chunk", engine.prefill_chunk, {1, kMaxNewTokens},
                                        "tokens", "of prompts in one forward pass");
  engine.memory_bytes = reader.integer("memory_bytes", 0, {0, kMaxExactInteger}, "bytes",
                                       "for keys and values; 0: from the machine's");
}

Budget read_budget(ParamReader& reader) {
  Budget budget;
  const auto limit = [&](const std::string& name, const std::string& unit,
                         const std::string& description, int64_t& value) {
    if (const auto given = reader.optional_integer(name, {0, kMaxExactInteger}, unit, description))
      value = *given;
  };
  limit("max_token_evaluations", "tokens", "computed for it, prompt and branches included",
        budget.max_token_evaluations);
  limit("max_branches", "branches", "followed, over all forks", budget.max_branches);
  limit("max_injected", "tokens", "injected and retrieved", budget.max_injected);
  return budget;
}

Counterfactual read_counterfactual(ParamReader& reader) {
  Counterfactual rule;
  rule.probability = reader.number("probability", 0.1, {.min = 0, .max = 1}, "",
                                   "share of the places where a state fires that are followed "
                                   "both ways");
  const std::vector<std::string> known = {"think", "branch", "retrieve", "ask", "rewind"};
  for (const std::string& name :
       reader.strings("actions", {"think", "branch"}, "interventions that are tried out so")) {
    if (std::ranges::find(known, name) == known.end())
      throw unknown_name_error("action", name, known, reader.place("actions"));
    rule.actions.push_back(
        static_cast<ActionKind>(std::ranges::find(kActionNames, name) - std::begin(kActionNames)));
  }
  if (rule.actions.empty()) throw reader.error("actions", "names no action");
  return rule;
}

void read_trace(ParamReader& reader, TraceOptions& trace) {
  trace.top_k = reader.integer("top_k", 5, {0, kMaxTopK}, "tokens",
                               "most probable tokens kept with each token");
  const std::string attention =
      reader.choice("attention", "summary", {"none", "summary", "layers", "heads", "maps"},
                    "attention statistics: means, per layer, per head; maps: the weights "
                    "themselves too (large)");
  using Attention = TraceOptions::Attention;
  trace.attention = attention == "none"      ? Attention::kNone
                    : attention == "summary" ? Attention::kSummary
                    : attention == "layers"  ? Attention::kLayers
                    : attention == "heads"   ? Attention::kHeads
                                             : Attention::kMaps;
  trace.logits_f16 =
      reader.choice("logits", "none", {"none", "f16"}, "the full rows in half precision") == "f16";
}

std::vector<std::string> ask_policies() {
  std::vector<std::string> names(std::begin(kAskPolicyNames), std::end(kAskPolicyNames));
  names.emplace_back(kPerson);
  return names;
}

TuneSpec read_tune(ParamReader& reader) {
  TuneSpec tune;
  tune.split = reader.string("split", std::nullopt, "problems on which settings are chosen");
  tune.limit = reader.optional_integer("limit", {1, kMaxProblems}, "problems", "the first N only");
  tune.scorer = scorer_of(reader.choice("scorer", "numeric", {"strict", "flexible", "numeric"},
                                        "the one that decides"));
  tune.keep = reader.integer("keep", 1, {1, kMaxKept}, "settings", "of each sampler, the best");
  if (reader.has("match"))
    reader.map("match", "samplers made to intervene equally often", [&](ParamReader& match) {
      tune.intervention_rate = match.number(
          "intervention_rate", std::nullopt, {.min = 0, .max = 1, .min_exclusive = true},
          "per generated token", "the setting nearest to it is kept, whatever its accuracy");
      tune.matched = match.strings("samplers", {}, "whose settings are chosen so");
      if (tune.matched.empty()) throw match.error("samplers", "name at least one sampler");
    });
  return tune;
}

void require_known_samplers(const ParamReader& reader, const ExperimentConfig& config) {
  std::vector<std::string> known;
  for (const SamplerSpec& sampler : config.samplers)
    if (sampler.yoked_to.empty()) known.push_back(sampler.name);  // others follow their setting
  for (const std::string& name : config.tune->matched)
    if (std::find(known.begin(), known.end(), name) == known.end())
      throw unknown_name_error("sampler", name, known, reader.place("tune") + ": tune.match");
}

}  // namespace

bool TuneSpec::matches(const std::string& sampler) const {
  return std::find(matched.begin(), matched.end(), sampler) != matched.end();
}

ExperimentConfig read_experiment(const YAML::Node& root, const std::string& file) {
  ParamReader reader(root, "experiment", file);
  ExperimentConfig config;
  config.file = file;
  config.name = reader.string("name", std::nullopt, "of the run directory");
  require_plain_name(reader, "name", config.name);
  config.seed = static_cast<uint64_t>(reader.integer("seed", 0, {0, kMaxExactInteger}, "",
                                                     "of everything that is drawn at random"));
  config.models = read_one_or_many<ModelSpec>(
      reader, "model", "models", "the model",
      [&](const YAML::Node& node, const std::string& owner, Json* resolved) {
        ParamReader nested(node, owner, file);
        ModelSpec spec = read_model(nested);
        nested.finish();
        *resolved = nested.resolved();
        return spec;
      });
  config.tasks = read_one_or_many<TaskSpec>(
      reader, "task", "tasks", "the task",
      [&](const YAML::Node& node, const std::string& owner, Json* resolved) {
        ParamReader nested(node, owner, file);
        TaskSpec spec = read_common_task_keys(nested);
        spec.node = node;
        *resolved = json_from_yaml(node);  // the task's own keys as written...
        for (const auto& [key, value] : nested.resolved().items()) (*resolved)[key] = value;
        return spec;
      });
  config.samplers = read_samplers(reader);
  config.sweep = reader.raw("sweep", "map", "grid over dotted keys");
  reader.set_resolved("sweep", json_from_yaml(config.sweep));
  if (reader.has_section("tune")) {
    reader.map("tune", "choose among swept settings on other problems",
               [&](ParamReader& nested) { config.tune = read_tune(nested); });
    require_known_samplers(reader, config);
  }
  config.repeats = reader.integer("repeats", 1, {1, kMaxRepeats}, "samples", "answers per problem");
  reader.map("budget", "limits of one answer; at one, its sampler goes on without interventions",
             [&](ParamReader& nested) { config.budget = read_budget(nested); });
  config.retriever =
      reader.raw("retriever", "map", "what a sampler's retrievals are answered from");
  reader.set_resolved("retriever", json_from_yaml(config.retriever));
  config.ask_policy = reader.choice(
      "ask_policy", "best", ask_policies(),
      "who answers a sampler's questions: the option held for best, the first named, any; or a "
      "person (run_experiment --interactive)");
  if (reader.has_section("counterfactual"))
    reader.map("counterfactual", "randomised twins: what a fired state's action does to an answer",
               [&](ParamReader& nested) { config.counterfactual = read_counterfactual(nested); });
  if (reader.has_section("analysis"))
    reader.map("analysis", "the comparisons that will be reported as tests",
               [&](ParamReader& nested) { config.analysis = read_analysis(nested); });
  reader.map("engine", "how answers are computed",
             [&](ParamReader& nested) { read_engine(nested, config.engine); });
  reader.map("trace", "what is kept per token",
             [&](ParamReader& nested) { read_trace(nested, config.engine.trace); });
  config.output = reader.string("output", "runs", "folder of run directories");
  if (config.output.empty()) throw reader.error("output", "is empty");
  reader.finish();
  config.resolved = reader.resolved();
  return config;
}

std::unique_ptr<Task> create_task(const TaskRegistry& registry, const TaskSpec& spec,
                                  const std::string& file, Json* resolved) {
  ParamReader reader(spec.node, spec.owner, file);
  const TaskSpec common = read_common_task_keys(reader);
  const TaskEntry& entry = registry.get(common.name, reader.place("name"));
  std::unique_ptr<Task> task = entry.create(reader, common.options);
  reader.finish();
  if (resolved != nullptr) *resolved = reader.resolved();
  return task;
}

std::vector<ParamDoc> common_task_docs() {
  ParamReader reader = ParamReader::describing("task");
  read_common_task_keys(reader);
  return reader.docs();
}

}  // namespace surprisal
