#include "models/cpu/packed_llama.h"

#include <ATen/ATen.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>
#include <vector>

#include "lib/error.h"
#include "models/cpu/vector_kernels.h"

namespace surprisal {
namespace {

/// Of a tensor that are in memory twice while it is packed.
constexpr size_t kSliceBytes = size_t{8} << 20;

/// Lets the system take back the file pages behind a tensor that has been read for the last time.
void release_pages(const at::Tensor& tensor) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin =
      (reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) + page - 1) / page * page;
  const auto end =
      (reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) + tensor.nbytes()) / page * page;
  // PAGEOUT, unlike DONTNEED, cannot lose the contents of memory that is no file's.
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_PAGEOUT);
}

WeightType plain_type(const Linear& part, bool int8) {
  return PackedLinear::plain_type(int8 ? at::kChar : part.weight.scalar_type());
}

/// The forms to try, smallest first; all weights fit the last.
std::vector<WeightType> forms(const Linear& part, bool int8, CpuPath path) {
  const WeightType plain = plain_type(part, int8);
  if (plain == WeightType::kBfloat16 && compact::takes(part.weight.size(1)) &&
      linear_kernels(path).compact)
    return {WeightType::kCompactBfloat16, plain};
  return {plain};
}

int64_t arena_bytes(const ModelConfig& config, const LlamaWeights& weights, bool int8) {
  int64_t bytes = 0;
  for (const Linear* part : products(weights)) {
    bytes += PackedLinear::packed_bytes(part->weight.size(0), part->weight.size(1),
                                        plain_type(*part, int8));
  }
  const int64_t norms = 2 * config.num_hidden_layers + 1;
  return bytes + norms * WeightArena::rounded(padded(config.hidden_size) * 4);
}

}  // namespace

PackedLlama::PackedLlama(const ModelConfig& config, LlamaWeights weights, bool int8, CpuPath path,
                         ThreadTeam& team)
    : arena_(arena_bytes(config, weights, int8)) {
  const auto norm = [&](RmsNorm& part) {
    const at::Tensor values = part.weight.to(at::kFloat).contiguous();
    auto* const to = reinterpret_cast<float*>(arena_.take(padded(values.numel()) * 4));
    std::copy_n(values.const_data_ptr<float>(), values.numel(), to);
    part = {};
    return to;
  };
  const auto pack = [&](PackedLinear& packed, const Linear& part) {
    const at::Tensor weight = part.weight.contiguous();
    const int slices = static_cast<int>(weight.nbytes() / kSliceBytes) + 1;
    std::atomic<bool> fits = true;
    for (int slice = 0; slice < slices && fits; ++slice) {
      team.run([&](WorkShare share) {
        const WorkShare own = {slice * share.ranks + share.rank, slices * share.ranks};
        if (!packed.pack(weight, part.bias, own)) fits = false;
      });
      const auto [begin, end] = packed.outputs_of({slice, slices});
      release_pages(weight.narrow(0, begin, end - begin));
    }
    return fits.load();
  };
  // What make(form) returns, of the first form that the weights fit.
  const auto smallest = [&](const Linear& part, const auto& make) {
    const int64_t used = arena_.used();
    for (const WeightType form : forms(part, int8, path)) {
      if (auto packed = make(form)) return *std::move(packed);
      arena_.give_back_to(used);
    }
    throw Error(ErrorCode::kInternal, "weights that fit no form");
  };
  const auto linear = [&](Linear& part) {
    const auto make = [&](WeightType form) -> std::optional<PackedLinear> {
      PackedLinear packed(part.weight.size(0), part.weight.size(1), form, part.bias.defined(),
                          arena_, path);
      return pack(packed, part) ? std::optional(packed) : std::nullopt;
    };
    const PackedLinear packed = smallest(part, make);
    part = {};
    return packed;
  };
  using Pair = std::pair<PackedLinear, PackedLinear>;
  const auto linears = [&](Linear& one, Linear& other) {
    if (plain_type(one, int8) != plain_type(other, int8) ||
        one.bias.defined() != other.bias.defined()) {
      return Pair{linear(one), linear(other)};
    }
    const auto make = [&](WeightType form) -> std::optional<Pair> {
      Pair packed = PackedLinear::alternating(one.weight.size(0), one.weight.size(1), form,
                                              one.bias.defined(), arena_, path);
      const bool fit = pack(packed.first, one) && pack(packed.second, other);
      return fit ? std::optional(packed) : std::nullopt;
    };
    const Pair packed = smallest(one, make);
    one = other = {};
    return packed;
  };
  const bool tied = weights.embed_tokens.is_same(weights.lm_head.weight);
  layers_.reserve(weights.layers.size());
  for (DecoderLayer& layer : weights.layers) {
    // In the order in which a step reads them.
    layers_.push_back({.input_norm = norm(layer.input_layernorm),
                       .post_attention_norm = norm(layer.post_attention_layernorm),
                       .q = linear(layer.self_attn.q_proj),
                       .k = linear(layer.self_attn.k_proj),
                       .v = linear(layer.self_attn.v_proj),
                       .o = linear(layer.self_attn.o_proj),
                       .gate_and_up = linears(layer.mlp.gate_proj, layer.mlp.up_proj),
                       .down = linear(layer.mlp.down_proj)});
  }
  final_norm_ = norm(weights.norm);
  head_.emplace(linear(weights.lm_head));
  if (!tied) embedding_ = weights.embed_tokens.contiguous();
}

int64_t PackedLlama::weight_bytes(const LlamaWeights& weights, bool int8) {
  int64_t bytes = 0;
  for (const Linear* part : products(weights)) {
    bytes += PackedLinear::weight_bytes(part->weight.size(0), part->weight.size(1),
                                        plain_type(*part, int8));
  }
  return bytes;
}

void PackedLlama::embed(int64_t token, float* to) const {
  if (!embedding_.defined()) return head_->unpack_row(token, to);
  const at::Tensor row = embedding_.select(0, token).to(at::kFloat);
  std::copy_n(row.const_data_ptr<float>(), row.numel(), to);
}

}  // namespace surprisal
