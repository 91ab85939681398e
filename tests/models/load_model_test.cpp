// Loading: what fits, what does not, and what damaged weights lead to.

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "lib/error.h"
#include "lib/files.h"
#include "lib/json.h"
#include "lib/sha256.h"
#include "models/checkpoint.h"
#include "models/device.h"
#include "tests/lib/temporary_folder.h"
#include "tests/models/support.h"
#include "tests/thrown.h"

namespace surprisal {
namespace {

using test::RawTensor;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

/// A copy of the float32 fixture whose tensors a test may change.
class Checkpoint : public ::testing::Test {
 protected:
  void SetUp() override {
    test::copy_folder(test::fixture_folder("llama"), folder_.path());
    tensors_ = test::read_raw(weights());
  }
  std::string weights() const { return folder_.path() + "/model.safetensors"; }
  std::unique_ptr<Model> load(size_t header_padding = 0) const {
    std::filesystem::remove(weights());  // a new file, not new content under an old mapping
    test::write_raw(weights(), tensors_, header_padding);
    return load_model(folder_.path(), {.dtype = "float32", .device = "cpu"});
  }
  std::string mismatch() const {
    return test::thrown(ErrorCode::kCheckpointMismatch, [&] { load(); });
  }
  void poison(const std::string& name, float value) {
    RawTensor& tensor = tensors_.at(name);
    std::memcpy(tensor.bytes.data() + 4 * 5, &value, 4);
  }

  test::TemporaryFolder folder_;
  std::map<std::string, RawTensor> tensors_;
};

at::Tensor logits_of(const Model& model) {
  test::Session session(model);
  return session.logits(session.create(), test::fixture_tokens(5));
}

TEST_F(Checkpoint, EveryMismatchIsListedInOneError) {
  tensors_.erase("model.layers.1.mlp.up_proj.weight");
  tensors_["model.layers.2.mlp.up_proj.weight"] = tensors_.at("model.norm.weight");
  tensors_.at("model.norm.weight").shape = {4, 4};
  RawTensor& wide = tensors_.at("model.layers.0.input_layernorm.weight");
  wide.dtype = "F64";
  wide.bytes.resize(wide.bytes.size() * 2);
  EXPECT_THAT(mismatch(), AllOf(HasSubstr("missing: model.layers.1.mlp.up_proj.weight [24, 16]"),
                                HasSubstr("extra: model.layers.2.mlp.up_proj.weight"),
                                HasSubstr("wrong shape: model.norm.weight: expected [16], found"),
                                HasSubstr("wrong dtype: model.layers.0.input_layernorm.weight")));
}

TEST_F(Checkpoint, ABiasTheConfigDoesNotNameIsNotIgnored) {
  tensors_["model.layers.0.self_attn.q_norm.bias"] = tensors_.at("model.norm.weight");
  EXPECT_THAT(mismatch(), HasSubstr("extra: model.layers.0.self_attn.q_norm.bias"));
}

TEST_F(Checkpoint, OldRotaryFrequenciesAreIgnored) {
  const at::Tensor expected = logits_of(*load());
  tensors_["model.layers.0.self_attn.rotary_emb.inv_freq"] = tensors_.at("model.norm.weight");
  EXPECT_TRUE(at::equal(logits_of(*load()), expected));
}

TEST_F(Checkpoint, MisalignedTensorsAreCopied) {
  const at::Tensor expected = logits_of(*load());
  for (const size_t padding : {1, 2, 3})
    EXPECT_TRUE(at::equal(logits_of(*load(padding)), expected));
}

TEST_F(Checkpoint, TensorsViewTheFileAndKeepItMapped) {
  test::write_raw(weights(), tensors_, 8 - (std::filesystem::file_size(weights()) % 8));
  at::Tensor weight;
  const RawTensor raw = tensors_.at("lm_head.weight");
  std::vector<ParameterSlot> slots;
  std::map<std::string, at::Tensor> others;
  for (const auto& [name, tensor] : tensors_)
    slots.push_back({name, tensor.shape, name == "lm_head.weight" ? &weight : &others[name]});
  load_checkpoint(folder_.path(), slots, at::kFloat, at::kCPU);
  others.clear();
  slots.clear();
  std::filesystem::remove(weights());
  EXPECT_EQ(std::memcmp(weight.const_data_ptr(), raw.bytes.data(), raw.bytes.size()), 0);
}

TEST_F(Checkpoint, NaNWeightsAreNamedByRowAndPositionAndOnRequestByLayer) {
  poison("model.layers.1.mlp.down_proj.weight", std::numeric_limits<float>::quiet_NaN());
  const std::unique_ptr<Model> model = load();
  test::Session session(*model);
  const auto a = session.create(), b = session.create();
  const std::vector<test::Session::Part> parts = {{a, {1, 2}}, {b, {3, 4, 5}}};
  EXPECT_THAT(test::thrown(ErrorCode::kNumeric, [&] { session.step(parts); }),
              AllOf(HasSubstr("row 0"), HasSubstr("position 1")));
  EXPECT_EQ(session.cache().length(a), 0) << "a failed pass leaves the sequences as they were";
  EXPECT_THAT(
      test::thrown(ErrorCode::kNumeric, [&] { session.step(parts, {.check_layers = true}); }),
      HasSubstr("layer 1"));
}

TEST_F(Checkpoint, OneBadTokenIsNamed) {
  // Token 7's embedding is damaged: only the row and position that read it are at fault.
  RawTensor& embedding = tensors_.at("model.embed_tokens.weight");
  const float infinity = std::numeric_limits<float>::infinity();
  std::memcpy(embedding.bytes.data() + 4 * 16 * 7, &infinity, 4);
  const std::unique_ptr<Model> model = load();
  test::Session session(*model);
  EXPECT_THAT(test::thrown(ErrorCode::kNumeric,
                           [&] {
                             session.step(
                                 {{session.create(), {1, 2, 3}}, {session.create(), {4, 5, 6, 7}}},
                                 {.all_queries = true});
                           }),
              AllOf(HasSubstr("row 1"), HasSubstr("position 3")));
}

TEST_F(Checkpoint, BadRequestsAreRefused) {
  const std::unique_ptr<Model> model = load();
  test::Session session(*model);
  const auto step = [&](std::vector<TokenId> tokens, ForwardRequest request = {}) {
    return [&session, tokens, request] { session.step({{session.create(), tokens}}, request); };
  };
  EXPECT_THAT(test::thrown(ErrorCode::kConfig, step({1, 260})), HasSubstr("260"));
  EXPECT_THAT(test::thrown(ErrorCode::kConfig, step({-1})), HasSubstr("-1"));
  EXPECT_THAT(test::thrown(ErrorCode::kConfig, step(std::vector<TokenId>(129, 1))),
              AllOf(HasSubstr("129"), HasSubstr("128")));
  EXPECT_THAT(test::thrown(ErrorCode::kConfig, step({1}, {.map_layers = {2}})), HasSubstr("2"));
  test::thrown(ErrorCode::kInternal, step({}));
  const auto twice = session.create();
  test::thrown(ErrorCode::kInternal, [&] { session.step({{twice, {1}}, {twice, {2}}}); });
  test::Session small(*model, 1);
  test::thrown(ErrorCode::kInternal, [&] {
    small.step({{small.create(), std::vector<TokenId>(17, 1)}});
  });
}

TEST_F(Checkpoint, DamagedFilesAreRefused) {
  const auto load_folder = [&] { load_model(folder_.path(), {.device = "cpu"}); };
  std::filesystem::resize_file(weights(), std::filesystem::file_size(weights()) - 1);
  EXPECT_THAT(test::thrown(ErrorCode::kFormat, load_folder), HasSubstr("model.safetensors"));
  std::filesystem::resize_file(weights(), 0);
  EXPECT_THAT(test::thrown(ErrorCode::kFormat, load_folder), HasSubstr("model.safetensors"));
  std::filesystem::remove(weights());
  EXPECT_THAT(test::thrown(ErrorCode::kIo, load_folder), HasSubstr("model.safetensors"));
  EXPECT_THAT(test::thrown(ErrorCode::kIo, [] { load_model("/nowhere", {}); }),
              HasSubstr("/nowhere"));
}

TEST_F(Checkpoint, ProvenanceHashesTheWeightsOnceAndNoticesAChange) {
  const ModelProvenance first = model_provenance(folder_.path());
  EXPECT_EQ(first.weights_sha256, sha256_hex(sha256_file(weights())));
  EXPECT_THAT(first.provenance, HasSubstr("random weights"));
  const std::string cache = folder_.path() + "/surprisal_hashes.json";
  ASSERT_TRUE(std::filesystem::exists(cache));
  const auto written = std::filesystem::last_write_time(cache);
  EXPECT_EQ(model_provenance(folder_.path()).weights_sha256, first.weights_sha256);
  EXPECT_EQ(std::filesystem::last_write_time(cache), written) << "not hashed again";
  poison("lm_head.weight", 1);
  load();
  EXPECT_NE(model_provenance(folder_.path()).weights_sha256, first.weights_sha256);
  folder_.write("surprisal_hashes.json", "{\"model.safetensors\": 3}");  // damaged: made anew
  EXPECT_NE(model_provenance(folder_.path()).weights_sha256, first.weights_sha256);
  folder_.write("surprisal_provenance.json", "{}");
  EXPECT_THAT(test::thrown(ErrorCode::kFormat, [&] { model_provenance(folder_.path()); }),
              HasSubstr("surprisal_provenance.json"));
}

TEST(Placement, NamesAreResolvedOrRefused) {
  EXPECT_EQ(resolve_device("cpu"), at::Device(at::kCPU));
  EXPECT_EQ(resolve_dtype("auto", at::kCPU), at::kFloat);
  EXPECT_EQ(resolve_dtype("auto", at::Device(at::kCUDA, 0)), at::kBFloat16);
  EXPECT_EQ(resolve_dtype("float16", at::kCPU), at::kHalf);
  EXPECT_EQ(resolve_dtype("int8", at::kCPU), at::kChar);
  EXPECT_EQ(dtype_name(at::kChar), "int8");
  EXPECT_THROW(resolve_dtype("int8", at::Device(at::kCUDA, 0)), Error);
  EXPECT_THROW(choose_placement({}, {.dtype = "int8", .device = "cpu", .reference = true}), Error);
  for (const char* name : {"gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", ""})
    EXPECT_THAT(test::thrown(ErrorCode::kConfig, [&] { resolve_device(name); }),
                HasSubstr("unknown device"));
  EXPECT_THAT(test::thrown(ErrorCode::kConfig, [] { resolve_dtype("flaot32", at::kCPU); }),
              AllOf(HasSubstr("did you mean"), HasSubstr("float32")));
}

TEST(Placement, AskingForAGpuWithoutOneSaysWhy) {
  if (resolve_device("auto").is_cuda()) GTEST_SKIP() << "this machine has a GPU";
  EXPECT_THAT(test::thrown(ErrorCode::kUnsupported, [] { resolve_device("cuda"); }),
              AllOf(HasSubstr("device cuda: "), HasSubstr("use device: cpu")));
}

/// Bytes of this process that are in memory.
int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  int64_t size = 0, resident = 0;
  file >> size >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

// A checkpoint of Llama-3.1-8B's shapes, all zeros and a hole on the disk: opening it maps it.
TEST(LoadModel, OpensEightBillionParametersWithoutReadingThem) {
  constexpr int64_t kLayers = 32, kEmbedding = 4096, kInner = 14336, kVocabulary = 128256;
  constexpr int64_t kKeys = 1024, kBytesRead = int64_t{64} << 20;
  constexpr double kSeconds = 2;
  test::TemporaryFolder folder;
  Json config = read_json_file(test::fixture_folder("llama") + "/config.json", {});
  for (const auto& [key, value] : {std::pair{"num_hidden_layers", kLayers},
                                   {"hidden_size", kEmbedding},
                                   {"intermediate_size", kInner},
                                   {"vocab_size", kVocabulary},
                                   {"num_attention_heads", 32L},
                                   {"num_key_value_heads", 8L},
                                   {"head_dim", 128L}})
    config[key] = value;
  for (const char* bias : {"attention_bias", "mlp_bias"}) config[bias] = false;
  write_file_atomically(folder.path() + "/config.json", config.dump());

  Json header = Json::object();
  int64_t end = 0;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    const int64_t begin = end;
    int64_t bytes = 2;
    for (const int64_t n : shape) bytes *= n;
    end += bytes;
    header[name] = {{"dtype", "BF16"}, {"shape", shape}, {"data_offsets", {begin, end}}};
  };
  add("model.embed_tokens.weight", {kVocabulary, kEmbedding});
  for (int64_t i = 0; i < kLayers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    for (const char* part : {"q_proj", "o_proj"})
      add(layer + "self_attn." + part + ".weight", {kEmbedding, kEmbedding});
    for (const char* part : {"k_proj", "v_proj"})
      add(layer + "self_attn." + part + ".weight", {kKeys, kEmbedding});
    for (const char* part : {"gate_proj", "up_proj"})
      add(layer + "mlp." + part + ".weight", {kInner, kEmbedding});
    add(layer + "mlp.down_proj.weight", {kEmbedding, kInner});
    for (const char* part : {"input_layernorm", "post_attention_layernorm"})
      add(layer + part + ".weight", {kEmbedding});
  }
  add("model.norm.weight", {kEmbedding});
  add("lm_head.weight", {kVocabulary, kEmbedding});
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  const auto length = static_cast<uint64_t>(text.size());
  const std::string path = folder.path() + "/model.safetensors";
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(&length), 8) << text;
  std::filesystem::resize_file(path, 8 + length + static_cast<uint64_t>(end));

  for (const std::string dtype : {"float32", "bfloat16"}) {
    const int64_t before = resident_bytes();
    const auto start = std::chrono::steady_clock::now();
    const auto model = load_model(folder.path(), {.dtype = dtype, .device = "cpu"});
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    EXPECT_LT(taken.count(), kSeconds) << dtype;
    EXPECT_LT(resident_bytes() - before, kBytesRead) << dtype;
  }
}

}  // namespace
}  // namespace surprisal
