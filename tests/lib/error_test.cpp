#include "lib/error.h"

#include <gtest/gtest.h>

#include "lib/registry.h"

namespace surprisal {
namespace {

TEST(Error, ControlCharactersOfUntrustedNamesAreShown) {
  const Error error(ErrorCode::kFormat, std::string("a\0b\x1b[31m\x7f\r é\n\tc", 16));
  EXPECT_STREQ(error.what(), "a\\x00b\\x1b[31m\\x7f\\x0d é\n\tc");
}

TEST(ClosestName, FindsTyposAndNothingElse) {
  const std::vector<std::string> known = {"temperature", "top_p", "greedy"};
  EXPECT_EQ(closest_name("temprature", known), "temperature");
  EXPECT_EQ(closest_name("gredey", known), "greedy");
  EXPECT_EQ(closest_name("sausage", known), "");
}

TEST(Registry, UnknownNameSuggestsAndDuplicateIsRefused) {
  Registry<int> registry("sampler");
  registry.add("greedy", 1);
  EXPECT_THROW(registry.add("greedy", 2), Error);
  try {
    registry.get("gredy", "a.yaml:3");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnknownName);
    EXPECT_NE(std::string(error.what()).find("did you mean 'greedy'"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("a.yaml:3"), std::string::npos);
  }
}

}  // namespace
}  // namespace surprisal
