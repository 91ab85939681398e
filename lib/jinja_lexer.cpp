#include "lib/jinja_lexer.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "lib/unicode.h"

namespace surprisal::jinja {
namespace {

bool is_blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_name_part(char c) {
  return is_name_start(c) || is_digit(c);
}

/// As Jinja reads a source: any line break is "\n", and one at the very end is not there.
std::string normalize_newlines(std::string_view source) {
  std::string out;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n') continue;
    out += source[i] == '\r' ? '\n' : source[i];
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) {
      const size_t tag = find_tag(at_);
      read_text(tag);
      if (tag == source_.size()) break;
      at_ = tag + 2;
      const char kind = source_[tag + 1];
      if (at_ < source_.size() && (source_[at_] == '-' || source_[at_] == '+')) ++at_;
      if (kind == '#') {
        skip_comment();
      } else {
        const bool block = kind == '%';
        add(block ? Token::Kind::kBlockBegin : Token::Kind::kOutputBegin);
        while (!read_tag_end(block)) read_token();
      }
    }
    add(Token::Kind::kEnd);
    return std::move(tokens_);
  }

 private:
  size_t find_tag(size_t from) const {
    for (size_t i = from; i + 1 < source_.size(); ++i)
      if (source_[i] == '{' &&
          (source_[i + 1] == '{' || source_[i + 1] == '%' || source_[i + 1] == '#'))
        return i;
    return source_.size();
  }

  /// The text up to a tag, less what the tag's "-" or lstrip_blocks takes from its end.
  void read_text(size_t tag) {
    std::string_view text = std::string_view(source_).substr(at_, tag - at_);
    if (tag < source_.size()) {
      const char sign = tag + 2 < source_.size() ? source_[tag + 2] : ' ';
      if (sign == '-') {
        while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
      } else if (sign != '+' && source_[tag + 1] != '{') {
        const size_t line_start = text.rfind('\n') + 1;  // 0 when there is none
        const bool whole_line = line_start > 0 || at_line_start_;
        if (whole_line && std::ranges::all_of(text.substr(line_start), is_blank))
          text = text.substr(0, line_start);
      }
    }
    if (!text.empty()) add(Token::Kind::kText, std::string(text));
    advance(tag);
  }

  void skip_comment() {
    const size_t end = source_.find("#}", at_);
    if (end == std::string::npos) throw error_at(line_, ErrorCode::kFormat, "'{#' without '#}'");
    const bool dash = source_[end - 1] == '-';
    advance(end + 2);
    swallow_after_tag(dash, end > 0 && source_[end - 1] == '+', /*block=*/true);
  }

  /// Reads the end of a tag if it stands here.
  bool read_tag_end(bool block) {
    skip_blanks();
    const std::string_view rest = std::string_view(source_).substr(at_);
    const std::string_view end = block ? "%}" : "}}";
    const bool dash = rest.starts_with('-') && rest.substr(1).starts_with(end);
    const bool plus = block && rest.starts_with('+') && rest.substr(1).starts_with(end);
    // In an expression, "}}" may also close two dictionaries.
    if (!dash && !plus && !(rest.starts_with(end) && (block || open_braces_ == 0))) return false;
    add(block ? Token::Kind::kBlockEnd : Token::Kind::kOutputEnd);
    advance(at_ + (dash || plus ? 3 : 2));
    swallow_after_tag(dash, plus, block);
    return true;
  }

  /// A "-" takes all blanks that follow; trim_blocks takes one line break after a block or comment.
  void swallow_after_tag(bool dash, bool plus, bool block) {
    if (dash) {
      skip_blanks();
    } else if (block && !plus && at_ < source_.size() && source_[at_] == '\n') {
      advance(at_ + 1);
    }
    at_line_start_ = source_[at_ - 1] == '\n';
  }

  void read_token() {
    if (at_ >= source_.size()) throw error_at(line_, ErrorCode::kFormat, "a tag is not closed");
    const char c = source_[at_];
    if (is_name_start(c)) return read_while(Token::Kind::kName, is_name_part);
    if (is_digit(c)) return read_while(Token::Kind::kInteger, is_digit);
    if (c == '"' || c == '\'') return read_string(c);
    for (const std::string_view two : {"==", "!=", "<=", ">=", "//", "**"})
      if (std::string_view(source_).substr(at_).starts_with(two)) return read_operator(2);
    if (std::string_view("+-*/%~<>=()[]{},.:|").find(c) == std::string_view::npos)
      throw error_at(line_, ErrorCode::kFormat, std::string("unexpected character '") + c + "'");
    if (c == '{') ++open_braces_;
    if (c == '}') --open_braces_;
    read_operator(1);
  }

  void read_while(Token::Kind kind, bool (*belongs)(char)) {
    size_t end = at_;
    while (end < source_.size() && belongs(source_[end])) ++end;
    add(kind, source_.substr(at_, end - at_));
    advance(end);
  }

  void read_operator(size_t length) {
    add(Token::Kind::kOperator, source_.substr(at_, length));
    advance(at_ + length);
  }

  void read_string(char quote) {
    std::string value;
    size_t i = at_ + 1;
    for (; i < source_.size() && source_[i] != quote; ++i) {
      if (source_[i] != '\\') {
        value += source_[i];
      } else if (++i < source_.size()) {
        i = read_escape(i, value);
      }
    }
    if (i >= source_.size()) throw error_at(line_, ErrorCode::kFormat, "a string is not closed");
    add(Token::Kind::kString, value);
    advance(i + 1);
  }

  /// Python's escapes. @param i  of the character after "\"; @return where the escape's last one is
  size_t read_escape(size_t i, std::string& value) {
    const char c = source_[i];
    constexpr std::string_view kEscapes = "nrtbfav0\\'\"";
    constexpr std::string_view kMeanings("\n\r\t\b\f\a\v\0\\'\"", 11);
    if (const size_t known = kEscapes.find(c); known != std::string_view::npos) {
      value += kMeanings[known];
      return i;
    }
    const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits == 0) {
      value += {'\\', c};
      return i;
    }
    uint32_t code_point = 0;
    const char* const begin = source_.data() + i + 1;
    const char* const end = source_.data() + std::min(i + 1 + digits, source_.size());
    const auto [stop, failure] = std::from_chars(begin, end, code_point, 16);
    const bool surrogate = code_point >= 0xD800 && code_point <= 0xDFFF;
    if (failure != std::errc() || stop != begin + digits || code_point > 0x10FFFF || surrogate)
      throw error_at(line_, ErrorCode::kFormat, "bad escape in a string");
    append_utf8(value, code_point);
    return i + digits;
  }

  void skip_blanks() {
    size_t end = at_;
    while (end < source_.size() && is_blank(source_[end])) ++end;
    advance(end);
  }

  void advance(size_t to) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(to), '\n'));
    at_ = to;
  }

  void add(Token::Kind kind, std::string text = {}) {
    tokens_.push_back({kind, std::move(text), line_});
  }

  std::string source_;
  size_t at_ = 0;
  int line_ = 1;
  bool at_line_start_ = true;
  int open_braces_ = 0;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize_template(std::string_view source) {
  return Lexer(normalize_newlines(source)).run();
}

Error error_at(int line, ErrorCode code, const std::string& message) {
  return {code, "line " + std::to_string(line) + ": " + message};
}

}  // namespace surprisal::jinja
