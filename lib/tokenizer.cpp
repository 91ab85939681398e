#include "lib/tokenizer.h"

#include <filesystem>

#include "lib/bpe_tokenizer.h"
#include "lib/error.h"
#include "lib/files.h"
#include "lib/sentencepiece_tokenizer.h"
#include "lib/tokenizer_config.h"
#include "lib/tokenizer_json.h"

namespace surprisal {
namespace {

constexpr size_t kMaxModelBytes = 64 << 20;

/// Runs `make`; its errors say which file they are about.
template <typename Make>
auto naming(const std::string& path, const Make& make) {
  try {
    return make();
  } catch (const Error& error) {
    const std::string message = error.what();
    throw message.starts_with(path) ? error : Error(error.code(), path + ": " + message);
  }
}

}  // namespace

std::string Tokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  TextStream stream(*this, skip_special);
  std::string text;
  for (const TokenId id : ids) text += stream.push(id);
  return text + stream.finish();
}

std::unique_ptr<Tokenizer> load_tokenizer(const std::string& folder) {
  const std::string json = folder + "/tokenizer.json";
  const std::string model = folder + "/tokenizer.model";
  const bool has_json = std::filesystem::exists(json);
  const TokenizerConfig config = read_tokenizer_config(folder);
  if (std::filesystem::exists(model)) {
    const std::string content = read_file(model, kMaxModelBytes);
    if (SentencePieceTokenizer::looks_like_model(content)) {
      std::vector<AddedToken> added =
          has_json ? read_tokenizer_json_added_tokens(json) : config.added_tokens;
      return naming(model, [&] {
        return std::make_unique<SentencePieceTokenizer>(content, std::move(added), config);
      });
    }
    if (!has_json)
      throw Error(ErrorCode::kUnsupported,
                  model +
                      ": not a sentencepiece model; put the tokenizer.json of the same model "
                      "beside it");
  }
  if (!has_json)
    throw Error(ErrorCode::kIo, folder + ": expected a tokenizer.json or tokenizer.model");
  return naming(json,
                [&] { return std::make_unique<BpeTokenizer>(read_tokenizer_json(json), config); });
}

}  // namespace surprisal
