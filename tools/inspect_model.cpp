#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "lib/files.h"
#include "lib/hdf5.h"
#include "lib/tokenizer.h"
#include "models/device.h"
#include "models/model.h"
#include "tools/program.h"

namespace surprisal {
namespace {

constexpr int64_t kChunk = 128;  // tokens per forward pass: bounds the memory of logits and maps

struct Options {
  std::string model, text, output, maps, device = "auto", dtype = "auto";
  std::vector<TokenId> token_ids;
  bool check_layers = false;
  int threads = 0;
};

constexpr struct {
  HeadStatistic statistic;
  const char* name;
  const char* units;
  const char* description;
} kHeadColumns[] = {
    {HeadStatistic::kEntropy, "entropy", "nat", "entropy of the attention distribution"},
    {HeadStatistic::kVarentropy, "varentropy", "nat^2", "variance of its surprisal"},
    {HeadStatistic::kMaxProbability, "max_probability", "1", "largest attention weight"},
    {HeadStatistic::kSinkMass, "sink_mass", "1", "attention weight on the first token"},
    {HeadStatistic::kMeanAbsScore, "mean_abs_score", "nat", "mean |raw score| over valid keys"},
    {HeadStatistic::kLogSumExp, "log_sum_exp", "nat", "log sum exp of the raw scores"},
};

constexpr struct {
  LayerStatistic statistic;
  const char* name;
  const char* description;
} kLayerColumns[] = {
    {LayerStatistic::kAgreement, "agreement",
     "1 - mean over heads of the total-variation distance to the mean head"},
    {LayerStatistic::kAgreementRescaled, "agreement_rescaled",
     "(agreement - 1/H) / (1 - 1/H), in [0, 1]"},
    {LayerStatistic::kAgreementWithoutFirst, "agreement_without_first",
     "agreement with the first token left out"},
};

std::vector<int64_t> parse_layers(const std::string& text, int64_t layers) {
  std::vector<int64_t> result;
  if (text == "all") {
    result.resize(static_cast<size_t>(layers));
    std::iota(result.begin(), result.end(), 0);
    return result;
  }
  for (const std::string& part : CLI::detail::split(text, ',')) {
    int64_t layer = -1;
    if (!CLI::detail::lexical_cast(part, layer) || layer < 0 || layer >= layers)
      throw Error(ErrorCode::kUsage, "--maps: expected 'all' or layers from 0 to " +
                                         std::to_string(layers - 1) + ", found '" + part + "'");
    if (std::find(result.begin(), result.end(), layer) == result.end()) result.push_back(layer);
  }
  return result;
}

std::span<const float> values_of(const at::Tensor& contiguous) {
  return {contiguous.const_data_ptr<float>(), static_cast<size_t>(contiguous.numel())};
}

/// The datasets of one inspection, filled chunk by chunk.
class Inspection {
 public:
  Inspection(const std::string& path, const Model& model, int64_t tokens,
             std::vector<int64_t> map_layers)
      : file_(hdf5::File::create(path)), map_layers_(std::move(map_layers)) {
    const ModelConfig& config = model.config();
    const int64_t layers = config.num_hidden_layers, heads = config.num_attention_heads;
    const hdf5::Type f32 = hdf5::Type::float32();
    logits_ = file_.create_dataset("/logits", f32, {tokens, config.vocab_size}, "nat",
                                   "logits of the token after each position");
    for (const auto& column : kHeadColumns)
      heads_.push_back(file_.create_dataset(std::string("/attention/") + column.name, f32,
                                            {tokens, layers, heads}, column.units,
                                            column.description));
    for (const auto& column : kLayerColumns)
      layers_.push_back(file_.create_dataset(std::string("/attention/") + column.name, f32,
                                             {tokens, layers}, "1", column.description));
    if (map_layers_.empty()) return;
    maps_ = file_.create_dataset("/attention/maps", f32,
                                 {static_cast<int64_t>(map_layers_.size()), heads, tokens, tokens},
                                 "1", "attention weights [layer, head, query, key], post-softmax");
    file_
        .create_dataset("/attention/map_layers", hdf5::Type::int64(),
                        {static_cast<int64_t>(map_layers_.size())}, "", "layers of the maps")
        .write(std::span<const int64_t>(map_layers_));
  }

  void write_token_ids(std::span<const TokenId> ids) {
    file_
        .create_dataset("/token_ids", hdf5::Type::int32(), {static_cast<int64_t>(ids.size())}, "",
                        "the tokens of the text")
        .write(ids);
  }

  /// @param first  position of the chunk's first token
  void write_chunk(int64_t first, const StepOutput& step) {
    logits_->write_rows(first, values_of(step.logits.cpu()));
    const at::Tensor per_head = step.attention.per_head.cpu();
    for (size_t i = 0; i < heads_.size(); ++i)
      heads_[i].write_rows(
          first,
          values_of(
              per_head.select(-1, static_cast<int64_t>(kHeadColumns[i].statistic)).contiguous()));
    const at::Tensor per_layer = step.attention.per_layer.cpu();
    for (size_t i = 0; i < layers_.size(); ++i)
      layers_[i].write_rows(
          first,
          values_of(
              per_layer.select(-1, static_cast<int64_t>(kLayerColumns[i].statistic)).contiguous()));
    for (size_t i = 0; i < map_layers_.size(); ++i) {
      const at::Tensor map = step.attention.maps[i][0].cpu().contiguous();  // [H, T, S]
      maps_->write_box({static_cast<int64_t>(i), 0, first, 0},
                       {1, map.size(0), map.size(1), map.size(2)}, values_of(map));
    }
  }

  void finish(const std::string& model, const std::string& dtype) {
    file_.attributes().set("model", model);
    file_.attributes().set("dtype", dtype);
    file_.attributes().set("tool_version", kVersion);
    logits_.reset();
    maps_.reset();
    heads_.clear();
    layers_.clear();
    file_.close();
  }

 private:
  hdf5::File file_;
  std::vector<int64_t> map_layers_;
  std::optional<hdf5::Dataset> logits_, maps_;
  std::vector<hdf5::Dataset> heads_, layers_;
};

std::vector<TokenId> token_ids_of(const Options& options) {
  if (!options.token_ids.empty()) return options.token_ids;
  std::vector<TokenId> ids = load_tokenizer(options.model)->encode(options.text, true, true);
  if (ids.empty()) throw Error(ErrorCode::kUsage, "--text: no tokens in the text");
  return ids;
}

int inspect(const Options& options) {
  if (options.token_ids.empty() == options.text.empty())
    throw Error(ErrorCode::kUsage, "give either --text or --token-ids");
  if (options.threads > 0) at::set_num_threads(options.threads);
  const std::vector<TokenId> ids = token_ids_of(options);
  const auto tokens = static_cast<int64_t>(ids.size());
  const std::unique_ptr<Model> model =
      load_model(options.model, {.dtype = options.dtype, .device = options.device});
  for (const std::string& assumption : model->config().assumptions)
    std::cerr << "note: " << assumption << "\n";
  const std::vector<int64_t> map_layers =
      options.maps.empty() ? std::vector<int64_t>{}
                           : parse_layers(options.maps, model->config().num_hidden_layers);

  const std::string temporary = options.output + ".tmp";
  Inspection inspection(temporary, *model, tokens, map_layers);
  inspection.write_token_ids(ids);
  KVCache cache = make_cache(*model, tokens, 1);
  const KVCache::SequenceId sequence = cache.create();
  for (int64_t first = 0; first < tokens; first += kChunk) {
    const auto chunk = std::span(ids).subspan(
        static_cast<size_t>(first), static_cast<size_t>(std::min(kChunk, tokens - first)));
    const ModelRow row{sequence, chunk};
    inspection.write_chunk(first, model->forward({&row, 1}, cache,
                                                 {.all_queries = true,
                                                  .attention_statistics = true,
                                                  .map_layers = map_layers,
                                                  .check_layers = options.check_layers}));
  }
  inspection.finish(options.model, dtype_name(model->dtype()));
  publish_file(temporary, options.output);
  std::cout << options.output << ": " << tokens << " tokens\n";
  return 0;
}

}  // namespace
}  // namespace surprisal

int main(int argc, char** argv) {
  surprisal::Options options;
  return surprisal::run_program(
      argc, argv,
      "One teacher-forced pass of a model over a text: logits and attention statistics of every "
      "position, as HDF5.",
      [&](CLI::App& app) {
        app.add_option("model", options.model, "Hugging Face model folder")->required();
        app.add_option("--text", options.text, "text to run, through the model's tokenizer");
        app.add_option("--token-ids", options.token_ids, "token ids to run: 1,2,3")->delimiter(',');
        app.add_option("--output", options.output, "HDF5 file to write")->required();
        app.add_option("--maps", options.maps, "attention maps: all, or layers 0,5,...");
        app.add_option("--dtype", options.dtype, "float32, bfloat16, float16, int8 (weights) or auto")
            ->capture_default_str();
        app.add_option("--device", options.device, "cpu, cuda, cuda:N or auto")
            ->capture_default_str();
        app.add_option("--threads", options.threads, "threads of LibTorch (0: its own choice)");
        app.add_flag("--check-layers", options.check_layers,
                     "on NaN, name the first layer that produced it");
      },
      [&] { return surprisal::inspect(options); });
}
