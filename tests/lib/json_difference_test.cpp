#include "lib/json_difference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace surprisal {
namespace {

TEST(JsonDifference, EqualValuesHaveNone) {
  EXPECT_EQ(json_difference({{"a", 1}, {"b", 2}}, {{"a", 1}, {"b", 2}}), "");
}

TEST(JsonDifference, ListsLeaves) {
  EXPECT_EQ(json_difference({{"a", 1}, {"b", {{"c", {1, 2}}}}, {"d", 3}},
                            {{"a", 1}, {"b", {{"c", {1, 5}}}}, {"e", "x"}}),
            "  b.c.1: 2 -> 5\n  d: 3 -> null\n  e: null -> \"x\"");
}

TEST(JsonDifference, StaysShort) {
  Json many = Json::object();
  for (int i = 0; i < 50; ++i) many["key" + std::to_string(i)] = std::string(1000, 'x');
  const std::string text = json_difference(Json::object(), many);
  EXPECT_THAT(text, testing::EndsWith("and 30 more"));
  EXPECT_LT(text.size(), 20u * 150);
}

}  // namespace
}  // namespace surprisal
