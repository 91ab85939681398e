// Hostile and broken tokenizer files: one clear error each, and never a crash.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "lib/error.h"
#include "lib/tokenizer.h"
#include "tests/lib/temporary_folder.h"

namespace surprisal {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

json valid_file() {
  return json::parse(R"({
    "version": "1.0",
    "added_tokens": [{"id": 4, "content": "<s>", "single_word": false, "lstrip": false,
                      "rstrip": false, "normalized": false, "special": true}],
    "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
    "post_processor": null,
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "unk_token": null, "vocab": {"a": 0, "b": 1, "ab": 2, "Ġ": 3},
              "merges": ["a b"]}})");
}

struct Refusal {
  ErrorCode code;
  std::string message;
};

std::optional<Refusal> refusal_of(const std::string& content) {
  const test::TemporaryFolder folder;
  folder.write("tokenizer.json", content);
  try {
    load_tokenizer(folder.path());
  } catch (const Error& error) {
    return Refusal{error.code(), error.what()};
  }
  return std::nullopt;
}

/// The valid file with one place changed must be refused so.
void expect_refusal(const char* pointer, const json& value, ErrorCode code, const char* message) {
  json file = valid_file();
  file[json::json_pointer(pointer)] = value;
  const auto refusal = refusal_of(file.dump());
  ASSERT_TRUE(refusal.has_value()) << pointer << " " << value;
  EXPECT_EQ(refusal->code, code) << refusal->message;
  EXPECT_THAT(refusal->message, HasSubstr(message));
}

TEST(TokenizerFiles, TheFileTheseTestsBreakIsValid) {
  const test::TemporaryFolder folder;
  folder.write("tokenizer.json", valid_file().dump());
  const auto tokenizer = load_tokenizer(folder.path());
  EXPECT_THAT(tokenizer->encode("ab<s>", true, false), ::testing::ElementsAre(2, 4));
  EXPECT_THAT(tokenizer->encode("<s>", false, false), ::testing::ElementsAre());
  EXPECT_EQ(tokenizer->vocab_size(), 5);
  EXPECT_EQ(tokenizer->token_id("<s>"), 4);
  EXPECT_TRUE(tokenizer->is_special(4));
  EXPECT_FALSE(tokenizer->is_special(5) || tokenizer->is_special(-1));
  EXPECT_THROW(tokenizer->decode(std::vector<TokenId>{5}), Error);
  EXPECT_THROW(tokenizer->decode(std::vector<TokenId>{-1}), Error);
}

TEST(TokenizerFiles, BrokenVocabularies) {
  expect_refusal("/model/vocab", json::object(), ErrorCode::kFormat, "vocab");
  expect_refusal("/model/vocab", json::array(), ErrorCode::kFormat, "expected an object");
  expect_refusal("/model/vocab/b", 0, ErrorCode::kFormat, "two tokens have id 0");
  expect_refusal("/model/vocab/b", -1, ErrorCode::kFormat, "expected an integer");
  expect_refusal("/model/vocab/b", 1.5, ErrorCode::kFormat, "expected an integer");
  expect_refusal("/model/vocab/b", 4000000000u, ErrorCode::kFormat, "expected an integer");
  expect_refusal("/model/vocab/b", 18446744073709551615u, ErrorCode::kFormat, "integer");
  expect_refusal("/model/vocab/b", "1", ErrorCode::kFormat, "vocab['b']");
}

TEST(TokenizerFiles, BrokenMerges) {
  expect_refusal("/model/merges", json::array({"a c"}), ErrorCode::kFormat, "'c'");
  expect_refusal("/model/merges", json::array({"b a"}), ErrorCode::kFormat, "'ba'");
  expect_refusal("/model/merges", json::array({"ab"}), ErrorCode::kFormat, "merges[0]");
  expect_refusal("/model/merges", json::array({"a  b"}), ErrorCode::kFormat, "merges[0]");
  expect_refusal("/model/merges", json::array({json::array({"a"})}), ErrorCode::kFormat, "two");
  expect_refusal("/model/merges", json::array({7}), ErrorCode::kFormat, "expected a string");
  expect_refusal("/model/merges", nullptr, ErrorCode::kFormat, "expected an array");
}

TEST(TokenizerFiles, BrokenAddedTokens) {
  expect_refusal("/added_tokens/0/id", 9, ErrorCode::kFormat, "is 4");
  expect_refusal("/added_tokens/0/id", -4, ErrorCode::kFormat, "added_tokens[0].id");
  expect_refusal("/added_tokens/0/content", "", ErrorCode::kFormat, "added token");
  expect_refusal("/added_tokens/0/content", std::string(5000, 'x'), ErrorCode::kFormat, "5000");
  expect_refusal("/added_tokens/0/special", "yes", ErrorCode::kFormat, "true or false");
  json twice = valid_file();
  twice["added_tokens"].push_back(twice["added_tokens"][0]);
  twice["added_tokens"][1]["id"] = 5;
  EXPECT_THAT(refusal_of(twice.dump())->message, HasSubstr("twice"));
}

TEST(TokenizerFiles, UnknownStepsAreRefusedByName) {
  using enum ErrorCode;
  expect_refusal("/version", "2.0", kUnsupported, "2.0");
  expect_refusal("/model/type", "WordPiece", kUnsupported, "WordPiece");
  expect_refusal("/model/dropout", 0.1, kUnsupported, "dropout");
  expect_refusal("/model/continuing_subword_prefix", "##", kUnsupported, "##");
  expect_refusal("/model/end_of_word_suffix", "</w>", kUnsupported, "</w>");
  expect_refusal("/model/unk_token", "<unk>", kFormat, "<unk>");
  expect_refusal("/normalizer", {{"type", "Lowercase"}}, kUnsupported, "Lowercase");
  expect_refusal("/pre_tokenizer", {{"type", "Whitespace"}}, kUnsupported, "Whitespace");
  expect_refusal("/decoder", {{"type", "WordPiece"}}, kUnsupported, "WordPiece");
  expect_refusal("/decoder", nullptr, kUnsupported, "decoder");
  expect_refusal("/post_processor", {{"type", "BertProcessing"}}, kUnsupported, "BertProcessing");
  expect_refusal("/pre_tokenizer",
                 {{"type", "Split"},
                  {"pattern", {{"Regex", "\\w+"}}},
                  {"behavior", "Isolated"},
                  {"invert", false}},
                 kUnsupported, "\\\\w+");
}

TEST(TokenizerFiles, TextThatIsNoTokenizer) {
  for (const std::string text : {"", "{", "[]", "null", "{}", "\xFF\xFE"})
    EXPECT_EQ(refusal_of(text).value().code, ErrorCode::kFormat) << text;
  std::string nested;
  for (int i = 0; i < 100000; ++i) nested += "{\"normalizer\":";
  EXPECT_EQ(refusal_of(nested).value().code, ErrorCode::kFormat);
}

TEST(TokenizerFiles, NoTokenizerAtAll) {
  const test::TemporaryFolder folder;
  try {
    load_tokenizer(folder.path());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kIo);
  }
}

TEST(TokenizerFiles, BrokenSentencepieceModels) {
  std::ifstream file(SURPRISAL_SOURCE_DIR "/tests/lib/fixtures/tokenizers/llama2/tokenizer.model",
                     std::ios::binary);
  std::stringstream content;
  content << file.rdbuf();
  const std::string model = content.str();
  ASSERT_GT(model.size(), 1000u);
  for (const std::string& broken : {std::string("\x0A"), std::string("\x0A\xFF\xFF\xFF\xFF\x7F"),
                                    model.substr(0, model.size() / 2) + "\xFF\xFF"}) {
    const test::TemporaryFolder folder;
    folder.write("tokenizer.model", broken);
    EXPECT_THROW(load_tokenizer(folder.path()), Error);
  }
  const test::TemporaryFolder tiktoken;
  tiktoken.write("tokenizer.model", "IQ== 0\nIg== 1\n");
  try {
    load_tokenizer(tiktoken.path());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  }
}

TEST(TokenizerFiles, ConfigurationDecidesAboutBos) {
  const test::TemporaryFolder folder;
  folder.write("tokenizer.json", valid_file().dump());
  folder.write("tokenizer_config.json",
               R"({"bos_token": {"content": "<s>"}, "eos_token": "<s>", "add_bos_token": true})");
  folder.write("config.json", R"({"vocab_size": 9})");
  const auto tokenizer = load_tokenizer(folder.path());
  EXPECT_EQ(tokenizer->bos_token_id(), 4);
  EXPECT_THAT(tokenizer->encode("ab", true, true), ::testing::ElementsAre(4, 2));
  EXPECT_THAT(tokenizer->encode("ab", true, false), ::testing::ElementsAre(2));
  // The model has more rows than there are tokens: those are empty text.
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{8, 2}), "ab");
  EXPECT_THROW(tokenizer->decode(std::vector<TokenId>{9}), Error);
}

}  // namespace
}  // namespace surprisal
