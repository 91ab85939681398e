#include "lib/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "lib/error.h"
#include "lib/files.h"
#include "lib/json.h"
#include "tests/lib/temporary_folder.h"
#include "tests/real_data.h"

namespace surprisal {
namespace {

using ::testing::HasSubstr;

const std::string kFixtures = SURPRISAL_SOURCE_DIR "/tests/lib/fixtures/chat/";
constexpr const char* kTokens = R"({"bos_token": "<s>", "eos_token": {"content": "</s>"}})";

std::vector<ChatMessage> read_messages(const Json& json) {
  std::vector<ChatMessage> messages;
  for (const Json& message : json)
    messages.push_back({message["role"].get<std::string>(), message["content"].get<std::string>()});
  return messages;
}

Error refusal(const test::TemporaryFolder& folder) {
  try {
    load_chat_template(folder.path());
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "accepted";
  return {ErrorCode::kInternal, ""};
}

TEST(ChatTemplate, RendersWhatTransformersDoes) {
  std::ifstream cases(kFixtures + "cases.jsonl");
  std::map<std::string, std::unique_ptr<ChatTemplate>> templates;
  int refused = 0;
  for (std::string line; std::getline(cases, line);) {
    const Json json = parse_json(line, "cases.jsonl");
    auto& chat_template = templates[json["template"].get<std::string>()];
    if (!chat_template) {
      const test::TemporaryFolder folder;
      folder.write("chat_template.jinja",
                   read_file(kFixtures + json["template"].get<std::string>(), 1 << 20));
      folder.write("tokenizer_config.json", kTokens);
      chat_template = load_chat_template(folder.path());
    }
    const auto messages = read_messages(json["messages"]);
    if (json["expect"].is_null()) {
      ++refused;
      EXPECT_THROW(chat_template->render(messages, json["add_generation_prompt"]), Error) << line;
    } else {
      EXPECT_EQ(chat_template->render(messages, json["add_generation_prompt"]),
                json["expect"].get<std::string>())
          << line;
    }
  }
  EXPECT_EQ(templates.size(), 8u);
  EXPECT_GE(refused, 10);
}

TEST(ChatTemplate, IsRecognisedByItsText) {
  const std::map<std::string, std::string> names = {
      {"chatml_default_system", "chatml"}, {"chatml_tools", "chatml"},
      {"llama3_dated", "llama-3"},         {"llama3_plain", "llama-3"},
      {"llama2_system", "llama-2"},        {"mistral_first", "mistral"},
      {"mistral_counting", "mistral"},     {"zephyr_lines", "zephyr"}};
  for (const auto& [file, name] : names) {
    const test::TemporaryFolder folder;
    folder.write("chat_template.jinja", read_file(kFixtures + file + ".jinja", 1 << 20));
    EXPECT_EQ(load_chat_template(folder.path())->name(), name);
  }
}

TEST(ChatTemplate, UnknownOnesSayHowToSupplyOne) {
  const test::TemporaryFolder folder;
  EXPECT_EQ(refusal(folder).code(), ErrorCode::kUnsupported);
  folder.write("tokenizer_config.json",
               R"({"chat_template": "{% for m in messages %}[{{ m.role }}]{% endfor %}"})");
  EXPECT_EQ(refusal(folder).code(), ErrorCode::kUnsupported);
  EXPECT_THAT(refusal(folder).what(), HasSubstr("surprisal_chat_format.json"));
  folder.write("chat_template.jinja", "<|im_start|><|im_end|>{% for m in messages %}");
  EXPECT_EQ(refusal(folder).code(), ErrorCode::kFormat);
}

TEST(ChatTemplate, OfAListTheDefaultOneIsTaken) {
  const test::TemporaryFolder folder;
  folder.write("tokenizer_config.json", R"({"chat_template": [
    {"name": "tool_use", "template": "?"},
    {"name": "default", "template": "<|im_start|>{{ messages[0].content }}<|im_end|>"}]})");
  const ChatMessage message{"user", "Hi"};
  EXPECT_EQ(load_chat_template(folder.path())->render({&message, 1}, true),
            "<|im_start|>Hi<|im_end|>");
}

TEST(ChatTemplate, OwnFormatsGoFirst) {
  const test::TemporaryFolder folder;
  folder.write("tokenizer_config.json", kTokens);
  folder.write("chat_template.jinja", "unknown");
  const std::vector<ChatMessage> messages = {
      {"system", "Be."}, {"user", "Hi"}, {"assistant", "Yes?"}, {"user", "Why"}};
  const auto render = [&](const std::string& format, bool with_system) {
    folder.write("surprisal_chat_format.json", format);
    return load_chat_template(folder.path())
        ->render(std::span(messages).subspan(with_system ? 0 : 1), true);
  };
  EXPECT_EQ(render(R"({"format": "chatml"})", true),
            "<|im_start|>system\nBe.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
            "<|im_start|>assistant\nYes?<|im_end|>\n<|im_start|>user\nWhy<|im_end|>\n"
            "<|im_start|>assistant\n");
  EXPECT_EQ(render(R"({"format": "llama-3"})", true),
            "<s><|start_header_id|>system<|end_header_id|>\n\nBe.<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\nYes?<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nWhy<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n");
  EXPECT_EQ(render(R"({"format": "llama-2"})", true),
            "<s>[INST] <<SYS>>\nBe.\n<</SYS>>\n\nHi [/INST] Yes? </s><s>[INST] Why [/INST]");
  EXPECT_EQ(render(R"({"format": "mistral"})", false),
            "<s>[INST] Hi [/INST]Yes?</s>[INST] Why [/INST]");
  EXPECT_EQ(render(R"({"format": "zephyr"})", true),
            "<|system|>\nBe.</s>\n<|user|>\nHi</s>\n<|assistant|>\nYes?</s>\n<|user|>\nWhy</s>\n"
            "<|assistant|>\n");
  EXPECT_EQ(render(R"({"template": "{{ messages[0].content }}!"})", true), "Be.!");
  EXPECT_THROW(render(R"({"format": "chat-ml"})", true), Error);
  EXPECT_THROW(render(R"({"format": "mistral"})", true), Error);  // it has no system turn
}

TEST(ChatTemplate, SmolLm2PutsItsSystemPromptFirst) {
  const auto model = test::real_model();
  if (!model) GTEST_SKIP() << test::kNoRealModel;
  const auto chat_template = load_chat_template(model->string());
  EXPECT_EQ(chat_template->name(), "chatml");
  const ChatMessage message{"user", "Hi"};
  EXPECT_EQ(chat_template->render({&message, 1}, true),
            "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
            "Face<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
}

}  // namespace
}  // namespace surprisal
