// The ways through the model that must agree, on the real small model in float32.

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "lib/tokenizer.h"
#include "tests/models/support.h"
#include "tests/real_data.h"

namespace surprisal {
namespace {

// The project's bar, of logits up to 25. A forgotten key moves them by more than 0.1.
constexpr double kTolerance = 1e-5;
constexpr size_t kTokens = 24;

class RealModel : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto folder = test::real_model();
    if (!folder) GTEST_SKIP() << test::kNoRealModel;
    model_ = load_model(folder->string(), {.dtype = "float32", .device = "cpu"});
    tokens_ = load_tokenizer(folder->string())
                  ->encode(
                      "Natalia sold clips to 48 of her friends in April, and then she sold "
                      "half as many clips in May. How many clips did Natalia sell altogether?",
                      true, true);
    tokens_.resize(kTokens);
  }
  std::vector<TokenId> slice(size_t begin, size_t end) const {
    return {tokens_.begin() + static_cast<ptrdiff_t>(begin),
            tokens_.begin() + static_cast<ptrdiff_t>(end)};
  }

  std::unique_ptr<Model> model_;
  std::vector<TokenId> tokens_;
};

TEST_F(RealModel, CachedChunkedAndBatchedEqualWhole) {
  test::Session session(*model_);
  const at::Tensor whole = session.logits(session.create(), tokens_);
  EXPECT_LT(test::max_difference(session.logits(session.create(), tokens_, 1), whole), kTolerance);
  EXPECT_LT(test::max_difference(session.logits(session.create(), tokens_, 7), whole), kTolerance);
  const auto a = session.create(), b = session.create();
  session.step({{b, slice(0, 20)}});
  const StepOutput step = session.step({{a, slice(0, 12)}, {b, slice(20, 21)}});
  EXPECT_LT(test::max_difference(step.logits, at::stack({whole[11], whole[20]})), kTolerance);
}

}  // namespace
}  // namespace surprisal
