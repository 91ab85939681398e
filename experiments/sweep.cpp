#include "experiments/sweep.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>

#include "experiments/config_tree.h"

namespace surprisal {
namespace {

constexpr int64_t kMaxSteps = 10'000;
constexpr std::string_view kSamplersPrefix = "samplers.";

/// The sampler a key belongs to, or "" for keys that concern all.
std::string sampler_of(const std::string& key) {
  if (!key.starts_with(kSamplersPrefix)) return "";
  const size_t end = key.find('.', kSamplersPrefix.size());
  return key.substr(kSamplersPrefix.size(), end - kSamplersPrefix.size());
}

/// Only what tells cells apart can be swept: the rest would give the same cell several times.
void require_sweepable(const std::string& key, const std::string& place,
                       std::span<const std::string> samplers) {
  const std::string root = key.substr(0, key.find('.'));
  if (const std::string sampler = sampler_of(key); !sampler.empty()) {
    if (std::find(samplers.begin(), samplers.end(), sampler) == samplers.end())
      throw unknown_name_error("sampler", sampler, samplers, place + ": sweep");
    return;
  }
  const bool of_task = root == "task" || root == "tasks";
  const std::string leaf = key.substr(key.rfind('.') + 1);
  const bool choice_of_problems = of_task && (leaf == "limit" || leaf == "ids");
  if (key == "models" || key == "tasks")
    throw Error(ErrorCode::kConfig, place + ": sweep: '" + key +
                                        "' is a list: list its entries, or sweep a key of one (" +
                                        key + ".0...)");
  constexpr std::string_view kOfAnyAnswer[] = {"model", "models", "seed", "budget", "ask_policy"};
  const bool of_answers = std::ranges::find(kOfAnyAnswer, root) != std::end(kOfAnyAnswer);
  if (!of_answers && (!of_task || choice_of_problems))
    throw Error(ErrorCode::kConfig,
                place + ": sweep: '" + key +
                    "' does not tell cells apart; keys of samplers, model(s), task(s) (not limit "
                    "or ids), budget, ask_policy and seed do");
}

/// Rounds away the noise of the arithmetic, so that 0.1-steps read 0.3 and not 0.30000000000000004.
double rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.12g", value);
  return std::stod(text);
}

/// {min, max, steps, scale}
std::vector<Json> spaced_values(const YAML::Node& node, const std::string& key,
                                const std::string& file) {
  ParamReader reader(node, "sweep of '" + key + "'", file);
  const double min = reader.number("min", std::nullopt, {}, "", "first value");
  const double max = reader.number("max", std::nullopt, {}, "", "last value");
  const int64_t steps =
      reader.integer("steps", std::nullopt, {1, kMaxSteps}, "", "how many values");
  const bool log = reader.choice("scale", "linear", {"linear", "log"}, "spacing") == "log";
  reader.finish();
  if (log && (min <= 0 || max <= 0)) throw reader.error("min", "a log scale needs min, max > 0");
  if (steps == 1 && min != max) throw reader.error("steps", "one step needs min = max");

  std::vector<double> values;
  for (int64_t i = 0; i < steps; ++i) {
    const double share = steps == 1 ? 0 : static_cast<double>(i) / static_cast<double>(steps - 1);
    const double value = log ? std::exp(std::log(min) + share * (std::log(max) - std::log(min)))
                             : min + share * (max - min);
    values.push_back(i == 0 ? min : i == steps - 1 ? max : rounded(value));
  }
  const bool integers = std::all_of(values.begin(), values.end(), [](double value) {
    return value == std::floor(value) && std::abs(value) < 1e15;
  });
  std::vector<Json> result;
  for (const double value : values)
    result.push_back(integers ? Json(static_cast<int64_t>(value)) : Json(value));
  return result;
}

std::vector<Json> swept_values(const YAML::Node& node, const std::string& key,
                               const std::string& file) {
  if (node.IsMap()) return spaced_values(node, key, file);
  if (!node.IsSequence() || node.size() == 0)
    throw Error(ErrorCode::kConfig, yaml_place(file, node) + ": sweep: '" + key +
                                        "': expected a list of values or {min, max, steps}");
  std::vector<Json> values;
  for (const YAML::Node& item : node) values.push_back(json_from_yaml(item));
  return values;
}

/// [[key, key], ...]
std::vector<std::vector<std::string>> read_zip(const YAML::Node& node, const std::string& file) {
  const Error expected(ErrorCode::kConfig, yaml_place(file, node) +
                                               ": sweep: zip: expected [[key, key], ...], two keys "
                                               "or more in each");
  if (!node.IsSequence()) throw expected;
  std::vector<std::vector<std::string>> groups;
  for (const YAML::Node& group : node) {
    if (!group.IsSequence() || group.size() < 2) throw expected;
    groups.emplace_back();
    for (const YAML::Node& key : group) {
      if (!key.IsScalar()) throw expected;
      groups.back().push_back(key.Scalar());
    }
  }
  return groups;
}

bool concerns(const std::string& key, const std::string& sampler) {
  const std::string owner = sampler_of(key);
  return owner.empty() || owner == sampler;
}

/// A yoked sampler has the other's settings and none of its own.
void require_own_settings(const std::vector<SweepAxis>& axes, const ExperimentConfig& config) {
  for (const SweepAxis& axis : axes)
    for (const std::string& key : axis.keys)
      for (const SamplerSpec& sampler : config.samplers)
        if (!sampler.yoked_to.empty() && sampler_of(key) == sampler.name)
          throw Error(ErrorCode::kConfig, yaml_place(config.file, config.sweep) + ": sweep: '" +
                                              key + "': '" + sampler.name + "' follows '" +
                                              sampler.yoked_to +
                                              "', to which it is yoked; sweep that one's keys");
}

/// Makes a cell the other's control: the same parameters, with another judge of when to intervene.
void yoke(std::vector<CellSpec>& cells, size_t cell, size_t other, const std::string& file) {
  SamplerSpec& sampler = cells[cell].sampler;
  const SamplerSpec& model = cells[other].sampler;
  if (!model.node.IsMap() || !model.node["type"].IsDefined() ||
      model.node["type"].Scalar() != "quadrant" || model.node["strategy"].IsDefined())
    throw Error(ErrorCode::kConfig, yaml_place(file, sampler.node) + ": sampler '" + sampler.name +
                                        "': yoked_to: '" + model.name +
                                        "' must be a quadrant without a strategy: only its "
                                        "interventions can be placed elsewhere");
  sampler.node = copy_tree(model.node);
  sampler.node["gate"] = "yoked";
  cells[cell].yoked_to = other;
}

std::string value_text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

}  // namespace

std::vector<SweepAxis> read_sweep(const YAML::Node& sweep, const std::string& file,
                                  std::span<const std::string> samplers) {
  if (!sweep.IsDefined() || sweep.IsNull()) return {};
  if (!sweep.IsMap())
    throw Error(ErrorCode::kConfig, yaml_place(file, sweep) + ": sweep: expected a map of keys");
  std::vector<SweepAxis> axes;
  std::map<std::string, size_t> axis_of;  // key -> index into axes
  std::vector<std::vector<std::string>> groups;
  for (const auto& entry : sweep) {
    const std::string& key = entry.first.Scalar();
    if (key == "zip") {
      groups = read_zip(entry.second, file);
      continue;
    }
    require_sweepable(key, yaml_place(file, entry.first), samplers);
    SweepAxis axis{{key}, {}};
    for (Json& value : swept_values(entry.second, key, file))
      axis.points.push_back({std::move(value)});
    axis_of[key] = axes.size();
    axes.push_back(std::move(axis));
  }

  std::set<size_t> merged;  // axes that have become part of another
  for (const auto& group : groups) {
    SweepAxis* first = nullptr;
    for (const std::string& key : group) {
      const auto found = axis_of.find(key);
      if (found == axis_of.end() || merged.contains(found->second))
        throw Error(ErrorCode::kConfig, yaml_place(file, sweep) + ": sweep: zip: '" + key +
                                            "' is not a swept key, or is zipped twice");
      SweepAxis& axis = axes[found->second];
      if (first == nullptr) {
        if (axis.keys.size() > 1)
          throw Error(ErrorCode::kConfig,
                      yaml_place(file, sweep) + ": sweep: zip: '" + key + "' is zipped twice");
        first = &axis;
        continue;
      }
      if (&axis == first || axis.points.size() != first->points.size())
        throw Error(ErrorCode::kConfig, yaml_place(file, sweep) + ": sweep: zip: '" + key +
                                            "' has " + std::to_string(axis.points.size()) +
                                            " values and '" + first->keys[0] + "' " +
                                            std::to_string(first->points.size()));
      first->keys.push_back(key);
      for (size_t i = 0; i < axis.points.size(); ++i) first->points[i].push_back(axis.points[i][0]);
      merged.insert(found->second);
    }
  }
  std::vector<SweepAxis> kept;
  for (size_t i = 0; i < axes.size(); ++i)
    if (!merged.contains(i)) kept.push_back(std::move(axes[i]));
  return kept;
}

std::vector<Setting> expand_sweep(std::span<const SweepAxis> axes, const std::string& sampler) {
  std::vector<Setting> settings = {{}};
  for (const SweepAxis& axis : axes) {
    if (std::none_of(axis.keys.begin(), axis.keys.end(),
                     [&](const std::string& key) { return concerns(key, sampler); }))
      continue;
    if (static_cast<int64_t>(settings.size() * axis.points.size()) > kMaxCells)
      throw Error(ErrorCode::kConfig, "sweep: more than " + std::to_string(kMaxCells) +
                                          " settings of sampler '" + sampler + "'");
    std::vector<Setting> next;
    for (const Setting& setting : settings) {
      for (const auto& point : axis.points) {
        next.push_back(setting);
        for (size_t k = 0; k < axis.keys.size(); ++k)
          if (concerns(axis.keys[k], sampler)) next.back().emplace_back(axis.keys[k], point[k]);
      }
    }
    settings = std::move(next);
  }
  std::vector<Setting> distinct;  // a zip seen through one of its keys may repeat itself
  for (Setting& setting : settings)
    if (std::find(distinct.begin(), distinct.end(), setting) == distinct.end())
      distinct.push_back(std::move(setting));
  return distinct;
}

std::vector<CellSpec> expand_cells(const YAML::Node& root, const ExperimentConfig& config) {
  std::vector<std::string> names;
  for (const SamplerSpec& sampler : config.samplers) names.push_back(sampler.name);
  const std::vector<SweepAxis> axes = read_sweep(config.sweep, config.file, names);
  require_own_settings(axes, config);

  // [sampler][setting]: the whole experiment as that setting has it
  std::vector<std::vector<std::pair<Setting, ExperimentConfig>>> variants;
  size_t count = 0;
  for (const SamplerSpec& sampler : config.samplers) {
    variants.emplace_back();
    const std::string& swept_as = sampler.yoked_to.empty() ? sampler.name : sampler.yoked_to;
    for (Setting& setting : expand_sweep(axes, swept_as)) {
      count += config.models.size() * config.tasks.size();
      if (count > static_cast<size_t>(kMaxCells))
        throw Error(ErrorCode::kConfig, config.file + ": the grid has more than " +
                                            std::to_string(kMaxCells) + " cells");
      if (setting.empty()) {
        variants.back().emplace_back(std::move(setting), config);
        continue;
      }
      const YAML::Node tree = copy_tree(root);
      for (const auto& [key, value] : setting) set_by_key(tree, key, yaml_from_json(value));
      ExperimentConfig variant = read_experiment(tree, config.file);
      variants.back().emplace_back(std::move(setting), std::move(variant));
    }
  }

  std::vector<CellSpec> cells;
  for (size_t m = 0; m < config.models.size(); ++m)
    for (size_t t = 0; t < config.tasks.size(); ++t) {
      std::map<std::string, size_t> first;  // a sampler's cells among `cells`
      for (size_t s = 0; s < names.size(); ++s) {
        first[names[s]] = cells.size();
        for (const auto& [setting, variant] : variants[s])
          cells.push_back({variant.models[m], variant.tasks[t], variant.samplers[s], variant.seed,
                           variant.budget, variant.ask_policy, setting});
        if (config.samplers[s].yoked_to.empty()) continue;
        const size_t other = first.at(config.samplers[s].yoked_to);
        for (size_t c = first[names[s]]; c < cells.size(); ++c)
          yoke(cells, c, other + c - first[names[s]], config.file);
      }
    }
  return cells;
}

std::string setting_text(const Setting& setting) {
  std::string text;
  for (const auto& [key, value] : setting)
    text += (text.empty() ? "" : ", ") + key + "=" + value_text(value);
  return text;
}

std::string own_setting_text(const std::string& sampler, const Setting& setting) {
  const std::string own = std::string(kSamplersPrefix) + sampler + ".";
  std::string text;
  for (const auto& [key, value] : setting)
    text += (text.empty() ? "" : " ") + (key.starts_with(own) ? key.substr(own.size()) : key) +
            "=" + value_text(value);
  return text;
}

std::string named_setting(const std::string& sampler, const Setting& setting) {
  return setting.empty() ? sampler : sampler + " (" + own_setting_text(sampler, setting) + ")";
}

}  // namespace surprisal
