#include "lib/params.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace surprisal {
namespace {

/// Integers beyond this are not exact in JSON readers and YAML sweeps that go through double.
constexpr double kMaxInteger = 9007199254740992.0;  // 2^53

bool is_plain(const YAML::Node& node) {
  return node.IsScalar() && node.Tag() != "!";
}

std::string shorten(const std::string& text) {
  return text.size() <= 80 ? text : text.substr(0, 80) + "...";
}

/// What a node is, for "expected ..., found ...".
std::string found(const YAML::Node& node) {
  if (node.IsMap()) return "found a map";
  if (node.IsSequence()) return "found a list";
  if (node.IsNull()) return "found nothing";
  return "found " + std::string(is_plain(node) ? "" : "the string ") + "'" +
         shorten(node.Scalar()) + "'";
}

std::string number_text(double value) {
  return Json(value).dump();
}

std::string bound_text(double value) {
  return value == std::floor(value) && std::abs(value) < kMaxInteger
             ? std::to_string(static_cast<int64_t>(value))
             : number_text(value);
}

std::string allowed_text(const Range& range) {
  std::string text;
  if (std::isfinite(range.min))
    text += (range.min_exclusive ? "> " : ">= ") + bound_text(range.min);
  if (std::isfinite(range.max))
    text += (text.empty() ? "" : ", ") + std::string(range.max_exclusive ? "< " : "<= ") +
            bound_text(range.max);
  return text;
}

/// The parsers below return a value, or nullopt when the node is not of their type.
std::optional<double> parse_number(const YAML::Node& node) {
  if (!is_plain(node)) return std::nullopt;
  const std::string& text = node.Scalar();
  const bool plus = text.size() > 1 && text[0] == '+' && text[1] != '-';  // not from_chars' job
  const char* begin = text.data() + plus;
  double value = 0;
  const auto [end, status] = std::from_chars(begin, text.data() + text.size(), value);
  if (status != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    return std::nullopt;
  return value;
}

/// 40, and also 40.0: a sweep's evenly spaced values are numbers with a fraction of zero.
std::optional<int64_t> parse_integer(const YAML::Node& node) {
  const auto value = parse_number(node);
  if (!value || *value != std::floor(*value) || std::abs(*value) > kMaxInteger) return std::nullopt;
  return static_cast<int64_t>(*value);
}

std::optional<bool> parse_boolean(const YAML::Node& node) {
  if (!is_plain(node)) return std::nullopt;
  const std::string& text = node.Scalar();
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  return std::nullopt;
}

std::optional<std::string> parse_string(const YAML::Node& node) {
  if (!node.IsScalar()) return std::nullopt;
  return node.Scalar();
}

/// Some allowed number, for descriptions of required parameters.
double any_number(const Range& range) {
  if (std::isfinite(range.min)) return range.min_exclusive ? range.min + 1 : range.min;
  return std::isfinite(range.max) ? range.max : 0;
}

/// Wraps a parser so that it refuses values outside `range`.
template <typename Parse>
auto in_range(Range range, Parse parse) {
  return [=](const YAML::Node& node) {
    auto value = parse(node);
    if (value) {
      const auto number = static_cast<double>(*value);
      if (number < range.min || number > range.max ||
          (range.min_exclusive && number == range.min) ||
          (range.max_exclusive && number == range.max))
        value.reset();
    }
    return value;
  };
}

std::string expectation(const ParamDoc& doc, std::string_view what) {
  std::string text = "expected " + std::string(what);
  if (!doc.allowed.empty()) text += " " + doc.allowed;
  if (!doc.unit.empty()) text += " (" + doc.unit + ")";
  return text;
}

std::string with_article(const std::string& type) {
  if (type == "bool") return "true or false";
  return (type == "integer" ? "an " : "a ") + type;
}

}  // namespace

ParamReader::ParamReader(YAML::Node node, std::string owner, std::string file)
    : node_(node), owner_(std::move(owner)), file_(std::move(file)) {
  if (node_.IsDefined() && !node_.IsNull() && !node_.IsMap())
    throw Error(ErrorCode::kConfig, yaml_place(file_, node_) + ": " + owner_ +
                                        ": expected a map of parameters, " + found(node_));
}

ParamReader ParamReader::describing(std::string owner) {
  ParamReader reader(YAML::Node(YAML::NodeType::Null), std::move(owner), "");
  reader.describing_ = true;
  return reader;
}

bool ParamReader::has(const std::string& name) const {
  const YAML::Node& node = node_;  // the const operator[] inserts nothing
  return node.IsDefined() && node.IsMap() && node[name].IsDefined();
}

bool ParamReader::has_section(const std::string& name) {
  if (!has(name)) return false;
  const YAML::Node& node = node_;
  if (!node[name].IsNull()) return true;
  read_.insert(name);
  return false;
}

YAML::Node ParamReader::take(ParamDoc doc) {
  read_.insert(doc.name);
  const std::string name = doc.name;
  const bool required = doc.required;
  docs_.push_back(std::move(doc));
  if (has(name)) {
    const YAML::Node& node = node_;
    return node[name];
  }
  if (required && !describing_)
    throw Error(ErrorCode::kConfig, place(name) + ": '" + name + "' is required");
  return YAML::Node(YAML::NodeType::Undefined);
}

template <typename Value, typename Parse>
Value ParamReader::scalar(ParamDoc doc, std::optional<Value> default_value, Value placeholder,
                          Parse parse) {
  doc.required = !default_value;
  if (default_value) doc.default_value = *default_value;
  const YAML::Node node = take(doc);
  Value value = default_value.value_or(placeholder);
  if (node.IsDefined()) {
    std::optional<Value> parsed = parse(node);
    if (!parsed)
      throw error(doc.name, expectation(doc, with_article(doc.type)) + ", " + found(node));
    value = *std::move(parsed);
  }
  resolved_[doc.name] = value;
  return value;
}

template <typename Value, typename Parse>
std::vector<Value> ParamReader::list(ParamDoc doc, std::vector<Value> default_value, Parse parse) {
  doc.default_value = default_value;
  const YAML::Node node = take(doc);
  std::vector<Value> values = std::move(default_value);
  if (node.IsDefined()) {
    if (!node.IsSequence()) throw error(doc.name, expectation(doc, "a list") + ", " + found(node));
    values.clear();
    for (const YAML::Node& item : node) {
      std::optional<Value> parsed = parse(item);
      if (!parsed)
        throw Error(ErrorCode::kConfig, yaml_place(file_, item) + ": " + owner_ + ": " + doc.name +
                                            ": " + expectation(doc, doc.type + " with each item") +
                                            ", " + found(item));
      values.push_back(*std::move(parsed));
    }
  }
  resolved_[doc.name] = values;
  return values;
}

double ParamReader::number(const std::string& name, std::optional<double> default_value,
                           Range range, const std::string& unit, const std::string& description) {
  return scalar<double>({name, "number", unit, allowed_text(range), false, nullptr, description},
                        default_value, any_number(range), in_range(range, parse_number));
}

int64_t ParamReader::integer(const std::string& name, std::optional<int64_t> default_value,
                             Range range, const std::string& unit, const std::string& description) {
  return scalar<int64_t>({name, "integer", unit, allowed_text(range), false, nullptr, description},
                         default_value, static_cast<int64_t>(any_number(range)),
                         in_range(range, parse_integer));
}

std::optional<double> ParamReader::optional_number(const std::string& name, Range range,
                                                   const std::string& unit,
                                                   const std::string& description) {
  const YAML::Node& node = node_;
  if (has(name) && !node[name].IsNull())
    return number(name, std::nullopt, range, unit, description);
  take({name, "number", unit, allowed_text(range), false, nullptr, description});
  resolved_[name] = nullptr;
  return std::nullopt;
}

std::optional<int64_t> ParamReader::optional_integer(const std::string& name, Range range,
                                                     const std::string& unit,
                                                     const std::string& description) {
  const YAML::Node& node = node_;
  if (has(name) && !node[name].IsNull())
    return integer(name, std::nullopt, range, unit, description);
  take({name, "integer", unit, allowed_text(range), false, nullptr, description});
  resolved_[name] = nullptr;
  return std::nullopt;
}

bool ParamReader::boolean(const std::string& name, std::optional<bool> default_value,
                          const std::string& description) {
  return scalar<bool>({name, "bool", "", "", false, nullptr, description}, default_value, false,
                      parse_boolean);
}

std::string ParamReader::string(const std::string& name, std::optional<std::string> default_value,
                                const std::string& description) {
  return scalar<std::string>({name, "string", "", "", false, nullptr, description},
                             std::move(default_value), "", parse_string);
}

std::string ParamReader::choice(const std::string& name, std::optional<std::string> default_value,
                                const std::vector<std::string>& choices,
                                const std::string& description) {
  std::string allowed;
  for (const std::string& one : choices) allowed += (allowed.empty() ? "" : " | ") + one;
  const std::string value =
      scalar<std::string>({name, "string", "", allowed, false, nullptr, description},
                          std::move(default_value), choices.front(), parse_string);
  if (std::find(choices.begin(), choices.end(), value) == choices.end()) {
    const std::string guess = closest_name(value, choices);
    throw error(name, "expected one of " + allowed + ", found '" + shorten(value) + "'" +
                          (guess.empty() ? "" : "; did you mean '" + guess + "'?"));
  }
  return value;
}

std::vector<double> ParamReader::numbers(const std::string& name, std::vector<double> default_value,
                                         Range range, const std::string& unit,
                                         const std::string& description) {
  return list<double>(
      {name, "list of numbers", unit, allowed_text(range), false, nullptr, description},
      std::move(default_value), in_range(range, parse_number));
}

std::vector<int64_t> ParamReader::integers(const std::string& name,
                                           std::vector<int64_t> default_value, Range range,
                                           const std::string& unit,
                                           const std::string& description) {
  return list<int64_t>(
      {name, "list of integers", unit, allowed_text(range), false, nullptr, description},
      std::move(default_value), in_range(range, parse_integer));
}

std::vector<std::string> ParamReader::strings(const std::string& name,
                                              std::vector<std::string> default_value,
                                              const std::string& description) {
  return list<std::string>({name, "list of strings", "", "", false, nullptr, description},
                           std::move(default_value), parse_string);
}

void ParamReader::map(const std::string& name, const std::string& description,
                      const std::function<void(ParamReader&)>& read, const std::string& main) {
  YAML::Node node = take({name, "map", "", "", false, nullptr, description});
  if (!node.IsDefined()) node.reset(YAML::Node(YAML::NodeType::Null));
  ParamReader nested(main.empty() ? node : yaml_map_of(node, main), owner_ + ": " + name, file_);
  nested.describing_ = describing_;
  read(nested);
  nested.finish();
  append_docs(name, nested.docs_);
  resolved_[name] = nested.resolved_;
}

YAML::Node ParamReader::raw(const std::string& name, const std::string& type,
                            const std::string& description) {
  return take({name, type, "", "", false, nullptr, description});
}

void ParamReader::append_docs(const std::string& prefix, const std::vector<ParamDoc>& docs) {
  for (ParamDoc doc : docs) {
    doc.name = prefix + "." + doc.name;
    docs_.push_back(std::move(doc));
  }
}

void ParamReader::set_resolved(const std::string& name, Json value) {
  resolved_[name] = std::move(value);
}

void ParamReader::finish() const {
  if (!node_.IsDefined() || !node_.IsMap()) return;
  for (const auto& entry : node_) {
    if (!entry.first.IsScalar())
      throw Error(ErrorCode::kConfig, yaml_place(file_, entry.first) + ": " + owner_ +
                                          ": a parameter's name must be a plain word");
    const std::string& key = entry.first.Scalar();
    if (read_.contains(key)) continue;
    const std::vector<std::string> known(read_.begin(), read_.end());
    throw unknown_name_error("key", key, known, place(key));
  }
}

std::string ParamReader::place(const std::string& name) const {
  YAML::Node at = node_;
  if (node_.IsDefined() && node_.IsMap()) {
    for (const auto& entry : node_)
      if (entry.first.IsScalar() && entry.first.Scalar() == name)
        at.reset(entry.first.Mark().is_null() ? entry.second : entry.first);
  }
  const std::string where = yaml_place(file_, at);
  return where.empty() ? owner_ : where + ": " + owner_;
}

Error ParamReader::error(const std::string& name, const std::string& message) const {
  return Error(ErrorCode::kConfig, place(name) + ": " + name + ": " + message);
}

}  // namespace surprisal
