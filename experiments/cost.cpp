#include "experiments/cost.h"

namespace surprisal {

double forward_flops(const ModelConfig& config, int64_t begin, int64_t end, int64_t logit_rows) {
  const double hidden = static_cast<double>(config.hidden_size);
  const double query_width = static_cast<double>(config.num_attention_heads * config.head_dim);
  const double key_width = static_cast<double>(config.num_key_value_heads * config.head_dim);
  const double mlp = 3 * hidden * static_cast<double>(config.intermediate_size);
  const double products_per_token = hidden * (2 * query_width + 2 * key_width) + mlp;
  const double layers = static_cast<double>(config.num_hidden_layers);
  const double tokens = static_cast<double>(end - begin);
  // The token at position p attends to p + 1 keys: a product with the keys, one with the values.
  const double keys_seen = tokens * static_cast<double>(begin + end + 1) / 2;
  return 2 * layers * (tokens * products_per_token + 2 * keys_seen * query_width) +
         2 * static_cast<double>(logit_rows) * hidden * static_cast<double>(config.vocab_size);
}

}  // namespace surprisal
