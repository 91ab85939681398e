#include "experiments/trace_nodes.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "lib/error.h"

namespace surprisal {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
/// Stands for the parent of the prompt's end where the model skips a position behind the prompt.
constexpr int64_t kGapRoot = -2;
constexpr uint16_t kHalfNaN = 0x7E00;

}  // namespace

size_t TraceNodes::EdgeHash::operator()(const Edge& edge) const {
  const auto key = static_cast<uint64_t>(edge.parent) << 32 ^ static_cast<uint32_t>(edge.token);
  return std::hash<uint64_t>()(key * 0x9E3779B97F4A7C15ULL);
}

template <typename T>
void TraceNodes::Wide<T>::push(const std::vector<T>& values, size_t line) {
  if (line > width || values.size() > lines * line)
    throw Error(ErrorCode::kInternal, "a node's row is wider than its column");
  std::vector<T> row(lines * width, filler);
  for (size_t l = 0; l * line < values.size(); ++l) {
    const size_t begin = l * line, count = std::min(line, values.size() - begin);
    std::copy_n(values.begin() + begin, count, row.begin() + l * width);
  }
  column.push(std::span<const T>(row));
}

TraceNodes::TraceNodes(hdf5::File& file, const TraceOptions& options, int64_t layers, int64_t heads,
                       int64_t vocab_size)
    : by_head_(options.per_head()),
      question_(file, "/nodes/question",
                {"question", "", "row of /samples: the first sample with this prompt"}),
      parent_(file, "/nodes/parent", {"parent", "", "row of /nodes; -1: the prompt's end"}),
      token_id_(file, "/nodes/token_id",
                {"token_id", "", "that led from the parent here; -1: the prompt's end"}) {
  const auto wide = [&]<typename T>(const char* name, const ColumnDoc& doc,
                                    std::vector<int64_t> row_shape, T filler) {
    const size_t lines = row_shape.size() == 2 ? static_cast<size_t>(row_shape[0]) : 1;
    return Wide<T>{GrowingColumn<T>(file, std::string("/nodes/") + name, doc, row_shape), lines,
                   static_cast<size_t>(row_shape.back()), filler};
  };
  if (options.top_k > 0) {
    tail_mass_.emplace(file, "/nodes/tail_mass",
                       ColumnDoc{"tail_mass", "1", "probability outside the top k"});
    top_k_token_id_.emplace(wide("top_k_token_id", {"", "", "most likely tokens [U, K]; -1: none"},
                                 {options.top_k}, int32_t{-1}));
    top_k_logprob_.emplace(
        wide("top_k_logprob", {"", "nat", "their ln p [U, K]"}, {options.top_k}, kNaN));
  }
  if (options.per_layer()) {
    const std::vector<int64_t> shape =
        by_head_ ? std::vector<int64_t>{layers, heads} : std::vector<int64_t>{layers};
    const std::string_view what = by_head_ ? "of each head [U, L, H]" : "means over heads [U, L]";
    attention_entropy_.emplace(wide("attention_entropy", {"", "nat", what}, shape, kNaN));
    attention_varentropy_.emplace(wide("attention_varentropy", {"", "nat^2", what}, shape, kNaN));
    attention_agreement_.emplace(
        wide("attention_agreement", {"", "1", "of the heads of a layer [U, L]"}, {layers}, kNaN));
  }
  if (options.logits_f16)
    logits_.emplace(
        wide("logits", {"", "nat", "raw logits in half precision [U, V]"}, {vocab_size}, kHalfNaN));
  if (options.maps()) {
    maps_.emplace(
        file, "/nodes/maps",
        ColumnDoc{"maps", "1",
                  "attention weights of each context's last token, in half precision, of all "
                  "nodes one after another: node u's are the product of maps_shape[u] "
                  "values from maps_begin[u] on"});
    maps_begin_.emplace(file, "/nodes/maps_begin",
                        ColumnDoc{"maps_begin", "", "first of a node's values in maps [U]"});
    maps_shape_.emplace(file, "/nodes/maps_shape",
                        ColumnDoc{"maps_shape", "", "layers, heads, keys [U, 3]"},
                        std::vector<int64_t>{3});
  }
}

std::vector<int64_t> TraceNodes::add(const std::vector<NodeRecord>& nodes, int64_t question,
                                     int64_t sample_row, int64_t heads, bool position_gap) {
  if (question != current_question_) {
    rows_of_question_.clear();
    current_question_ = question;
    first_sample_ = sample_row;
  }
  std::vector<int64_t> rows;
  rows.reserve(nodes.size());
  for (const NodeRecord& node : nodes) {
    if (node.parent >= static_cast<int32_t>(rows.size()))
      throw Error(ErrorCode::kInternal, "a node stands before its parent");
    const int64_t parent = node.parent < 0 ? -1 : rows[static_cast<size_t>(node.parent)];
    const auto [found, is_new] = rows_of_question_.emplace(
        Edge{parent < 0 && position_gap ? kGapRoot : parent, node.token_id}, rows_);
    if (is_new) write(node, parent, static_cast<size_t>(heads));
    rows.push_back(found->second);
  }
  return rows;
}

void TraceNodes::write(const NodeRecord& node, int64_t parent, size_t heads) {
  question_.push(first_sample_);
  parent_.push(parent);
  token_id_.push(node.token_id);
  if (tail_mass_) tail_mass_->push(node.tail_mass);
  if (top_k_token_id_) top_k_token_id_->push(node.top_k_token_id);
  if (top_k_logprob_) top_k_logprob_->push(node.top_k_logprob);
  const auto push_attention = [&](std::optional<Wide<float>>& column,
                                  const std::vector<float>& values) {
    if (column) column->push(values, by_head_ ? heads : values.size());
  };
  push_attention(attention_entropy_, node.attention_entropy);
  push_attention(attention_varentropy_, node.attention_varentropy);
  if (attention_agreement_) attention_agreement_->push(node.attention_agreement);
  if (logits_) logits_->push(node.logits_f16);
  if (maps_) write_maps(node, heads);
  ++rows_;
}

void TraceNodes::write_maps(const NodeRecord& node, size_t heads) {
  const size_t layers = node.attention_agreement.size(), values = node.maps_f16.size();
  if (layers == 0 || heads == 0 || values % (layers * heads) != 0)
    throw Error(ErrorCode::kInternal, "a node's maps do not fit its model");
  maps_begin_->push(maps_end_);
  maps_->push(std::span<const uint16_t>(node.maps_f16));
  maps_end_ += static_cast<int64_t>(values);
  for (const size_t size : {layers, heads, values / (layers * heads)})
    maps_shape_->push(static_cast<int32_t>(size));
}

void TraceNodes::flush() {
  question_.flush();
  parent_.flush();
  token_id_.flush();
  if (tail_mass_) tail_mass_->flush();
  if (top_k_token_id_) top_k_token_id_->column.flush();
  if (top_k_logprob_) top_k_logprob_->column.flush();
  for (auto* column : {&attention_entropy_, &attention_varentropy_, &attention_agreement_})
    if (*column) (*column)->column.flush();
  if (logits_) logits_->column.flush();
  if (maps_) {
    maps_->flush();
    maps_begin_->flush();
    maps_shape_->flush();
  }
}

}  // namespace surprisal
