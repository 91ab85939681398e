#include "experiments/trace_export.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <functional>
#include <system_error>

#include "lib/csv.h"
#include "lib/error.h"
#include "lib/files.h"
#include "lib/json.h"

namespace surprisal {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kValuesPerBlock = 1 << 18;

template <typename Number>
void append_number(std::string& out, Number value) {
  char text[32];
  out.append(text, std::to_chars(text, text + sizeof text, value).ptr);
}

/// Appends value number i of a block, as CSV or JSON has it.
using Append = std::function<void(std::string& out, size_t i)>;

/// Reads rows [first, first + count) of a column and says how to write its values.
Append read_block(const TraceReader& trace, const std::string& table, const TraceColumn& column,
                  int64_t first, int64_t count, bool json) {
  const hdf5::Dataset dataset = trace.column(table, column.name);
  switch (column.kind) {
    case hdf5::Kind::kInteger:
      return [values = dataset.read_rows<int64_t>(first, count)](std::string& out, size_t i) {
        append_number(out, values[i]);
      };
    case hdf5::Kind::kFloat:
      return [=, values = dataset.read_rows<float>(first, count)](std::string& out, size_t i) {
        if (std::isfinite(values[i])) return append_number(out, values[i]);
        out += json ? "null" : std::isnan(values[i]) ? "" : values[i] > 0 ? "inf" : "-inf";
      };
    case hdf5::Kind::kDouble:
      return [=, values = dataset.read_rows<double>(first, count)](std::string& out, size_t i) {
        if (std::isfinite(values[i])) return append_number(out, values[i]);
        out += json ? "null" : std::isnan(values[i]) ? "" : values[i] > 0 ? "inf" : "-inf";
      };
    case hdf5::Kind::kEnumeration:
      return [=, names = column.value_names,
              place = trace.file().path() + ": /" + table + "/" + column.name,
              values = dataset.read_rows<uint8_t>(first, count)](std::string& out, size_t i) {
        if (values[i] >= names.size())
          throw Error(ErrorCode::kFormat, place + ": a value without a name");
        const std::string& name = names[values[i]];
        const bool boolean = names.size() == 2 && names[0] == "FALSE" && names[1] == "TRUE";
        if (boolean)
          out += values[i] == 1 ? "true" : "false";
        else
          out += json ? "\"" + name + "\"" : name;
      };
    case hdf5::Kind::kText: {
      std::vector<std::string> values = dataset.read_strings();
      return [=, values = std::move(values)](std::string& out, size_t i) {
        const std::string& text = values.at(static_cast<size_t>(first) + i);
        out += json ? dump_line(text) : csv_field(text);
      };
    }
  }
  throw Error(ErrorCode::kInternal, "a kind of column without an export");
}

/// Suffixes of a column's values in a row: "", or "_0", "_1", ..., "_0_0", ...
void append_suffixes(const std::vector<int64_t>& shape, size_t axis, const std::string& so_far,
                     std::vector<std::string>& out) {
  if (axis == shape.size()) return out.push_back(so_far);
  for (int64_t i = 0; i < shape[axis]; ++i)
    append_suffixes(shape, axis + 1, so_far + "_" + std::to_string(i), out);
}

/// Row `row` of a block as JSON: nested lists in the column's shape.
void append_nested(std::string& out, const Append& append, const std::vector<int64_t>& shape,
                   size_t axis, size_t& i) {
  if (axis == shape.size()) return append(out, i++);
  out += '[';
  for (int64_t k = 0; k < shape[axis]; ++k) {
    if (k > 0) out += ',';
    append_nested(out, append, shape, axis + 1, i);
  }
  out += ']';
}

void export_table(const TraceReader& trace, const std::string& table,
                  const std::vector<TraceColumn>& columns, bool json, FileWriter& file) {
  int64_t row_values = 1;
  std::string header;
  for (const TraceColumn& column : columns) {
    row_values += column.row_values();
    std::vector<std::string> suffixes;
    append_suffixes(column.row_shape, 0, "", suffixes);
    for (const std::string& suffix : suffixes)
      header += (header.empty() ? "" : ",") + csv_field(column.name + suffix);
  }
  if (!json) file.write(header + "\n");

  const int64_t rows = trace.rows(table);
  const int64_t block = std::max<int64_t>(1, kValuesPerBlock / row_values);
  for (int64_t first = 0; first < rows; first += block) {
    const int64_t count = std::min(block, rows - first);
    std::vector<Append> appends;
    for (const TraceColumn& column : columns)
      appends.push_back(read_block(trace, table, column, first, count, json));
    std::string text;
    for (int64_t row = 0; row < count; ++row) {
      if (json) text += '{';
      for (size_t c = 0; c < columns.size(); ++c) {
        if (c > 0) text += ',';
        const auto width = static_cast<size_t>(columns[c].row_values());
        size_t i = static_cast<size_t>(row) * width;
        if (json) {
          text += dump_line(columns[c].name) + ":";
          append_nested(text, appends[c], columns[c].row_shape, 0, i);
          continue;
        }
        for (size_t k = 0; k < width; ++k, ++i) {
          if (k > 0) text += ',';
          appends[c](text, i);
        }
      }
      text += json ? "}\n" : "\n";
    }
    file.write(text);
  }
}

}  // namespace

std::vector<std::string> export_trace(const TraceReader& trace, const std::string& format,
                                      const std::string& folder,
                                      std::vector<std::string>* left_out) {
  std::error_code failure;
  fs::create_directories(folder, failure);
  if (failure)
    throw Error(ErrorCode::kIo, folder + ": cannot make this folder: " + failure.message());
  std::vector<std::string> paths;
  for (const std::string table : kTraceTables) {
    std::vector<TraceColumn> columns;
    for (const TraceColumn& column : trace.columns(table)) {
      if (column.row_values() <= kMaxRowValues)
        columns.push_back(column);
      else if (left_out != nullptr)
        left_out->push_back("/" + table + "/" + column.name);
    }
    const std::string path = (fs::path(folder) / (table + "." + format)).string();
    FileWriter file(path);
    export_table(trace, table, columns, format == "jsonl", file);
    file.publish();
    paths.push_back(path);
  }
  return paths;
}

}  // namespace surprisal
