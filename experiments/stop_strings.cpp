#include "experiments/stop_strings.h"

#include <algorithm>

namespace surprisal {

std::vector<std::string> with_end_of_text(std::vector<std::string> stops,
                                          std::string_view end_of_text) {
  if (!end_of_text.empty() && std::find(stops.begin(), stops.end(), end_of_text) == stops.end())
    stops.emplace_back(end_of_text);
  return stops;
}

size_t stop_cut(std::string_view text, std::span<const std::string> stops) {
  for (const std::string& stop : stops)
    if (!stop.empty()) text = text.substr(0, text.find(stop));
  return text.size();
}

size_t held_back(std::string_view text, std::span<const std::string> stops) {
  size_t held = 0;
  for (const std::string& stop : stops) {
    const size_t longest = std::min(text.size(), stop.empty() ? 0 : stop.size() - 1);
    for (size_t length = longest; length > held; --length)
      if (text.ends_with(std::string_view(stop).substr(0, length))) held = length;
  }
  return held;
}

}  // namespace surprisal
