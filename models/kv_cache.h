#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "models/config.h"

namespace surprisal {

/// Keys and values of many token sequences in fixed-size blocks. A sequence is a list of block
/// numbers and a length; forked sequences share blocks by reference count, and the first write into
/// a shared block copies it. Owned by the caller of the model; one thread at a time.
///
/// Storage: per layer two tensors [blocks, K, kBlockTokens, D], a layer's blocks side by side, keys
/// before values. Memory is reserved at construction and, on the CPU, touched only when used (in
/// huge pages: at least one for each layer). There numbers lie as its kernels read them
/// (models/cpu/attention_kernels.h), behind views: keys of float32 with the 16 of a block side by
/// side, so that they are compared with a query across SIMD lanes, without sums across lanes; and
/// bfloat16 in the pairs that its products take, keys' of dimensions and values' of tokens. A
/// dimension of pairs is two of the view: keys [blocks, K, kBlockTokens, D / 2, 2], values
/// [blocks, K, kBlockTokens / 2, 2, D].
class KVCache {
 public:
  static constexpr int64_t kBlockTokens = 16;
  using SequenceId = int64_t;
  static constexpr int64_t blocks_for(int64_t tokens) {
    return (tokens + kBlockTokens - 1) / kBlockTokens;
  }

  /// @param blocks  capacity in blocks over all sequences
  KVCache(const ModelConfig& config, int64_t blocks, at::ScalarType dtype, at::Device device);

  /// Bytes one block takes over all layers.
  static int64_t bytes_per_block(const ModelConfig& config, at::ScalarType dtype);

  SequenceId create();
  /// A new sequence with the same content, in O(blocks of the sequence) reference counts.
  SequenceId fork(SequenceId sequence);
  /// Forgets tokens from `length` on.
  void truncate(SequenceId sequence, int64_t length);
  void release(SequenceId sequence);

  int64_t length(SequenceId sequence) const;
  std::span<const int64_t> blocks(SequenceId sequence) const;
  int64_t free_blocks() const;
  int64_t capacity_blocks() const;

  /// Makes room for `count` more tokens: allocates blocks, and copies a shared last block.
  /// @return false (and changes nothing) when too few blocks are free
  bool reserve(SequenceId sequence, int64_t count);
  /// Blocks reserve(sequence, count) would take.
  int64_t blocks_needed(SequenceId sequence, int64_t count) const;

  /// For the model: advances the length after a forward pass wrote `count` tokens.
  void advance(SequenceId sequence, int64_t count);

  const at::Tensor& keys(int64_t layer) const { return keys_[static_cast<size_t>(layer)]; }
  const at::Tensor& values(int64_t layer) const { return values_[static_cast<size_t>(layer)]; }
  at::ScalarType dtype() const { return dtype_; }
  at::Device device() const { return keys_.front().device(); }

  /// Writes keys and values of N tokens, converted to the cache's dtype.
  /// @param blocks, offsets  [N] int64: block numbers, and places in them
  /// @param keys, values     [N, K, D]
  void put(int64_t layer, const at::Tensor& blocks, const at::Tensor& offsets,
           const at::Tensor& keys, const at::Tensor& values);

 private:
  struct Sequence {
    std::vector<int64_t> blocks;
    int64_t length = 0;
    bool live = false;
  };
  Sequence& get(SequenceId sequence);
  const Sequence& get(SequenceId sequence) const;
  void unref(int64_t block);
  /// Whether the next token would be written into a block that another sequence also reads. Only
  /// the block at the end of a sequence can be: forks share no reserved but unwritten blocks.
  bool last_block_is_shared(const Sequence& s) const;

  at::ScalarType dtype_;
  bool in_pairs_;
  std::vector<at::Tensor> keys_, values_;  // per layer
  std::vector<int32_t> references_;        // per block
  std::vector<int64_t> free_;
  std::vector<Sequence> sequences_;
  std::vector<SequenceId> free_sequences_;
};

}  // namespace surprisal
