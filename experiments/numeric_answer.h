#pragma once

#include <string>
#include <string_view>

namespace surprisal {

/// The number a response ends on, in a canonical spelling, or "[invalid]" when it has none.
/// Our own rule, kinder than lm-evaluation-harness' and exact: two answers are the same rational
/// number if and only if their canonical spellings are equal.
///
/// Which number:
///  1. Answer markers are `####`, `\boxed{`, `answer is`, `answer:` and `answer =`, in any case.
///     The last one that is followed by a number decides. What it introduces ends with the line or
///     the sentence (or at `}`, or after 1000 bytes); after an `=` in there the first number behind
///     the last `=` is taken
///     ("The answer is 3 * 6 = 18."), otherwise the first number.
///  2. Without such a marker, the last number of the text.
///
/// What a number is: digits, or digits in groups of three ("1,000"), with an optional decimal part;
/// an integer fraction ("3/4") or mixed number ("2 1/2") of up to 9 digits a part; a sign ("-" or
/// U+2212) directly before it that does not follow a digit, a letter or a closing bracket ("20-5"
/// is not -5). Signs of currency and per cent are passed over ("$18", "50%" = 50), and so are
/// digits glued to a preceding letter ("CO2").
///
/// Spelling: "-12.5", no leading or trailing zeros, "-0" is "0"; a fraction that no finite decimal
/// equals is in lowest terms, "2/3".
std::string numeric_answer(std::string_view text);

}  // namespace surprisal
