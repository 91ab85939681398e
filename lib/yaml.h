#pragma once

#include <yaml-cpp/yaml.h>

#include <string>

#include "lib/json.h"

namespace surprisal {

/// Parses YAML from an untrusted source: one document of UTF-8, at most 1 MiB, no anchors, aliases
/// or tags, plain keys only and none twice, at most 64 levels deep. An empty text is a null node.
/// @param file  for messages
/// @throws Error(kConfig) with file:line
YAML::Node parse_yaml(const std::string& text, const std::string& file);

/// Reads and parses a whole file. @throws Error(kIo), Error(kConfig)
YAML::Node read_yaml_file(const std::string& path);

/// JSON as a YAML node (no line numbers), so that one strict reader serves both. Strings are marked
/// as quoted: "3" stays a string.
YAML::Node yaml_from_json(const Json& value);

/// A map as it is (and null), any other value as {key: value}: the short form of a map with one
/// main key.
YAML::Node yaml_map_of(const YAML::Node& value, const std::string& key);

/// "file:line" of a node, or "file" for nodes that no file gave rise to.
std::string yaml_place(const std::string& file, const YAML::Node& node);

}  // namespace surprisal
