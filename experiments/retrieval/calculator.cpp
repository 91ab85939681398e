#include "experiments/retrieval/calculator.h"

#include <cstdio>
#include <cstdlib>

#include "experiments/retrieval/sqlite.h"

namespace surprisal {
namespace {

constexpr std::string_view kDigits = "0123456789.";
constexpr std::string_view kOperators = "+-*/() ";
constexpr size_t kLongestExpression = 200;
constexpr std::string_view kOpen = "<<", kClose = ">>";

/// What stands before the closing '=', as far back as it is arithmetic.
std::string_view expression_before_equals(std::string_view text) {
  text = text.substr(0, text.find_last_not_of(' ') + 1);
  if (!text.ends_with('=')) return {};
  text.remove_suffix(1);
  const std::string arithmetic = std::string(kDigits) + std::string(kOperators);
  const size_t before = text.find_last_not_of(arithmetic);
  if (before != std::string_view::npos) text.remove_prefix(before + 1);
  // "... has 3. 4 + 4 =": what follows the end of a sentence
  if (const size_t stop = text.rfind(". "); stop != std::string_view::npos)
    text.remove_prefix(stop + 2);
  const size_t begin = text.find_first_not_of(' ');
  return begin == std::string_view::npos ? std::string_view() : text.substr(begin);
}

/// Every number a decimal one, so that nothing is divided as integers, and every operator by
/// itself, so that none of them joins into a comment.
std::string as_sql(std::string_view expression) {
  std::string sql;
  for (size_t i = 0; i < expression.size();) {
    const size_t end = std::min(expression.find_first_not_of(kDigits, i), expression.size());
    if (end > i) {
      sql += expression.substr(i, end - i);
      if (expression.substr(i, end - i).find('.') == std::string_view::npos) sql += ".0";
      i = end;
    } else {
      sql += expression[i++];
    }
    sql += ' ';
  }
  return sql;
}

}  // namespace

std::string Calculator::retrieve(const std::string& query) const {
  const std::string_view expression = expression_before_equals(query);
  if (expression.size() > kLongestExpression ||
      expression.find_first_of("+-*/") == std::string_view::npos)
    return "";
  const auto value = MemoryDatabase().query("SELECT " + as_sql(expression), {});
  if (!value || value->size() != 1 || value->front().empty()) return "";
  char text[40];
  std::snprintf(text, sizeof text, "%.12g", std::strtod(value->front().c_str(), nullptr));
  const std::string_view before(query.data(),
                                static_cast<size_t>(expression.data() - query.data()));
  return text + std::string(before.ends_with(kOpen) ? kClose : "");
}

RetrieverEntry Calculator::entry() {
  return {"completes the arithmetic an answer opens: \"<<48/2=\" becomes \"<<48/2=24>>\"",
          [](ParamReader& params) -> std::unique_ptr<Retriever> {
            if (params.is_describing()) return nullptr;
            return std::make_unique<Calculator>();
          }};
}

}  // namespace surprisal
