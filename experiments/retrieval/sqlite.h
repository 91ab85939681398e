#pragma once

#include <sqlite3.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace surprisal {

/// A private SQLite database in memory.
class MemoryDatabase {
 public:
  MemoryDatabase();

  /// Runs one statement. @throws Error(kInternal)
  void execute(const std::string& sql, const std::vector<std::string>& arguments = {});
  /// The first column of every row; nullopt when SQLite refuses the statement.
  /// @param arguments  texts for the statement's `?`
  std::optional<std::vector<std::string>> query(const std::string& sql,
                                                const std::vector<std::string>& arguments) const;

 private:
  struct Close {
    void operator()(sqlite3* database) const { sqlite3_close(database); }
  };
  std::unique_ptr<sqlite3, Close> database_;
};

}  // namespace surprisal
