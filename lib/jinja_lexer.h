#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lib/error.h"

namespace surprisal::jinja {

struct Token {
  enum class Kind {
    kText,         ///< between tags
    kOutputBegin,  ///< {{
    kOutputEnd,    ///< }}
    kBlockBegin,   ///< {%
    kBlockEnd,     ///< %}
    kName,
    kString,  ///< its value, escapes carried out
    kInteger,
    kOperator,  ///< == != <= >= // and single characters
    kEnd,
  };
  Kind kind;
  std::string text;
  int line;
};

/// Cuts a template into tokens; comments and the whitespace that tags swallow are gone. The list
/// ends with kEnd. @throws Error(kFormat), Error(kUnsupported)
std::vector<Token> tokenize_template(std::string_view source);

/// "line 7: MESSAGE"
Error error_at(int line, ErrorCode code, const std::string& message);

}  // namespace surprisal::jinja
