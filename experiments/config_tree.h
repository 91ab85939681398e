#pragma once

#include <yaml-cpp/yaml.h>

#include <span>
#include <string>

#include "lib/json.h"

namespace surprisal {

/// The YAML of an experiment as a tree of values, changed by dotted keys before anything is
/// validated: what `--set` and sweeps work on.

/// Reads an experiment's file and applies `--set` overrides ("key=value", the value in YAML) in
/// order. @throws Error(kIo, kConfig, kUsage)
YAML::Node load_config_tree(const std::string& path, std::span<const std::string> overrides);

/// Applies such overrides to a tree. @throws Error(kConfig, kUsage)
void apply_overrides(const YAML::Node& root, std::span<const std::string> overrides);

/// Puts `value` at a dotted key. Maps that are missing on the way are made (the strict readers
/// refuse what does not belong). Null in place of a map leaves out what may be left out. In a list
/// a component is an index, or names the one entry that has it as a key:
/// "samplers.minp.steps.min_p". What follows "sweep." is one key.
/// @throws Error(kConfig) when the key leads through a plain value, outside a list, or to no entry
void set_by_key(const YAML::Node& root, const std::string& key, const YAML::Node& value);

/// A deep copy without line numbers; errors about it name the file only.
YAML::Node copy_tree(const YAML::Node& root);

/// Plain values become booleans, integers, numbers or null as YAML 1.2's core schema says; quoted
/// ones stay strings.
Json json_from_yaml(const YAML::Node& node);

/// Block-style YAML that reads back as the same value; strings are quoted.
std::string yaml_text(const Json& value);

}  // namespace surprisal
