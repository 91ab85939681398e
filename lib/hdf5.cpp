#include "lib/hdf5.h"

#include <hdf5.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>

#include "lib/error.h"

namespace surprisal::hdf5 {
namespace {

static_assert(sizeof(hid_t) == sizeof(int64_t));

constexpr unsigned kGzipLevel = 4;
constexpr unsigned kCreationOrder = H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED;
constexpr hsize_t kChunkBytes = 64 << 10;
constexpr size_t kMaxRank = H5S_MAX_RANK;
constexpr size_t kMaxTextBytes = 64 << 20;

/// HDF5 prints its error stack by default; ours goes into the exception.
void silence() {
  static const bool done = [] {
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    return true;
  }();
  (void)done;
}

std::string pending_message() {
  std::string message;
  const auto collect = [](unsigned, const H5E_error2_t* entry, void* out) -> herr_t {
    auto& text = *static_cast<std::string*>(out);
    if (entry->desc != nullptr && entry->desc[0] != '\0')
      text += (text.empty() ? "" : "; ") + std::string(entry->desc);
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, collect, &message);  // innermost cause first
  H5Eclear2(H5E_DEFAULT);
  return message.empty() ? "no reason given" : message;
}

[[noreturn]] void fail(const std::string& place, const std::string& what) {
  std::string why = pending_message();
  const bool locked = why.find("lock file") != std::string::npos;
  // Where the operating system refused, its words say it all: "No space left on device".
  const std::string mark = "error message = '";
  if (const size_t begin = why.find(mark); begin != std::string::npos) {
    why.erase(0, begin + mark.size());
    why.resize(std::min(why.size(), why.find('\'')));
  }
  std::string message = place + ": HDF5 cannot " + what + ": " + why;
  if (locked)
    message +=
        " (on a file system without locks, set HDF5_USE_FILE_LOCKING=FALSE; otherwise another "
        "program holds the file)";
  throw Error(ErrorCode::kIo, message);
}

/// Identifiers, sizes and statuses alike are negative on failure.
template <typename Result>
Result check(Result result, const std::string& place, const std::string& what) {
  if (result < 0) fail(place, what);
  return result;
}

Handle type_handle(hid_t id, const char* what) {
  return {check(id, "type", what), H5Tclose};
}
Handle copy_of(hid_t standard) {
  return type_handle(H5Tcopy(standard), "copy a type");
}

/// Text of any length: what h5py hands out as `str`.
Handle variable_text() {
  Handle type = copy_of(H5T_C_S1);
  check(H5Tset_size(type.id(), H5T_VARIABLE), "type", "describe text");
  check(H5Tset_cset(type.id(), H5T_CSET_UTF8), "type", "describe text");
  return type;
}

Handle space_of(const std::vector<hsize_t>& dims, const hsize_t* maximum,
                const std::string& place) {
  const hid_t id = dims.empty()
                       ? H5Screate(H5S_SCALAR)
                       : H5Screate_simple(static_cast<int>(dims.size()), dims.data(), maximum);
  return {check(id, place, "describe a shape"), H5Sclose};
}

hid_t native_type(Element element) {
  switch (element) {
    case Element::kInt8:
      return H5T_NATIVE_INT8;
    case Element::kUint8:
      return H5T_NATIVE_UINT8;
    case Element::kUint16:
      return H5T_NATIVE_UINT16;
    case Element::kInt32:
      return H5T_NATIVE_INT32;
    case Element::kInt64:
      return H5T_NATIVE_INT64;
    case Element::kUint64:
      return H5T_NATIVE_UINT64;
    case Element::kFloat:
      return H5T_NATIVE_FLOAT;
    case Element::kDouble:
      return H5T_NATIVE_DOUBLE;
  }
  return H5T_NATIVE_INT8;
}

/// The type the program's values have: the native one, except that enumerations and half-precision
/// numbers are handed over as their stored bits.
Handle memory_type(hid_t dataset, Element element, const std::string& place) {
  Handle stored(check(H5Dget_type(dataset), place, "read the type"), H5Tclose);
  const H5T_class_t kind = H5Tget_class(stored.id());
  const bool as_bits =
      (kind == H5T_ENUM && (element == Element::kUint8 || element == Element::kInt8)) ||
      (kind == H5T_FLOAT && element == Element::kUint16);
  if (!as_bits) return copy_of(native_type(element));
  if (H5Tget_size(stored.id()) != H5Tget_size(native_type(element)))
    throw Error(ErrorCode::kFormat,
                place + ": stored elements have " + std::to_string(H5Tget_size(stored.id())) +
                    " bytes, expected " + std::to_string(H5Tget_size(native_type(element))));
  return stored;
}

/// About kChunkBytes, made of whole rows where a row is small enough.
std::vector<hsize_t> chunk_shape(std::vector<hsize_t> shape, size_t element_bytes,
                                 bool extensible) {
  if (extensible) shape[0] = std::numeric_limits<uint32_t>::max();
  hsize_t rest = element_bytes;
  for (size_t axis = shape.size(); axis-- > 0;) {
    shape[axis] = std::clamp<hsize_t>(kChunkBytes / rest, 1, std::max<hsize_t>(shape[axis], 1));
    rest *= shape[axis];
  }
  return shape;
}

std::vector<hsize_t> to_dims(const std::vector<int64_t>& shape, const std::string& place) {
  if (shape.size() > kMaxRank)
    throw Error(ErrorCode::kInternal, place + ": too many axes for HDF5");
  std::vector<hsize_t> dims;
  for (const int64_t extent : shape) {
    if (extent < 0) throw Error(ErrorCode::kInternal, place + ": negative extent");
    dims.push_back(static_cast<hsize_t>(extent));
  }
  return dims;
}

/// Values in `dims` from axis `from` on. @throws Error(kFormat) above 2^62
hsize_t product(const std::vector<hsize_t>& dims, size_t from, const std::string& place) {
  hsize_t result = 1;
  for (size_t axis = from; axis < dims.size(); ++axis)
    if (__builtin_mul_overflow(result, dims[axis], &result) || result > (hsize_t{1} << 62))
      throw Error(ErrorCode::kFormat, place + ": the shape is too large");
  return result;
}

std::vector<hsize_t> dims_of(hid_t dataset, const std::string& place) {
  const Handle space(check(H5Dget_space(dataset), place, "read the shape"), H5Sclose);
  const int rank = check(H5Sget_simple_extent_ndims(space.id()), place, "read the shape");
  std::vector<hsize_t> dims(static_cast<size_t>(rank));
  check(H5Sget_simple_extent_dims(space.id(), dims.data(), nullptr), place, "read the shape");
  return dims;
}

struct Selection {
  Handle file, memory;
};

/// The box [start, start + count) of an array (both empty for a scalar).
Selection select_box(hid_t dataset, const std::vector<hsize_t>& start,
                     const std::vector<hsize_t>& count, const std::string& place) {
  Handle space(check(H5Dget_space(dataset), place, "read the shape"), H5Sclose);
  if (!count.empty())
    check(H5Sselect_hyperslab(space.id(), H5S_SELECT_SET, start.data(), nullptr, count.data(),
                              nullptr),
          place, "select values");
  Handle memory = space_of(count, nullptr, place);
  return {std::move(space), std::move(memory)};
}

/// `count` whole rows from `first` on (the whole of a scalar).
Selection select_rows(hid_t dataset, hsize_t first, hsize_t count, const std::string& place) {
  std::vector<hsize_t> dims = dims_of(dataset, place);
  std::vector<hsize_t> start(dims.size(), 0);
  if (!dims.empty()) {
    if (first > dims[0] || count > dims[0] - first)
      throw Error(ErrorCode::kFormat, place + ": rows " + std::to_string(first) + " to " +
                                          std::to_string(first + count) + " of " +
                                          std::to_string(dims[0]));
    start[0] = first;
    dims[0] = count;
  }
  return select_box(dataset, start, dims, place);
}

Handle link_properties(const std::string& place) {
  Handle properties(check(H5Pcreate(H5P_LINK_CREATE), place, "prepare a link"), H5Pclose);
  check(H5Pset_create_intermediate_group(properties.id(), 1), place, "prepare a link");
  return properties;
}

Handle file_access(const std::string& path) {
  silence();
  Handle access(check(H5Pcreate(H5P_FILE_ACCESS), path, "prepare the file"), H5Pclose);
  check(H5Pset_libver_bounds(access.id(), H5F_LIBVER_EARLIEST, H5F_LIBVER_V18), path,
        "choose the v1.8 format");
  check(H5Pset_fclose_degree(access.id(), H5F_CLOSE_SEMI), path, "prepare the file");
  return access;
}

std::vector<std::string> read_text_values(hid_t stored_type, size_t count, const std::string& place,
                                          const auto& read) {
  std::vector<std::string> result(count);
  if (H5Tget_class(stored_type) != H5T_STRING)
    throw Error(ErrorCode::kFormat, place + ": expected text");
  if (H5Tis_variable_str(stored_type) > 0) {
    std::vector<char*> pointers(count, nullptr);
    read(static_cast<void*>(pointers.data()));
    for (size_t i = 0; i < count; ++i) {
      if (pointers[i] != nullptr) result[i] = pointers[i];
      H5free_memory(pointers[i]);
    }
    return result;
  }
  const size_t width = H5Tget_size(stored_type);
  if (width == 0 || (count > 0 && width > kMaxTextBytes / count))
    throw Error(ErrorCode::kFormat, place + ": too much text to read at once");
  std::vector<char> bytes(width * count);
  read(static_cast<void*>(bytes.data()));
  for (size_t i = 0; i < count; ++i)
    result[i].assign(&bytes[i * width], strnlen(&bytes[i * width], width));
  return result;
}

/// Fixed-width copies of `values`, padded with NUL.
std::vector<char> padded_text(std::span<const std::string> values, size_t width,
                              const std::string& place) {
  std::vector<char> bytes(width * values.size(), '\0');
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i].size() > width)
      throw Error(ErrorCode::kInternal, place + ": text of " + std::to_string(values[i].size()) +
                                            " bytes in a column of " + std::to_string(width));
    std::copy(values[i].begin(), values[i].end(), bytes.begin() + static_cast<int64_t>(i * width));
  }
  return bytes;
}

void set_attribute(hid_t object, const std::string& name, hid_t stored, hid_t memory,
                   const void* value) {
  const Handle space = space_of({}, nullptr, "attribute '" + name + "'");
  const std::string place = "attribute '" + name + "'";
  if (check(H5Aexists(object, name.c_str()), place, "look up") > 0)
    check(H5Adelete(object, name.c_str()), place, "replace");
  const Handle attribute(
      check(H5Acreate2(object, name.c_str(), stored, space.id(), H5P_DEFAULT, H5P_DEFAULT), place,
            "create"),
      H5Aclose);
  check(H5Awrite(attribute.id(), memory, value), place, "write");
}

Handle open_attribute(hid_t object, const std::string& name) {
  const std::string place = "attribute '" + name + "'";
  Handle attribute(check(H5Aopen(object, name.c_str(), H5P_DEFAULT), place, "open"), H5Aclose);
  const Handle space(check(H5Aget_space(attribute.id()), place, "read"), H5Sclose);
  if (H5Sget_simple_extent_npoints(space.id()) != 1)
    throw Error(ErrorCode::kFormat, place + ": expected one value");
  return attribute;
}

}  // namespace

Type Type::int8() {
  return Type(copy_of(H5T_STD_I8LE));
}
Type Type::uint8() {
  return Type(copy_of(H5T_STD_U8LE));
}
Type Type::int32() {
  return Type(copy_of(H5T_STD_I32LE));
}
Type Type::int64() {
  return Type(copy_of(H5T_STD_I64LE));
}
Type Type::uint64() {
  return Type(copy_of(H5T_STD_U64LE));
}
Type Type::float32() {
  return Type(copy_of(H5T_IEEE_F32LE));
}
Type Type::float64() {
  return Type(copy_of(H5T_IEEE_F64LE));
}

Type Type::float16() {
  // HDF5 1.10 has no half type: the IEEE layout is described (sign 15, exponent 10+5, mantissa 10).
  Handle type = copy_of(H5T_IEEE_F32LE);
  check(H5Tset_fields(type.id(), 15, 10, 5, 0, 10), "type", "describe half precision");
  check(H5Tset_size(type.id(), 2), "type", "describe half precision");
  check(H5Tset_ebias(type.id(), 15), "type", "describe half precision");
  return Type(std::move(type));
}

Type Type::enumeration(std::span<const std::string_view> names) {
  Handle type = type_handle(H5Tenum_create(H5T_STD_U8LE), "create an enumeration");
  if (names.empty() || names.size() > 256)
    throw Error(ErrorCode::kInternal, "an HDF5 enumeration of ours has 1 to 256 names");
  for (size_t value = 0; value < names.size(); ++value) {
    const auto byte = static_cast<uint8_t>(value);
    check(H5Tenum_insert(type.id(), std::string(names[value]).c_str(), &byte), "type",
          "name an enumeration's value");
  }
  return Type(std::move(type));
}

Type Type::boolean() {
  static constexpr std::string_view kNames[] = {"FALSE", "TRUE"};
  return enumeration(kNames);
}

Type Type::text(size_t bytes) {
  Handle type = copy_of(H5T_C_S1);
  check(H5Tset_size(type.id(), std::max<size_t>(bytes, 1)), "type", "describe text");
  check(H5Tset_strpad(type.id(), H5T_STR_NULLPAD), "type", "describe text");
  check(H5Tset_cset(type.id(), H5T_CSET_UTF8), "type", "describe text");
  return Type(std::move(type));
}

size_t Type::size() const {
  return H5Tget_size(id());
}

void Attributes::set(const std::string& name, std::string_view value) {
  const Handle type = variable_text();
  const std::string text(value);
  const char* pointer = text.c_str();
  set_attribute(object_, name, type.id(), type.id(), &pointer);
}
void Attributes::set(const std::string& name, int64_t value) {
  set_attribute(object_, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value);
}
void Attributes::set(const std::string& name, double value) {
  set_attribute(object_, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value);
}
void Attributes::set(const std::string& name, bool value) {
  const Type type = Type::boolean();
  const auto byte = static_cast<uint8_t>(value);
  set_attribute(object_, name, type.id(), type.id(), &byte);
}

bool Attributes::contains(const std::string& name) const {
  return check(H5Aexists(object_, name.c_str()), "attribute '" + name + "'", "look up") > 0;
}
std::string Attributes::text(const std::string& name) const {
  const std::string place = "attribute '" + name + "'";
  const Handle attribute = open_attribute(object_, name);
  const Handle type(check(H5Aget_type(attribute.id()), place, "read"), H5Tclose);
  return read_text_values(type.id(), 1, place, [&](void* out) {
    check(H5Aread(attribute.id(), type.id(), out), place, "read");
  })[0];
}
int64_t Attributes::integer(const std::string& name) const {
  int64_t value = 0;
  check(H5Aread(open_attribute(object_, name).id(), H5T_NATIVE_INT64, &value),
        "attribute '" + name + "'", "read");
  return value;
}
double Attributes::number(const std::string& name) const {
  double value = 0;
  check(H5Aread(open_attribute(object_, name).id(), H5T_NATIVE_DOUBLE, &value),
        "attribute '" + name + "'", "read");
  return value;
}
bool Attributes::boolean(const std::string& name) const {
  uint8_t value = 0;
  const Type type = Type::boolean();
  check(H5Aread(open_attribute(object_, name).id(), type.id(), &value), "attribute '" + name + "'",
        "read");
  return value != 0;
}

std::vector<int64_t> Dataset::shape() const {
  const std::vector<hsize_t> dims = dims_of(handle_.id(), place_);
  return {dims.begin(), dims.end()};
}

int64_t Dataset::rows_or_one() const {
  const std::vector<int64_t> dims = shape();
  return dims.empty() ? 1 : dims[0];
}

size_t Dataset::checked_count(int64_t first, int64_t count, int64_t max_values) const {
  if (first < 0 || count < 0) throw Error(ErrorCode::kInternal, place_ + ": negative row");
  const hsize_t row = product(dims_of(handle_.id(), place_), 1, place_);
  hsize_t values = 0;
  if (__builtin_mul_overflow(row, static_cast<hsize_t>(count), &values) ||
      values > static_cast<hsize_t>(max_values))
    throw Error(ErrorCode::kFormat,
                place_ + ": more than " + std::to_string(max_values) + " values to read at once");
  return values;
}

void Dataset::write_all(const void* values, size_t count, Element element) {
  if (count != product(dims_of(handle_.id(), place_), 0, place_))
    throw Error(ErrorCode::kInternal,
                place_ + ": " + std::to_string(count) + " values do not fill the dataset");
  const Handle type = memory_type(handle_.id(), element, place_);
  check(H5Dwrite(handle_.id(), type.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values), place_, "write");
}

void Dataset::write_rows(int64_t first, const void* values, size_t count, Element element) {
  const hsize_t row = product(dims_of(handle_.id(), place_), 1, place_);
  if (first < 0 || row == 0 || count % row != 0)
    throw Error(ErrorCode::kInternal, place_ + ": expected whole rows to write");
  const Selection selection =
      select_rows(handle_.id(), static_cast<hsize_t>(first), count / row, place_);
  const Handle type = memory_type(handle_.id(), element, place_);
  check(H5Dwrite(handle_.id(), type.id(), selection.memory.id(), selection.file.id(), H5P_DEFAULT,
                 values),
        place_, "write");
}

void Dataset::write_box(const std::vector<int64_t>& start, const std::vector<int64_t>& count,
                        const void* values, size_t value_count, Element element) {
  const std::vector<hsize_t> dims = dims_of(handle_.id(), place_);
  const std::vector<hsize_t> from = to_dims(start, place_), extent = to_dims(count, place_);
  bool fits = from.size() == dims.size() && extent.size() == dims.size() &&
              value_count == product(extent, 0, place_);
  for (size_t axis = 0; fits && axis < dims.size(); ++axis)
    fits = from[axis] <= dims[axis] && extent[axis] <= dims[axis] - from[axis];
  if (!fits) throw Error(ErrorCode::kInternal, place_ + ": a box outside of the dataset");
  const Selection selection = select_box(handle_.id(), from, extent, place_);
  const Handle type = memory_type(handle_.id(), element, place_);
  check(H5Dwrite(handle_.id(), type.id(), selection.memory.id(), selection.file.id(), H5P_DEFAULT,
                 values),
        place_, "write");
}

namespace {
/// Adds rows at the end. @return the first new row
hsize_t extend(hid_t dataset, hsize_t count, const std::string& place) {
  std::vector<hsize_t> dims = dims_of(dataset, place);
  const hsize_t first = dims.at(0);
  dims[0] += count;
  check(H5Dset_extent(dataset, dims.data()), place, "extend");
  return first;
}
}  // namespace

void Dataset::append(const void* values, size_t count, Element element) {
  if (count == 0) return;
  const hsize_t row = product(dims_of(handle_.id(), place_), 1, place_);
  if (row == 0 || count % row != 0)
    throw Error(ErrorCode::kInternal, place_ + ": expected whole rows to append");
  const hsize_t first = extend(handle_.id(), count / row, place_);
  write_rows(static_cast<int64_t>(first), values, count, element);
}

void Dataset::append_strings(std::span<const std::string> values) {
  if (values.empty()) return;
  const Handle type(check(H5Dget_type(handle_.id()), place_, "read the type"), H5Tclose);
  const std::vector<char> bytes = padded_text(values, H5Tget_size(type.id()), place_);
  const hsize_t first = extend(handle_.id(), values.size(), place_);
  const Selection selection = select_rows(handle_.id(), first, values.size(), place_);
  check(H5Dwrite(handle_.id(), type.id(), selection.memory.id(), selection.file.id(), H5P_DEFAULT,
                 bytes.data()),
        place_, "write");
}

void Dataset::read_rows(int64_t first, int64_t count, void* values, Element element) const {
  if (count == 0) return;
  const Selection selection =
      select_rows(handle_.id(), static_cast<hsize_t>(first), static_cast<hsize_t>(count), place_);
  const Handle type = memory_type(handle_.id(), element, place_);
  check(H5Dread(handle_.id(), type.id(), selection.memory.id(), selection.file.id(), H5P_DEFAULT,
                values),
        place_, "read");
}

std::vector<std::string> Dataset::read_strings(int64_t max_values) const {
  const size_t count = checked_count(0, rows_or_one(), max_values);
  const Handle type(check(H5Dget_type(handle_.id()), place_, "read the type"), H5Tclose);
  return read_text_values(type.id(), count, place_, [&](void* out) {
    check(H5Dread(handle_.id(), type.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, out), place_, "read");
  });
}

std::vector<std::string> Dataset::enumeration_names() const {
  const Handle type(check(H5Dget_type(handle_.id()), place_, "read the type"), H5Tclose);
  std::vector<std::string> names;
  if (H5Tget_class(type.id()) != H5T_ENUM) return names;
  const int count = check(H5Tget_nmembers(type.id()), place_, "read the enumeration");
  for (unsigned member = 0; member < static_cast<unsigned>(count); ++member) {
    const std::unique_ptr<char, herr_t (*)(void*)> name(H5Tget_member_name(type.id(), member),
                                                        H5free_memory);
    uint64_t value = 0;  // little-endian: smaller integers fill the low bytes
    if (name == nullptr || H5Tget_size(type.id()) > sizeof(value) ||
        H5Tget_member_value(type.id(), member, &value) < 0 || value > 255)
      fail(place_, "read the enumeration");
    names.resize(std::max<size_t>(names.size(), value + 1));
    names[value] = name.get();
  }
  return names;
}

Kind Dataset::kind() const {
  const Handle type(check(H5Dget_type(handle_.id()), place_, "read the type"), H5Tclose);
  switch (H5Tget_class(type.id())) {
    case H5T_INTEGER:
      return Kind::kInteger;
    case H5T_FLOAT:
      return H5Tget_size(type.id()) > sizeof(float) ? Kind::kDouble : Kind::kFloat;
    case H5T_ENUM:
      return Kind::kEnumeration;
    case H5T_STRING:
      return Kind::kText;
    default:
      throw Error(ErrorCode::kFormat, place_ + ": values of a type that is not read here");
  }
}

File File::create(const std::string& path) {
  const Handle access = file_access(path);
  const hid_t id = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.id());
  return {Handle(check(id, path, "create the file"), H5Fclose), path};
}

File File::open(const std::string& path) {
  const Handle access = file_access(path);
  const hid_t id = H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.id());
  return {Handle(check(id, path, "open the file"), H5Fclose), path};
}

void File::create_group(const std::string& path) {
  if (contains(path)) return;
  const std::string place = path_ + ": " + path;
  const Handle links = link_properties(place);
  const Handle properties(check(H5Pcreate(H5P_GROUP_CREATE), place, "prepare"), H5Pclose);
  check(H5Pset_link_creation_order(properties.id(), kCreationOrder), place, "prepare");
  const Handle group(
      check(H5Gcreate2(handle_.id(), path.c_str(), links.id(), properties.id(), H5P_DEFAULT), place,
            "create the group"),
      H5Gclose);
}

Dataset File::create_dataset(const std::string& path, const Type& type,
                             const std::vector<int64_t>& shape, std::string_view units,
                             std::string_view description, const DatasetOptions& options) {
  const std::string place = path_ + ": " + path;
  const std::vector<hsize_t> dims = to_dims(shape, place);
  std::vector<hsize_t> maximum = dims;
  if (options.extensible) maximum.at(0) = H5S_UNLIMITED;
  const Handle properties(check(H5Pcreate(H5P_DATASET_CREATE), place, "prepare"), H5Pclose);
  check(H5Pset_obj_track_times(properties.id(), false), place, "prepare");  // same data, same bytes
  if (!dims.empty() && (options.extensible || options.compressed)) {
    const std::vector<hsize_t> chunk = chunk_shape(dims, type.size(), options.extensible);
    check(H5Pset_chunk(properties.id(), static_cast<int>(chunk.size()), chunk.data()), place,
          "choose chunks");
    if (options.compressed) {
      check(H5Pset_shuffle(properties.id()), place, "shuffle");
      check(H5Pset_deflate(properties.id(), kGzipLevel), place, "compress");
    }
  }
  const Handle space = space_of(dims, maximum.data(), place);
  const Handle links = link_properties(place);
  Dataset dataset(Handle(check(H5Dcreate2(handle_.id(), path.c_str(), type.id(), space.id(),
                                          links.id(), properties.id(), H5P_DEFAULT),
                               place, "create the dataset"),
                         H5Dclose),
                  place);
  dataset.attributes().set("units", units);
  dataset.attributes().set("description", description);
  return dataset;
}

Dataset File::write_strings(const std::string& path, std::span<const std::string> values,
                            std::string_view units, std::string_view description) {
  size_t width = 1;
  for (const std::string& value : values) width = std::max(width, value.size());
  Dataset dataset =
      create_dataset(path, Type::text(width), {0}, units, description, {.extensible = true});
  dataset.append_strings(values);
  return dataset;
}

void File::write_text(const std::string& path, std::string_view text,
                      std::string_view description) {
  const Type type{variable_text()};
  const Dataset dataset = create_dataset(path, type, {}, "", description, {.compressed = false});
  const std::string copy(text);
  const char* pointer = copy.c_str();
  check(H5Dwrite(dataset.handle_.id(), type.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, &pointer),
        path_ + ": " + path, "write");
}

bool File::contains(const std::string& path) const {
  // H5Lexists fails where a group above is missing: ask level by level.
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string prefix = path.substr(0, end);
    if (prefix == "/" || prefix.empty()) return true;
    if (check(H5Lexists(handle_.id(), prefix.c_str(), H5P_DEFAULT), path_, "look up") == 0)
      return false;
    if (end == std::string::npos) return true;
  }
}

Dataset File::dataset(const std::string& path) const {
  const std::string place = path_ + ": " + path;
  if (!contains(path)) throw Error(ErrorCode::kFormat, place + ": no such dataset");
  return {Handle(check(H5Dopen2(handle_.id(), path.c_str(), H5P_DEFAULT), place, "open"), H5Dclose),
          place};
}

std::vector<std::string> File::names(const std::string& group) const {
  std::vector<std::string> result;
  const auto collect = [](hid_t, const char* name, const H5L_info_t*, void* out) -> herr_t {
    static_cast<std::vector<std::string>*>(out)->emplace_back(name);
    return 0;
  };
  const Handle opened(
      check(H5Gopen2(handle_.id(), group.c_str(), H5P_DEFAULT), path_ + ": " + group, "open"),
      H5Gclose);
  const Handle properties(check(H5Gget_create_plist(opened.id()), path_ + ": " + group, "open"),
                          H5Pclose);
  unsigned order = 0;
  check(H5Pget_link_creation_order(properties.id(), &order), path_ + ": " + group, "open");
  const H5_index_t index = order == kCreationOrder ? H5_INDEX_CRT_ORDER : H5_INDEX_NAME;
  check(H5Literate(opened.id(), index, H5_ITER_INC, nullptr, collect, &result),
        path_ + ": " + group, "list");
  return result;
}

void File::flush() {
  check(H5Fflush(handle_.id(), H5F_SCOPE_LOCAL), path_, "flush the file");
}

void File::close() {
  flush();
  check(H5Fclose(handle_.release()), path_, "close the file (is a dataset still open?)");
}

}  // namespace surprisal::hdf5
