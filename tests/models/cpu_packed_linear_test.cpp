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

at::ScalarType dtype_of(WeightType type) {
  switch (type) {
    case WeightType::kBfloat16:
    case WeightType::kCompactBfloat16:
      return at::kBFloat16;
    case WeightType::kFloat16:
      return at::kHalf;
    case WeightType::kFloat32:
      return at::kFloat;
    case WeightType::kInt8:
      return at::kChar;
  }
  return at::kFloat;
}

struct Layer {
  at::Tensor weight, bias;
  WeightArena arena;
  PackedLinear packed;
  Layer(at::Tensor w, at::Tensor b, CpuPath path)
      : Layer(w, b, path, PackedLinear::plain_type(w.scalar_type())) {}
  Layer(at::Tensor w, at::Tensor b, CpuPath path, WeightType type)
      : weight(type == WeightType::kInt8 ? w : w.to(dtype_of(type))),
        bias(std::move(b)),
        arena(PackedLinear::packed_bytes(weight.size(0), weight.size(1), type)),
        packed(weight.size(0), weight.size(1), type, bias.defined(), arena, path) {
    // In shares out of order, as threads may do.
    EXPECT_TRUE(packed.pack(weight, bias, {1, 2}));
    EXPECT_TRUE(packed.pack(weight, bias, {0, 2}));
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
at::Tensor as_stored(const at::Tensor& weight, WeightType type) {
  if (type != WeightType::kInt8) return weight.to(dtype_of(type)).to(at::kFloat);
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

class PackedLinearTest : public testing::TestWithParam<std::tuple<CpuPath, WeightType>> {
 protected:
  void SetUp() override {
    at::manual_seed(1);
    at::set_num_threads(1);  // the oracle's products are too small to share
  }
  CpuPath path() const { return std::get<0>(GetParam()); }
  WeightType type() const { return std::get<1>(GetParam()); }
  bool compact() const { return type() == WeightType::kCompactBfloat16; }
  // As many inputs, or the next number that the form takes.
  int64_t inputs(int64_t in) const {
    return compact() ? (in + kSumBlock - 1) / kSumBlock * kSumBlock : in;
  }
};

// Small integers make every sum exact in float32, so that a missing, doubled or misplaced product
// shows whatever its size.
TEST_P(PackedLinearTest, IsExactOnIntegersOfAwkwardShapes) {
  const std::vector<std::pair<int64_t, int64_t>> shapes = {
      {1, 1},    {2, 1},    {15, 2},   {16, 3},    {17, 64},  {31, 5},
      {33, 767}, {64, 768}, {47, 769}, {96, 1537}, {100, 576}};
  for (const auto& [out, of] : shapes) {
    const int64_t in = inputs(of);
    const at::Tensor weight = integer_weights(out, in), bias = integers({out});
    const Layer plain(weight, {}, path(), type());
    const Layer biased(weight, bias, path(), type());
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
  const at::Tensor weight = integer_weights(40, inputs(70)), x = integers({401, inputs(70)});
  const Layer layer(weight, {}, path(), type());
  EXPECT_TRUE(forward(layer.packed, x).equal(at::matmul(x, weight.t())));
}

// Rounding of 1,536 products of size about 1 stays far below this, one missing product far above.
constexpr double kTolerance = 2e-4;

TEST_P(PackedLinearTest, AgreesWithDoublePrecision) {
  const at::Tensor weight = at::randn({130, 1536}), x = at::randn({9, 1536});
  const Layer layer(weight, {}, path(), type());
  const at::Tensor stored = as_stored(weight, type());
  const at::Tensor expected = at::matmul(x.to(at::kDouble), stored.to(at::kDouble).t());
  EXPECT_LT((forward(layer.packed, x) - expected).abs().max().item<double>(), kTolerance);
}

TEST_P(PackedLinearTest, RowsHaveTheSameBitsInAnyCompany) {
  const at::Tensor weight = at::randn({77, 1600}), x = at::randn({70, 1600});
  const Layer layer(weight, at::randn({77}), path(), type());
  const at::Tensor together = forward(layer.packed, x);
  for (int64_t rows = 1; rows <= 70; ++rows) {
    const at::Tensor part = x.narrow(0, 70 - rows, rows);
    EXPECT_TRUE(forward(layer.packed, part, static_cast<int>(rows % 3) + 1)
                    .equal(together.narrow(0, 70 - rows, rows)))
        << rows;
  }
}

TEST_P(PackedLinearTest, UnpacksRows) {
  const int64_t in = inputs(33);
  const at::Tensor weight = at::randn({45, in});
  const Layer layer(weight, {}, path(), type());
  const at::Tensor stored = as_stored(weight, type()), row = at::empty({in});
  for (int64_t i = 0; i < 45; ++i) {
    layer.packed.unpack_row(i, row.mutable_data_ptr<float>());
    EXPECT_TRUE(row.equal(stored[i]));
  }
}

TEST_P(PackedLinearTest, MatricesThatAlternateKeepTheirBits) {
  for (const auto& [out, of] : std::vector<std::pair<int64_t, int64_t>>{{5, 3}, {100, 71}}) {
    const int64_t in = inputs(of);
    const Layer plain[] = {{at::randn({out, in}), at::randn({out}), path(), type()},
                           {at::randn({out, in}), at::randn({out}), path(), type()}};
    WeightArena arena(2 * PackedLinear::packed_bytes(out, in, type()));
    auto [one, other] = PackedLinear::alternating(out, in, type(), true, arena, path());
    EXPECT_TRUE(one.pack(plain[0].weight, plain[0].bias));
    EXPECT_TRUE(other.pack(plain[1].weight, plain[1].bias));
    for (const int64_t rows : {1, 2, 30}) {
      const at::Tensor x = at::randn({rows, in});
      EXPECT_TRUE(forward(one, x).equal(forward(plain[0].packed, x)));
      EXPECT_TRUE(forward(other, x, 2).equal(forward(plain[1].packed, x)));
    }
  }
}

TEST_P(PackedLinearTest, SharesCoverTheOutputs) {
  const Layer layer(at::zeros({100, inputs(2)}), {}, path(), type());
  int64_t next = 0;
  for (int rank = 0; rank < 3; ++rank) {
    const auto [begin, end] = layer.packed.outputs_of({rank, 3});
    EXPECT_EQ(begin, next);
    next = end;
  }
  EXPECT_EQ(next, 100);
}

TEST_P(PackedLinearTest, PiecesAreTheWholeToTheBit) {
  for (const auto& [out, of] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 3}, {32, 9}, {100, 70}}) {
    const int64_t in = inputs(of);
    const Layer layer(at::randn({out, in}), at::randn({out}), path(), type());
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

std::vector<std::tuple<CpuPath, WeightType>> paths_and_forms() {
  std::vector<std::tuple<CpuPath, WeightType>> all;
  for (const CpuPath path : available_cpu_paths()) {
    for (const WeightType type : {WeightType::kBfloat16, WeightType::kCompactBfloat16,
                                  WeightType::kFloat16, WeightType::kFloat32, WeightType::kInt8}) {
      if (type != WeightType::kCompactBfloat16 || linear_kernels(path).compact)
        all.emplace_back(path, type);
    }
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(, PackedLinearTest, testing::ValuesIn(paths_and_forms()),
                         [](const auto& test) {
                           const WeightType type = std::get<1>(test.param);
                           return std::string(cpu_path_name(std::get<0>(test.param))) +
                                  (type == WeightType::kCompactBfloat16 ? "_Compact" : "_") +
                                  c10::toString(dtype_of(type));
                         });

TEST(PackedLinear, PathsWithFusedMultiplyAddGiveTheSameBits) {
  at::manual_seed(2);
  const at::Tensor weight = at::randn({50, 777}), x = at::randn({7, 777});
  for (const WeightType type : {WeightType::kBfloat16, WeightType::kInt8}) {
    at::Tensor first;
    for (const CpuPath path : available_cpu_paths()) {
      if (path == CpuPath::kPortable) continue;
      const Layer layer(weight, {}, path, type);
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
    const Layer layer(weight, {}, path, WeightType::kInt8);
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
  const Layer layer(weight, {}, cpu_path(), WeightType::kInt8);
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
    for (const auto& [begin, end] : {std::pair(first, in), std::pair<int64_t, int64_t>(0, first)}) {
      kernels.round({.x = x.const_data_ptr<float>() + begin,
                     .to = rows.mutable_data_ptr<float>() + begin / kernels.inputs_per_float,
                     .n = end - begin,
                     .rows = x.size(0),
                     .x_stride = in,
                     .to_stride = rows.size(1)});
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

// Also where products are subnormal, or as large as numbers get.
TEST_P(RoundedProductsTest, RowsHaveTheSameBitsInAnyCompany) {
  const at::Tensor weight = at::randn({77, 1600}).to(at::kBFloat16);
  for (const float scale : {1.0f, 1e-38f, 1e-20f, 1e36f}) {
    const at::Tensor x = at::randn({200, 1600}) * scale;
    const Layer layer(weight, at::randn({77}) * scale, GetParam());
    const at::Tensor together = product(layer, x);
    for (int64_t rows = 1; rows <= 140; rows += rows < 8 ? 1 : scale == 1 && rows < 70 ? 2 : 9) {
      EXPECT_TRUE(product(layer, x.narrow(0, 200 - rows, rows), static_cast<int>(rows % 3) + 1)
                      .equal(together.narrow(0, 200 - rows, rows)))
          << rows << " of size " << scale;
    }
  }
}

// A piece may be all that there is room for.
TEST_P(RoundedProductsTest, PiecesInBuffersOfTheirOwnHaveTheSameBits) {
  constexpr int64_t kWidth = PackedLinear::kPieceOutputs;
  const at::Tensor x = at::randn({200, 1600}), from = rounded(x);
  for (const bool biased : {false, true}) {
    const Layer layer(at::randn({77, 1600}).to(at::kBFloat16),
                      biased ? at::randn({77}) : at::Tensor(), GetParam());
    const at::Tensor together = product(layer, x);
    for (const int64_t rows : {1, 3, 16, 17, 32, 33, 48, 64, 95, 96, 97, 192, 193, 200}) {
      for (int64_t piece = 0; piece < layer.packed.pieces(); ++piece) {
        const auto [begin, end] = layer.packed.outputs_of_piece(piece);
        const at::Tensor y = at::full({rows + 1, kWidth}, kUntouched);
        layer.packed.forward_piece({from.const_data_ptr<float>(), from.size(1), true}, rows,
                                   {y.mutable_data_ptr<float>(), kWidth}, piece);
        EXPECT_TRUE(y.narrow(0, 0, rows)
                        .narrow(1, 0, end - begin)
                        .equal(together.narrow(0, 0, rows).narrow(1, begin, end - begin)))
            << rows << " rows, piece " << piece << (biased ? ", biased" : "");
        EXPECT_TRUE(y[rows].eq(kUntouched).all().item<bool>());
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, RoundedProductsTest, testing::ValuesIn(available_cpu_paths()),
                         [](const auto& test) { return std::string(cpu_path_name(test.param)); });

// Weights of a trained matrix' kind, with a few of any other size, zeros, and numbers that are
// none.
at::Tensor weights_with_patches(int64_t out, int64_t in) {
  const at::Tensor weight = (at::randn({out, in}) * 0.05).to(at::kBFloat16);
  const at::Tensor bits = weight.view(at::kShort);
  // Several in one unit, in the first and the last of all.
  for (const int64_t column : {0, 1, 2, 3}) bits[0][column] = 0x0180 + column;
  for (const int64_t column : {1, 2}) bits[std::min<int64_t>(out, 32) - 1][in - column] = 0x7e01;
  for (int64_t i = 0; i < out * in / 1500; ++i) {
    const int64_t value = at::randint(0x100, 0x7e00, {1}).item<int64_t>();
    bits[at::randint(out, {1}).item<int64_t>()][at::randint(in, {1}).item<int64_t>()] = value;
  }
  return weight;
}

// To the bit: the compact form changes how weights are stored and nothing else.
TEST_P(RoundedProductsTest, CompactWeightsGiveTheBitsOfPlainOnes) {
  if (!linear_kernels(GetParam()).compact) return;
  for (const auto& [out, in] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 32}, {32, 64}, {37, 96}, {100, 576}, {64, 1536}, {33, 1568}, {40, 3200}}) {
    const at::Tensor weight = weights_with_patches(out, in), bias = at::randn({out});
    const Layer plain(weight, bias, GetParam());
    const Layer compact(weight, bias, GetParam(), WeightType::kCompactBfloat16);
    for (const int64_t rows :
         {1, 2, 3, 4, 5, 8, 10, 11, 12, 13, 16, 17, 20, 32, 33, 70, 130, 200}) {
      SCOPED_TRACE(testing::Message() << "out " << out << " in " << in << " rows " << rows);
      const at::Tensor x = at::randn({rows, in}) * 1e-30, before = at::randn({rows, out});
      EXPECT_TRUE(forward(compact.packed, x, 2).equal(forward(plain.packed, x)));
      EXPECT_TRUE(product(compact, x, 2, before).equal(product(plain, x, 1, before)));
    }
  }
}

TEST(CompactWeights, KeepAllNumbersAndThoseThatAreNone) {
  at::manual_seed(5);
  for (const auto& [out, in] : std::vector<std::pair<int64_t, int64_t>>{{1, 32}, {45, 320}}) {
    const at::Tensor weight = weights_with_patches(out, in), bits = weight.view(at::kShort);
    for (const int64_t special : {0x7f80, 0xff80, 0x7fc0, 0xffc1, 0x0000, 0x8000, 0x0001, 0x807f})
      bits[out - 1][at::randint(in, {1}).item<int64_t>()] = static_cast<int16_t>(special);
    const Layer layer(weight, {}, cpu_path(), WeightType::kCompactBfloat16);
    const at::Tensor row = at::empty({in});
    for (int64_t i = 0; i < out; ++i) {
      layer.packed.unpack_row(i, row.mutable_data_ptr<float>());
      EXPECT_TRUE(row.view(at::kInt).bitwise_right_shift(16).to(at::kShort).equal(bits[i])) << i;
    }
  }
}

TEST(CompactWeights, TakeThreeQuartersOfTheMemory) {
  for (const int64_t in : {576, 1536, 4096}) {
    const auto plain = PackedLinear::weight_bytes(320, in, WeightType::kBfloat16);
    const auto compact = PackedLinear::weight_bytes(320, in, WeightType::kCompactBfloat16);
    EXPECT_LT(static_cast<double>(compact), 0.756 * static_cast<double>(plain));
  }
}

// What has all sizes has no frequent ones.
TEST(CompactWeights, RefuseWhatDoesNotFit) {
  const at::Tensor weight = at::randint(-32768, 32768, {64, 64}).to(at::kShort).view(at::kBFloat16);
  WeightArena arena(PackedLinear::packed_bytes(64, 64, WeightType::kCompactBfloat16));
  PackedLinear packed(64, 64, WeightType::kCompactBfloat16, false, arena);
  EXPECT_FALSE(packed.pack(weight, {}));
  EXPECT_TRUE(compact::takes(64));
  EXPECT_FALSE(compact::takes(48));
  EXPECT_FALSE(compact::takes(int64_t{1} << 18));
}

TEST(WeightArena, GivesZerosAgainForWhatWasGivenBack) {
  WeightArena arena(4096);
  arena.take(64);
  const int64_t used = arena.used();
  std::byte* const first = arena.take(128);
  std::fill_n(first, 128, std::byte{7});
  arena.give_back_to(used);
  EXPECT_EQ(arena.take(256), first);
  EXPECT_TRUE(std::all_of(first, first + 256, [](std::byte b) { return b == std::byte{0}; }));
}

TEST(PackedLinear, RefusesOtherDtypes) {
  EXPECT_THROW(PackedLinear::plain_type(at::kDouble), Error);
}

}  // namespace
}  // namespace surprisal
