#pragma once

#include <string_view>
#include <vector>

namespace surprisal {

/// A family of chat templates.
struct ChatFormat {
  std::string_view name;
  /// What a template of this family contains, all of it. Families are tried in order.
  std::vector<std::string_view> markers;
  /// The family's plain form in our own words, for models that come without a template.
  std::string_view plain_template;
};

const std::vector<ChatFormat>& chat_formats();

}  // namespace surprisal
