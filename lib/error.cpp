#include "lib/error.h"

#include <algorithm>
#include <numeric>

namespace surprisal {
namespace {

std::string without_control_characters(const std::string& text) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string shown;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte >= 0x20 && byte != 0x7f) || c == '\n' || c == '\t')
      shown += c;
    else
      shown += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return shown;
}

}  // namespace

Error::Error(ErrorCode code, const std::string& message)
    : std::runtime_error(without_control_characters(message)), code_(code) {}

std::string_view error_code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUsage:
      return "usage";
    case ErrorCode::kConfig:
      return "config";
    case ErrorCode::kUnknownName:
      return "unknown_name";
    case ErrorCode::kIo:
      return "io";
    case ErrorCode::kFormat:
      return "format";
    case ErrorCode::kCheckpointMismatch:
      return "checkpoint_mismatch";
    case ErrorCode::kUnsupported:
      return "unsupported";
    case ErrorCode::kNumeric:
      return "numeric";
    case ErrorCode::kInternal:
      return "internal";
  }
  return "internal";
}

int exit_status(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUsage:
    case ErrorCode::kConfig:
    case ErrorCode::kUnknownName:
    case ErrorCode::kUnsupported:
      return 2;
    default:
      return 1;
  }
}

namespace {

/// Damerau-Levenshtein distance (adjacent transpositions count one), the usual measure of typos.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), previous(b.size() + 1), current(b.size() + 1);
  std::iota(previous.begin(), previous.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substitution = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      current[j] = std::min({previous[j] + 1, current[j - 1] + 1, substitution});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        current[j] = std::min(current[j], before[j - 2] + 1);
    }
    std::swap(before, previous);
    std::swap(previous, current);
  }
  return previous[b.size()];
}

}  // namespace

std::string closest_name(std::string_view name, std::span<const std::string> known) {
  std::string best;
  size_t best_distance = std::max<size_t>(1, std::min<size_t>(name.size(), 64) / 3) + 1;
  for (const std::string& candidate : known) {
    const size_t distance = edit_distance(name.substr(0, 64), candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

Error unknown_name_error(std::string_view kind, std::string_view name,
                         std::span<const std::string> known, std::string_view where) {
  std::string message;
  if (!where.empty()) message += std::string(where) + ": ";
  message += "unknown " + std::string(kind) + " '" + std::string(name.substr(0, 200)) + "'";
  if (const std::string guess = closest_name(name, known); !guess.empty())
    message += "; did you mean '" + guess + "'?";
  message += known.empty() ? " (none is known here)" : " Known: ";
  for (size_t i = 0; i < known.size(); ++i) message += (i ? ", " : "") + known[i];
  return Error(ErrorCode::kUnknownName, message);
}

}  // namespace surprisal
