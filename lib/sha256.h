#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace surprisal {

/// 64 lower-case hexadecimal digits.
std::string sha256_hex(std::string_view text);
std::string sha256_hex(std::span<const std::byte> bytes);

/// Of a whole file, read once in order. @throws Error(kIo)
std::string sha256_file(const std::string& path);

}  // namespace surprisal
