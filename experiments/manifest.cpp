#include "experiments/manifest.h"

#include <ATen/Version.h>
#include <hdf5.h>
#include <sys/utsname.h>
#include <torch/headeronly/version.h>
#include <unistd.h>
#include <zlib.h>

#include <array>
#include <chrono>
#include <ctime>
#include <thread>

#include "experiments/build_revision.h"
#include "experiments/run_directory.h"
#include "lib/sha256.h"
#include "lib/version.h"

namespace surprisal {
namespace {

Json versions_json() {
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return {
      {"surprisal", kVersion},
      {"revision", kBuildRevision},
      {"libtorch", TORCH_VERSION},
      {"hdf5", std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(release)},
      {"zlib", zlibVersion()},
      {"compiler", __VERSION__},
      {"cpu_capability", at::get_cpu_capability()}};
}

Json machine_json() {
  utsname system{};
  ::uname(&system);
  return {{"host", system.nodename},
          {"system", std::string(system.sysname) + " " + system.release},
          {"architecture", system.machine},
          {"hardware_threads", std::thread::hardware_concurrency()}};
}

/// What a model's calibration was made from, or null.
Json calibration_source(const PlannedModel& model) {
  if (!model.calibration) return nullptr;
  return {{"path", model.spec.calibration},
          {"sha256", sha256_file(model.spec.calibration)},
          {"task", model.calibration->task},
          {"split", model.calibration->split},
          {"data_sha256", model.calibration->data_sha256},
          {"dtype", model.calibration->dtype},
          {"questions", model.calibration->questions}};
}

Json models_json(const Plan& plan) {
  Json models = Json::array();
  for (const PlannedModel& model : plan.models)
    models.push_back({{"path", model.spec.path},
                      {"weights_sha256", model.provenance.weights_sha256},
                      {"provenance", model.provenance.provenance},
                      {"config_sha256", model.config_sha256},
                      {"tokenizer_sha256", model.tokenizer->sha256()},
                      {"tokenizer", model.tokenizer->description()},
                      {"chat_format", model.chat ? Json(model.chat->name()) : Json(nullptr)},
                      {"dtype", model.dtype()},
                      {"calibration", calibration_source(model)},
                      {"device", model.placement.device.str()},
                      {"kernels", model.placement.kernels}});
  return models;
}

Json quantiles_json(const Cell& cell) {
  Json quantiles = Json::object();
  for (const ResolvedQuantile& entry : cell.quantiles)
    quantiles[entry.key] = {
        {"quantile", entry.quantile}, {"signal", entry.signal}, {"value", entry.value}};
  return quantiles;
}

Json tasks_json(const Plan& plan) {
  Json tasks = Json::array();
  for (const PlannedTask& task : plan.tasks)
    tasks.push_back({{"keys", task.resolved},
                     {"version", task.task->version()},
                     {"data_sha256", task.task->data_sha256()},
                     {"problems", task.problems.size()}});
  return tasks;
}

}  // namespace

Json session_json(const Session& session) {
  return {{"command", session.command},
          {"started", session.started},
          {"ended", session.ended.empty() ? Json(nullptr) : Json(session.ended)},
          {"seconds", session.seconds},
          {"threads", session.threads},
          {"engine", session.engine},
          {"samples", session.samples},
          {"computed_tokens", session.computed_tokens},
          {"requested_tokens", session.requested_tokens},
          {"forward_passes", session.forward_passes},
          {"peak_rows", session.peak_rows},
          {"peak_cache_bytes", session.peak_cache_bytes}};
}

Json make_manifest(const Plan& plan, const Json& earlier, const Session& session) {
  Json sessions = earlier;
  sessions.push_back(session_json(session));
  return {{"format", "surprisal-manifest"}, {"config_sha256", plan.config_sha256},
          {"identity", plan.identity},      {"extent", run_extent(plan)},
          {"config", plan.config.resolved}, {"models", models_json(plan)},
          {"tasks", tasks_json(plan)},      {"tuning", plan.tuning},
          {"seed", plan.config.seed},       {"versions", versions_json()},
          {"machine", machine_json()},      {"sessions", std::move(sessions)}};
}

Json cells_json(const Plan& plan) {
  Json cells = Json::array();
  for (const Cell& cell : plan.cells) {
    Json swept = Json::object();
    for (const auto& [key, value] : cell.swept) swept[key] = value;
    cells.push_back({{"id", cell.id},
                     {"model", plan.models[cell.model].name()},
                     {"task", plan.tasks[cell.task].spec.name},
                     {"sampler", cell.sampler_name},
                     {"sampler_label", cell.sampler->label()},
                     {"swept", std::move(swept)},
                     {"choice", cell.choice},
                     {"quantiles", quantiles_json(cell)},
                     {"identity", cell.identity}});
  }
  return cells;
}

std::string utc_now() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  const size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return {text.data(), length};
}

}  // namespace surprisal
