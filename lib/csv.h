#pragma once

#include <string>
#include <string_view>

namespace surprisal {

/// A field of a CSV line: quoted where RFC 4180 asks for it.
std::string csv_field(std::string_view text);

}  // namespace surprisal
