// The model against a float64 NumPy implementation (tests/oracle/numpy_llama.py), over checkpoints
// that between them use every feature.

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "lib/hdf5.h"
#include "models/attention.h"
#include "tests/models/support.h"

namespace surprisal {
namespace {

// float32 against float64 over two layers; logits have a spread of 2.5. A forgotten bias, a wrong
// frequency or a key too many moves them by more than 1e-2.
constexpr double kLogitTolerance = 2e-5;
constexpr double kMapTolerance = 1e-6;
constexpr double kStatisticTolerance = 1e-5;  // of values up to 5

class LlamaOracle : public ::testing::TestWithParam<std::string> {
 protected:
  LlamaOracle()
      : expected_(hdf5::File::open(test::fixture_folder(GetParam()) + "/expected.h5")),
        model_(test::load_fixture(GetParam())),
        session_(*model_),
        tokens_(expected_.dataset("/token_ids").read<TokenId>()) {}

  at::Tensor expected(const std::string& name) const {
    const hdf5::Dataset dataset = expected_.dataset("/" + name);
    const std::vector<float> values = dataset.read<float>();
    return at::tensor(values).view(dataset.shape());
  }

  hdf5::File expected_;
  std::unique_ptr<Model> model_;
  test::Session session_;
  std::vector<TokenId> tokens_;
};

TEST_P(LlamaOracle, LogitsMapsAndStatisticsOfEveryToken) {
  const int64_t slots = expected_.attributes().integer("padded_slots");
  const StepOutput step =
      session_.step({{session_.create(), tokens_}}, {.all_queries = true,
                                                     .attention_statistics = true,
                                                     .padded_slots = slots,
                                                     .map_layers = {0, 1}});
  EXPECT_LT(test::max_difference(step.logits, expected("logits")), kLogitTolerance);
  for (int64_t layer = 0; layer < 2; ++layer)
    EXPECT_LT(test::max_difference(step.attention.maps[static_cast<size_t>(layer)].at(0),
                                   expected("maps")[layer]),
              kMapTolerance)
        << "layer " << layer;
  EXPECT_LT(test::max_difference(step.attention.per_head, expected("per_head")),
            kStatisticTolerance);
  EXPECT_LT(test::max_difference(step.attention.per_layer, expected("per_layer")),
            kStatisticTolerance);
  EXPECT_LT(test::max_difference(step.attention.padded_head, expected("padded_head")),
            kStatisticTolerance);
  // Of order 1/slots: compared in its own measure.
  EXPECT_LT(test::max_difference(step.attention.padded_mean_abs_deviation * slots,
                                 expected("padded_mean_abs_deviation") * slots),
            kStatisticTolerance);
}

// Faithful Entropix skips the position after the prompt: tokens from gap_at on are rotated one
// later, whether they come whole, in chunks across the gap, or one by one.
TEST_P(LlamaOracle, ASkippedPositionTurnsWhatFollowsIt) {
  const int64_t gap = expected_.attributes().integer("gap_at");
  const at::Tensor whole = expected("gap_logits");
  EXPECT_GT(test::max_difference(whole[gap], expected("logits")[gap]), 100 * kLogitTolerance);
  const auto count = static_cast<size_t>(whole.size(0));
  for (const size_t chunk : {count, size_t{9}, size_t{1}}) {
    const auto sequence = session_.create();
    std::vector<at::Tensor> parts;
    for (size_t begin = 0; begin < count; begin += chunk) {
      const auto at = [&](size_t i) { return tokens_.begin() + static_cast<ptrdiff_t>(i); };
      const test::Session::Part part{
          sequence, {at(begin), at(std::min(begin + chunk, count))}, gap};
      parts.push_back(session_.step({part}, {.all_queries = true}).logits);
    }
    EXPECT_LT(test::max_difference(at::cat(parts), whole), kLogitTolerance) << "chunk " << chunk;
  }
}

TEST_P(LlamaOracle, SixteenBitComputeStaysClose) {
  // Rounding to 8 (bfloat16) or 11 (float16) bits, grown by two layers, at logits of spread 2.5.
  for (const auto& [dtype, tolerance] : {std::pair{"bfloat16", 0.3}, std::pair{"float16", 0.04}}) {
    const std::unique_ptr<Model> model = test::load_fixture(GetParam(), dtype);
    test::Session session(*model);
    const at::Tensor logits = session.logits(session.create(), tokens_);
    EXPECT_EQ(logits.scalar_type(), at::kFloat);
    EXPECT_LT(test::max_difference(logits, expected("logits")), tolerance) << dtype;
  }
}

INSTANTIATE_TEST_SUITE_P(Fixtures, LlamaOracle, ::testing::ValuesIn(test::fixture_names()),
                         [](const auto& fixture) { return fixture.param; });

}  // namespace
}  // namespace surprisal
