#include "experiments/trace_reader.h"

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <tuple>

#include "lib/error.h"
#include "lib/sha256.h"

namespace surprisal {
namespace {

hdf5::File open_trace(const std::string& run) {
  namespace fs = std::filesystem;
  const std::string path = fs::is_directory(run) ? (fs::path(run) / "traces.h5").string() : run;
  if (!fs::exists(path))
    throw Error(ErrorCode::kIo,
                path + ": not there; a run that was interrupted has its trace when it is finished");
  return hdf5::File::open(path);
}

}  // namespace

int64_t TraceColumn::row_values() const {
  return std::accumulate(row_shape.begin(), row_shape.end(), int64_t{1}, std::multiplies<>());
}

TraceReader::TraceReader(const std::string& run) : file_(open_trace(run)) {
  const hdf5::Attributes root = file_.attributes();
  if (!root.contains("format") || root.text("format") != kTraceFormat)
    throw Error(ErrorCode::kFormat, file_.path() + ": not a trace of this toolkit");
  if (const int64_t version = root.integer("format_version"); version != kTraceFormatVersion)
    throw Error(ErrorCode::kFormat, file_.path() + ": format_version " + std::to_string(version) +
                                        "; this version reads " +
                                        std::to_string(kTraceFormatVersion));
  if (!root.boolean("complete"))
    throw Error(ErrorCode::kFormat, file_.path() + ": was not written to its end");
}

std::vector<TraceColumn> TraceReader::columns(const std::string& table) const {
  std::vector<TraceColumn> columns;
  int64_t rows = -1;
  for (const std::string& name : file_.names("/" + table)) {
    if (table == "nodes" && name == kRaggedMaps) continue;
    const hdf5::Dataset dataset = column(table, name);
    const std::vector<int64_t> shape = dataset.shape();
    if (shape.empty() || (rows >= 0 && shape[0] != rows))
      throw Error(ErrorCode::kFormat, file_.path() + ": /" + table + "/" + name +
                                          ": differs in length from the columns before it");
    rows = shape[0];
    columns.push_back(
        {name, dataset.kind(), {shape.begin() + 1, shape.end()}, dataset.enumeration_names()});
  }
  return columns;
}

int64_t TraceReader::rows(const std::string& table) const {
  const std::vector<TraceColumn> all = columns(table);
  return all.empty() ? 0 : column(table, all.front().name).rows();
}

std::string trace_signature(const TraceReader& trace) {
  for (const char* table : {"samples", "tokens"}) trace.columns(table);  // of one length each
  const auto integers = [&](const char* table, const char* name) {
    return trace.column(table, name).read<int32_t>();
  };
  const auto codes = [&](const char* table, const char* name) {
    return trace.column(table, name).read<uint8_t>();
  };
  const std::vector<std::string> cell_ids = trace.column("cells", "id").read_strings();
  const auto cell = integers("samples", "cell"), doc_id = integers("samples", "doc_id"),
             repeat = integers("samples", "repeat");
  const auto stop_reason = codes("samples", "stop_reason");
  const auto begin = trace.column("samples", "token_begin").read<int64_t>();
  const auto count = trace.column("samples", "token_count").read<int64_t>();
  const auto position = integers("tokens", "position"), attempt = integers("tokens", "attempt"),
             token_id = integers("tokens", "token_id");
  const auto source = codes("tokens", "source"), state = codes("tokens", "state"),
             action = codes("tokens", "action"), gate = codes("tokens", "gate");
  const auto bad = [&](const std::string& what) {
    return Error(ErrorCode::kFormat, trace.file().path() + ": " + what);
  };

  std::vector<size_t> order(cell.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto key = [&](size_t s) {
    const auto c = static_cast<size_t>(cell[s]);
    if (c >= cell_ids.size()) throw bad("a sample of a cell that is not there");
    return std::tuple(cell_ids[c], doc_id[s], repeat[s]);
  };
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return key(a) < key(b); });

  std::string chain;  // hash of hashes, so that no trace must fit into one text
  for (const size_t s : order) {
    const auto& [id, doc, nth] = key(s);
    std::string text = id + " " + std::to_string(doc) + " " + std::to_string(nth) + " " +
                       std::to_string(stop_reason[s]) + "\n";
    if (begin[s] < 0 || count[s] < 0 || begin[s] > static_cast<int64_t>(token_id.size()) - count[s])
      throw bad("a sample's tokens lie outside /tokens");
    for (auto t = static_cast<size_t>(begin[s]); t < static_cast<size_t>(begin[s] + count[s]); ++t)
      text += std::to_string(position[t]) + " " + std::to_string(attempt[t]) + " " +
              std::to_string(token_id[t]) + " " + std::to_string(source[t]) + " " +
              std::to_string(state[t]) + " " + std::to_string(action[t]) + " " +
              std::to_string(gate[t]) + "\n";
    chain = sha256_hex(chain + text);
  }
  return sha256_hex(chain).substr(0, 12);
}

}  // namespace surprisal
