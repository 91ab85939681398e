#include "experiments/retrieval/sqlite.h"

#include "lib/error.h"

namespace surprisal {

MemoryDatabase::MemoryDatabase() {
  sqlite3* opened = nullptr;
  const int status = sqlite3_open(":memory:", &opened);
  database_.reset(opened);
  if (status != SQLITE_OK)
    throw Error(ErrorCode::kInternal, std::string("SQLite: ") + sqlite3_errstr(status));
}

std::optional<std::vector<std::string>> MemoryDatabase::query(
    const std::string& sql, const std::vector<std::string>& arguments) const {
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  sqlite3_stmt* prepared = nullptr;
  if (sqlite3_prepare_v2(database_.get(), sql.c_str(), -1, &prepared, nullptr) != SQLITE_OK)
    return std::nullopt;
  const std::unique_ptr<sqlite3_stmt, Finalize> statement(prepared);
  for (size_t i = 0; i < arguments.size(); ++i)
    sqlite3_bind_text(prepared, static_cast<int>(i) + 1, arguments[i].data(),
                      static_cast<int>(arguments[i].size()), SQLITE_TRANSIENT);
  std::vector<std::string> values;
  int status = sqlite3_step(prepared);
  for (; status == SQLITE_ROW; status = sqlite3_step(prepared)) {
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(prepared, 0));
    values.emplace_back(text == nullptr ? "" : text);
  }
  if (status != SQLITE_DONE) return std::nullopt;
  return values;
}

void MemoryDatabase::execute(const std::string& sql, const std::vector<std::string>& arguments) {
  if (!query(sql, arguments))
    throw Error(ErrorCode::kInternal, std::string("SQLite: ") + sqlite3_errmsg(database_.get()));
}

}  // namespace surprisal
