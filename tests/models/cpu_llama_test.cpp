// The fast CPU model against the plain one, and against itself: the same bits however a token's
// work is cut up.

#include "models/cpu/cpu_llama.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "lib/error.h"
#include "lib/json.h"
#include "models/llama.h"
#include "tests/lib/temporary_folder.h"
#include "tests/models/support.h"

namespace surprisal {
namespace {

using test::Session;

// float32 in another order of sums, over two layers; logits have a spread of 2.5.
constexpr double kTolerance = 2e-5;

class Threads {
 public:
  explicit Threads(int count) : before_(at::get_num_threads()) { at::set_num_threads(count); }
  ~Threads() { at::set_num_threads(before_); }

 private:
  int before_;
};

std::vector<TokenId> random_tokens(std::mt19937& generator, int64_t vocabulary, size_t count) {
  std::uniform_int_distribution<TokenId> any(0, static_cast<TokenId>(vocabulary - 1));
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens) token = any(generator);
  return tokens;
}

class CpuLlamaTest : public ::testing::TestWithParam<std::tuple<std::string, CpuPath>> {
 protected:
  CpuLlamaTest()
      : folder_(test::fixture_folder(std::get<0>(GetParam()))),
        model_(folder_, load_model_config(folder_), at::kFloat, std::get<1>(GetParam())),
        rounding_(folder_, load_model_config(folder_), at::kBFloat16, std::get<1>(GetParam())),
        int8_(folder_, load_model_config(folder_), at::kChar, std::get<1>(GetParam())) {}

  std::string folder_;
  CpuLlama model_, rounding_, int8_;  // float32, with products in bfloat16, with weights in int8
};

TEST_P(CpuLlamaTest, EqualsThePlainModelOverRandomRaggedBatches) {
  const Threads one(1);  // the oracle's products are too small to share
  const Llama plain(folder_, load_model_config(folder_), at::kFloat, at::kCPU);
  Session fast_session(model_, 256), plain_session(plain, 256);
  std::mt19937 generator(7);
  // Dynamic RoPE turns earlier keys by the frequencies of their time, in both alike.
  std::vector<KVCache::SequenceId> sequences;
  for (int round = 0; round < 12; ++round) {
    if (round % 3 == 0) {
      sequences.push_back(fast_session.create());
      ASSERT_EQ(plain_session.create(), sequences.back());
    } else if (round % 3 == 1) {
      sequences.push_back(fast_session.cache().fork(sequences[0]));
      ASSERT_EQ(plain_session.cache().fork(sequences[0]), sequences.back());
    }
    std::vector<Session::Part> parts;
    for (const KVCache::SequenceId sequence : sequences) {
      const size_t count = generator() % 4 == 0 ? 1 + generator() % 20 : 1;
      const int64_t left = model_.config().context_length() - fast_session.cache().length(sequence);
      if (left < static_cast<int64_t>(count)) continue;
      parts.push_back({sequence, random_tokens(generator, model_.config().vocab_size, count)});
      if (round >= 6) parts.back().gap_at = 11;  // some sequences are beyond it, some cross it
    }
    const ForwardRequest request{.all_queries = round % 2 == 0,
                                 .attention_statistics = true,
                                 .padded_slots = 40,
                                 .map_layers = {1}};
    const StepOutput a = fast_session.step(parts, request), b = plain_session.step(parts, request);
    EXPECT_LT(test::max_difference(a.logits, b.logits), kTolerance);
    EXPECT_LT(test::max_difference(a.attention.per_head, b.attention.per_head), kTolerance);
    EXPECT_LT(test::max_difference(a.attention.per_layer, b.attention.per_layer), kTolerance);
    EXPECT_LT(test::max_difference(a.attention.padded_head, b.attention.padded_head), kTolerance);
    EXPECT_EQ(a.attention.valid_lengths, b.attention.valid_lengths);
    ASSERT_EQ(a.attention.maps[0].size(), b.attention.maps[0].size());
    for (size_t i = 0; i < parts.size(); ++i)
      EXPECT_LT(test::max_difference(a.attention.maps[0][i], b.attention.maps[0][i]), kTolerance);
  }
}

// What strict mode promises: alone or in a batch, prefilled or decoded, in chunks, on any number of
// threads.
void expect_the_same_bits_however_cut_up(const Model& model) {
  // Dynamic RoPE depends, by its definition, on how long the sequence was at the time.
  const int64_t length = std::min<int64_t>(60, model.config().max_position_embeddings);
  std::mt19937 generator(3);
  std::vector<std::vector<TokenId>> texts;
  for (int i = 0; i < 9; ++i)
    texts.push_back(
        random_tokens(generator, model.config().vocab_size, static_cast<size_t>(length)));
  const ForwardRequest request{.all_queries = true, .attention_statistics = true};
  Session session(model, 512);

  std::vector<StepOutput> whole;
  {
    const Threads one(1);
    for (const auto& text : texts)
      whole.push_back(session.step({{session.create(), text}}, request));
  }
  const Threads three(3);
  std::vector<KVCache::SequenceId> sequences;
  for (size_t i = 0; i < texts.size(); ++i) sequences.push_back(session.create());
  for (size_t begin = 0; begin < texts[0].size();) {
    const size_t count = std::min(texts[0].size() - begin, begin < 8 ? 1 : 1 + generator() % 9);
    std::vector<Session::Part> parts;
    for (size_t i = 0; i < texts.size(); ++i) {
      const auto first = texts[i].begin() + static_cast<ptrdiff_t>(begin);
      parts.push_back({sequences[i], {first, first + static_cast<ptrdiff_t>(count)}});
    }
    const StepOutput step = session.step(parts, request);
    for (size_t i = 0; i < texts.size(); ++i) {
      const auto same = [&](const at::Tensor& together, const at::Tensor& alone) {
        const auto rows = static_cast<int64_t>(count);
        return at::equal(together.narrow(0, static_cast<int64_t>(i) * rows, rows),
                         alone.narrow(0, static_cast<int64_t>(begin), rows));
      };
      EXPECT_TRUE(same(step.logits, whole[i].logits)) << begin;
      EXPECT_TRUE(same(step.attention.per_head, whole[i].attention.per_head)) << begin;
      EXPECT_TRUE(same(step.attention.per_layer, whole[i].attention.per_layer)) << begin;
    }
    begin += count;
  }
}

TEST_P(CpuLlamaTest, ATokensBitsDependOnNothingButItsSequence) {
  expect_the_same_bits_however_cut_up(model_);
}

TEST_P(CpuLlamaTest, ATokensBitsDependOnNothingButItsSequenceInBfloat16) {
  expect_the_same_bits_however_cut_up(rounding_);
}

TEST_P(CpuLlamaTest, ATokensBitsDependOnNothingButItsSequenceInInt8) {
  expect_the_same_bits_however_cut_up(int8_);
}

// Logits have a spread of 2.5, a weight of one layer or head that lies elsewhere costs more than 1.
// Rounding to 127ths of 32 weights' largest is an error of some 0.6 % of a weight, independent from
// weight to weight, and so of a product.
TEST_P(CpuLlamaTest, Int8StaysNearFloat32) {
  const std::vector<TokenId> tokens = test::fixture_tokens(40);
  const auto logits = [&](const Model& model) {
    Session session(model, 256);
    return session.logits(session.create(), tokens, 7);
  };
  const at::Tensor exact = logits(model_), difference = logits(int8_) - exact;
  const double error = difference.square().mean().sqrt().item<double>();
  EXPECT_GT(error, 0);
  EXPECT_LT(error, 0.03 * exact.std().item<double>());
  EXPECT_EQ(int8_.cache_dtype(), at::kFloat);
}

// What rounding of activations and weights to 8 bits changes over two layers, at logits of spread
// 2.5: not more than in the plain model, which rounds everything else too.
TEST_P(CpuLlamaTest, Bfloat16IsNearerToFloat32ThanThePlainModel) {
  const Threads one(1);
  const Llama plain(folder_, load_model_config(folder_), at::kBFloat16, at::kCPU);
  const Llama exact(folder_, load_model_config(folder_), at::kFloat, at::kCPU);
  const std::vector<TokenId> tokens = test::fixture_tokens(40);
  const auto logits = [&](const Model& model) {
    Session session(model, 256);
    return session.logits(session.create(), tokens, 7);
  };
  const at::Tensor expected = logits(exact);
  const double ours = (logits(rounding_) - expected).square().mean().item<double>();
  EXPECT_GT(ours, 0);
  EXPECT_LT(ours, (logits(plain) - expected).square().mean().item<double>());
}

// A model in bfloat16 whose products have inputs by the 32, so that its weights can be compact; but
// one matrix alone and one of a pair hold all sizes, which that form does not fit.
void write_wide_model(const std::filesystem::path& folder) {
  constexpr int64_t kHidden = 64, kInner = 96, kQueries = 64, kKeys = 16, kVocabulary = 260;
  const std::filesystem::path from = test::fixture_folder("llama");
  Json config = Json::parse(std::ifstream(from / "config.json"));
  config.update({{"hidden_size", kHidden},
                 {"intermediate_size", kInner},
                 {"num_attention_heads", 8},
                 {"dtype", "bfloat16"}});
  std::ofstream(folder / "config.json") << config;
  const std::map<std::string, std::vector<int64_t>> shapes = {
      {"q_proj", {kQueries, kHidden}},    {"k_proj", {kKeys, kHidden}},
      {"v_proj", {kKeys, kHidden}},       {"o_proj", {kHidden, kQueries}},
      {"gate_proj", {kInner, kHidden}},   {"up_proj", {kInner, kHidden}},
      {"down_proj", {kHidden, kInner}},   {"embed_tokens", {kVocabulary, kHidden}},
      {"lm_head", {kVocabulary, kHidden}}};
  auto tensors = test::read_raw((from / "model.safetensors").string());
  for (auto& [name, tensor] : tensors) {
    at::Tensor values = at::ones({kHidden});  // of a norm
    for (const auto& [part, shape] : shapes) {
      if (name.find(part) == std::string::npos) continue;
      const bool bias = name.ends_with("bias");
      values = at::randn(bias ? at::IntArrayRef(shape).slice(0, 1) : at::IntArrayRef(shape)) * 0.2;
      if (name.ends_with("0.self_attn.o_proj.weight") || name.ends_with("1.mlp.up_proj.weight"))
        values *= at::exp2(at::randint(-60, 1, shape));
    }
    values = values.to(at::kBFloat16).contiguous();
    tensor = {"BF16", values.sizes().vec(),
              std::string(static_cast<const char*>(values.const_data_ptr()), values.nbytes())};
  }
  test::write_raw((folder / "model.safetensors").string(), tensors);
}

TEST(CpuLlama, CompactWeightsAndThoseThatDoNotFitEqualThePlainModel) {
  const test::TemporaryFolder folder;
  at::manual_seed(8);
  write_wide_model(folder.path());
  const std::string path = folder.path();
  const ModelConfig config = load_model_config(path);
  const Llama plain(path, config, at::kFloat, at::kCPU);
  std::mt19937 generator(4);
  const std::vector<TokenId> tokens = random_tokens(generator, config.vocab_size, 90);
  Session reference(plain);
  const at::Tensor expected = reference.logits(reference.create(), tokens);
  for (const CpuPath cpu : available_cpu_paths()) {
    for (const int threads : {1, 3}) {
      const Threads some(threads);
      const CpuLlama model(path, config, at::kFloat, cpu);
      Session session(model);
      for (const size_t chunk : {0, 1}) {
        const at::Tensor logits = session.logits(session.create(), tokens, chunk);
        EXPECT_LT(test::max_difference(logits, expected), kTolerance) << cpu_path_name(cpu);
      }
    }
    expect_the_same_bits_however_cut_up(CpuLlama(path, config, at::kBFloat16, cpu));
  }
}

// A processor has one set of tiles (amx::KeptTiles).
TEST(CpuLlama, WhatLibTorchMakesOfAThreadsTilesDoesNotReachAStep) {
  const std::string folder = test::fixture_folder("llama");
  const at::Tensor square = at::ones({256, 256}, at::kBFloat16);
  for (const CpuPath path : available_cpu_paths()) {
    const Threads one(1);
    const CpuLlama model(folder, load_model_config(folder), at::kBFloat16, path);
    Session session(model);
    const std::vector<TokenId> token = test::fixture_tokens(1);
    const at::Tensor expected = session.logits(session.create(), token);
    EXPECT_EQ(at::matmul(square, square).max().item<double>(), 256) << cpu_path_name(path);
    EXPECT_TRUE(at::equal(session.logits(session.create(), token), expected))
        << cpu_path_name(path);
  }
}

TEST(CpuLlama, ConcurrentPassesTakeTurns) {
  const std::string folder = test::fixture_folder("llama");
  const CpuLlama model(folder, load_model_config(folder));
  const std::vector<TokenId> tokens = test::fixture_tokens(20);
  Session first(model);
  const at::Tensor expected = first.logits(first.create(), tokens);
  std::vector<std::thread> threads;
  std::vector<int> right(4, 0);
  for (size_t i = 0; i < right.size(); ++i)
    threads.emplace_back([&, i] {
      Session session(model);
      right[i] = at::equal(session.logits(session.create(), tokens, 3), expected);
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, std::vector<int>(4, 1));
}

TEST(Model, ParallelMakesEveryCallOnceAndPassesOnWhatOneThrows) {
  const std::string folder = test::fixture_folder("llama");
  const CpuLlama fast(folder, load_model_config(folder));
  const Llama plain(folder, load_model_config(folder), at::kFloat, at::kCPU);
  for (const int count : {1, 3}) {
    const Threads threads(count);
    for (const Model* model :
         {static_cast<const Model*>(&fast), static_cast<const Model*>(&plain)}) {
      std::vector<int> calls(100, 0);
      model->parallel(100, [&](int64_t i) { ++calls[static_cast<size_t>(i)]; });
      EXPECT_EQ(calls, std::vector<int>(100, 1));
      EXPECT_THROW(model->parallel(100,
                                   [](int64_t i) {
                                     if (i == 57) throw Error(ErrorCode::kNumeric, "57");
                                   }),
                   Error);
      model->parallel(0, [](int64_t) { FAIL(); });
    }
  }
}

INSTANTIATE_TEST_SUITE_P(FixturesAndPaths, CpuLlamaTest,
                         ::testing::Combine(::testing::ValuesIn(test::fixture_names()),
                                            ::testing::ValuesIn(available_cpu_paths())),
                         [](const auto& test) {
                           return std::get<0>(test.param) + "_" +
                                  std::string(cpu_path_name(std::get<1>(test.param)));
                         });

}  // namespace
}  // namespace surprisal
