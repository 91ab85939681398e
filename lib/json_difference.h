#pragma once

#include <string>

#include "lib/json.h"

namespace surprisal {

/// "  key: before -> after", a line for every leaf in which two values differ (the first 20, long
/// values cut short); "" when they are equal.
std::string json_difference(const Json& before, const Json& after);

}  // namespace surprisal
