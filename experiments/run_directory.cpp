#include "experiments/run_directory.h"

#include <array>
#include <filesystem>
#include <span>
#include <system_error>
#include <vector>

#include "lib/error.h"
#include "lib/files.h"
#include "lib/json_difference.h"
#include "lib/sha256.h"

namespace surprisal {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPart = "parts/main";
constexpr std::array<const char*, 7> kRunProducts = {
    "config.yaml", "manifest.json", "cells.json",  "samples.jsonl",
    "traces.h5",   "results.csv",   "results.json"};
constexpr std::array<const char*, 2> kPartProducts = {"samples.jsonl", "traces.h5"};

Json done_marker(const Plan& plan, const std::string& folder, std::span<const char* const> names) {
  Json files = Json::object();
  for (const char* name : names) files[name] = sha256_file((fs::path(folder) / name).string());
  return {{"format", "surprisal-done"},
          {"config_sha256", plan.config_sha256},
          {"extent", run_extent(plan)},
          {"samples", plan.samples()},
          {"files", std::move(files)}};
}

bool stands(const std::string& folder, const Plan& plan, std::span<const char* const> names) {
  const fs::path marker = fs::path(folder) / "done.json";
  if (!fs::exists(marker)) return false;
  for (const char* name : names)
    if (!fs::exists(fs::path(folder) / name)) return false;
  return canonical_json(read_json_file(marker.string())) ==
         canonical_json(done_marker(plan, folder, names));
}

}  // namespace

Json run_extent(const Plan& plan) {
  Json problems = Json::array();
  for (const PlannedTask& task : plan.tasks) problems.push_back(task.problems.size());
  return {{"problems", std::move(problems)}, {"repeats", plan.config.repeats}};
}

RunDirectory RunDirectory::of(const ExperimentConfig& config) {
  return RunDirectory((fs::path(config.output) / config.name).string());
}

std::string RunDirectory::file(std::string_view name) const {
  return (fs::path(path_) / name).string();
}

std::string RunDirectory::part_file(std::string_view name) const {
  return (fs::path(path_) / kPart / name).string();
}

void RunDirectory::create() const {
  std::error_code failure;
  const fs::path part = fs::path(path_) / kPart;
  fs::create_directories(part, failure);
  if (failure)
    throw Error(ErrorCode::kIo, part.string() + ": cannot make this folder: " + failure.message() +
                                    "; choose another place with --output");
}

std::optional<Json> RunDirectory::manifest() const {
  if (!fs::exists(file("manifest.json"))) return std::nullopt;
  return read_json_file(file("manifest.json"));
}

void RunDirectory::require_same_run(const Plan& plan) const {
  const std::optional<Json> found = manifest();
  if (!found) return;
  const std::string place = file("manifest.json");
  if (!found->contains("identity") || !found->contains("extent"))
    throw Error(ErrorCode::kFormat, place + ": not a manifest of this version");
  const std::string name_another =
      "Give this run another `name`, or remove the folder to start anew";
  if (canonical_json(found->at("identity")) != canonical_json(plan.identity))
    throw Error(ErrorCode::kConfig,
                path_ +
                    ": holds a different experiment; only `limit` and `repeats` may be raised "
                    "under the same name. Differences (there -> now):\n" +
                    json_difference(found->at("identity"), plan.identity) + "\n" + name_another);
  const Json now = run_extent(plan);
  const Json& before = found->at("extent");
  bool smaller = before.at("repeats") > now.at("repeats");
  for (size_t i = 0; i < now.at("problems").size(); ++i)
    smaller = smaller || before.at("problems").at(i) > now.at("problems").at(i);
  if (smaller)
    throw Error(ErrorCode::kConfig, path_ +
                                        ": holds more than is now asked for; `limit` and "
                                        "`repeats` may only be raised (there -> now):\n" +
                                        json_difference(before, now) + "\n" + name_another);
}

bool RunDirectory::is_finished(const Plan& plan) const {
  try {
    return stands(path_, plan, kRunProducts) &&
           stands((fs::path(path_) / kPart).string(), plan, kPartProducts);
  } catch (const Error&) {
    return false;  // an unreadable marker marks nothing
  }
}

void RunDirectory::unmark() const {
  for (const std::string& marker : {file("done.json"), part_file("done.json")}) {
    std::error_code failure;
    fs::remove(marker, failure);
    if (failure) throw Error(ErrorCode::kIo, marker + ": cannot remove: " + failure.message());
  }
}

void RunDirectory::mark_finished(const Plan& plan) const {
  const std::string part = (fs::path(path_) / kPart).string();
  write_file_atomically(part_file("done.json"),
                        done_marker(plan, part, kPartProducts).dump(2) + "\n");
  write_file_atomically(file("done.json"), done_marker(plan, path_, kRunProducts).dump(2) + "\n");
}

}  // namespace surprisal
