#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "experiments/token_columns.h"
#include "lib/hdf5.h"

namespace surprisal {

/// The HDF5 type of a column of T.
template <typename T>
hdf5::Type column_type() {
  if constexpr (std::is_enum_v<T>) return hdf5::Type::enumeration(value_names<T>());
  if constexpr (std::is_same_v<T, bool>) return hdf5::Type::boolean();
  if constexpr (std::is_same_v<T, uint8_t>) return hdf5::Type::uint8();
  if constexpr (std::is_same_v<T, uint16_t>) return hdf5::Type::float16();  // half-precision bits
  if constexpr (std::is_same_v<T, int32_t>) return hdf5::Type::int32();
  if constexpr (std::is_same_v<T, int64_t>) return hdf5::Type::int64();
  if constexpr (std::is_same_v<T, float>) return hdf5::Type::float32();
  if constexpr (std::is_same_v<T, double>) return hdf5::Type::float64();
}

/// One growing array of a file; rows are collected and written a chunk at a time.
template <typename T>
class GrowingColumn {
 public:
  /// enumerations and booleans are handed over as uint8_t
  using Stored = std::conditional_t<std::is_enum_v<T> || std::is_same_v<T, bool>, uint8_t, T>;

  /// @param row_shape  of one row; empty for a plain column
  GrowingColumn(hdf5::File& file, const std::string& path, const ColumnDoc& doc,
                const std::vector<int64_t>& row_shape = {})
      : dataset_(create(file, path, doc, row_shape)) {}

  void push(T value) {
    buffer_.push_back(static_cast<Stored>(value));
    if (buffer_.size() >= kBufferedValues) flush();
  }
  /// A whole row, or several: the buffer may be written after any push.
  void push(std::span<const T> values) {
    buffer_.insert(buffer_.end(), values.begin(), values.end());
    if (buffer_.size() >= kBufferedValues) flush();
  }
  void flush() {
    if (!buffer_.empty()) dataset_.append(std::span<const Stored>(buffer_));
    buffer_.clear();
  }

 private:
  static constexpr size_t kBufferedValues = 1 << 16;

  static hdf5::Dataset create(hdf5::File& file, const std::string& path, const ColumnDoc& doc,
                              const std::vector<int64_t>& row_shape) {
    std::vector<int64_t> shape = {0};
    shape.insert(shape.end(), row_shape.begin(), row_shape.end());
    return file.create_dataset(path, column_type<T>(), shape, doc.unit, doc.description,
                               {.extensible = true});
  }

  hdf5::Dataset dataset_;
  std::vector<Stored> buffer_;
};

/// Columns of equal length below one group, filled a record at a time.
template <typename Record>
class TraceTable {
 public:
  TraceTable(hdf5::File& file, std::string group) : file_(&file), group_(std::move(group)) {}

  /// @param value  Record -> T, where T is the column's type
  template <typename T>
  void column(const ColumnDoc& doc, std::function<T(const Record&)> value) {
    auto column =
        std::make_shared<GrowingColumn<T>>(*file_, group_ + "/" + std::string(doc.name), doc);
    columns_.push_back({[column, value](const Record& record) { column->push(value(record)); },
                        [column] { column->flush(); }});
  }

  void push(const Record& record) {
    for (const auto& column : columns_) column.push(record);
    ++rows_;
  }
  void flush() {
    for (const auto& column : columns_) column.flush();
  }
  int64_t rows() const { return rows_; }

 private:
  struct Column {
    std::function<void(const Record&)> push;
    std::function<void()> flush;
  };
  hdf5::File* file_;
  std::string group_;
  std::vector<Column> columns_;
  int64_t rows_ = 0;
};

}  // namespace surprisal
