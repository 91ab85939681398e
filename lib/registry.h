#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "lib/error.h"

namespace surprisal {

/// Named entries of one kind (samplers, tasks, scorers, ...). An ordinary value: a program builds
/// one, adds the built-in entries, then its own. Names are listed in sorted order.
template <typename Entry>
class Registry {
 public:
  /// @param kind  what an entry is called in messages, e.g. "sampler"
  explicit Registry(std::string kind) : kind_(std::move(kind)) {}

  /// @throws Error(kInternal) when the name is taken
  void add(const std::string& name, Entry entry) {
    if (!entries_.emplace(name, std::move(entry)).second)
      throw Error(ErrorCode::kInternal, kind_ + " '" + name + "' is registered twice");
  }

  bool contains(const std::string& name) const { return entries_.contains(name); }

  /// @param where  place of the name in the user's file, for the message
  /// @throws Error(kUnknownName) with a suggestion
  const Entry& get(const std::string& name, std::string_view where = {}) const {
    const auto found = entries_.find(name);
    if (found == entries_.end()) throw unknown_name_error(kind_, name, names(), where);
    return found->second;
  }

  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const auto& [name, entry] : entries_) result.push_back(name);
    return result;
  }

  const std::string& kind() const { return kind_; }

 private:
  std::string kind_;
  std::map<std::string, Entry> entries_;
};

}  // namespace surprisal
