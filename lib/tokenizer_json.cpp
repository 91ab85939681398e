#include "lib/tokenizer_json.h"

#include <algorithm>

#include "lib/files.h"
#include "lib/json.h"
#include "lib/sha256.h"

namespace surprisal {
namespace {

// Several times the largest published tokenizer.json (Gemma's, 33 MB), and far more ids than any.
constexpr JsonLimits kLimits{.bytes = 256 << 20, .depth = 32};
constexpr int64_t kHighestId = 10'000'000;

using Merges = std::vector<std::pair<std::string, std::string>>;

StringMap<TokenId> read_vocabulary(const JsonPlace& place) {
  const auto& members = place.object();
  if (members.empty()) throw place.error(ErrorCode::kFormat, "the vocabulary is empty");
  StringMap<TokenId> vocabulary;
  vocabulary.reserve(members.size());
  std::vector<bool> taken;
  for (const auto& [token, value] : members) {
    const auto id = JsonPlace(value, place.where() + "['" + token + "']").integer(0, kHighestId);
    const auto at = static_cast<size_t>(id);
    if (at >= taken.size()) taken.resize(std::max(at + 1, members.size()));
    if (taken[at])
      throw place.error(ErrorCode::kFormat,
                        "two tokens have id " + std::to_string(id) + "; one is '" + token + "'");
    taken[at] = true;
    vocabulary.emplace(token, static_cast<TokenId>(id));
  }
  return vocabulary;
}

/// Both published forms of a merge: "a b" and ["a", "b"].
Merges read_merges(const JsonPlace& place) {
  Merges merges;
  merges.reserve(place.array_size());
  for (size_t i = 0; i < place.array_size(); ++i) {
    const nlohmann::json& value = place.value()[i];
    if (value.is_array()) {
      const JsonPlace pair = place.element(i);
      if (pair.array_size() != 2) throw pair.error(ErrorCode::kFormat, "expected two tokens");
      merges.emplace_back(pair.element(0).string(), pair.element(1).string());
      continue;
    }
    const std::string& text = place.element(i).string();
    if (text.starts_with("#version")) continue;  // the first line of an old merges.txt
    const size_t space = text.find(' ');
    if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos)
      throw place.element(i).error(ErrorCode::kFormat,
                                   "expected two tokens with one space between");
    merges.emplace_back(text.substr(0, space), text.substr(space + 1));
  }
  return merges;
}

void refuse_unless_empty(const JsonPlace& model, const char* key) {
  const auto member = model.find(key);
  if (member && !member->string().empty())
    throw member->error(ErrorCode::kUnsupported,
                        "this build knows BPE without it; found " + member->excerpt());
}

BpeModel read_model(const JsonPlace& place, bool byte_level) {
  const std::string type = place.string_or("type", "BPE");  // old files leave it out
  if (type != "BPE")
    throw place.error(ErrorCode::kUnsupported, "this build knows BPE models; found " + type);
  refuse_unless_empty(place, "continuing_subword_prefix");
  refuse_unless_empty(place, "end_of_word_suffix");
  if (const auto dropout = place.find("dropout");
      dropout && !(dropout->value().is_number() && dropout->value() == 0))
    throw dropout->error(ErrorCode::kUnsupported, "merging at random is not supported");

  StringMap<TokenId> vocabulary = read_vocabulary(place.at("vocab"));
  BpeModel::Options options;
  options.byte_level = byte_level;
  options.ignore_merges = place.boolean_or("ignore_merges", false);
  options.byte_fallback = place.boolean_or("byte_fallback", false);
  options.fuse_unknown = place.boolean_or("fuse_unk", false);
  if (byte_level && options.byte_fallback)
    throw place.error(ErrorCode::kUnsupported, "byte_fallback with a ByteLevel pre-tokenizer");
  if (const auto unknown = place.find("unk_token")) {
    const auto found = vocabulary.find(unknown->string());
    if (found == vocabulary.end())
      throw unknown->error(ErrorCode::kFormat,
                           "'" + unknown->string() + "' is not in the vocabulary");
    options.unknown = found->second;
  }
  try {
    return {std::move(vocabulary), read_merges(place.at("merges")), options};
  } catch (const Error& error) {
    throw Error(error.code(), place.where() + ": " + error.what());
  }
}

std::vector<AddedToken> read_added_tokens(const JsonPlace& file) {
  std::vector<AddedToken> tokens;
  const auto list = file.find("added_tokens");
  if (!list) return tokens;
  for (size_t i = 0; i < list->array_size(); ++i) {
    const JsonPlace place = list->element(i);
    tokens.push_back(read_added_token(place.value(), place.where()));
    tokens.back().id = static_cast<TokenId>(place.at("id").integer(0, kHighestId));
  }
  return tokens;
}

/// The reference does not read an added token's id: it takes the vocabulary's, or the next free
/// one. A file that says otherwise cannot be followed without guessing which was meant.
void check_added_ids(const JsonPlace& file, const std::vector<AddedToken>& tokens,
                     const BpeModel& model) {
  auto next = static_cast<TokenId>(model.vocabulary().size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto known = model.find(tokens[i].content);
    const TokenId expected = known ? *known : next++;
    if (tokens[i].id != expected)
      throw file.at("added_tokens")
          .element(i)
          .error(ErrorCode::kFormat, "'" + tokens[i].content + "' has id " +
                                         std::to_string(tokens[i].id) +
                                         "; by the vocabulary and the order of the list it is " +
                                         std::to_string(expected));
  }
}

struct Template {
  std::vector<TokenId> prefix, suffix;
};

Template read_template(const JsonPlace& place) {
  Template result;
  bool text_seen = false;
  const JsonPlace parts = place.at("single");
  for (size_t i = 0; i < parts.array_size(); ++i) {
    const JsonPlace part = parts.element(i);
    if (part.find("Sequence")) {
      if (text_seen) throw part.error(ErrorCode::kUnsupported, "a template that repeats the text");
      text_seen = true;
      continue;
    }
    const std::string& name = part.at("SpecialToken").at("id").string();
    const JsonPlace ids = place.at("special_tokens").at(name).at("ids");
    for (size_t j = 0; j < ids.array_size(); ++j)
      (text_seen ? result.suffix : result.prefix)
          .push_back(static_cast<TokenId>(ids.element(j).integer(0, kHighestId)));
  }
  if (!text_seen) throw parts.error(ErrorCode::kFormat, "expected a Sequence among the parts");
  return result;
}

Template read_post_processor(const JsonPlace& place) {
  if (place.value().is_null()) return {};
  const std::string& type = place.at("type").string();
  if (type == "TemplateProcessing") return read_template(place);
  if (type == "ByteLevel") return {};  // adjusts offsets, not ids
  if (type != "Sequence")
    throw place.error(ErrorCode::kUnsupported,
                      "this build knows the post-processors ByteLevel, TemplateProcessing and "
                      "Sequence; found " +
                          place.excerpt());
  Template result;
  const JsonPlace steps = place.at("processors");
  for (size_t i = 0; i < steps.array_size(); ++i) {
    Template step = read_post_processor(steps.element(i));
    result.prefix.insert(result.prefix.begin(), step.prefix.begin(), step.prefix.end());
    result.suffix.insert(result.suffix.end(), step.suffix.begin(), step.suffix.end());
  }
  return result;
}

const nlohmann::json& null_json() {
  static const nlohmann::json null;
  return null;
}

/// A member, or a null in its place.
JsonPlace member_or_null(const JsonPlace& file, const char* key) {
  return file.find(key).value_or(JsonPlace(null_json(), file.where() + " " + key));
}

std::string describe(const BpeTokenizerParts& parts) {
  std::string kind = parts.model.byte_level() ? "byte-level BPE" : "BPE";
  std::string words;
  for (const PreTokenizerStep& step : parts.pre_tokenizer) {
    if (std::holds_alternative<SplitNumbers>(step)) words += "digits, ";
    if (const auto* split = std::get_if<SplitWords>(&step))
      words += split->pattern == WordPattern::kGpt2   ? "gpt2, "
               : split->pattern == WordPattern::kGpt4 ? "llama3, "
                                                      : "qwen2, ";
    if (std::holds_alternative<MarkSpaces>(step)) words += "metaspace, ";
  }
  for (const NormalizerStep& step : parts.normalizer)
    words += std::holds_alternative<ComposeNfc>(step)    ? "nfc, "
             : std::holds_alternative<PrependText>(step) ? "prefix, "
                                                         : "replace, ";
  if (words.empty()) return kind;
  return kind + " (" + words.substr(0, words.size() - 2) + ")";
}

}  // namespace

BpeTokenizerParts read_tokenizer_json(const std::string& path) {
  return parse_tokenizer_json(read_file(path, kLimits.bytes), path);
}

BpeTokenizerParts parse_tokenizer_json(std::string_view text, const std::string& where) {
  const nlohmann::json json = parse_large_json(text, where, kLimits);
  const JsonPlace file(json, where + ":");
  if (const std::string version = file.string_or("version", "1.0"); version != "1.0")
    throw file.error(ErrorCode::kUnsupported, "format version '" + version + "', not 1.0");

  const JsonPlace model = file.at("model");
  PreTokenizerPlan pre_tokenizer = read_pre_tokenizer(member_or_null(file, "pre_tokenizer"));
  DecoderPlan decoder = read_decoder(member_or_null(file, "decoder"));
  if (decoder.byte_level != pre_tokenizer.byte_level)
    throw file.error(ErrorCode::kUnsupported,
                     "ByteLevel must stand in both pre_tokenizer and decoder, or in neither");
  BpeTokenizerParts parts{.model = read_model(model, pre_tokenizer.byte_level),
                          .added_tokens = read_added_tokens(file),
                          .normalizer = read_normalizer(member_or_null(file, "normalizer")),
                          .pre_tokenizer = std::move(pre_tokenizer.steps),
                          .decoder_replacements = std::move(decoder.replacements),
                          .decode_rules = decoder.rules,
                          .prefix = {},
                          .suffix = {},
                          .description = {},
                          .sha256 = sha256_hex(text)};
  check_added_ids(file, parts.added_tokens, parts.model);
  Template around = read_post_processor(member_or_null(file, "post_processor"));
  parts.prefix = std::move(around.prefix);
  parts.suffix = std::move(around.suffix);
  parts.description = describe(parts);
  return parts;
}

std::vector<AddedToken> read_tokenizer_json_added_tokens(const std::string& path) {
  const nlohmann::json json = parse_large_json(read_file(path, kLimits.bytes), path, kLimits);
  return read_added_tokens(JsonPlace(json, path + ":"));
}

}  // namespace surprisal
