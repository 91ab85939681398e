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
}

TEST(StopStrings, OrderDecidesBetweenOverlappingMatches) {
  // As str.split in a loop does: the first cut takes away what the second would have matched.
  EXPECT_EQ(cut("abcd", {"bc", "ab"}), "a");
  EXPECT_EQ(cut("abcd", {"ab", "bc"}), "");
}

}  // namespace
}  // namespace surprisal
