#include "models/kv_cache.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <ranges>
#include <string>
#include <utility>

#include "lib/error.h"
#include "models/huge_pages.h"

namespace surprisal {

KVCache::KVCache(const ModelConfig& config, int64_t blocks, at::ScalarType dtype, at::Device device)
    : dtype_(dtype), in_pairs_(dtype == at::kBFloat16 && device.is_cpu()) {
  // Ordinary tensors, so that they may be written inside and outside of inference mode.
  const c10::InferenceMode ordinary(false);
  const int64_t layers = config.num_hidden_layers, heads = config.num_key_value_heads;
  const int64_t dim = config.head_dim;
  const auto views = [&](const at::Tensor& keys,
                         const at::Tensor& values) -> std::pair<at::Tensor, at::Tensor> {
    if (in_pairs_) {
      return {keys.view({blocks, heads, dim / 2, kBlockTokens, 2}).transpose(2, 3),
              values.view({blocks, heads, kBlockTokens / 2, dim, 2}).transpose(3, 4)};
    }
    const bool side_by_side = dtype == at::kFloat && device.is_cpu();
    return {side_by_side ? keys.view({blocks, heads, dim, kBlockTokens}).transpose(2, 3)
                         : keys.view({blocks, heads, kBlockTokens, dim}),
            values.view({blocks, heads, kBlockTokens, dim})};
  };
  try {
    // A layer's blocks lie side by side, for attention reads them one layer at a time.
    const at::Tensor all = at::empty({layers, blocks, 2, heads, kBlockTokens * dim},
                                     at::TensorOptions(dtype).device(device));
    if (device.is_cpu())
      prefer_huge_pages(all.mutable_data_ptr(), static_cast<int64_t>(all.nbytes()));
    for (int64_t layer = 0; layer < layers; ++layer) {
      const at::Tensor both = all.select(0, layer);
      const auto [keys, values] = views(both.select(1, 0), both.select(1, 1));
      keys_.push_back(keys);
      values_.push_back(values);
    }
  } catch (const c10::Error&) {
    throw Error(ErrorCode::kConfig, "no memory for a cache of " + std::to_string(blocks) +
                                        " blocks (" +
                                        std::to_string(blocks * bytes_per_block(config, dtype)) +
                                        " bytes); lower the batch or the context");
  }
  references_.assign(static_cast<size_t>(blocks), 0);
  free_.reserve(static_cast<size_t>(blocks));  // so that giving a block back cannot fail
  for (int64_t block = blocks; block-- > 0;) free_.push_back(block);  // low numbers first
}

int64_t KVCache::bytes_per_block(const ModelConfig& config, at::ScalarType dtype) {
  return 2 * config.num_hidden_layers * config.num_key_value_heads * kBlockTokens *
         config.head_dim * static_cast<int64_t>(c10::elementSize(dtype));
}

KVCache::Sequence& KVCache::get(SequenceId sequence) {
  return const_cast<Sequence&>(std::as_const(*this).get(sequence));
}

const KVCache::Sequence& KVCache::get(SequenceId sequence) const {
  if (sequence < 0 || sequence >= static_cast<int64_t>(sequences_.size()) ||
      !sequences_[static_cast<size_t>(sequence)].live)
    throw Error(ErrorCode::kInternal,
                "no sequence " + std::to_string(sequence) + " in the key-value cache");
  return sequences_[static_cast<size_t>(sequence)];
}

KVCache::SequenceId KVCache::create() {
  if (free_sequences_.empty()) {
    free_sequences_.reserve(sequences_.size() + 1);  // so that giving one back cannot fail
    sequences_.emplace_back();
    free_sequences_.push_back(static_cast<SequenceId>(sequences_.size() - 1));
  }
  const SequenceId id = free_sequences_.back();
  free_sequences_.pop_back();
  sequences_[static_cast<size_t>(id)].live = true;
  return id;
}

KVCache::SequenceId KVCache::fork(SequenceId sequence) {
  const Sequence& source = get(sequence);
  const int64_t length = source.length;
  std::vector<int64_t> blocks(source.blocks.begin(), source.blocks.begin() + blocks_for(length));
  const SequenceId id = create();  // may move the sequences; nothing after it can fail
  Sequence& copy = get(id);
  copy.length = length;
  copy.blocks = std::move(blocks);
  for (const int64_t block : copy.blocks) ++references_[static_cast<size_t>(block)];
  return id;
}

void KVCache::truncate(SequenceId sequence, int64_t length) {
  Sequence& s = get(sequence);
  if (length < 0 || length > s.length)
    throw Error(ErrorCode::kInternal, "cannot truncate a sequence of " + std::to_string(s.length) +
                                          " tokens to " + std::to_string(length));
  s.length = length;
  while (static_cast<int64_t>(s.blocks.size()) > blocks_for(length)) {
    unref(s.blocks.back());
    s.blocks.pop_back();
  }
}

void KVCache::release(SequenceId sequence) {
  Sequence& s = get(sequence);
  for (const int64_t block : std::views::reverse(s.blocks)) unref(block);  // next taken in order
  s = Sequence{};
  free_sequences_.push_back(sequence);
}

void KVCache::unref(int64_t block) {
  if (--references_[static_cast<size_t>(block)] == 0) free_.push_back(block);
}

int64_t KVCache::length(SequenceId sequence) const {
  return get(sequence).length;
}
std::span<const int64_t> KVCache::blocks(SequenceId sequence) const {
  return get(sequence).blocks;
}
int64_t KVCache::free_blocks() const {
  return static_cast<int64_t>(free_.size());
}
int64_t KVCache::capacity_blocks() const {
  return static_cast<int64_t>(references_.size());
}

bool KVCache::last_block_is_shared(const Sequence& s) const {
  const int64_t next = s.length / kBlockTokens;  // the block the next token goes into
  return next < static_cast<int64_t>(s.blocks.size()) &&
         references_[static_cast<size_t>(s.blocks[static_cast<size_t>(next)])] > 1;
}

int64_t KVCache::blocks_needed(SequenceId sequence, int64_t count) const {
  const Sequence& s = get(sequence);
  if (count <= 0) return 0;
  const int64_t missing = blocks_for(s.length + count) - static_cast<int64_t>(s.blocks.size());
  return std::max<int64_t>(missing, 0) + (last_block_is_shared(s) ? 1 : 0);
}

bool KVCache::reserve(SequenceId sequence, int64_t count) {
  Sequence& s = get(sequence);
  if (blocks_needed(sequence, count) > free_blocks()) return false;
  if (count <= 0) return true;
  s.blocks.reserve(static_cast<size_t>(blocks_for(s.length + count)));
  const auto take = [&] {
    const int64_t block = free_.back();
    free_.pop_back();
    references_[static_cast<size_t>(block)] = 1;
    return block;
  };
  if (last_block_is_shared(s)) {
    int64_t& shared = s.blocks[static_cast<size_t>(s.length / kBlockTokens)];
    const int64_t copy = free_.back();  // not taken before the copying has succeeded
    for (size_t layer = 0; layer < keys_.size(); ++layer) {
      keys_[layer].select(0, copy).copy_(keys_[layer].select(0, shared));
      values_[layer].select(0, copy).copy_(values_[layer].select(0, shared));
    }
    take();
    unref(shared);
    shared = copy;
  }
  while (static_cast<int64_t>(s.blocks.size()) < blocks_for(s.length + count))
    s.blocks.push_back(take());
  return true;
}

void KVCache::put(int64_t layer, const at::Tensor& blocks, const at::Tensor& offsets,
                  const at::Tensor& keys, const at::Tensor& values) {
  const at::Tensor k = keys.to(dtype_), v = values.to(dtype_);
  const at::Tensor to_keys = this->keys(layer).transpose(1, 2), &to_values = this->values(layer);
  if (!in_pairs_) {
    to_keys.index_put_({blocks, offsets}, k);
    to_values.transpose(1, 2).index_put_({blocks, offsets}, v);
    return;
  }
  to_keys.index_put_({blocks, offsets}, k.unflatten(-1, {-1, 2}));
  to_values.permute({0, 2, 3, 1, 4})
      .index_put_({blocks, offsets.div(2, "floor"), offsets.remainder(2)}, v);
}

void KVCache::advance(SequenceId sequence, int64_t count) {
  Sequence& s = get(sequence);
  if (count < 0 || blocks_for(s.length + count) > static_cast<int64_t>(s.blocks.size()))
    throw Error(ErrorCode::kInternal, "a sequence advanced past its reserved blocks");
  s.length += count;
}

}  // namespace surprisal
