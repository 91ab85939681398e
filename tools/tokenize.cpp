// tokenize MODEL: text to token ids and back, one JSON object a line.

#include <memory>

#include "lib/chat_template.h"
#include "lib/json.h"
#include "lib/json_place.h"
#include "lib/tokenizer.h"
#include "tools/program.h"

namespace surprisal {
namespace {

constexpr const char* kDescription =
    "Reads JSON lines and writes JSON lines with a model folder's own tokenizer:\n"
    "  {\"text\": \"...\"}      ->  {\"ids\": [...]}\n"
    "  {\"ids\": [...]}       ->  {\"text\": \"...\"}\n"
    "  {\"messages\": [{\"role\": \"user\", \"content\": \"...\"}]}\n"
    "                       ->  {\"text\": \"...\", \"ids\": [...]}   (chat template)\n"
    "A text may also carry \"parse_special\" (else --special) and \"add_special\" (put BOS and "
    "the\n"
    "like around it; else false), ids \"skip_special\" (else false), messages\n"
    "\"add_generation_prompt\" (else true). A line that cannot be served is answered by\n"
    "{\"error\": {\"code\", \"message\"}}, and the next one is read.";

class LineServer {
 public:
  LineServer(std::string folder, bool parse_special)
      : folder_(std::move(folder)),
        parse_special_(parse_special),
        tokenizer_(load_tokenizer(folder_)) {}

  Json answer(std::string_view line) {
    const nlohmann::json json = parse_large_json(line, "input", {});
    const JsonPlace request(json, "input:");
    if (request.find("text")) return encode(request);
    if (request.find("ids")) return decode(request);
    if (request.find("messages")) return render(request);
    throw request.error(ErrorCode::kConfig, "expected one of the keys text, ids, messages");
  }

 private:
  Json encode(const JsonPlace& request) const {
    refuse_other_keys(request, {"text", "parse_special", "add_special"});
    return {{"ids", tokenizer_->encode(request.at("text").string(),
                                       request.boolean_or("parse_special", parse_special_),
                                       request.boolean_or("add_special", false))}};
  }

  Json decode(const JsonPlace& request) const {
    refuse_other_keys(request, {"ids", "skip_special"});
    const JsonPlace list = request.at("ids");
    std::vector<TokenId> ids(list.array_size());
    for (size_t i = 0; i < ids.size(); ++i)
      ids[i] = static_cast<TokenId>(list.element(i).integer(0, INT32_MAX));
    return {{"text", tokenizer_->decode(ids, request.boolean_or("skip_special", false))}};
  }

  Json render(const JsonPlace& request) {
    refuse_other_keys(request, {"messages", "add_generation_prompt"});
    std::vector<ChatMessage> messages;
    const JsonPlace list = request.at("messages");
    for (size_t i = 0; i < list.array_size(); ++i) {
      const JsonPlace message = list.element(i);
      refuse_other_keys(message, {"role", "content"});
      messages.push_back({message.at("role").string(), message.at("content").string()});
    }
    if (!chat_template_) chat_template_ = load_chat_template(folder_);
    const std::string text =
        chat_template_->render(messages, request.boolean_or("add_generation_prompt", true));
    // The template writes BOS itself where the model wants one.
    return {{"text", text},
            {"ids", tokenizer_->encode(text, /*parse_special=*/true, /*add_special=*/false)}};
  }

  static void refuse_other_keys(const JsonPlace& object, const std::vector<std::string>& known) {
    for (const auto& [key, value] : object.object())
      if (std::find(known.begin(), known.end(), key) == known.end())
        throw unknown_name_error("key", key, known, object.where());
  }

  std::string folder_;
  bool parse_special_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<ChatTemplate> chat_template_;  // read when first needed
};

int serve(LineServer& server) {
  for (std::string line; std::getline(std::cin, line);) {
    if (line.empty()) continue;
    Json answer;
    try {
      answer = server.answer(line);
    } catch (const Error& error) {
      answer = {{"error", {{"code", error_code_name(error.code())}, {"message", error.what()}}}};
    }
    std::cout << dump_line(answer) << std::endl;  // flushed: another program may be waiting
  }
  return 0;
}

}  // namespace
}  // namespace surprisal

int main(int argc, char** argv) {
  std::string folder;
  bool parse_special = false;
  return surprisal::run_program(
      argc, argv, surprisal::kDescription,
      [&](CLI::App& app) {
        app.add_option("MODEL", folder, "a Hugging Face model folder")->required();
        app.add_flag("--special", parse_special,
                     "text that spells a special token becomes that token (else plain text)");
      },
      [&] {
        std::ios::sync_with_stdio(false);
        surprisal::LineServer server(folder, parse_special);
        return surprisal::serve(server);
      });
}
