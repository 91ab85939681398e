#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace surprisal {

using Json = nlohmann::ordered_json;

/// Bounds on untrusted JSON.
struct JsonLimits {
  size_t bytes = 64 << 20;
  size_t depth = 64;
};

/// Parses JSON from an untrusted source: refuses text over the limits, duplicate keys, text that is
/// not UTF-8, and anything after the value.
/// @param where  file name (and line) for messages
/// @throws Error(kFormat)
Json parse_json(std::string_view text, std::string_view where, const JsonLimits& limits = {});

/// The same for objects with very many keys (a tokenizer's vocabulary): Json keeps the order of
/// keys and so searches them one by one; this type sorts them.
nlohmann::json parse_large_json(std::string_view text, std::string_view where,
                                const JsonLimits& limits);

/// Reads and parses a whole file. @throws Error(kIo), Error(kFormat)
Json read_json_file(const std::string& path, const JsonLimits& limits = {});

/// The canonical text of a value: keys sorted, no spaces, shortest round-trip numbers. Equal values
/// have equal text, so its hash identifies them.
std::string canonical_json(const Json& value);

/// NaN and infinity, which JSON lacks, become null.
Json number_or_null(double value);

/// One line, invalid UTF-8 replaced by U+FFFD; for JSON lines files.
std::string dump_line(const Json& value);

}  // namespace surprisal
