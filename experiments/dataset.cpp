#include "experiments/dataset.h"

#include <algorithm>
#include <string_view>

#include "lib/error.h"
#include "lib/files.h"
#include "lib/json.h"
#include "lib/sha256.h"

namespace surprisal {
namespace {

constexpr size_t kFileBytes = size_t{256} << 20;
constexpr JsonLimits kLineLimits{.bytes = size_t{1} << 20, .depth = 16};

DataRecord pick_fields(const Json& object, const std::string& where,
                       const std::vector<std::string>& fields) {
  DataRecord record;
  for (const std::string& field : fields) {
    const auto found = object.find(field);
    if (found == object.end())
      throw Error(ErrorCode::kFormat, where + ": the field '" + field + "' is missing");
    if (!found->is_string())
      throw Error(ErrorCode::kFormat, where + ": the field '" + field +
                                          "' should be a string, found " + found->type_name());
    record.push_back(found->get<std::string>());
  }
  return record;
}

}  // namespace

JsonLines read_json_lines(const std::string& path) {
  const std::string content = read_file(path, kFileBytes);
  JsonLines lines;
  lines.sha256 = sha256_hex(content);
  std::string_view rest = content;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string where = path + ":" + std::to_string(lines.objects.size() + 1);
    Json object = parse_json(rest.substr(0, end), where, kLineLimits);
    if (!object.is_object())
      throw Error(ErrorCode::kFormat,
                  where + ": expected a JSON object, found " + std::string(object.type_name()));
    lines.objects.push_back(std::move(object));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (lines.objects.empty())
    throw Error(ErrorCode::kFormat, path + ": empty; expected one JSON object a line");
  return lines;
}

Dataset read_dataset(const std::string& path, const std::vector<std::string>& fields) {
  const JsonLines lines = read_json_lines(path);
  Dataset dataset;
  dataset.sha256 = lines.sha256;
  for (const Json& object : lines.objects)
    dataset.records.push_back(
        pick_fields(object, path + ":" + std::to_string(dataset.records.size() + 1), fields));
  return dataset;
}

}  // namespace surprisal
