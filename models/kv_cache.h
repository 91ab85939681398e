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
/// Storage: per layer two tensors [blocks, K, kBlockTokens, D]. Memory is reserved at construction
/// and, on the CPU, touched only when used. Keys there, but for float16, lie in memory as
/// [blocks, K, D, kBlockTokens], behind a transposed view: its kernels then compare a query with
/// the 16 keys of a block across SIMD lanes, without sums across lanes.
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
  bool keys_are_transposed() const { return keys_are_transposed_; }

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
  bool keys_are_transposed_;
  std::vector<at::Tensor> keys_, values_;  // per layer [blocks, K, kBlockTokens, D]
  std::vector<int32_t> references_;        // per block
  std::vector<int64_t> free_;
  std::vector<Sequence> sequences_;
  std::vector<SequenceId> free_sequences_;
};

}  // namespace surprisal
