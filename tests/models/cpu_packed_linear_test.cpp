#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "lib/error.h"
#include "models/cpu/packed_linear.h"

namespace surprisal {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kUntouched = -12345.0f;

struct Layer {
  at::Tensor weight, bias;
  WeightArena arena;
  PackedLinear packed;
  Layer(at::Tensor w, at::Tensor b, CpuPath path) : Layer(w, b, path, w.scalar_type()) {}
  Layer(at::Tensor w, at::Tensor b, CpuPath path, at::ScalarType dtype)
      : weight(dtype == at::kChar ? w : w.to(dtype)),
        bias(std::move(b)),
        arena(PackedLinear::packed_bytes(weight.size(0), weight.size(1), dtype)),
        packed(weight.size(0), weight.size(1), dtype, bias.defined(), arena, path) {
    // In shares out of order, as threads may do.
    packed.pack(weight, bias, {1, 2});
    packed.pack(weight, bias, {0, 2});
  }
};

// Calls forward() on rows that are embedded in wider buffers: NaN beyond the inputs, which must not
// be read, and a mark beyond the outputs and rows, which must not be written.
at::Tensor forward(const PackedLinear& layer, const at::Tensor& x, int ranks = 1,
                   const at::Tensor& add_to = {}) {
  const int64_t rows = x.size(0), out = layer.out_features();
  const at::Tensor wide = at::full({rows, x.size(1) + 3}, kNan);
  wide.narrow(1, 0, x.size(1)).copy_(x);
  const at::Tensor y = at::full({rows + 1, out + 5}, kUntouched);
  if (add_to.defined()) y.narrow(0, 0, rows).narrow(1, 0, out).copy_(add_to);
  for (int rank = 0; rank < ranks; ++rank) {
    layer.forward({wide.const_data_ptr<float>(), wide.size(1)}, rows,
                  {y.mutable_data_ptr<float>(), y.size(1)}, {rank, ranks},
                  add_to.defined() ? PackedLinear::Store::kAdd : PackedLinear::Store::kReplace);
  }
  EXPECT_TRUE(y.narrow(1, out, 5).eq(kUntouched).all().item<bool>());
  EXPECT_TRUE(y[rows].eq(kUntouched).all().item<bool>());
  return y.narrow(0, 0, rows).narrow(1, 0, out).contiguous();
}

at::Tensor integers(at::IntArrayRef shape) {
  return at::randint(-8, 9, shape).to(at::kFloat);
}

// Weights that every dtype holds exactly: a block's largest makes its scale in int8 1.
at::Tensor integer_weights(int64_t out, int64_t in) {
  const at::Tensor weight = integers({out, in});
  weight.slice(1, 0, in, kSumBlock).fill_(127);
  return weight;
}

// What a layer's weights are once stored. In int8: 127ths of a block's largest one.
at::Tensor as_stored(const at::Tensor& weight, at::ScalarType dtype) {
  if (dtype != at::kChar) return weight.to(dtype).to(at::kFloat);
  const int64_t out = weight.size(0), in = weight.size(1);
  const int64_t blocks = (in + kSumBlock - 1) / kSumBlock;
  const at::Tensor wide = at::zeros({out, blocks * kSumBlock});
  wide.narrow(1, 0, in).copy_(weight);
  const at::Tensor parts = wide.view({out, blocks, kSumBlock});
  const at::Tensor exact = parts.abs().amax(-1, true) / 127;
  at::Tensor scale = exact.to(at::kBFloat16).to(at::kFloat);
  const at::Tensor above =
      at::nextafter(scale.to(at::kBFloat16), at::full({}, 1e30, at::kBFloat16));
  scale = at::where(scale < exact, above.to(at::kFloat), scale);
  return (at::round(parts / scale).nan_to_num() * scale).view({out, -1}).narrow(1, 0, in);
}

class PackedLinearTest : public testing::TestWithParam<std::tuple<CpuPath, at::ScalarType>> {
 protected:
  void SetUp() override {
    at::manual_seed(1);
    at::set_num_threads(1);  // the oracle's products are too small to share
  }
  CpuPath path() const { return std::get<0>(GetParam()); }
  at::ScalarType dtype() const { return std::get<1>(GetParam()); }
};

// Small integers make every sum exact in float32, so that a missing, doubled or misplaced product
// shows whatever its size.
TEST_P(PackedLinearTest, IsExactOnIntegersOfAwkwardShapes) {
  const std::vector<std::pair<int64_t, int64_t>> shapes = {
      {1, 1},    {2, 1},    {15, 2},   {16, 3},    {17, 64},  {31, 5},
      {33, 767}, {64, 768}, {47, 769}, {96, 1537}, {100, 576}};
  for (const auto& [out, in] : shapes) {
    const at::Tensor weight = integer_weights(out, in), bias = integers({out});
    const Layer plain(weight, {}, path(), dtype());
    const Layer biased(weight, bias, path(), dtype());
    for (const int64_t rows : {0, 1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 24, 25, 37, 70}) {
      SCOPED_TRACE(testing::Message() << "out " << out << " in " << in << " rows " << rows);
      const at::Tensor x = integers({rows, in}), before = integers({rows, out});
      const at::Tensor expected = at::matmul(x, weight.t());
      EXPECT_TRUE(forward(plain.packed, x).equal(expected));
      EXPECT_TRUE(forward(biased.packed, x, 2).equal(expected + bias));
      EXPECT_TRUE(forward(biased.packed, x, 1, before).equal(expected + bias + before));
    }
  }
}

TEST_P(PackedLinearTest, ManyRowsCrossTheRowBlocks) {
  const at::Tensor weight = integer_weights(40, 70), x = integers({401, 70});
  const Layer layer(weight, {}, path(), dtype());
  EXPECT_TRUE(forward(layer.packed, x).equal(at::matmul(x, weight.t())));
}

// Rounding of 1,536 products of size about 1 stays far below this, one missing product far above.
constexpr double kTolerance = 2e-4;

TEST_P(PackedLinearTest, AgreesWithDoublePrecision) {
  const at::Tensor weight = at::randn({130, 1536}), x = at::randn({9, 1536});
  const Layer layer(weight, {}, path(), dtype());
  const at::Tensor stored = as_stored(weight, dtype());
  const at::Tensor expected = at::matmul(x.to(at::kDouble), stored.to(at::kDouble).t());
  EXPECT_LT((forward(layer.packed, x) - expected).abs().max().item<double>(), kTolerance);
}

TEST_P(PackedLinearTest, RowsHaveTheSameBitsInAnyCompany) {
  const at::Tensor weight = at::randn({77, 1600}), x = at::randn({70, 1600});
  const Layer layer(weight, at::randn({77}), path(), dtype());
  const at::Tensor together = forward(layer.packed, x);
  for (int64_t rows = 1; rows <= 70; ++rows) {
    const at::Tensor part = x.narrow(0, 70 - rows, rows);
    EXPECT_TRUE(forward(layer.packed, part, static_cast<int>(rows % 3) + 1)
                    .equal(together.narrow(0, 70 - rows, rows)))
        << rows;
  }
}

TEST_P(PackedLinearTest, UnpacksRows) {
  const at::Tensor weight = at::randn({45, 33});
  const Layer layer(weight, {}, path(), dtype());
  const at::Tensor stored = as_stored(weight, dtype()), row = at::empty({33});
  for (int64_t i = 0; i < 45; ++i) {
    layer.packed.unpack_row(i, row.mutable_data_ptr<float>());
    EXPECT_TRUE(row.equal(stored[i]));
  }
}

TEST_P(PackedLinearTest, MatricesThatAlternateKeepTheirBits) {
  for (const auto& [out, in] : std::vector<std::pair<int64_t, int64_t>>{{5, 3}, {100, 71}}) {
    const Layer plain[] = {{at::randn({out, in}), at::randn({out}), path(), dtype()},
                           {at::randn({out, in}), at::randn({out}), path(), dtype()}};
    WeightArena arena(2 * PackedLinear::packed_bytes(out, in, dtype()));
    auto [one, other] = PackedLinear::alternating(out, in, dtype(), true, arena, path());
    one.pack(plain[0].weight, plain[0].bias);
    other.pack(plain[1].weight, plain[1].bias);
    for (const int64_t rows : {1, 2, 30}) {
      const at::Tensor x = at::randn({rows, in});
      EXPECT_TRUE(forward(one, x).equal(forward(plain[0].packed, x)));
      EXPECT_TRUE(forward(other, x, 2).equal(forward(plain[1].packed, x)));
    }
  }
}

TEST_P(PackedLinearTest, SharesCoverTheOutputs) {
  const Layer layer(at::zeros({100, 2}), {}, path(), dtype());
  int64_t next = 0;
  for (int rank = 0; rank < 3; ++rank) {
    const auto [begin, end] = layer.packed.outputs_of({rank, 3});
    EXPECT_EQ(begin, next);
    next = end;
  }
  EXPECT_EQ(next, 100);
}

TEST_P(PackedLinearTest, PiecesAreTheWholeToTheBit) {
  for (const auto& [out, in] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 3}, {32, 9}, {100, 70}}) {
    const Layer layer(at::randn({out, in}), at::randn({out}), path(), dtype());
    const at::Tensor x = at::randn({14, in}), y = at::full({14, out}, kUntouched);
    int64_t next = 0;
    for (int64_t piece = 0; piece < layer.packed.pieces(); ++piece) {
      const auto [begin, end] = layer.packed.outputs_of_piece(piece);
      EXPECT_EQ(begin, next);
      EXPECT_LE(end - begin, PackedLinear::kPieceOutputs);
      next = end;
      layer.packed.forward_piece({x.const_data_ptr<float>(), in}, 14,
                                 {y.mutable_data_ptr<float>() + begin, out}, piece);
    }
    EXPECT_EQ(next, out);
    EXPECT_TRUE(y.equal(forward(layer.packed, x)));
  }
}

INSTANTIATE_TEST_SUITE_P(, PackedLinearTest,
                         testing::Combine(testing::ValuesIn(available_cpu_paths()),
                                          testing::Values(at::kBFloat16, at::kHalf, at::kFloat,
                                                          at::kChar)),
                         [](const auto& test) {
                           return std::string(cpu_path_name(std::get<0>(test.param))) + "_" +
                                  c10::toString(std::get<1>(test.param));
                         });

TEST(PackedLinear, PathsWithFusedMultiplyAddGiveTheSameBits) {
  at::manual_seed(2);
  const at::Tensor weight = at::randn({50, 777}), x = at::randn({7, 777});
  for (const at::ScalarType dtype : {at::kBFloat16, at::kChar}) {
    at::Tensor first;
    for (const CpuPath path : available_cpu_paths()) {
      if (path == CpuPath::kPortable) continue;
      const Layer layer(weight, {}, path, dtype);
      const at::Tensor y = forward(layer.packed, x);
      if (!first.defined()) first = y;
      EXPECT_TRUE(y.equal(first)) << cpu_path_name(path);
    }
  }
}

// A block of zeros stays zero, and what is no number shows in the products of its row alone.
TEST(Int8Weights, ZerosAndNumbersThatAreNone) {
  const at::Tensor weight = at::randn({40, 70}), x = at::randn({3, 70});
  weight.narrow(1, 32, 32).zero_();
  weight[7][66] = std::numeric_limits<float>::infinity();
  weight[8][2] = kNan;
  for (const CpuPath path : available_cpu_paths()) {
    const Layer layer(weight, {}, path, at::kChar);
    const at::Tensor bad = forward(layer.packed, x).isnan().all(0);
    for (int64_t i = 0; i < 40; ++i) EXPECT_EQ(bad[i].item<bool>(), i == 7 || i == 8) << i;
    const at::Tensor row = at::empty({70});
    layer.packed.unpack_row(0, row.mutable_data_ptr<float>());
    EXPECT_TRUE(row.narrow(0, 32, 32).eq(0).all().item<bool>());
  }
}

TEST(Int8Weights, LieWithinHalfAStepOfTheOriginal) {
  at::manual_seed(4);
  const at::Tensor weight = at::randn({33, 640}) * at::logspace(-30, 30, 33).unsqueeze(1);
  const Layer layer(weight, {}, cpu_path(), at::kChar);
  const at::Tensor row = at::empty({640});
  for (int64_t i = 0; i < 33; ++i) {
    layer.packed.unpack_row(i, row.mutable_data_ptr<float>());
    const at::Tensor blocks = weight[i].view({20, kSumBlock});
    // A scale in bfloat16 is at most 2^-7 above the exact one; half of one more for float32's sums.
    const at::Tensor step = blocks.abs().amax(-1, true) / 127 * (1 + 1.0 / 128);
    EXPECT_TRUE(((row.view({20, kSumBlock}) - blocks).abs() <= step * 0.5001).all().item<bool>());
  }
}

class RoundedProductsTest : public testing::TestWithParam<CpuPath> {
 protected:
  void SetUp() override {
    at::manual_seed(3);
    at::set_num_threads(1);
  }

  // Rows as products in bfloat16 read them, written in two parts, with NaN beyond.
  at::Tensor rounded(const at::Tensor& x) const {
    const LinearKernels& kernels = linear_kernels(GetParam());
    const int64_t in = x.size(1), first = in / 4 * 2;
    const at::Tensor rows = at::full({x.size(0), in / kernels.inputs_per_float + 3}, kNan);
    for (int64_t i = 0; i < x.size(0); ++i) {
      const float* const from = x.const_data_ptr<float>() + i * in;
      float* const to = rows.mutable_data_ptr<float>() + i * rows.size(1);
      kernels.round(from + first, in - first, to + first / kernels.inputs_per_float);
      kernels.round(from, first, to);
    }
    return rows;
  }

  at::Tensor product(const Layer& layer, const at::Tensor& x, int ranks = 1,
                     const at::Tensor& add_to = {}) const {
    const int64_t out = layer.packed.out_features();
    const at::Tensor rows = rounded(x), y = at::full({x.size(0) + 1, out + 5}, kUntouched);
    if (add_to.defined()) y.narrow(0, 0, x.size(0)).narrow(1, 0, out).copy_(add_to);
    for (int rank = 0; rank < ranks; ++rank) {
      layer.packed.forward(
          {rows.const_data_ptr<float>(), rows.size(1), true}, x.size(0),
          {y.mutable_data_ptr<float>(), y.size(1)}, {rank, ranks},
          add_to.defined() ? PackedLinear::Store::kAdd : PackedLinear::Store::kReplace);
    }
    EXPECT_TRUE(y.narrow(1, out, 5).eq(kUntouched).all().item<bool>());
    EXPECT_TRUE(y[x.size(0)].eq(kUntouched).all().item<bool>());
    return y.narrow(0, 0, x.size(0)).narrow(1, 0, out).contiguous();
  }
};

TEST_P(RoundedProductsTest, AreExactOnIntegersOfAwkwardShapes) {
  const std::vector<std::pair<int64_t, int64_t>> shapes = {
      {1, 1}, {2, 2}, {15, 3}, {17, 31}, {31, 33}, {33, 767}, {64, 769}, {47, 1537}, {40, 3201}};
  for (const auto& [out, in] : shapes) {
    const at::Tensor weight = integers({out, in}), bias = integers({out});
    const Layer plain(weight.to(at::kBFloat16), {}, GetParam());
    const Layer biased(weight.to(at::kBFloat16), bias.to(at::kBFloat16), GetParam());
    for (const int64_t rows : {0, 1, 2, 5, 11, 12, 13, 24, 25, 37, 200}) {
      SCOPED_TRACE(testing::Message() << "out " << out << " in " << in << " rows " << rows);
      const at::Tensor x = integers({rows, in}), before = integers({rows, out});
      const at::Tensor expected = at::matmul(x, weight.t());
      EXPECT_TRUE(product(plain, x).equal(expected));
      EXPECT_TRUE(product(biased, x, 2, before).equal(expected + bias + before));
    }
  }
}

TEST_P(RoundedProductsTest, RoundAsLibTorchDoes) {
  at::Tensor x = at::randn({20, 1001});
  x.view(-1).narrow(0, 0, 5).copy_(
      at::tensor({1.00390625f, 1.01171875f, 3.4e38f, -3.4e38f, -0.0f}));  // ties, overflow
  const at::Tensor identity = at::eye(1001).to(at::kBFloat16);
  const Layer layer(identity, {}, GetParam());
  const at::Tensor finite = x.clamp(-3e38, 3e38);
  EXPECT_TRUE(product(layer, finite).equal(finite.to(at::kBFloat16).to(at::kFloat)));
  EXPECT_TRUE(product(layer, at::full({1, 1001}, kNan)).isnan().all().item<bool>());
}

// The padding of the last panel, where -inf times zero is NaN, must not count.
TEST_P(RoundedProductsTest, TellWhatIsWrittenIsNotUsable) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const int64_t out = 37, in = 6, rows = 19;
  const Layer layer(at::ones({out, in}).to(at::kBFloat16), {}, GetParam());
  for (const auto& [value, unusable] : std::vector<std::pair<float, bool>>{
           {1.0f, false}, {-kInfinity, false}, {kInfinity, true}, {kNan, true}}) {
    const at::Tensor x = at::zeros({rows, in}), y = at::empty({rows, out});
    x[rows - 1][in - 1] = value;
    for (const bool rounds : {false, true}) {
      const at::Tensor from = rounds ? rounded(x) : x;
      bool bad = false;
      layer.packed.forward({from.const_data_ptr<float>(), from.size(1), rounds}, rows,
                           {y.mutable_data_ptr<float>(), out, &bad});
      EXPECT_EQ(bad, unusable) << value << (rounds ? " rounded" : "");
    }
  }
}

TEST_P(RoundedProductsTest, AgreeWithDoublePrecision) {
  const at::Tensor weight = at::randn({130, 1536}).to(at::kBFloat16), x = at::randn({9, 1536});
  const Layer layer(weight, {}, GetParam());
  const at::Tensor expected =
      at::matmul(x.to(at::kBFloat16).to(at::kDouble), weight.to(at::kDouble).t());
  EXPECT_LT((product(layer, x) - expected).abs().max().item<double>(), kTolerance);
}

TEST_P(RoundedProductsTest, RowsHaveTheSameBitsInAnyCompany) {
  const at::Tensor weight = at::randn({77, 1600}).to(at::kBFloat16), x = at::randn({70, 1600});
  const Layer layer(weight, at::randn({77}), GetParam());
  const at::Tensor together = product(layer, x);
  for (int64_t rows = 1; rows <= 70; ++rows) {
    EXPECT_TRUE(product(layer, x.narrow(0, 70 - rows, rows), static_cast<int>(rows % 3) + 1)
                    .equal(together.narrow(0, 70 - rows, rows)))
        << rows;
  }
}

INSTANTIATE_TEST_SUITE_P(, RoundedProductsTest, testing::ValuesIn(available_cpu_paths()),
                         [](const auto& test) { return std::string(cpu_path_name(test.param)); });

TEST(PackedLinear, RefusesOtherDtypes) {
  EXPECT_THROW(PackedLinear::packed_bytes(2, 2, at::kDouble), Error);
}

}  // namespace
}  // namespace surprisal
