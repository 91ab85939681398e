#pragma once

#include <string>
#include <string_view>

#include "experiments/task.h"

namespace surprisal {

/// What stands for "no answer found" in lm-evaluation-harness and here.
inline constexpr std::string_view kInvalidAnswer = "[invalid]";

/// One of lm-evaluation-harness' regular expressions for the answer of a GSM8K task: a literal
/// marker, then a number. There are two forms of number:
///   plain  -?[0-9.,]+
///   loose  (-?[$0-9.,]{2,})|(-?[0-9]+)
/// They are matched by hand and not by std::regex, which recurses once a character and so overflows
/// the stack on a long response; a test holds the results against Python's `re`.
struct AnswerPattern {
  enum class Number { kPlain, kLoose };
  std::string_view marker;  ///< "" = none
  Number number = Number::kPlain;
  /// The expression ends in `.`: one more character, other than a newline, must follow the number
  /// (if none does, the number gives up its own last character, as a regex backtracks).
  bool needs_a_character_after = false;
  bool last = false;  ///< the last match instead of the first
};

/// gsm8k: `#### (\-?[0-9\.\,]+)`
inline constexpr AnswerPattern kHashesAnswer{"#### ", AnswerPattern::Number::kPlain, false, false};
/// gsm8k_cot, gsm8k_cot_zeroshot: `The answer is (\-?[0-9\.\,]+).`
inline constexpr AnswerPattern kCotAnswer{"The answer is ", AnswerPattern::Number::kPlain, true,
                                          false};
/// gsm8k_cot_llama: `The final answer is ((-?[$0-9.,]{2,})|(-?[0-9]+))`, last
inline constexpr AnswerPattern kCotLlamaAnswer{"The final answer is ",
                                               AnswerPattern::Number::kLoose, false, true};
/// gsm8k_llama: `final answer is (\-?[0-9\.\,]+)`, last
inline constexpr AnswerPattern kLlamaAnswer{"final answer is ", AnswerPattern::Number::kPlain,
                                            false, true};
/// flexible-extract of all: `(-?[$0-9.,]{2,})|(-?[0-9]+)`, last
inline constexpr AnswerPattern kFlexibleAnswer{"", AnswerPattern::Number::kLoose, false, true};

/// What the pattern finds in a response, or "[invalid]".
std::string extract_answer(const AnswerPattern& pattern, std::string_view response);

/// lm-evaluation-harness' `exact_match` as GSM8K configures it (regexes_to_ignore, ignore_case):
/// both sides lose every comma, every dollar sign, everything up to the last "#### ", and a final
/// full stop; then the texts must be equal without regard to case. Numbers are not compared:
/// 18.00 is not 18. Case is folded in ASCII, which suffices as extractions are ASCII.
bool exact_match(std::string_view extracted, std::string_view target);

/// All three verdicts on one response: `strict` and `flexible` as lm-evaluation-harness gives them,
/// `numeric` by the rule of numeric_answer().
Score score_answer(const AnswerPattern& strict, std::string_view response, std::string_view target);

}  // namespace surprisal
