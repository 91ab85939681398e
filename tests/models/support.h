#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "models/model.h"

namespace surprisal::test {

/// Names of the tiny checkpoints in tests/models/fixtures (tests/oracle/make_model_fixtures.py).
const std::vector<std::string>& fixture_names();
std::string fixture_folder(const std::string& name);
std::unique_ptr<Model> load_fixture(const std::string& name, const std::string& dtype = "float32");

/// The fixture's tokens, the first `count` of them (0 = all).
std::vector<TokenId> fixture_tokens(size_t count = 0);

/// A cache and sequences in it, driven like an engine does.
class Session {
 public:
  explicit Session(const Model& model, int64_t blocks = 64);
  KVCache& cache() { return cache_; }
  KVCache::SequenceId create() { return cache_.create(); }

  struct Part {
    KVCache::SequenceId sequence;
    std::vector<TokenId> tokens;
    int64_t gap_at = ModelRow{}.gap_at;  ///< none
  };
  StepOutput step(const std::vector<Part>& parts, const ForwardRequest& request = {});
  /// Logits [T, V] of every token, fed in chunks of the given size (0 = whole).
  at::Tensor logits(KVCache::SequenceId sequence, const std::vector<TokenId>& tokens,
                    size_t chunk = 0);

 private:
  const Model& model_;
  KVCache cache_;
};

/// Largest |a - b|; infinity where one is NaN or the shapes differ.
double max_difference(const at::Tensor& a, const at::Tensor& b);

/// A folder copied, so that a test can damage it.
void copy_folder(const std::string& from, const std::string& to);

/// A safetensors file's tensors as plain values, for tests that change and rewrite them.
struct RawTensor {
  std::string dtype;
  std::vector<int64_t> shape;
  std::string bytes;
};
std::map<std::string, RawTensor> read_raw(const std::string& path);
void write_raw(const std::string& path, const std::map<std::string, RawTensor>& tensors,
               size_t padding = 0);

}  // namespace surprisal::test
