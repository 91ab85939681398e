#include "lib/jinja.h"

#include <algorithm>
#include <map>

#include "lib/error.h"
#include "lib/unicode.h"

namespace surprisal::jinja {
namespace {

// What a hostile template may use up, a second or two: far more than any conversation needs. A unit
// is about 20 ns: a value copied, or kTextUnit bytes of text.
constexpr uint64_t kMaxUnits = 50'000'000;
constexpr uint64_t kTextUnit = 64;
constexpr uint64_t kExpressionUnits = 10, kIterationUnits = 50;

using Kind = Expression::Kind;

/// The names that are visible at one place. An inner scope sees the outer ones; what it sets is
/// gone when it ends.
class Scope {
 public:
  explicit Scope(const Scope* outer) : outer_(outer) {}
  void set(const std::string& name, Value value) { names_[name] = std::move(value); }
  Value get(const std::string& name) const {
    for (const Scope* scope = this; scope != nullptr; scope = scope->outer_)
      if (const auto found = scope->names_.find(name); found != scope->names_.end())
        return found->second;
    return {};
  }

 private:
  const Scope* outer_;
  std::map<std::string, Value, std::less<>> names_;
};

int64_t floor_divide(int64_t a, int64_t b) {
  return a / b - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0);
}

/// Python's slice: which indices of `size` elements, in order.
std::vector<size_t> slice_indices(int64_t size, const Value& first, const Value& last,
                                  const Value& step_value) {
  const int64_t step = step_value.is<None>() ? 1 : step_value.integer();
  if (step == 0) throw Error(ErrorCode::kConfig, "a slice with step 0");
  const auto bound = [&](const Value& value, int64_t otherwise) {
    if (value.is<None>()) return otherwise;
    const int64_t index = value.integer() < 0 ? value.integer() + size : value.integer();
    return step > 0 ? std::clamp<int64_t>(index, 0, size)
                    : std::clamp<int64_t>(index, -1, size - 1);
  };
  const int64_t begin = bound(first, step > 0 ? 0 : size - 1);
  const int64_t end = bound(last, step > 0 ? size : -1);
  std::vector<size_t> indices;
  // Compared by distance, so that a huge step cannot overflow.
  for (int64_t i = begin; step > 0 ? i < end : i > end;) {
    indices.push_back(static_cast<size_t>(i));
    const int64_t left = step > 0 ? end - i : i - end;
    if (step > 0 ? step >= left : step <= -left) break;
    i += step;
  }
  return indices;
}

class Renderer {
 public:
  std::string render(const std::vector<Statement>& statements, Scope& scope) {
    run(statements, scope);
    return std::move(out_);
  }

 private:
  void spend(uint64_t units) {
    used_ += units;
    if (used_ > kMaxUnits) throw Error(ErrorCode::kUnsupported, "the template takes too long");
  }

  static uint64_t text_units(const Value& value) {
    return value.is<std::string>() ? value.text().size() / kTextUnit : 0;
  }

  /// elements() of a value, paid for.
  List spent_elements(const Value& value) {
    List all = elements(value);
    spend(all.size());
    return all;
  }

  static std::string joined(std::string text, std::string_view more) {
    append_text(text, more);
    return text;
  }

  void run(const std::vector<Statement>& statements, Scope& scope) {
    for (const Statement& statement : statements) {
      spend(kExpressionUnits);
      switch (statement.kind) {
        case Statement::Kind::kText:
          append_text(out_, statement.text);
          spend(statement.text.size() / kTextUnit);
          break;
        case Statement::Kind::kOutput:
          append_text(out_, printed(evaluate(statement.expressions[0], scope)));
          break;
        case Statement::Kind::kIf:
          run_if(statement, scope);
          break;
        case Statement::Kind::kFor:
          run_for(statement, scope);
          break;
        case Statement::Kind::kSet:
          run_set(statement, scope);
          break;
      }
    }
  }

  void run_if(const Statement& statement, Scope& scope) {
    for (size_t i = 0; i < statement.bodies.size(); ++i)
      if (i == statement.expressions.size() || evaluate(statement.expressions[i], scope).truthy())
        return run(statement.bodies[i], scope);
  }

  /// A namespace that reached itself could be neither compared nor freed.
  static void refuse_namespace(const Value& member) {
    if (member.is_namespace())
      throw Error(ErrorCode::kUnsupported, "a namespace inside of another value");
  }

  void run_set(const Statement& statement, Scope& scope) {
    Value value = evaluate(statement.expressions[0], scope);
    if (statement.names.size() == 1) return scope.set(statement.names[0], std::move(value));
    Dict& members = scope.get(statement.names[0]).name_space().members;
    refuse_namespace(value);
    const auto found = std::ranges::find(members, statement.names[1], &Dict::value_type::first);
    if (found != members.end()) {
      found->second = std::move(value);
    } else {
      members.emplace_back(statement.names[1], std::move(value));
    }
  }

  static void bind(const Statement& statement, const Value& element, Scope& scope) {
    if (statement.names.size() == 1) return scope.set(statement.names[0], element);
    const List parts = elements(element);
    if (parts.size() != statement.names.size())
      throw Error(ErrorCode::kConfig, "a loop over " + std::to_string(statement.names.size()) +
                                          " names met " + std::to_string(parts.size()) + " values");
    for (size_t i = 0; i < parts.size(); ++i) scope.set(statement.names[i], parts[i]);
  }

  void run_for(const Statement& statement, Scope& scope) {
    List all = spent_elements(evaluate(statement.expressions[0], scope));
    if (statement.expressions.size() == 2) {
      std::erase_if(all, [&](const Value& element) {
        Scope inner(&scope);
        bind(statement, element, inner);
        return !evaluate(statement.expressions[1], inner).truthy();
      });
    }
    const auto count = static_cast<int64_t>(all.size());
    for (int64_t i = 0; i < count; ++i) {
      const auto at = static_cast<size_t>(i);
      spend(kIterationUnits);
      Scope inner(&scope);
      inner.set("loop", Dict{{"index", i + 1},
                             {"index0", i},
                             {"revindex", count - i},
                             {"revindex0", count - i - 1},
                             {"first", i == 0},
                             {"last", i + 1 == count},
                             {"length", count},
                             {"previtem", i > 0 ? all[at - 1] : Value()},
                             {"nextitem", i + 1 < count ? all[at + 1] : Value()}});
      bind(statement, all[at], inner);
      run(statement.bodies[0], inner);
    }
    if (all.empty() && statement.bodies.size() == 2) run(statement.bodies[1], scope);
  }

  Value evaluate(const Expression& expression, const Scope& scope) {
    Value value = computed(expression, scope);
    spend(kExpressionUnits + text_units(value));
    return value;
  }

  Value computed(const Expression& expression, const Scope& scope) {
    const auto part = [&](size_t i) { return evaluate(expression.parts[i], scope); };
    switch (expression.kind) {
      case Kind::kLiteral:
        return expression.value;
      case Kind::kName:
        return scope.get(expression.text);
      case Kind::kList:
        return arguments(expression, 0, scope);
      case Kind::kDict: {
        Dict dict;
        for (size_t i = 0; i < expression.parts.size(); i += 2)
          dict.emplace_back(part(i).text(), part(i + 1));
        return dict;
      }
      case Kind::kMember:
        return member(part(0), expression.text);
      case Kind::kIndex:
        return index(part(0), part(1));
      case Kind::kSlice:
        return slice(part(0), part(1), part(2), part(3));
      case Kind::kCall:
        return call(expression, scope);
      case Kind::kFilter:
        if (!expression.named.empty())
          throw Error(ErrorCode::kUnsupported,
                      "named arguments of filter '" + expression.text + "'");
        return paid(apply_filter(expression.text, paid(part(0)), arguments(expression, 1, scope)));
      case Kind::kTest:
        return passes_test(expression.text, paid(part(0)), arguments(expression, 1, scope));
      case Kind::kNot:
        return !part(0).truthy();
      case Kind::kNegate:
        return Value(int64_t{0} - bounded_integer(part(0)));
      case Kind::kConditional:
        return part(0).truthy() ? part(1) : part(2);
      case Kind::kBinary:
        return binary(expression, scope);
    }
    throw Error(ErrorCode::kInternal, "an expression of no kind");
  }

  /// The value, after paying for all that it holds.
  Value paid(Value value) {
    spend(value.nodes());
    return value;
  }

  List arguments(const Expression& expression, size_t from, const Scope& scope) {
    List values;
    for (size_t i = from; i < expression.parts.size(); ++i)
      values.push_back(evaluate(expression.parts[i], scope));
    return values;
  }

  static Value member(const Value& base, const std::string& name) {
    if (base.is<Undefined>())
      throw Error(ErrorCode::kConfig, "member '" + name + "' of something undefined");
    return base.is_dict() || base.is_namespace() ? base.member(name) : Value();
  }

  Value index(const Value& base, const Value& key) {
    if (key.is<std::string>()) return member(base, key.text());
    if (base.is<Undefined>()) throw Error(ErrorCode::kConfig, "an element of something undefined");
    const List characters = base.is_list() ? List() : spent_elements(base);
    const List& all = base.is_list() ? base.list() : characters;
    const auto size = static_cast<int64_t>(all.size());
    const int64_t at = key.integer() < 0 ? key.integer() + size : key.integer();
    return at < 0 || at >= size || base.is_dict() ? Value() : all[static_cast<size_t>(at)];
  }

  Value slice(const Value& base, const Value& first, const Value& last, const Value& step) {
    const List all = spent_elements(base);
    List chosen;
    for (const size_t i : slice_indices(static_cast<int64_t>(all.size()), first, last, step))
      chosen.push_back(all[i]);
    if (!base.is<std::string>()) return chosen;
    std::string text;
    for (const Value& character : chosen) text += character.text();
    return text;
  }

  Value call(const Expression& expression, const Scope& scope) {
    const Expression& callee = expression.parts[0];
    if (callee.kind == Kind::kMember && expression.named.empty())
      return paid(call_method(callee.text, paid(evaluate(callee.parts[0], scope)),
                              arguments(expression, 1, scope)));
    if (callee.kind == Kind::kName && scope.get(callee.text).is<Undefined>()) {
      if (callee.text == "raise_exception") {
        const List values = arguments(expression, 1, scope);
        throw Error(ErrorCode::kConfig, "refused: " + (values.empty() ? "" : printed(values[0])));
      }
      if (callee.text == "namespace") {
        Dict members;
        for (const auto& [name, value] : expression.named) {
          members.emplace_back(name, evaluate(value, scope));
          refuse_namespace(members.back().second);
        }
        return Value(std::make_shared<Namespace>(Namespace{std::move(members)}));
      }
      if (callee.text == "range") return range(arguments(expression, 1, scope));
      throw Error(ErrorCode::kUnsupported, "function '" + callee.text + "'");
    }
    throw Error(ErrorCode::kUnsupported, "a call of something other than a function or method");
  }

  List range(const List& bounds) {
    if (bounds.empty() || bounds.size() > 2)
      throw Error(ErrorCode::kUnsupported, "range without one or two bounds");
    const int64_t begin = bounds.size() == 2 ? bounded_integer(bounds[0]) : 0;
    const int64_t end = bounded_integer(bounds.back());
    constexpr int64_t kMostElements = 100'000;  // as Jinja's sandbox
    if (end - begin > kMostElements) throw Error(ErrorCode::kUnsupported, "too long a range");
    spend(static_cast<uint64_t>(std::max<int64_t>(end - begin, 0)));
    List numbers;
    for (int64_t i = begin; i < end; ++i) numbers.emplace_back(i);
    return numbers;
  }

  Value binary(const Expression& expression, const Scope& scope) {
    const std::string& sign = expression.text;
    Value left = evaluate(expression.parts[0], scope);
    if (sign == "and") return left.truthy() ? evaluate(expression.parts[1], scope) : left;
    if (sign == "or") return left.truthy() ? left : evaluate(expression.parts[1], scope);
    const Value right = evaluate(expression.parts[1], scope);
    if (sign == "==" || sign == "!=") {
      spend(left.nodes());
      return (left == right) == (sign == "==");
    }
    if (sign == "in") return contains(right, left);
    if (sign == "not in") return !contains(right, left);
    if (sign == "~") return joined(printed(left), printed(right));
    if (sign == "<") return less(left, right);
    if (sign == ">") return less(right, left);
    if (sign == "<=") return !less(right, left);
    if (sign == ">=") return !less(left, right);
    if (sign == "+" && left.is<std::string>()) return joined(left.text(), right.text());
    if (sign == "+" && left.is_list()) {
      List both = spent_elements(left);
      const List more = spent_elements(right.list());
      both.insert(both.end(), more.begin(), more.end());
      return both;
    }
    return arithmetic(sign, bounded_integer(left), bounded_integer(right));
  }

  /// Integers that no arithmetic of two can overflow.
  static int64_t bounded_integer(const Value& value) {
    constexpr int64_t kMost = int64_t{1} << 30;
    const int64_t number = value.integer();
    if (number > kMost || number < -kMost)
      throw Error(ErrorCode::kUnsupported, "integers beyond 2^30");
    return number;
  }

  static Value arithmetic(const std::string& sign, int64_t a, int64_t b) {
    if (sign == "+") return a + b;
    if (sign == "-") return a - b;
    if (sign == "*") return a * b;
    if (sign == "/") throw Error(ErrorCode::kUnsupported, "division that may not be whole");
    if (b == 0) throw Error(ErrorCode::kConfig, "division by zero");
    return sign == "//" ? floor_divide(a, b) : a - b * floor_divide(a, b);
  }

  static bool less(const Value& a, const Value& b) {
    return a.is<std::string>() ? a.text() < b.text() : a.integer() < b.integer();
  }

  bool contains(const Value& container, const Value& value) {
    spend(container.nodes());
    if (container.is<std::string>())
      return container.text().find(value.text()) != std::string::npos;
    const List all = spent_elements(container);
    return std::ranges::find(all, value) != all.end();
  }

  std::string out_;
  uint64_t used_ = 0;
};

}  // namespace

std::string Template::render(const Dict& variables) const {
  Scope globals(nullptr);
  for (const auto& [name, value] : variables) globals.set(name, value);
  Scope scope(&globals);
  return Renderer().render(statements_, scope);
}

}  // namespace surprisal::jinja
