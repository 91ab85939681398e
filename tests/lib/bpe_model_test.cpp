#include "lib/bpe_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/error.h"

namespace surprisal {
namespace {

using ::testing::ElementsAre;

std::vector<TokenId> encode(const BpeModel& model, std::string_view piece) {
  std::vector<TokenId> ids;
  model.encode(piece, ids);
  return ids;
}

TEST(BpeModel, MergesByRankNotByLength) {
  const BpeModel model({{"a", 0}, {"b", 1}, {"c", 2}, {"bc", 3}, {"ab", 4}, {"abc", 5}},
                       {{"b", "c"}, {"a", "b"}, {"a", "bc"}}, {});
  EXPECT_THAT(encode(model, "abc"), ElementsAre(5));
  EXPECT_THAT(encode(model, "abab"), ElementsAre(4, 4));
}

TEST(BpeModel, LeftmostOnTies) {
  const BpeModel model({{"a", 0}, {"aa", 1}}, {{"a", "a"}}, {});
  EXPECT_THAT(encode(model, "aaaaa"), ElementsAre(1, 1, 0));
}

TEST(BpeModel, UnknownCharacters) {
  const StringMap<TokenId> vocabulary = {{"<unk>", 0}, {"a", 1}};
  EXPECT_THAT(encode(BpeModel(vocabulary, {}, {}), "xay"), ElementsAre(1));
  EXPECT_THAT(encode(BpeModel(vocabulary, {}, {.unknown = 0}), "xxay"), ElementsAre(0, 0, 1, 0));
  EXPECT_THAT(encode(BpeModel(vocabulary, {}, {.fuse_unknown = true, .unknown = 0}), "xxay"),
              ElementsAre(0, 1, 0));
}

TEST(BpeModel, FallsBackToBytesOnlyWithAllOfThem) {
  const StringMap<TokenId> vocabulary = {{"<unk>", 0}, {"<0xC3>", 1}, {"<0xA9>", 2}};
  const BpeModel model(vocabulary, {}, {.byte_fallback = true, .unknown = 0});
  EXPECT_THAT(encode(model, "\xC3\xA9"), ElementsAre(1, 2));
  EXPECT_THAT(encode(model, "\xC3\xA8"), ElementsAre(0));
}

TEST(BpeModel, IgnoreMergesTakesWholePieces) {
  const StringMap<TokenId> vocabulary = {{"a", 0}, {"b", 1}, {"ab", 2}};
  EXPECT_THAT(encode(BpeModel(vocabulary, {}, {.ignore_merges = true}), "ab"), ElementsAre(2));
  EXPECT_THAT(encode(BpeModel(vocabulary, {}, {}), "ab"), ElementsAre(0, 1));
}

TEST(BpeModel, AVeryLongWordDoesNotTakeQuadraticTime) {
  StringMap<TokenId> vocabulary = {{"a", 0}};
  std::vector<std::pair<std::string, std::string>> merges;
  for (std::string token = "a"; token.size() < 64; token += token) {
    merges.emplace_back(token, token);
    vocabulary.emplace(token + token, static_cast<TokenId>(vocabulary.size()));
  }
  const BpeModel model(vocabulary, merges, {});
  // A quadratic merge would need 10^12 steps and run into the test's time limit.
  EXPECT_EQ(encode(model, std::string(1 << 20, 'a')).size(), (1u << 20) / 64);
}

TEST(BpeModel, RefusesMergesOfNoTokens) {
  try {
    BpeModel({{"a", 0}, {"b", 1}}, {{"a", "b"}}, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kFormat);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("'ab'"));
  }
}

TEST(ByteAlphabet, IsABijection) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string_view character = ByteAlphabet::character(static_cast<unsigned char>(byte));
    EXPECT_EQ(ByteAlphabet::bytes(character), std::string(1, static_cast<char>(byte)));
  }
  EXPECT_EQ(ByteAlphabet::text(" \n"), "\u0120\u010A");
  EXPECT_FALSE(ByteAlphabet::bytes("a b").has_value());
}

}  // namespace
}  // namespace surprisal
