#include "experiments/stop_strings.h"

#include <gtest/gtest.h>

namespace surprisal {
namespace {

using Strings = std::vector<std::string>;

std::string cut(const std::string& text, const Strings& stops) {
  return text.substr(0, stop_cut(text, stops));
}

TEST(StopStrings, EndOfTextIsAppendedOnce) {
  EXPECT_EQ(with_end_of_text({"Q:"}, "</s>"), (Strings{"Q:", "</s>"}));
  EXPECT_EQ(with_end_of_text({"</s>", "Q:"}, "</s>"), (Strings{"</s>", "Q:"}));
  EXPECT_EQ(with_end_of_text({"Q:"}, ""), (Strings{"Q:"}));
}

TEST(StopStrings, CutsAtTheFirstOccurrence) {
  EXPECT_EQ(cut("one Q: two Q:", {"Q:"}), "one ");
  EXPECT_EQ(cut("one </s> two Q:", {"Q:", "</s>"}), "one ");
  EXPECT_EQ(cut("Q: one", {"Q:"}), "");
  EXPECT_EQ(cut("one Q", {"Q:"}), "one Q");
  EXPECT_EQ(cut("one", {}), "one");
}

TEST(StopStrings, EmptyStopsMatchNothing) {
  EXPECT_EQ(cut("one", {"", "n"}), "o");
  EXPECT_EQ(held_back("one", Strings{""}), 0u);
}

TEST(StopStrings, OrderDecidesBetweenOverlappingMatches) {
  // As str.split in a loop does: the first cut takes away what the second would have matched.
  EXPECT_EQ(cut("abcd", {"bc", "ab"}), "a");
  EXPECT_EQ(cut("abcd", {"ab", "bc"}), "");
}

TEST(StopStrings, HoldsBackTheLongestBeginningOfAStop) {
  const Strings stops = {"Q:", "<|im_end|>", "aab"};
  EXPECT_EQ(held_back("text", stops), 0u);
  EXPECT_EQ(held_back("text Q", stops), 1u);
  EXPECT_EQ(held_back("text <|im_en", stops), 7u);
  EXPECT_EQ(held_back("aa", stops), 2u);
  EXPECT_EQ(held_back("aaa", stops), 2u) << "the first a can no longer be part of a match";
  EXPECT_EQ(held_back("", stops), 0u);
}

TEST(StopStrings, WhatIsShownNeverHasToBeTakenBack) {
  // Streaming a text byte by byte: what was shown at any time begins the final, cut text.
  const Strings stops = {"Q:", "</s>", "aab", "a\n\n"};
  const std::string text = "aaaa\n</ aQ a</saaa\n Qaa\n\nb";
  const std::string final_text = cut(text, stops);
  for (size_t length = 0; length <= text.size(); ++length) {
    const std::string so_far = text.substr(0, length);
    if (stop_cut(so_far, stops) < so_far.size()) break;
    const std::string shown = so_far.substr(0, length - held_back(so_far, stops));
    EXPECT_TRUE(final_text.starts_with(shown)) << shown;
  }
}

}  // namespace
}  // namespace surprisal
