#include <algorithm>
#include <charconv>
#include <initializer_list>

#include "lib/jinja_lexer.h"
#include "lib/jinja_syntax.h"

namespace surprisal::jinja {
namespace {

// Far more than any template has. Both bound the recursion of parser and renderer.
constexpr int kMaxDepth = 100;
constexpr size_t kMaxExpressionTokens = 1000;  // bounds the depth of its tree

/// Recursive descent, with Jinja's precedences: if-else, or, and, not, comparison, + -, ~, * / //
/// %, unary minus, then what follows a value: . [] () | is.
class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  std::vector<Statement> run() {
    std::vector<Statement> statements = parse_body({});
    if (peek().kind != Token::Kind::kEnd)
      throw error(ErrorCode::kFormat, "unexpected '" + peek(1).text + "'");
    return statements;
  }

 private:
  using Kind = Expression::Kind;

  class Depth {
   public:
    explicit Depth(Parser& parser) : parser_(parser) {
      if (++parser_.depth_ > kMaxDepth)
        throw parser_.error(ErrorCode::kUnsupported, "the template is nested too deeply");
    }
    ~Depth() { --parser_.depth_; }
    Depth(const Depth&) = delete;
    Depth& operator=(const Depth&) = delete;

   private:
    Parser& parser_;
  };

  // Statements.

  /// Up to, not including, a block that begins with one of the words.
  std::vector<Statement> parse_body(std::initializer_list<std::string_view> words) {
    const Depth depth(*this);
    std::vector<Statement> statements;
    while (peek().kind != Token::Kind::kEnd) {
      statement_start_ = next_;
      if (peek().kind == Token::Kind::kText) {
        statements.push_back({Statement::Kind::kText, take().text, {}, {}, {}});
      } else if (peek().kind == Token::Kind::kOutputBegin) {
        take();
        statements.push_back({Statement::Kind::kOutput, {}, {}, {parse_expression()}, {}});
        expect(Token::Kind::kOutputEnd, "}}");
      } else {
        const std::string word = peek(1).text;
        if (std::ranges::find(words, word) != words.end()) break;
        take();
        parse_block(statements);
      }
    }
    return statements;
  }

  void parse_block(std::vector<Statement>& statements) {
    const std::string word = expect(Token::Kind::kName, "a statement").text;
    if (word == "if") {
      statements.push_back(parse_if());
    } else if (word == "for") {
      statements.push_back(parse_for());
    } else if (word == "set") {
      statements.push_back(parse_set());
    } else if (word == "generation") {  // transformers' mark of assistant text; renders as it is
      end_block();
      for (Statement& inner : parse_body({"endgeneration"})) statements.push_back(std::move(inner));
      take_block("endgeneration");
    } else {
      const bool stray = word.starts_with("end") || word == "else" || word == "elif";
      throw error(stray ? ErrorCode::kFormat : ErrorCode::kUnsupported, "statement '" + word + "'");
    }
  }

  Statement parse_if() {
    Statement statement{Statement::Kind::kIf, {}, {}, {}, {}};
    statement.expressions.push_back(parse_expression());
    end_block();
    while (true) {
      statement.bodies.push_back(parse_body({"elif", "else", "endif"}));
      const std::string word = open_block();
      if (word == "elif") {
        statement.expressions.push_back(parse_expression());
        end_block();
        continue;
      }
      end_block();
      if (word == "endif") return statement;
      statement.bodies.push_back(parse_body({"endif"}));
      take_block("endif");
      return statement;
    }
  }

  Statement parse_for() {
    Statement statement{Statement::Kind::kFor, {}, {}, {}, {}};
    do statement.names.push_back(expect(Token::Kind::kName, "a name").text);
    while (accept(","));
    if (!accept_name("in")) throw error(ErrorCode::kFormat, "expected 'in'");
    // Not parse_expression: an `if` here is the loop's own.
    statement.expressions.push_back(parse_or());
    if (accept_name("if")) statement.expressions.push_back(parse_or());
    if (peek_name("recursive")) throw error(ErrorCode::kUnsupported, "a recursive loop");
    end_block();
    statement.bodies.push_back(parse_body({"else", "endfor"}));
    if (open_block() == "else") {
      end_block();
      statement.bodies.push_back(parse_body({"endfor"}));
      take_block("endfor");
    } else {
      end_block();
    }
    return statement;
  }

  Statement parse_set() {
    Statement statement{Statement::Kind::kSet, {}, {}, {}, {}};
    statement.names.push_back(expect(Token::Kind::kName, "a name").text);
    if (accept(".")) statement.names.push_back(expect(Token::Kind::kName, "a name").text);
    if (!accept("=")) throw error(ErrorCode::kUnsupported, "'set' without one name and '='");
    statement.expressions.push_back(parse_expression());
    end_block();
    return statement;
  }

  std::string open_block() {
    expect(Token::Kind::kBlockBegin, "{%");
    return expect(Token::Kind::kName, "a statement").text;
  }

  void end_block() { expect(Token::Kind::kBlockEnd, "%}"); }

  void take_block(std::string_view word) {
    if (open_block() != word) throw error(ErrorCode::kFormat, "expected " + std::string(word));
    end_block();
  }

  // Expressions, loosest first.

  Expression parse_expression() {
    const Depth depth(*this);
    Expression value = parse_or();
    while (accept_name("if")) {
      Expression condition = parse_or();
      Expression otherwise = literal(Value());
      if (accept_name("else")) otherwise = parse_expression();
      value = {Kind::kConditional,
               {},
               {},
               make_parts(std::move(condition), std::move(value), std::move(otherwise)),
               {}};
    }
    return value;
  }

  Expression parse_or() {
    Expression left = parse_and();
    while (accept_name("or")) left = binary("or", std::move(left), parse_and());
    return left;
  }

  Expression parse_and() {
    Expression left = parse_not();
    while (accept_name("and")) left = binary("and", std::move(left), parse_not());
    return left;
  }

  Expression parse_not() {
    const Depth depth(*this);
    if (!accept_name("not")) return parse_comparison();
    return {Kind::kNot, {}, {}, make_parts(parse_not()), {}};
  }

  Expression parse_comparison() {
    Expression left = parse_sum();
    const std::string sign = take_comparison();
    if (sign.empty()) return left;
    left = binary(sign, std::move(left), parse_sum());
    if (!take_comparison().empty()) throw error(ErrorCode::kUnsupported, "chained comparisons");
    return left;
  }

  std::string take_comparison() {
    if (accept_name("in")) return "in";
    if (peek_name("not") && peek(1).kind == Token::Kind::kName && peek(1).text == "in") {
      take();
      take();
      return "not in";
    }
    for (const std::string_view sign : {"==", "!=", "<=", ">=", "<", ">"})
      if (accept(sign)) return std::string(sign);
    return {};
  }

  Expression parse_sum() {
    return parse_left_to_right({"+", "-"}, [this] {
      return parse_left_to_right({"~"}, [this] {
        return parse_left_to_right({"*", "/", "//", "%"}, [this] { return parse_unary(); });
      });
    });
  }

  template <typename Operand>
  Expression parse_left_to_right(std::initializer_list<std::string_view> signs,
                                 const Operand& operand) {
    Expression left = operand();
    while (true) {
      const auto sign = std::ranges::find_if(signs, [&](auto s) { return accept(s); });
      if (sign == signs.end()) return left;
      left = binary(std::string(*sign), std::move(left), operand());
    }
  }

  Expression parse_unary() {
    const Depth depth(*this);
    check_length();
    if (accept("-")) return {Kind::kNegate, {}, {}, make_parts(parse_unary()), {}};
    Expression value = parse_primary();
    while (parse_follower(value)) {
    }
    return value;
  }

  void check_length() const {
    if (next_ - statement_start_ > kMaxExpressionTokens)
      throw error(ErrorCode::kUnsupported, "an expression is too long");
  }

  Expression parse_primary() {
    const Token token = take();
    if (token.kind == Token::Kind::kString) return literal(token.text);
    if (token.kind == Token::Kind::kInteger) return literal(read_integer(token));
    if (token.kind == Token::Kind::kName) {
      if (token.text == "true" || token.text == "True") return literal(true);
      if (token.text == "false" || token.text == "False") return literal(false);
      if (token.text == "none" || token.text == "None") return literal(None{});
      return {Kind::kName, token.text, {}, {}, {}};
    }
    if (token.text == "(") {
      Expression inner = parse_expression();
      if (accept(",")) throw error(ErrorCode::kUnsupported, "tuples");
      close(")");
      return inner;
    }
    if (token.text == "[") {
      Expression list{Kind::kList, {}, {}, {}, {}};
      while (!accept("]")) {
        list.parts.push_back(parse_expression());
        if (!accept(",") && !is_operator("]")) throw error(ErrorCode::kFormat, "expected ']'");
      }
      return list;
    }
    if (token.text == "{") {
      Expression dict{Kind::kDict, {}, {}, {}, {}};
      while (!accept("}")) {
        dict.parts.push_back(parse_expression());
        close(":");
        dict.parts.push_back(parse_expression());
        if (!accept(",") && !is_operator("}")) throw error(ErrorCode::kFormat, "expected '}'");
      }
      return dict;
    }
    throw error_at(token.line, ErrorCode::kFormat, "expected a value, found '" + token.text + "'");
  }

  /// Whatever may follow a value wraps it; false when nothing does.
  bool parse_follower(Expression& value) {
    check_length();
    if (accept(".")) {
      value = {Kind::kMember,
               expect(Token::Kind::kName, "a member's name").text,
               {},
               make_parts(std::move(value)),
               {}};
    } else if (accept("[")) {
      value = parse_subscript(std::move(value));
    } else if (accept("(")) {
      value = {Kind::kCall, {}, {}, make_parts(std::move(value)), {}};
      parse_arguments(value);
    } else if (accept("|")) {
      value = {Kind::kFilter,
               expect(Token::Kind::kName, "a filter's name").text,
               {},
               make_parts(std::move(value)),
               {}};
      if (accept("(")) parse_arguments(value);
    } else if (accept_name("is")) {
      const bool negated = accept_name("not");
      value = {Kind::kTest,
               expect(Token::Kind::kName, "a test's name").text,
               {},
               make_parts(std::move(value)),
               {}};
      if (accept("(")) {
        parse_arguments(value);
      } else if (peek().kind == Token::Kind::kString || peek().kind == Token::Kind::kInteger) {
        value.parts.push_back(parse_primary());
      }
      if (negated) value = {Kind::kNot, {}, {}, make_parts(std::move(value)), {}};
    } else {
      return false;
    }
    return true;
  }

  Expression parse_subscript(Expression base) {
    const auto bound = [&] {
      return is_operator(":") || is_operator("]") ? literal(None{}) : parse_expression();
    };
    Expression first = bound();
    if (accept("]"))
      return {Kind::kIndex, {}, {}, make_parts(std::move(base), std::move(first)), {}};
    close(":");
    Expression last = bound();
    Expression step = accept(":") ? bound() : literal(None{});
    close("]");
    return {Kind::kSlice,
            {},
            {},
            make_parts(std::move(base), std::move(first), std::move(last), std::move(step)),
            {}};
  }

  void parse_arguments(Expression& call) {
    while (!accept(")")) {
      const bool named = peek().kind == Token::Kind::kName &&
                         peek(1).kind == Token::Kind::kOperator && peek(1).text == "=";
      if (named) {
        const std::string name = take().text;
        take();
        call.named.push_back({name, parse_expression()});
      } else {
        call.parts.push_back(parse_expression());
      }
      if (!accept(",") && !is_operator(")")) throw error(ErrorCode::kFormat, "expected ')'");
    }
  }

  // Small pieces.

  static Expression literal(Value value) { return {Kind::kLiteral, {}, std::move(value), {}, {}}; }

  static Expression binary(std::string sign, Expression left, Expression right) {
    return {Kind::kBinary, std::move(sign), {}, make_parts(std::move(left), std::move(right)), {}};
  }

  template <typename... Parts>
  static std::vector<Expression> make_parts(Parts... part) {
    std::vector<Expression> parts;
    (parts.push_back(std::move(part)), ...);
    return parts;
  }

  static int64_t read_integer(const Token& token) {
    int64_t value = 0;
    const char* const end = token.text.data() + token.text.size();
    if (std::from_chars(token.text.data(), end, value).ec != std::errc())
      throw error_at(token.line, ErrorCode::kUnsupported, "integer " + token.text);
    return value;
  }

  const Token& peek(size_t ahead = 0) const {
    return tokens_[std::min(next_ + ahead, tokens_.size() - 1)];
  }
  Token take() {
    const Token token = peek();
    if (next_ + 1 < tokens_.size()) ++next_;
    return token;
  }
  bool is_operator(std::string_view text) const {
    return peek().kind == Token::Kind::kOperator && peek().text == text;
  }
  bool peek_name(std::string_view text) const {
    return peek().kind == Token::Kind::kName && peek().text == text;
  }
  bool accept(std::string_view text) {
    const bool found = is_operator(text);
    if (found) take();
    return found;
  }
  bool accept_name(std::string_view text) {
    const bool found = peek_name(text);
    if (found) take();
    return found;
  }
  void close(std::string_view text) {
    if (!accept(text)) throw error(ErrorCode::kFormat, "expected '" + std::string(text) + "'");
  }
  Token expect(Token::Kind kind, const std::string& what) {
    if (peek().kind != kind) throw error(ErrorCode::kFormat, "expected " + what);
    return take();
  }
  Error error(ErrorCode code, const std::string& message) const {
    return error_at(peek().line, code, message);
  }

  std::vector<Token> tokens_;
  size_t next_ = 0;
  size_t statement_start_ = 0;
  int depth_ = 0;
};

}  // namespace

std::vector<Statement> parse_template(std::string_view source) {
  return Parser(tokenize_template(source)).run();
}

}  // namespace surprisal::jinja
