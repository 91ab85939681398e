#include "lib/json.h"

#include <gtest/gtest.h>

#include "lib/error.h"

namespace surprisal {
namespace {

ErrorCode code_of(std::string_view text) {
  try {
    parse_json(text, "test", {.bytes = 4096, .depth = 8});
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::kInternal;
}

TEST(Json, RefusesWhatAnAttackerWouldSend) {
  EXPECT_EQ(code_of("{\"a\":1,\"a\":2}"), ErrorCode::kFormat);
  EXPECT_EQ(code_of(std::string(20, '[') + std::string(20, ']')), ErrorCode::kFormat);
  EXPECT_EQ(code_of("[1] x"), ErrorCode::kFormat);
  EXPECT_EQ(code_of("\"\xff\""), ErrorCode::kFormat);
  EXPECT_EQ(code_of(std::string(5000, ' ')), ErrorCode::kFormat);
  EXPECT_EQ(code_of(""), ErrorCode::kFormat);
}

TEST(Json, SameKeyInDifferentObjectsIsFine) {
  EXPECT_EQ(parse_json("{\"a\":{\"a\":1},\"b\":{\"a\":2}}", "test")["b"]["a"], 2);
}

TEST(Json, CanonicalTextIgnoresOrderAndSpace) {
  EXPECT_EQ(canonical_json(parse_json("{ \"b\" : 1, \"a\" : [0.1, 2] }", "t")),
            canonical_json(parse_json("{\"a\":[0.1,2],\"b\":1}", "t")));
}

}  // namespace
}  // namespace surprisal
