#include "experiments/results_format.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "experiments/text_table.h"
#include "lib/csv.h"
#include "lib/error.h"

namespace surprisal {
namespace {

/// All swept keys of a run, in order of first use: the columns "samplers.quadrant.entropy_cut", ...
std::vector<std::string> swept_keys(const std::vector<CellResult>& results) {
  std::vector<std::string> keys;
  for (const CellResult& result : results)
    for (const auto& [key, value] : result.swept)
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
  return keys;
}

/// A row of results.json; results.csv is the same, flattened.
Json row_json(const CellResult& result) {
  Json row = {{"cell", result.cell},
              {"model", result.model},
              {"model_provenance", result.model_provenance},
              {"dtype", result.dtype},
              {"task", result.task},
              {"split", result.split},
              {"sampler", result.sampler},
              {"sampler_label", result.sampler_label},
              {"swept", Json::object()},
              {"choice", result.choice},
              {"n", result.n},
              {"questions", result.questions},
              {"strict", proportion_json(result.strict)},
              {"flexible", proportion_json(result.flexible)},
              {"numeric", proportion_json(result.numeric)},
              {"invalid_share", number_or_null(result.invalid_share)},
              {"truncated_share", number_or_null(result.truncated_share)},
              {"mean_generated_tokens", number_or_null(result.generated_tokens)},
              {"mean_injected_tokens", number_or_null(result.injected_tokens)},
              {"mean_token_evaluations", number_or_null(result.token_evaluations)},
              {"mean_flops", number_or_null(result.flops)},
              {"mean_forward_passes", number_or_null(result.forward_passes)},
              {"interventions_per_answer", number_or_null(result.interventions)},
              {"planned_interventions_per_answer", number_or_null(result.planned_interventions)},
              {"state_shares", Json::object()}};
  for (const auto& [key, value] : result.swept) row["swept"][key] = value;
  for (size_t i = 0; i < result.state_shares.size(); ++i)
    row["state_shares"][std::string(kStateNames[i])] = number_or_null(result.state_shares[i]);
  row["wrong_answer_auroc"] = aurocs_json(result.signals);
  if (!result.twins.empty()) row["twins"] = twin_effects_json(result.twins);
  return row;
}

/// "1.5 [-0.3, 3.3]"
std::string interval_text(const Proportion& value, double factor, int digits) {
  std::string text = fixed(factor * value.value, digits);
  if (!std::isnan(value.low))
    text +=
        " [" + fixed(factor * value.low, digits) + ", " + fixed(factor * value.high, digits) + "]";
  return text;
}

/// What the twins of a cell showed, a line a state and action.
std::string twins_text(const std::vector<const CellResult*>& cells) {
  std::vector<std::vector<std::string>> rows = {{"sampler", "parameters", "state", "action",
                                                 "pairs", "questions", "treated %", "untreated %",
                                                 "effect, points"}};
  for (const CellResult* cell : cells)
    for (const TwinEffect& twins : cell->twins)
      rows.push_back({cell->sampler, own_setting_text(cell->sampler, cell->swept), twins.state,
                      twins.action, std::to_string(twins.pairs), std::to_string(twins.questions),
                      fixed(100 * twins.treated, 1), fixed(100 * twins.untreated, 1),
                      interval_text(twins.effect, 100, 1)});
  if (rows.size() == 1) return "";
  return "\nRandomised twins: right answers where a state was acted on, and where the base chain "
         "went on instead; 95 % intervals, clustered by question\n" +
         aligned_table(rows, 4);
}

/// Which signals tell wrong answers, a line a cell.
std::string signals_text(const std::vector<const CellResult*>& cells) {
  std::vector<std::vector<std::string>> rows = {{"sampler", "parameters", "signal", "AUROC"}};
  for (const CellResult* cell : cells)
    for (const SignalAuroc& entry : cell->signals)
      rows.push_back({cell->sampler, own_setting_text(cell->sampler, cell->swept), entry.signal,
                      interval_text(entry.auroc, 1, 2)});
  if (rows.size() == 1) return "";
  return "\nDoes the mean of a signal over an answer tell that it is wrong? (0.5: no; below: it is "
         "smaller there)\n" +
         aligned_table(rows, 3);
}

std::string csv_value(const Json& value) {
  if (value.is_null()) return "";
  return csv_field(value.is_string() ? value.get<std::string>() : value.dump());
}

/// "SmolLM2-135M-Instruct (dequantised from Q4_1, float32)"
std::string model_text(const CellResult& result) {
  return result.model + " (" +
         (result.model_provenance.empty() ? "" : result.model_provenance + ", ") + result.dtype +
         ")";
}

std::string states_text(const CellResult& result) {
  std::string text;
  for (size_t i = 1; i < result.state_shares.size(); ++i) {
    if (!(result.state_shares[i] > 0)) continue;
    text += (text.empty() ? "" : " ") + std::string(kStateNames[i]) + " " +
            fixed(100 * result.state_shares[i], 0);
  }
  return text.empty() ? "-" : text;
}

}  // namespace

Json proportion_json(const Proportion& share) {
  return {{"value", number_or_null(share.value)},
          {"low", number_or_null(share.low)},
          {"high", number_or_null(share.high)}};
}

Proportion proportion_from_json(const Json& value) {
  const auto number_of = [&](const char* name) {
    const Json& number = value.at(name);
    return number.is_null() ? std::numeric_limits<double>::quiet_NaN() : number.get<double>();
  };
  return {number_of("value"), number_of("low"), number_of("high")};
}

Json results_json(const std::vector<CellResult>& results) {
  Json rows = Json::array();
  for (const CellResult& result : results) rows.push_back(row_json(result));
  return rows;
}

std::vector<CellResult> results_from_json(const Json& rows, const std::string& where) {
  const auto number_of = [](const Json& value) {
    return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
  };
  std::vector<CellResult> results;
  try {
    for (const Json& row : rows) {
      CellResult result;
      row.at("cell").get_to(result.cell);
      row.at("model").get_to(result.model);
      row.at("model_provenance").get_to(result.model_provenance);
      row.at("dtype").get_to(result.dtype);
      row.at("task").get_to(result.task);
      row.at("split").get_to(result.split);
      row.at("sampler").get_to(result.sampler);
      row.at("sampler_label").get_to(result.sampler_label);
      for (const auto& [key, value] : row.at("swept").items())
        result.swept.emplace_back(key, value);
      result.choice = row.value("choice", "");
      row.at("n").get_to(result.n);
      row.at("questions").get_to(result.questions);
      result.strict = proportion_from_json(row.at("strict"));
      result.flexible = proportion_from_json(row.at("flexible"));
      result.numeric = proportion_from_json(row.at("numeric"));
      result.invalid_share = number_of(row.at("invalid_share"));
      result.truncated_share = number_of(row.at("truncated_share"));
      result.generated_tokens = number_of(row.at("mean_generated_tokens"));
      result.injected_tokens = number_of(row.at("mean_injected_tokens"));
      result.token_evaluations = number_of(row.at("mean_token_evaluations"));
      result.flops = number_of(row.at("mean_flops"));
      result.forward_passes = number_of(row.at("mean_forward_passes"));
      result.interventions = number_of(row.at("interventions_per_answer"));
      result.planned_interventions =
          number_of(row.value("planned_interventions_per_answer", Json(nullptr)));
      for (size_t i = 0; i < result.state_shares.size(); ++i)
        result.state_shares[i] = number_of(row.at("state_shares").at(std::string(kStateNames[i])));
      result.signals = aurocs_from_json(row.value("wrong_answer_auroc", Json::object()));
      result.twins = twin_effects_from_json(row.value("twins", Json::array()));
      results.push_back(std::move(result));
    }
  } catch (const Json::exception& error) {
    throw Error(ErrorCode::kFormat, where + ": not results of this version: " + error.what());
  }
  return results;
}

std::string results_csv(const std::vector<CellResult>& results) {
  const std::vector<std::string> keys = swept_keys(results);
  std::string header, body;
  for (const CellResult& result : results) {
    header.clear();
    const auto add = [&](const std::string& name, const Json& value) {
      header += (header.empty() ? "" : ",") + csv_field(name);
      body += (body.empty() || body.back() == '\n' ? "" : ",") + csv_value(value);
    };
    const Json row = row_json(result);
    for (const auto& [name, value] : row.items()) {
      if (name == "swept") {
        for (const std::string& key : keys)
          add(key, value.contains(key) ? value.at(key) : Json(nullptr));
      } else if (name == "state_shares") {
        for (const auto& [state, state_share] : value.items()) add("share_" + state, state_share);
      } else if (name == "wrong_answer_auroc" || name == "twins") {
        continue;  // tables of their own: results.json, traces.h5
      } else if (value.is_object()) {
        add(name, value.at("value"));
        add(name + "_low", value.at("low"));
        add(name + "_high", value.at("high"));
      } else {
        add(name, value);
      }
    }
    body += "\n";
  }
  return header + "\n" + body;
}

std::string yoke_note(const std::string& name, double planned, double done) {
  return name + ": of " + fixed(planned, 0) + " interventions, placed at random, " +
         fixed(planned - done, 0) +
         " were left out: the answer had ended or its place did not allow it";
}

std::string several_settings_note(const std::string& sampler, int64_t count) {
  return sampler + " stands here with " + std::to_string(count) +
         " settings: the best of them, picked on these same problems, looks better than it is.";
}

std::string results_table(const std::vector<CellResult>& results) {
  std::string text;
  std::set<std::pair<std::string, std::string>> done;
  for (const CellResult& first : results) {
    const std::string model = model_text(first);
    const std::string task = first.task + " " + first.split;
    if (!done.emplace(model, task).second) continue;
    std::vector<std::vector<std::string>> rows = {
        {"sampler", "parameters", "n", "strict %", "flexible %", "numeric %", "invalid %", "cut %",
         "tokens", "evaluations", "passes", "interventions", "states %"}};
    std::set<std::string> notes;
    std::map<std::string, int64_t> settings;
    std::vector<const CellResult*> with_twins;
    for (const CellResult& result : results) {
      if (model_text(result) != model || result.task + " " + result.split != task) continue;
      rows.push_back(
          {result.sampler, own_setting_text(result.sampler, result.swept), std::to_string(result.n),
           percent_text(result.strict), percent_text(result.flexible), percent_text(result.numeric),
           fixed(100 * result.invalid_share, 1), fixed(100 * result.truncated_share, 1),
           fixed(result.generated_tokens, 1), fixed(result.token_evaluations, 1),
           fixed(result.forward_passes, 1), fixed(result.interventions, 2), states_text(result)});
      if (!result.sampler_label.empty()) notes.insert(result.sampler + ": " + result.sampler_label);
      if (!result.choice.empty())
        notes.insert(named_setting(result.sampler, result.swept) + ": " + result.choice);
      if (!std::isnan(result.planned_interventions)) {
        const auto n = static_cast<double>(result.n);
        notes.insert(yoke_note(named_setting(result.sampler, result.swept),
                               n * result.planned_interventions, n * result.interventions));
      }
      ++settings[result.sampler];
      if (!result.twins.empty()) with_twins.push_back(&result);
    }
    for (const auto& [sampler, count] : settings)
      if (count > 1) notes.insert(several_settings_note(sampler, count));
    text += (text.empty() ? "" : "\n") + model + " on " + task +
            "; 95 % intervals, means per answer\n" + aligned_table(rows, 2);
    for (const std::string& note : notes) text += "note: " + note + "\n";
    text += twins_text(with_twins) + signals_text(with_twins);
  }
  return text;
}

}  // namespace surprisal
