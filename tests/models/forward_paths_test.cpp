// Ways through the model that must agree: cached and uncached, alone and in a batch, whole and in
// chunks, forked and recomputed, with and without statistics.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "tests/models/support.h"

namespace surprisal {
namespace {

using test::Session;

// The order of sums in matrix products differs with the number of rows; logits have spread 2.5.
constexpr double kTolerance = 1e-5;

class ForwardPaths : public ::testing::TestWithParam<std::string> {
 protected:
  ForwardPaths() : model_(test::load_fixture(GetParam())), session_(*model_) {
    // Dynamic RoPE turns earlier keys by the frequencies of the length at the time: its paths agree
    // within the trained length only.
    if (model_->config().rope.type == RopeConfig::Type::kDynamic)
      tokens_.resize(static_cast<size_t>(model_->config().max_position_embeddings));
    whole_ = session_.logits(session_.create(), tokens_);
  }

  std::vector<TokenId> slice(size_t begin, size_t end) const {
    return {tokens_.begin() + static_cast<ptrdiff_t>(begin),
            tokens_.begin() + static_cast<ptrdiff_t>(end)};
  }
  at::Tensor expected(int64_t position) const { return whole_[position].unsqueeze(0); }

  std::unique_ptr<Model> model_;
  Session session_;
  std::vector<TokenId> tokens_ = test::fixture_tokens();
  at::Tensor whole_;
};

TEST_P(ForwardPaths, TokenByTokenEqualsWhole) {
  EXPECT_LT(test::max_difference(session_.logits(session_.create(), tokens_, 1), whole_),
            kTolerance);
}

TEST_P(ForwardPaths, ChunksEqualWhole) {
  for (const size_t chunk : {2, 5, 16, 17})
    EXPECT_LT(test::max_difference(session_.logits(session_.create(), tokens_, chunk), whole_),
              kTolerance)
        << chunk;
}

TEST_P(ForwardPaths, RaggedBatchEqualsSingles) {
  const auto a = session_.create(), b = session_.create(), c = session_.create();
  session_.step({{b, slice(0, 11)}});
  // A prefill, a decode step and a chunk in the middle, in one pass.
  session_.step({{c, slice(0, 5)}});
  const StepOutput step = session_.step({{a, slice(0, 20)}, {b, slice(11, 12)}, {c, slice(5, 9)}});
  EXPECT_LT(test::max_difference(step.logits, at::cat({expected(19), expected(11), expected(8)})),
            kTolerance);
  const StepOutput next =
      session_.step({{c, slice(9, 10)}, {a, slice(20, 21)}}, {.all_queries = true});
  EXPECT_LT(test::max_difference(next.logits, at::cat({expected(9), expected(20)})), kTolerance);
}

TEST_P(ForwardPaths, AForkGoesItsOwnWayAndLeavesTheOriginalAlone) {
  const auto original = session_.create();
  session_.step({{original, slice(0, 13)}});
  const auto fork = session_.cache().fork(original);
  std::vector<TokenId> other = slice(0, 13);
  for (const TokenId token : {7, 9, 11, 250}) other.push_back(token);
  session_.step({{fork, {7, 9, 11, 250}}});  // copies the shared last block
  EXPECT_LT(test::max_difference(session_.step({{original, slice(13, 14)}}).logits, expected(13)),
            kTolerance);
  EXPECT_LT(test::max_difference(session_.step({{fork, {3}}}).logits,
                                 [&] {
                                   other.push_back(3);
                                   return session_.logits(session_.create(), other)
                                       .slice(0, static_cast<int64_t>(other.size()) - 1);
                                 }()),
            kTolerance);
}

TEST_P(ForwardPaths, TruncationEqualsRecomputing) {
  const auto sequence = session_.create();
  for (const size_t length : {15, 16, 17, 1}) {
    session_.step({{sequence, slice(static_cast<size_t>(session_.cache().length(sequence)), 19)}});
    session_.step({{sequence, {1, 2, 3}}});
    session_.cache().truncate(sequence, static_cast<int64_t>(length));
    EXPECT_LT(test::max_difference(session_.step({{sequence, slice(length, length + 1)}}).logits,
                                   expected(static_cast<int64_t>(length))),
              kTolerance)
        << length;
  }
}

TEST_P(ForwardPaths, StatisticsAndMapsChangeNoBit) {
  const auto a = session_.create(), b = session_.create();
  const at::Tensor plain = session_.step({{a, slice(0, 20)}}).logits;
  const StepOutput watched = session_.step(
      {{b, slice(0, 20)}},
      {.attention_statistics = true, .padded_slots = 64, .map_layers = {1}, .check_layers = true});
  EXPECT_TRUE(at::equal(plain, watched.logits));
}

TEST_P(ForwardPaths, SelectedQueriesAreThoseOfAllQueries) {
  const ForwardRequest every{.all_queries = true, .attention_statistics = true, .padded_slots = 64};
  ForwardRequest last = every;
  last.all_queries = false;
  const auto a = session_.create(), b = session_.create(), c = session_.create(),
             d = session_.create();
  const StepOutput all = session_.step({{a, slice(0, 9)}, {b, slice(0, 17)}}, every);
  const StepOutput some = session_.step({{c, slice(0, 9)}, {d, slice(0, 17)}}, last);
  const at::Tensor picked = at::tensor({8, 9 + 16});
  EXPECT_TRUE(at::equal(all.attention.per_head.index_select(0, picked), some.attention.per_head));
  EXPECT_TRUE(at::equal(all.attention.per_layer.index_select(0, picked), some.attention.per_layer));
  EXPECT_TRUE(
      at::equal(all.attention.padded_head.index_select(0, picked), some.attention.padded_head));
  EXPECT_EQ(some.attention.valid_lengths, (std::vector<int64_t>{9, 17}));
  EXPECT_TRUE(all.attention.per_head.storage().data_ptr().get() ==
              all.attention.per_layer.storage().data_ptr().get())
      << "one allocation, so that one copy brings all to the host";
}

TEST_P(ForwardPaths, ThreadsChangeNothing) {
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor one = session_.logits(session_.create(), tokens_, 7);
  at::set_num_threads(3);
  const at::Tensor three = session_.logits(session_.create(), tokens_, 7);
  at::set_num_threads(threads);
  EXPECT_LT(test::max_difference(one, three), kTolerance);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, ForwardPaths, ::testing::ValuesIn(test::fixture_names()),
                         [](const auto& fixture) { return fixture.param; });

}  // namespace
}  // namespace surprisal
