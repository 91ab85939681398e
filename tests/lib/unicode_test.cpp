#include "lib/unicode.h"

#include <gtest/gtest.h>

namespace surprisal {
namespace {

TEST(Unicode, EveryScalarValueSurvivesEncodingAndDecoding) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string text;
    append_utf8(text, c);
    const Utf8Unit unit = next_utf8(text);
    ASSERT_EQ(unit.kind, Utf8Unit::Kind::kValid) << std::hex << static_cast<uint32_t>(c);
    ASSERT_EQ(unit.code_point, c);
    ASSERT_EQ(unit.length, text.size());
    for (size_t cut = 1; cut < text.size(); ++cut)
      ASSERT_EQ(next_utf8(text.substr(0, cut)).kind, Utf8Unit::Kind::kIncomplete);
  }
}

TEST(Unicode, ReplacesMaximalSubparts) {
  // The examples of the Unicode standard, section 3.9, tables 3-8 to 3-11.
  const std::string x = "\xEF\xBF\xBD";
  const auto repeat = [&](int n) {
    std::string out;
    for (int i = 0; i < n; ++i) out += x;
    return out;
  };
  EXPECT_EQ(replace_invalid_utf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"), repeat(8) + "A");
  EXPECT_EQ(replace_invalid_utf8("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"), repeat(8) + "A");
  EXPECT_EQ(replace_invalid_utf8("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"),
            repeat(5) + "A" + repeat(2) + "B");
  EXPECT_EQ(replace_invalid_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), repeat(4) + "A");
  EXPECT_EQ(replace_invalid_utf8("a\xE2\x82"), "a" + x);
  EXPECT_FALSE(is_valid_utf8("a\xE2\x82"));
  EXPECT_TRUE(is_valid_utf8("a\xE2\x82\xAC"));
}

TEST(Unicode, ClassesFollowTheVersionsOfTokenizers) {
  EXPECT_TRUE(is_letter(U'é') && is_letter(0x4E00) && is_letter(0x2A6DF));
  EXPECT_TRUE(is_letter(0x10D4A));                      // Garay, Unicode 16
  EXPECT_FALSE(is_letter(0x11DB0));                     // Tolong Siki, Unicode 17
  EXPECT_FALSE(is_number(0x11DE0));                     // a Tolong Siki digit
  EXPECT_TRUE(is_numeric(0x11DE0));                     // which the Digits splitter knows
  EXPECT_TRUE(is_number(0x00BD) && is_number(0x2167));  // 1/2 and a Roman eight
  EXPECT_TRUE(is_space(0x3000) && is_space(0x85) && is_space('\v'));
  EXPECT_FALSE(is_space(0x200B) || is_space(0x1C) || is_space(0x180E));
  EXPECT_TRUE(is_word_character('_') && is_word_character(0x0301));
  EXPECT_FALSE(is_word_character('-'));
}

TEST(Unicode, ComposesAsTokenizersDoes) {
  EXPECT_EQ(to_nfc("cafe\xCC\x81"), "caf\xC3\xA9");
  EXPECT_EQ(to_nfc("\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8"), "\xEA\xB0\x81");  // Hangul
  EXPECT_EQ(to_nfc("a\xCC\xA7\xCC\x81"), "\xC3\xA1\xCC\xA7");                 // marks change places
  EXPECT_EQ(to_nfc(std::string("a\0e\xCC\x81", 5)), std::string("a\0\xC3\xA9", 4));
  // U+1ABF is a mark since Unicode 13; to the NFC of Unicode 9 it stays where it is and parts the
  // acute accent from its letter.
  EXPECT_EQ(to_nfc("a\xE1\xAA\xBF\xCC\x81"), "a\xE1\xAA\xBF\xCC\x81");
}

}  // namespace
}  // namespace surprisal
