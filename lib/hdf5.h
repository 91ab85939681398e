#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace surprisal::hdf5 {

/// RAII handles over the HDF5 C API, as much of it as traces and inspections need. Every call is
/// checked: a failure is Error(kIo) with HDF5's own message. The HDF5 library itself is not
/// thread-safe: all use of it belongs to one thread at a time.

/// One HDF5 identifier, closed by the last word of its owner. Move-only.
class Handle {
 public:
  using Close = int (*)(int64_t);
  Handle() = default;
  Handle(int64_t id, Close close) : id_(id), close_(close) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  int64_t id() const { return id_; }
  int64_t release() { return std::exchange(id_, -1); }

 private:
  int64_t id_ = -1;
  Close close_ = nullptr;
};

/// How an element is stored in the file (little-endian).
class Type {
 public:
  static Type int8();
  static Type uint8();
  static Type int32();
  static Type int64();
  static Type uint64();
  static Type float32();
  static Type float64();
  /// IEEE half precision; the program hands over and receives the bits as uint16_t.
  static Type float16();
  /// Names of the values 0, 1, ...; the program hands over uint8_t.
  static Type enumeration(std::span<const std::string_view> names);
  /// What h5py reads as bool: the enumeration FALSE, TRUE.
  static Type boolean();
  /// UTF-8 text of at most `bytes` bytes (at least 1), padded with NUL.
  static Type text(size_t bytes);

  int64_t id() const { return handle_.id(); }
  size_t size() const;

 private:
  friend class File;
  explicit Type(Handle handle) : handle_(std::move(handle)) {}
  Handle handle_;
};

/// The C++ element types that read() and write() accept.
enum class Element : uint8_t { kInt8, kUint8, kUint16, kInt32, kInt64, kUint64, kFloat, kDouble };
template <typename T>
constexpr Element element_of();
template <>
constexpr Element element_of<int8_t>() {
  return Element::kInt8;
}
template <>
constexpr Element element_of<uint8_t>() {
  return Element::kUint8;
}
template <>
constexpr Element element_of<uint16_t>() {
  return Element::kUint16;
}
template <>
constexpr Element element_of<int32_t>() {
  return Element::kInt32;
}
template <>
constexpr Element element_of<int64_t>() {
  return Element::kInt64;
}
template <>
constexpr Element element_of<uint64_t>() {
  return Element::kUint64;
}
template <>
constexpr Element element_of<float>() {
  return Element::kFloat;
}
template <>
constexpr Element element_of<double>() {
  return Element::kDouble;
}

/// Attributes of a file's root, a group or a dataset.
class Attributes {
 public:
  explicit Attributes(int64_t object) : object_(object) {}  ///< borrowed
  void set(const std::string& name, std::string_view value);
  void set(const std::string& name, const char* value) { set(name, std::string_view(value)); }
  void set(const std::string& name, int64_t value);
  void set(const std::string& name, double value);
  void set(const std::string& name, bool value);

  bool contains(const std::string& name) const;
  std::string text(const std::string& name) const;
  int64_t integer(const std::string& name) const;
  double number(const std::string& name) const;
  bool boolean(const std::string& name) const;

 private:
  int64_t object_;
};

/// What an array's values are. kFloat: real numbers that fit a float.
enum class Kind : uint8_t { kInteger, kFloat, kDouble, kEnumeration, kText };

/// An array in a file. Rows are entries along the first axis; values are in row-major order.
class Dataset {
 public:
  std::vector<int64_t> shape() const;
  int64_t rows() const { return shape().at(0); }
  Attributes attributes() const { return Attributes(handle_.id()); }

  /// The whole array. @throws Error(kInternal) when the count of values is not the shape's
  template <typename T>
  void write(std::span<const T> values) {
    write_all(values.data(), values.size(), element_of<T>());
  }
  /// Rows [first, first + values / row size), which must exist.
  template <typename T>
  void write_rows(int64_t first, std::span<const T> values) {
    write_rows(first, values.data(), values.size(), element_of<T>());
  }
  /// The box [start, start + count) of the array, which must exist.
  template <typename T>
  void write_box(const std::vector<int64_t>& start, const std::vector<int64_t>& count,
                 std::span<const T> values) {
    write_box(start, count, values.data(), values.size(), element_of<T>());
  }
  /// Extends an extensible dataset by the given rows.
  template <typename T>
  void append(std::span<const T> values) {
    append(values.data(), values.size(), element_of<T>());
  }
  void append_strings(std::span<const std::string> values);

  /// The whole array. @throws Error(kFormat) when it has more than `max_values` values
  template <typename T>
  std::vector<T> read(int64_t max_values = kMaxValues) const {
    std::vector<T> values(checked_count(0, rows_or_one(), max_values));
    read_rows(0, rows_or_one(), values.data(), element_of<T>());
    return values;
  }
  template <typename T>
  std::vector<T> read_rows(int64_t first, int64_t count, int64_t max_values = kMaxValues) const {
    std::vector<T> values(checked_count(first, count, max_values));
    read_rows(first, count, values.data(), element_of<T>());
    return values;
  }
  /// Text of fixed or variable length, in order; one entry for a scalar.
  std::vector<std::string> read_strings(int64_t max_values = kMaxValues) const;
  /// @throws Error(kFormat) on types that nothing here writes
  Kind kind() const;
  /// Names of an enumeration's values 0, 1, ...; empty for other types.
  std::vector<std::string> enumeration_names() const;

  static constexpr int64_t kMaxValues = int64_t{1} << 31;

 private:
  friend class File;
  Dataset(Handle handle, std::string place)
      : handle_(std::move(handle)), place_(std::move(place)) {}
  void write_all(const void* values, size_t count, Element element);
  void write_rows(int64_t first, const void* values, size_t count, Element element);
  void write_box(const std::vector<int64_t>& start, const std::vector<int64_t>& count,
                 const void* values, size_t value_count, Element element);
  void append(const void* values, size_t count, Element element);
  void read_rows(int64_t first, int64_t count, void* values, Element element) const;
  size_t checked_count(int64_t first, int64_t count, int64_t max_values) const;
  int64_t rows_or_one() const;

  Handle handle_;
  std::string place_;  ///< "file: /dataset", for messages
};

/// Compression and growth of a new dataset: chunks of about 64 KiB, shuffle and gzip level 4.
struct DatasetOptions {
  bool extensible = false;  ///< along the first axis, through append()
  bool compressed = true;
};

/// An HDF5 file in the v1.8 format. Datasets taken from it must go before close().
class File {
 public:
  /// Replaces what was there. @throws Error(kIo)
  static File create(const std::string& path);
  /// For reading. @throws Error(kIo)
  static File open(const std::string& path);

  /// Creates a group and those above it; existing ones stay. Readers list what is in it in the
  /// order of creation.
  void create_group(const std::string& path);
  /// Groups above it are created. `units` and `description` become attributes.
  Dataset create_dataset(const std::string& path, const Type& type,
                         const std::vector<int64_t>& shape, std::string_view units,
                         std::string_view description, const DatasetOptions& options = {});
  /// A column of text, as wide as its longest entry.
  Dataset write_strings(const std::string& path, std::span<const std::string> values,
                        std::string_view units, std::string_view description);
  /// One text.
  void write_text(const std::string& path, std::string_view text, std::string_view description);

  bool contains(const std::string& path) const;
  Dataset dataset(const std::string& path) const;
  /// Names in a group: in the order of creation where create_group() made it, else sorted.
  std::vector<std::string> names(const std::string& group) const;
  Attributes attributes() const { return Attributes(handle_.id()); }

  void flush();
  /// Writes everything out; a destructor cannot report a full disk. @throws Error(kIo)
  void close();
  const std::string& path() const { return path_; }

 private:
  File(Handle handle, std::string path) : handle_(std::move(handle)), path_(std::move(path)) {}
  Handle handle_;
  std::string path_;
};

}  // namespace surprisal::hdf5
