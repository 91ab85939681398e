#include "experiments/stop_strings.h"

#include <algorithm>
#include <set>

namespace surprisal {

std::vector<std::string> with_end_of_text(std::vector<std::string> stops,
                                          std::string_view end_of_text) {
  if (!end_of_text.empty() && std::find(stops.begin(), stops.end(), end_of_text) == stops.end())
    stops.emplace_back(end_of_text);
  return stops;
}

std::vector<TokenId> stop_tokens(const ModelConfig& model, const Tokenizer& tokenizer) {
  std::set<TokenId> stops;
  for (const int64_t id : model.eos_token_ids) stops.insert(static_cast<TokenId>(id));
  if (const auto eos = tokenizer.eos_token_id()) stops.insert(*eos);
  return {stops.begin(), stops.end()};
}

size_t stop_cut(std::string_view text, std::span<const std::string> stops) {
  for (const std::string& stop : stops)
    if (!stop.empty()) text = text.substr(0, text.find(stop));
  return text.size();
}

}  // namespace surprisal
