#include "experiments/plan.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>

#include "experiments/stop_strings.h"
#include "lib/sha256.h"
#include "models/device.h"

namespace surprisal {
namespace {

namespace fs = std::filesystem;

/// Bumped when the meaning of an identity changes, so that old cells are never taken for new ones.
constexpr int kIdentityVersion = 1;
constexpr size_t kCellIdDigits = 12;

PlannedModel plan_model(const ModelSpec& spec) {
  ModelConfig config = load_model_config(spec.path);
  const Placement placement = choose_placement(config, spec.options);
  PlannedModel model{.spec = spec,
                     .config = std::move(config),
                     .provenance = model_provenance(spec.path),
                     .config_sha256 = sha256_file((fs::path(spec.path) / "config.json").string()),
                     .placement = placement,
                     .tokenizer = load_tokenizer(spec.path),
                     .chat = nullptr};
  if (!spec.calibration.empty()) {
    model.calibration = read_calibration(spec.calibration);
    if (model.calibration->weights_sha256 != model.provenance.weights_sha256)
      throw Error(ErrorCode::kConfig, spec.calibration + ": was made of other weights (" +
                                          model.calibration->model + ") than those of " +
                                          spec.path + "; calibrate this model");
  }
  return model;
}

/// Strict runs need kernels whose sums have one order, and keys that no later length turns.
void require_strict(const PlannedModel& model) {
  if (model.placement.kernels == "aten")
    throw Error(ErrorCode::kUnsupported,
                "engine.mode: strict: " + model.spec.path + " in " + model.dtype() + " on " +
                    model.placement.device.str() +
                    " has no kernels that keep one order of summation; use dtype: float32, int8 or "
                    "bfloat16 and device: cpu, or mode: fast");
  if (model.config.rope.type == RopeConfig::Type::kDynamic)
    throw Error(ErrorCode::kUnsupported,
                "engine.mode: strict: " + model.spec.path +
                    " has dynamic RoPE, whose keys depend on how a sequence was cut up; use mode: "
                    "fast");
}

std::vector<size_t> choose_problems(const TaskSpec& spec, const Task& task) {
  const std::vector<Problem>& problems = task.problems();
  std::vector<size_t> chosen;
  if (spec.ids.empty()) {
    const size_t count =
        spec.limit ? std::min(problems.size(), static_cast<size_t>(*spec.limit)) : problems.size();
    for (size_t i = 0; i < count; ++i) chosen.push_back(i);
  } else {
    std::map<int64_t, size_t> by_id;
    for (size_t i = 0; i < problems.size(); ++i) by_id[problems[i].doc_id] = i;
    for (const int64_t id : spec.ids) {
      const auto found = by_id.find(id);
      if (found == by_id.end())
        throw Error(ErrorCode::kConfig, spec.owner + ": ids: " + spec.name + " " +
                                            spec.options.split + " has no problem " +
                                            std::to_string(id));
      chosen.push_back(found->second);
    }
  }
  if (chosen.empty())
    throw Error(ErrorCode::kConfig, spec.owner + ": " + spec.name + " has no problems");
  return chosen;
}

PlannedTask plan_task(const TaskSpec& spec, const std::string& file, const TaskRegistry& registry) {
  PlannedTask planned;
  planned.spec = spec;
  planned.task = create_task(registry, spec, file, &planned.resolved);
  if (planned.spec.max_new_tokens == 0)
    planned.spec.max_new_tokens = planned.task->default_max_new_tokens();
  planned.resolved["max_new_tokens"] = planned.spec.max_new_tokens;
  planned.problems = choose_problems(spec, *planned.task);
  return planned;
}

/// What tells a task apart: its keys, the version of its rules and its data by hash.
Json task_identity(const PlannedTask& task) {
  Json identity = task.resolved;
  for (const char* key : {"data", "limit", "ids"}) identity.erase(key);
  identity["version"] = task.task->version();
  identity["data_sha256"] = task.task->data_sha256();
  return identity;
}

Json budget_identity(const Budget& budget) {
  return {{"max_token_evaluations", budget.max_token_evaluations},
          {"max_branches", budget.max_branches},
          {"max_injected", budget.max_injected}};
}

Json model_identity(const PlannedModel& model) {
  return {{"weights_sha256", model.provenance.weights_sha256},
          {"config_sha256", model.config_sha256},
          {"tokenizer_sha256", model.tokenizer->sha256()},
          {"stop_token_ids", model.stop_tokens()},
          {"dtype", model.dtype()}};
}

/// The text of a prompt and its tokens, as lm-eval's `hf` backend makes them: special tokens in the
/// text count as such, and the tokenizer adds its own unless the text already begins with its BOS
/// (EleutherAI/lm-evaluation-harness v0.4.13, models/huggingface.py tok_batch_encode).
Prompt make_prompt(const PlannedModel& model, const TaskSpec& spec, const Problem& problem,
                   size_t index) {
  Prompt prompt{.problem = index, .text = problem.prompt, .tokens = {}};
  if (spec.options.chat_template)
    prompt.text = model.chat->render(problem.messages, /*add_generation_prompt=*/true);
  bool add_special = true;
  if (const auto bos = model.tokenizer->bos_token_id()) {
    const std::string bos_text = model.tokenizer->decode({{*bos}});
    add_special = bos_text.empty() || !prompt.text.starts_with(bos_text);
  }
  prompt.tokens = model.tokenizer->encode(prompt.text, /*parse_special=*/true, add_special);
  const int64_t context = model.config.max_position_embeddings;
  const auto length = static_cast<int64_t>(prompt.tokens.size());
  const std::string which =
      spec.owner + ": " + spec.name + " problem " + std::to_string(problem.doc_id);
  if (length == 0) throw Error(ErrorCode::kConfig, which + ": its prompt is empty");
  if (length >= context)
    throw Error(ErrorCode::kConfig, which + ": its prompt has " + std::to_string(length) +
                                        " tokens; the context of " + model.spec.path + " holds " +
                                        std::to_string(context) +
                                        ", an answer included. Leave the problem out with `ids`, "
                                        "or use a model with a longer context");
  return prompt;
}

/// Twins are of states that fire; where nothing can, they were asked for by mistake.
void require_interventions(const Plan& plan) {
  for (const Cell& cell : plan.cells)
    if (!cell.strategy && cell.sampler->base(cell.sampler->start().get()).sampler != nullptr)
      return;
  throw Error(ErrorCode::kConfig,
              plan.config.file +
                  ": counterfactual: no sampler here intervenes by states (use a quadrant without "
                  "a strategy), so there is nothing to compare with its absence");
}

/// A strategy's answers are repeats of its sampler.
std::optional<std::string> refuses_repeats(const Cell& cell) {
  if (!cell.strategy) return cell.sampler->refuses_repeats();
  if (const auto reason = cell.strategy->refuses_repeats()) return reason;
  return cell.sampler->refuses_repeats();
}

/// Index of the entry with this key, made by `make` the first time.
template <typename Entry, typename Make>
size_t find_or_make(std::vector<Entry>& entries, std::map<std::string, size_t>& index,
                    const std::string& key, Make make) {
  const auto [found, is_new] = index.emplace(key, entries.size());
  if (is_new) entries.push_back(make());
  return found->second;
}

/// The part of the configuration that may not change under a run's name.
Json run_identity(const Plan& plan) {
  Json identity = plan.config.resolved;
  for (const char* key : {"output", "repeats", "models", "tasks"}) identity.erase(key);
  // How answers are computed: mode: strict promises that it changes nothing, and mode: fast that it
  // may change last bits, as an interruption does.
  for (const char* key : {"batch", "sharing", "prefill_chunk", "memory_bytes"})
    identity.at("engine").erase(key);
  Json models = Json::array(), tasks = Json::array(), cells = Json::array();
  for (const PlannedModel& model : plan.models) {
    models.push_back(model_identity(model));
    models.back()["device"] = c10::DeviceTypeName(model.placement.device.type(), true);
  }
  for (const PlannedTask& task : plan.tasks) {
    Json entry = task_identity(task);
    entry["ids"] = task.resolved.at("ids");
    tasks.push_back(std::move(entry));
  }
  std::set<std::string> ids;
  for (const Cell& cell : plan.cells) ids.insert(cell.id);
  for (const std::string& id : ids) cells.push_back(id);
  identity["models"] = std::move(models);
  identity["tasks"] = std::move(tasks);
  identity["cells"] = std::move(cells);
  return identity;
}

}  // namespace

std::string PlannedModel::name() const {
  const fs::path path = fs::path(spec.path).lexically_normal();
  return (path.has_filename() ? path.filename() : path.parent_path().filename()).string();
}

std::string PlannedModel::dtype() const {
  return dtype_name(placement.dtype);
}

std::vector<TokenId> PlannedModel::stop_tokens() const {
  return surprisal::stop_tokens(config, *tokenizer);
}

std::vector<std::string> PlannedModel::stop_strings(const Task& task) const {
  const auto eos = tokenizer->eos_token_id();
  return with_end_of_text(task.stop_strings(), eos ? tokenizer->decode({{*eos}}) : "");
}

int64_t Plan::samples() const {
  int64_t count = 0;
  for (const Cell& cell : cells)
    count += static_cast<int64_t>(tasks[cell.task].problems.size()) * config.repeats;
  return count;
}

std::vector<DeclarableCell> Plan::declarable_cells() const {
  std::map<std::string, size_t> groups;
  std::vector<DeclarableCell> declarable;
  for (const Cell& cell : cells) {
    Json conditions = cell.identity;
    conditions.erase("sampler");
    const size_t group = groups.emplace(canonical_json(conditions), groups.size()).first->second;
    declarable.push_back({cell.sampler_name, cell.id, group});
  }
  return declarable;
}

Plan make_plan(const YAML::Node& root, const std::string& file, const Registries& registries,
               const std::vector<bool>* kept) {
  Plan plan;
  plan.config = read_experiment(root, file);
  Json retriever;
  if (plan.config.retriever.IsDefined() && !plan.config.retriever.IsNull())
    plan.retriever =
        create_retriever(registries.retrievers, plan.config.retriever, file, &retriever);
  std::map<std::string, size_t> model_index, task_index;
  std::map<std::string, std::string> cell_of;  // id -> where it stands, for the message
  const std::vector<CellSpec> specs = expand_cells(root, plan.config);
  std::vector<std::optional<size_t>> planned_as(specs.size());  // index into plan.cells
  size_t number = 0;
  for (size_t s = 0; s < specs.size(); ++s) {
    const CellSpec& spec = specs[s];
    if (spec.yoked_to ? !planned_as[*spec.yoked_to] : kept != nullptr && !kept->at(number++))
      continue;
    planned_as[s] = plan.cells.size();
    Cell cell;
    if (spec.yoked_to) cell.yoked_to = planned_as[*spec.yoked_to];
    cell.sampler_name = spec.sampler.name;
    cell.seed = spec.seed;
    cell.budget = spec.budget;
    cell.ask_policy = spec.ask_policy;
    cell.swept = spec.swept;
    const std::string model_key = spec.model.path + "\n" + spec.model.options.dtype + "\n" +
                                  spec.model.options.device + "\n" + spec.model.calibration;
    cell.model =
        find_or_make(plan.models, model_index, model_key, [&] { return plan_model(spec.model); });
    cell.task = find_or_make(plan.tasks, task_index, YAML::Dump(spec.task.node),
                             [&] { return plan_task(spec.task, file, registries.tasks); });
    PlannedModel& model = plan.models[cell.model];
    if (plan.config.resolved.at("engine").at("mode") == "strict") require_strict(model);
    const PlannedTask& task = plan.tasks[cell.task];
    cell.max_new_tokens = task.spec.max_new_tokens;
    if (task.spec.options.chat_template && !model.chat)
      model.chat = load_chat_template(model.spec.path);

    const std::string where =
        spec.swept.empty() ? "" : " (in the cell with " + setting_text(spec.swept) + ")";
    Json sampler;
    try {
      const SamplerContext context{model.tokenizer.get(), model.config.vocab_size,
                                   model.stop_tokens()};
      const std::string owner = "sampler '" + spec.sampler.name + "'";
      const YAML::Node node =
          resolve_quantiles(spec.sampler.node, model.calibration ? &*model.calibration : nullptr,
                            yaml_place(file, spec.sampler.node) + ": " + owner, &cell.quantiles);
      YAML::Node strategy;
      const YAML::Node own = without_strategy(node, &strategy);
      cell.sampler = create_sampler(registries.samplers, own, owner, file, context, &sampler);
      if (cell.sampler->needs().schedule && !cell.yoked_to)
        throw Error(ErrorCode::kConfig,
                    yaml_place(file, own) + ": " + owner +
                        ": gate yoked belongs to another sampler: write NAME: {yoked_to: OTHER}");
      if (cell.yoked_to) sampler["yoked_to"] = plan.cells[*cell.yoked_to].id;
      if (!strategy.IsNull())
        cell.strategy = create_strategy(registries.strategies, strategy, owner + ": strategy", file,
                                        &sampler["strategy"]);
    } catch (const Error& error) {
      throw Error(error.code(), error.what() + where);
    }
    if (const auto reason = refuses_repeats(cell); reason && plan.config.repeats > 1)
      throw Error(ErrorCode::kConfig, file + ": sampler '" + spec.sampler.name +
                                          "': repeats > 1 make no sense: " + *reason);
    if (const auto reason = cell.sampler->refuses_repeats();
        reason && cell.strategy && cell.strategy->repeats_sampler())
      throw Error(ErrorCode::kConfig,
                  file + ": sampler '" + spec.sampler.name +
                      "': its strategy would see one answer again and again: " + *reason);
    if (cell.sampler->needs().retriever && !plan.retriever)
      throw Error(ErrorCode::kConfig,
                  file + ": sampler '" + spec.sampler.name +
                      "' looks things up: name what answers it, as `retriever: {type: calculator}` "
                      "(run_experiment --list retrievers)");

    cell.identity = {{"version", kIdentityVersion},
                     {"model", model_identity(model)},
                     {"task", task_identity(task)},
                     {"sampler", sampler},
                     {"seed", cell.seed},
                     {"budget", budget_identity(cell.budget)},
                     {"ask_policy", cell.ask_policy},
                     {"retriever", retriever}};
    if (task.spec.options.chat_template) cell.identity["chat_format"] = model.chat->name();
    cell.id = sha256_hex(canonical_json(cell.identity)).substr(0, kCellIdDigits);
    const std::string what = "sampler '" + spec.sampler.name + "'" + where;
    const auto [twin, is_new] = cell_of.emplace(cell.id, what);
    if (!is_new)
      throw Error(ErrorCode::kConfig, file + ": " + what + " is the same cell as " + twin->second +
                                          ": same model, task and parameters; leave one out");
    plan.cells.push_back(std::move(cell));
  }
  if (plan.config.counterfactual.probability > 0) require_interventions(plan);
  if (plan.config.analysis) check_names(*plan.config.analysis, plan.declarable_cells(), file);

  for (const Cell& cell : plan.cells) {
    const auto [prompts, is_new] = plan.prompts.try_emplace({cell.model, cell.task});
    if (!is_new) continue;
    const PlannedTask& task = plan.tasks[cell.task];
    for (const size_t problem : task.problems)
      prompts->second.push_back(
          make_prompt(plan.models[cell.model], task.spec, task.task->problems()[problem], problem));
  }
  plan.identity = run_identity(plan);
  plan.config_sha256 = sha256_hex(canonical_json(plan.identity));
  return plan;
}

}  // namespace surprisal
