#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lib/jinja_syntax.h"

namespace surprisal::jinja {

/// A chat template: the part of Jinja 2 that such templates use, rendered as transformers does
/// (Jinja's ImmutableSandboxedEnvironment with trim_blocks and lstrip_blocks). A construct outside
/// that part is an error where it is reached, never a guess. There is no clock: `strftime_now` is
/// undefined, so templates that ask `is defined` take their fixed date.
class Template {
 public:
  /// @throws Error(kFormat, kUnsupported) naming the line
  explicit Template(std::string_view source) : statements_(parse_template(source)) {}

  /// @param variables  a dictionary
  /// @throws Error(kConfig) on what the template itself refuses (raise_exception) or misuses,
  ///         Error(kUnsupported) on a construct that is not known or takes too long
  std::string render(const Dict& variables) const;

 private:
  std::vector<Statement> statements_;
};

/// Carries out a filter (`text | trim`) or a string's method (`text.strip()`), both of one value.
/// @throws Error(kConfig), Error(kUnsupported)
Value apply_filter(std::string_view name, const Value& value, const List& arguments);
Value call_method(std::string_view name, const Value& value, const List& arguments);
/// `value is NAME`
bool passes_test(std::string_view name, const Value& value, const List& arguments);

}  // namespace surprisal::jinja
