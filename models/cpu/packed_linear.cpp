#include "models/cpu/packed_linear.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <bit>
#include <vector>

#include "lib/error.h"
#include "models/cpu/int8_weights.h"

namespace surprisal {
namespace {

template <class T>
void pack_rows(const PackedShape& shape, const void* weight, std::byte* to, int64_t begin,
               int64_t end) {
  const T* from = static_cast<const T*>(weight) + begin * shape.in;
  const int64_t odd_step = shape.index(0, 1);
  for (int64_t output = begin; output < end; ++output) {
    T* const column = reinterpret_cast<T*>(to) + shape.index(output, 0);
    for (int64_t input = 0; input < shape.in; ++input) {
      column[input / 2 * 2 * kPanel + input % 2 * odd_step] = *from++;
    }
  }
}

/// @param begin  of a panel
bool pack_compact_rows(const PackedShape& shape, const uint16_t* weight, std::byte* to,
                       int64_t begin, int64_t end) {
  for (; begin < end; begin += kPanel) {
    std::byte* const panel = to + begin / kPanel * shape.panel_step();
    const int64_t outputs = std::min(kPanel, end - begin);
    if (!compact::pack(weight + begin * shape.in, outputs, shape.in, panel)) return false;
  }
  return true;
}

/// @param weight  [end - begin, in]
void pack_int8_rows(const PackedShape& shape, const float* weight, std::byte* to, int64_t begin,
                    int64_t end) {
  for (int64_t output = begin; output < end; ++output, weight += shape.in) {
    for (int64_t first = 0; first < shape.in; first += kSumBlock) {
      const int64_t last = std::min(first + kSumBlock, shape.in);
      const float scale = int8_scale({weight + first, weight + last});
      std::byte* const block = to + shape.int8_block(output, first);
      for (int64_t input = first; input < last; ++input) {
        block[shape.index(output, input)] =
            static_cast<std::byte>(int8_weight(weight[input], scale));
      }
      reinterpret_cast<uint16_t*>(block + kSumBlock * kPanel)[output % kPanel] =
          static_cast<uint16_t>(std::bit_cast<uint32_t>(scale) >> 16);
    }
  }
}

void unpack_int8(const PackedShape& shape, const std::byte* weights, int64_t output, float* to) {
  for (int64_t input = 0; input < shape.in; ++input) {
    const std::byte* const block = weights + shape.int8_block(output, input);
    const uint32_t scale =
        reinterpret_cast<const uint16_t*>(block + kSumBlock * kPanel)[output % kPanel];
    to[input] = static_cast<float>(static_cast<int8_t>(block[shape.index(output, input)])) *
                std::bit_cast<float>(scale << 16);
  }
}

void unpack_compact(const PackedShape& shape, const std::byte* weights, int64_t output, float* to) {
  std::vector<uint16_t> row(static_cast<size_t>(shape.in));
  compact::unpack(weights + output / kPanel * shape.panel_step(), output % kPanel, shape.in,
                  row.data());
  std::transform(row.begin(), row.end(), to, [](uint16_t weight) {
    return std::bit_cast<float>(static_cast<uint32_t>(weight) << 16);
  });
}

template <class T>
void unpack(const PackedShape& shape, const std::byte* weights, int64_t output, float* to) {
  const T* const column = reinterpret_cast<const T*>(weights) + shape.index(output, 0);
  const int64_t odd_step = shape.index(0, 1);
  for (int64_t input = 0; input < shape.in; ++input) {
    to[input] = static_cast<float>(column[input / 2 * 2 * kPanel + input % 2 * odd_step]);
  }
}

}  // namespace

WeightType PackedLinear::plain_type(at::ScalarType dtype) {
  switch (dtype) {
    case at::kBFloat16:
      return WeightType::kBfloat16;
    case at::kHalf:
      return WeightType::kFloat16;
    case at::kFloat:
      return WeightType::kFloat32;
    case at::kChar:
      return WeightType::kInt8;
    default:
      throw Error(ErrorCode::kUnsupported, std::string("weights of dtype ") + c10::toString(dtype) +
                                               " have no CPU kernel; expected bfloat16, float16, "
                                               "float32 or int8");
  }
}

int64_t PackedLinear::weight_bytes(int64_t out, int64_t in, WeightType type) {
  return PackedShape{.in = in, .out = out, .type = type}.bytes();
}

int64_t PackedLinear::packed_bytes(int64_t out, int64_t in, WeightType type) {
  const PackedShape shape{.in = in, .out = out, .type = type};
  return WeightArena::rounded(shape.bytes()) + WeightArena::rounded(shape.panels() * kPanel * 4);
}

PackedLinear::PackedLinear(const PackedShape& shape, std::byte* weights, bool bias,
                           WeightArena& arena, CpuPath path)
    : shape_(shape), kernels_(&linear_kernels(path)), weights_(weights) {
  if (bias) bias_ = reinterpret_cast<float*>(arena.take(shape_.panels() * kPanel * 4));
}

PackedLinear::PackedLinear(int64_t out, int64_t in, WeightType type, bool bias, WeightArena& arena,
                           CpuPath path)
    : PackedLinear({.in = in, .out = out, .type = type}, arena.take(weight_bytes(out, in, type)),
                   bias, arena, path) {}

std::pair<PackedLinear, PackedLinear> PackedLinear::alternating(int64_t out, int64_t in,
                                                                WeightType type, bool bias,
                                                                WeightArena& arena, CpuPath path) {
  const PackedShape shape{.in = in, .out = out, .type = type, .matrices = 2};
  std::byte* const weights = arena.take(2 * shape.bytes());
  return {PackedLinear(shape, weights, bias, arena, path),
          PackedLinear(shape, weights + shape.panel_bytes(), bias, arena, path)};
}

bool PackedLinear::pack(const at::Tensor& weight, const at::Tensor& bias, WorkShare share) {
  const auto [begin, end] = outputs_of(share);
  if (shape_.type == WeightType::kCompactBfloat16) {
    const auto* const rows = static_cast<const uint16_t*>(weight.const_data_ptr());
    if (!pack_compact_rows(shape_, rows, weights_, begin, end)) return false;
  } else if (shape_.type == WeightType::kInt8) {
    const at::Tensor rows = weight.narrow(0, begin, end - begin).to(at::kFloat);
    pack_int8_rows(shape_, rows.const_data_ptr<float>(), weights_, begin, end);
  } else if (shape_.type == WeightType::kFloat32) {
    pack_rows<float>(shape_, weight.const_data_ptr(), weights_, begin, end);
  } else {  // bfloat16 and float16 alike: sixteen bits that move unchanged
    pack_rows<uint16_t>(shape_, weight.const_data_ptr(), weights_, begin, end);
  }
  if (bias_ == nullptr) return true;
  const at::Tensor values = bias.to(at::kFloat).contiguous();
  std::copy(values.const_data_ptr<float>() + begin, values.const_data_ptr<float>() + end,
            bias_ + begin);
  return true;
}

std::pair<int64_t, int64_t> PackedLinear::outputs_of_panels(Panels panels) const {
  return {std::min(panels.first * kPanel, shape_.out), std::min(panels.last * kPanel, shape_.out)};
}

std::pair<int64_t, int64_t> PackedLinear::outputs_of(WorkShare share) const {
  return outputs_of_panels({share.begin(shape_.panels()), share.end(shape_.panels())});
}

std::pair<int64_t, int64_t> PackedLinear::outputs_of_piece(int64_t piece) const {
  return outputs_of_panels({piece, piece + 1});
}

std::span<const std::byte> PackedLinear::weights_from(int64_t piece) const {
  const int64_t end = (pieces() - 1) * shape_.panel_step() + shape_.panel_bytes();
  return {weights_ + piece * shape_.panel_step(), weights_ + end};
}

void PackedLinear::run(Input x, int64_t rows, Output y, Panels panels, Store store) const {
  if (rows == 0) return;
  const auto kernel = x.rounded ? kernels_->run_rounded : kernels_->run;
  kernel(shape_, {.weights = weights_,
                  .bias = bias_,
                  .x = x.data,
                  .y = y.data,
                  .x_stride = x.stride,
                  .y_stride = y.stride,
                  .rows = rows,
                  .first_panel = panels.first,
                  .last_panel = panels.last,
                  .accumulate = store == Store::kAdd,
                  .bad = y.bad});
}

void PackedLinear::forward(Input x, int64_t rows, Output y, WorkShare share, Store store) const {
  y.data += outputs_of(share).first;
  run(x, rows, y, {share.begin(shape_.panels()), share.end(shape_.panels())}, store);
}

void PackedLinear::forward_piece(Input x, int64_t rows, Output y, int64_t piece,
                                 Store store) const {
  run(x, rows, y, {piece, piece + 1}, store);
}

void PackedLinear::unpack_row(int64_t output, float* to) const {
  switch (shape_.type) {
    case WeightType::kBfloat16:
      return unpack<c10::BFloat16>(shape_, weights_, output, to);
    case WeightType::kCompactBfloat16:
      return unpack_compact(shape_, weights_, output, to);
    case WeightType::kFloat16:
      return unpack<c10::Half>(shape_, weights_, output, to);
    case WeightType::kFloat32:
      return unpack<float>(shape_, weights_, output, to);
    case WeightType::kInt8:
      return unpack_int8(shape_, weights_, output, to);
  }
}

}  // namespace surprisal
