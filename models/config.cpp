#include "models/config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>

#include "lib/error.h"

namespace surprisal {
namespace {

constexpr int64_t kMaxExtent = int64_t{1}
                               << 30;  // of any size in a config: keeps products in range
constexpr int64_t kMaxLayers = 4096;
constexpr JsonLimits kConfigLimits{.bytes = 16 << 20, .depth = 32};

/// Reads one JSON object of a config file; a failure names the file and the key.
class ConfigReader {
 public:
  ConfigReader(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object_.is_object()) throw Error(ErrorCode::kFormat, where_ + ": expected an object");
  }

  bool has(const std::string& key) const {
    return object_.contains(key) && !object_.at(key).is_null();
  }
  const Json& value(const std::string& key) const { return object_.at(key); }

  Error wrong(const std::string& key, const std::string& expected) const {
    const std::string found = object_.contains(key) ? object_.at(key).dump() : "nothing";
    return Error(ErrorCode::kFormat, where_ + ": " + key + ": expected " + expected + ", found " +
                                         found.substr(0, 200));
  }
  Error unsupported(const std::string& key, const std::string& served) const {
    return Error(ErrorCode::kUnsupported, where_ + ": " + key + ": " +
                                              value(key).dump().substr(0, 200) +
                                              " is not served here; served: " + served);
  }

  int64_t integer(const std::string& key, int64_t min = 1, int64_t max = kMaxExtent) const {
    const std::string range =
        "an integer from " + std::to_string(min) + " to " + std::to_string(max);
    if (!has(key) || !value(key).is_number_integer()) throw wrong(key, range);
    const Json& number = value(key);
    if (number.is_number_unsigned() && number.get<uint64_t>() > static_cast<uint64_t>(max))
      throw wrong(key, range);
    if (number.get<int64_t>() < min) throw wrong(key, range);
    return number.get<int64_t>();
  }
  /// A finite number > 0.
  double positive(const std::string& key) const {
    if (!has(key) || !value(key).is_number()) throw wrong(key, "a positive number");
    const double number = value(key).get<double>();
    if (!std::isfinite(number) || number <= 0) throw wrong(key, "a positive number");
    return number;
  }
  bool boolean(const std::string& key, bool absent) const {
    if (!has(key)) return absent;
    if (!value(key).is_boolean()) throw wrong(key, "true or false");
    return value(key).get<bool>();
  }
  std::string text(const std::string& key) const {
    if (!has(key) || !value(key).is_string()) throw wrong(key, "a text");
    return value(key).get<std::string>();
  }
  /// One token id or a list of them; none when absent.
  std::vector<int64_t> token_ids(const std::string& key) const {
    if (!has(key)) return {};
    const Json list = value(key).is_array() ? value(key) : Json::array({value(key)});
    std::vector<int64_t> ids;
    for (const Json& id : list) {
      if (!id.is_number_unsigned() || id.get<uint64_t>() > static_cast<uint64_t>(kMaxExtent))
        throw wrong(key, "a token id or a list of them");
      ids.push_back(id.get<int64_t>());
    }
    return ids;
  }

  const Json& object() const { return object_; }
  const std::string& where() const { return where_; }

 private:
  const Json& object_;
  std::string where_;
};

/// Notes that `key` is absent and that transformers' default was taken.
void assume(ModelConfig& config, const std::string& where, const std::string& key,
            const std::string& value) {
  config.assumptions.push_back(where + ": " + key + " is absent; " + value +
                               " assumed, as transformers does");
}

RopeConfig::Type rope_type(const ConfigReader& rope) {
  const std::string key = rope.has("rope_type") ? "rope_type" : "type";
  if (!rope.has(key)) return RopeConfig::Type::kDefault;
  const std::string name = rope.text(key);
  if (name == "default") return RopeConfig::Type::kDefault;
  if (name == "linear") return RopeConfig::Type::kLinear;
  if (name == "dynamic") return RopeConfig::Type::kDynamic;
  if (name == "llama3") return RopeConfig::Type::kLlama3;
  if (name == "yarn") return RopeConfig::Type::kYarn;
  throw rope.unsupported(key, "default, linear, dynamic, llama3, yarn");
}

/// A key nobody reads might change the result: it is refused.
void check_rope_keys(const ConfigReader& rope, RopeConfig::Type type) {
  std::vector<std::string> known = {"rope_type", "type", "rope_theta", "partial_rotary_factor"};
  const auto add = [&](std::initializer_list<const char*> keys) {
    known.insert(known.end(), keys.begin(), keys.end());
  };
  if (type != RopeConfig::Type::kDefault) add({"factor", "original_max_position_embeddings"});
  if (type == RopeConfig::Type::kLlama3) add({"low_freq_factor", "high_freq_factor"});
  if (type == RopeConfig::Type::kYarn)
    add({"beta_fast", "beta_slow", "attention_factor", "mscale", "mscale_all_dim", "truncate",
         "finetuned"});
  for (const auto& [key, value] : rope.object().items())
    if (!value.is_null() && std::find(known.begin(), known.end(), key) == known.end())
      throw Error(ErrorCode::kUnsupported,
                  rope.where() + ": unknown key '" + key.substr(0, 200) + "' for this rope_type");
}

void read_rope(const ConfigReader& top, ModelConfig& config) {
  const bool v5 = top.has("rope_parameters");
  const std::string key = v5 ? "rope_parameters" : "rope_scaling";
  static const Json kNone = Json::object();
  const ConfigReader rope(top.has(key) ? top.value(key) : kNone, top.where() + ": " + key);
  RopeConfig& out = config.rope;
  out.type = rope_type(rope);
  check_rope_keys(rope, out.type);
  for (const ConfigReader* reader : {&top, &rope})
    if (reader->has("partial_rotary_factor") && reader->positive("partial_rotary_factor") != 1)
      throw reader->unsupported("partial_rotary_factor", "1");

  if (rope.has("rope_theta"))
    out.theta = rope.positive("rope_theta");
  else if (top.has("rope_theta"))
    out.theta = top.positive("rope_theta");
  else
    assume(config, top.where(), "rope_theta", "10000");
  if (out.type == RopeConfig::Type::kDefault) return;

  out.factor = rope.positive("factor");
  if (out.type == RopeConfig::Type::kLlama3 || out.type == RopeConfig::Type::kYarn) {
    if (rope.has("original_max_position_embeddings")) {
      out.original_max_position_embeddings = rope.integer("original_max_position_embeddings");
    } else {
      out.original_max_position_embeddings = config.max_position_embeddings;
      assume(config, rope.where(), "original_max_position_embeddings",
             "max_position_embeddings (" + std::to_string(config.max_position_embeddings) + ")");
    }
  }
  if (out.type == RopeConfig::Type::kLlama3) {
    out.low_freq_factor = rope.positive("low_freq_factor");
    out.high_freq_factor = rope.positive("high_freq_factor");
    if (out.high_freq_factor <= out.low_freq_factor)
      throw rope.wrong("high_freq_factor", "more than low_freq_factor");
  }
  if (out.type == RopeConfig::Type::kYarn) {
    // The paper's constants where the file is silent: published yarn configs leave them out.
    if (rope.has("beta_fast")) out.beta_fast = rope.positive("beta_fast");
    if (rope.has("beta_slow")) out.beta_slow = rope.positive("beta_slow");
    if (rope.has("attention_factor")) out.attention_factor = rope.positive("attention_factor");
    if (rope.has("mscale")) out.mscale = rope.positive("mscale");
    if (rope.has("mscale_all_dim")) out.mscale_all_dim = rope.positive("mscale_all_dim");
    out.truncate = rope.boolean("truncate", true);
    if (out.theta <= 1) throw top.wrong("rope_theta", "more than 1 with yarn");
  }
  if (out.type == RopeConfig::Type::kDynamic && config.head_dim <= 2)
    throw top.wrong("head_dim", "more than 2 with dynamic rope");
}

/// Which layers see only a sliding window, by the rules of each architecture
/// (transformers configuration_mistral.py, configuration_qwen2.py).
void read_windows(const ConfigReader& top, ModelConfig& config) {
  config.attention_windows.assign(static_cast<size_t>(config.num_hidden_layers), 0);
  int64_t window = top.has("sliding_window") ? top.integer("sliding_window") : 0;
  int64_t first = 0;
  if (config.model_type == "mistral") {
    if (!top.object().contains("sliding_window")) {
      window = 4096;
      assume(config, top.where(), "sliding_window", "4096");
    }
  } else if (config.model_type == "qwen2") {
    if (!top.boolean("use_sliding_window", false)) window = 0;
    if (window != 0) first = top.integer("max_window_layers", 0, kMaxLayers);
  } else if (window != 0) {
    throw top.unsupported("sliding_window", "null for model_type " + config.model_type);
  }
  const bool typed = top.has("layer_types");
  if (typed && (!top.value("layer_types").is_array() ||
                top.value("layer_types").size() != config.attention_windows.size()))
    throw top.wrong("layer_types", "one text per layer");
  for (size_t layer = 0; layer < config.attention_windows.size(); ++layer) {
    bool sliding = window != 0 && static_cast<int64_t>(layer) >= first;
    if (typed && config.model_type != "mistral") {
      const Json& type = top.value("layer_types")[layer];
      if (type != "full_attention" && type != "sliding_attention")
        throw top.unsupported("layer_types", "full_attention, sliding_attention");
      sliding = type == "sliding_attention";
      if (sliding && window == 0)
        throw top.wrong("sliding_window", "a window for the layers of type sliding_attention");
    }
    if (sliding) config.attention_windows[layer] = window;
  }
}

void read_sizes(const ConfigReader& top, ModelConfig& config) {
  config.vocab_size = top.integer("vocab_size");
  config.hidden_size = top.integer("hidden_size");
  config.intermediate_size = top.integer("intermediate_size");
  config.num_hidden_layers = top.integer("num_hidden_layers", 1, kMaxLayers);
  config.num_attention_heads = top.integer("num_attention_heads");
  config.max_position_embeddings = top.integer("max_position_embeddings");
  config.num_key_value_heads = top.has("num_key_value_heads") ? top.integer("num_key_value_heads")
                                                              : config.num_attention_heads;
  if (config.num_attention_heads % config.num_key_value_heads != 0)
    throw top.wrong("num_key_value_heads", "a divisor of num_attention_heads (" +
                                               std::to_string(config.num_attention_heads) + ")");
  if (top.has("head_dim")) {
    config.head_dim = top.integer("head_dim");
  } else {
    if (config.hidden_size % config.num_attention_heads != 0)
      throw top.wrong("head_dim", "it, as num_attention_heads does not divide hidden_size");
    config.head_dim = config.hidden_size / config.num_attention_heads;
  }
  if (config.head_dim % 2 != 0) throw top.wrong("head_dim", "an even number");
}

void add_token_ids(std::vector<int64_t>& ids, const std::vector<int64_t>& more) {
  for (const int64_t id : more)
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
}

}  // namespace

int64_t ModelConfig::context_length() const {
  // Ref: vllm-project/vllm vllm/config (derived_max_model_len): the trained length times the
  // factor.
  const auto stretched = [&](int64_t trained) {
    return std::max(max_position_embeddings,
                    static_cast<int64_t>(std::floor(static_cast<double>(trained) * rope.factor)));
  };
  switch (rope.type) {
    case RopeConfig::Type::kLinear:
    case RopeConfig::Type::kDynamic:
      return stretched(max_position_embeddings);
    case RopeConfig::Type::kYarn:
      return stretched(rope.original_max_position_embeddings);
    default:
      return max_position_embeddings;
  }
}

ModelConfig parse_model_config(const Json& json, const std::string& where) {
  const ConfigReader top(json, where);
  ModelConfig config;
  config.model_type = top.text("model_type");
  static constexpr std::array<std::string_view, 3> kServed = {"llama", "mistral", "qwen2"};
  if (std::find(kServed.begin(), kServed.end(), config.model_type) == kServed.end())
    throw top.unsupported("model_type", "llama, mistral, qwen2");
  if (top.has("quantization_config"))
    throw top.unsupported("quantization_config", "weights in float32, float16 or bfloat16");
  if (top.boolean("rope_interleaved", false)) throw top.unsupported("rope_interleaved", "false");
  if (!top.has("hidden_act"))
    assume(config, where, "hidden_act", "silu");
  else if (top.text("hidden_act") != "silu")
    throw top.unsupported("hidden_act", "silu");

  read_sizes(top, config);
  if (top.has("rms_norm_eps")) {
    config.rms_norm_eps = top.positive("rms_norm_eps");
  } else {
    config.rms_norm_eps = 1e-6;
    assume(config, where, "rms_norm_eps", "1e-6");
  }
  // Absent means false in all three architectures; the checkpoint's tensors must agree.
  config.tie_word_embeddings = top.boolean("tie_word_embeddings", false);
  if (config.model_type == "llama") {
    config.attention_bias = top.boolean("attention_bias", false);
    config.mlp_bias = top.boolean("mlp_bias", false);
  }
  config.qkv_bias = config.model_type == "qwen2";
  const std::string dtype_key = top.has("dtype") ? "dtype" : "torch_dtype";
  if (top.has(dtype_key)) config.torch_dtype = top.text(dtype_key);
  read_rope(top, config);
  read_windows(top, config);
  config.bos_token_ids = top.token_ids("bos_token_id");
  config.eos_token_ids = top.token_ids("eos_token_id");
  return config;
}

ModelConfig load_model_config(const std::string& folder) {
  const std::string path = folder + "/config.json";
  if (!std::filesystem::exists(path))
    throw Error(ErrorCode::kIo,
                path +
                    ": no such file; expected a Hugging Face model folder with config.json, "
                    "*.safetensors and a tokenizer");
  ModelConfig config = parse_model_config(read_json_file(path, kConfigLimits), path);
  const std::string generation = folder + "/generation_config.json";
  if (std::filesystem::exists(generation)) {
    const Json json = read_json_file(generation, kConfigLimits);
    const ConfigReader reader(json, generation);
    add_token_ids(config.bos_token_ids, reader.token_ids("bos_token_id"));
    add_token_ids(config.eos_token_ids, reader.token_ids("eos_token_id"));
  }
  return config;
}

}  // namespace surprisal
