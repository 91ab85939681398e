#pragma once

#include <string>

#include "experiments/sample.h"
#include "lib/json.h"

namespace surprisal {

/// The line of samples.jsonl: every scalar of a sample, plus `tags` and `foreign` (byte spans of
/// the response that were injected or retrieved). Names are those of the run directory's
/// documentation.
Json sample_to_json(const Sample& sample);

/// The same sample without tokens, nodes and events.
/// @param where  for messages
/// @throws Error(kFormat) on a missing key, a wrong type or a span outside the response
Sample sample_from_json(const Json& line, const std::string& where);

/// A sample whole, as the spool keeps it: CBOR, the rows of tokens and nodes as one binary column
/// per field (little endian).
std::string encode_sample(const Sample& sample);

/// @throws Error(kFormat) on anything encode_sample() would not have written
Sample decode_sample(std::string_view bytes, const std::string& where);

/// What a model itself wrote: `text` without the spans, which must be in order and inside it.
std::string without_spans(const std::string& text, const std::vector<TextSpan>& spans);

}  // namespace surprisal
