#include "experiments/sample_json.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "experiments/token_columns.h"
#include "lib/error.h"

namespace surprisal {
namespace {

static_assert(std::endian::native == std::endian::little, "spool columns are little endian");

Error format_error(const std::string& where, const std::string& message) {
  return Error(ErrorCode::kFormat, where + ": " + message);
}

StopReason stop_reason_of(const std::string& name, const std::string& where) {
  for (size_t i = 0; i < std::size(kStopReasonNames); ++i)
    if (kStopReasonNames[i] == name) return static_cast<StopReason>(i);
  throw format_error(where, "unknown stop_reason '" + name + "'");
}

/// Calls visit(name, member reference) for every field of a Score, in the order of the file.
template <typename AnyScore, typename Visit>
void for_each_score_field(AnyScore& score, Visit&& visit) {
  visit("extracted_strict", score.extracted_strict);
  visit("extracted_flexible", score.extracted_flexible);
  visit("extracted_numeric", score.extracted_numeric);
  visit("strict", score.strict);
  visit("flexible", score.flexible);
  visit("numeric", score.numeric);
  visit("valid", score.valid);
}

/// Calls visit(name, member reference) for every plain field of the line, in the order of the file.
template <typename AnySample, typename Visit>
void for_each_field(AnySample& s, Visit&& visit) {
  visit("cell", s.cell);
  visit("doc_id", s.doc_id);
  visit("repeat", s.repeat);
  visit("seed", s.seed);
  visit("question_sha256", s.question_sha256);
  visit("prompt", s.prompt);
  visit("response", s.response);
  visit("target", s.target);
  for_each_score_field(s.score, visit);
  visit("stop_reason", s.stop_reason);
  visit("prompt_tokens", s.prompt_tokens);
  visit("generated_tokens", s.generated_tokens);
  visit("injected_tokens", s.injected_tokens);
  visit("retrieved_tokens", s.retrieved_tokens);
  visit("discarded_tokens", s.discarded_tokens);
  visit("interventions", s.interventions);
  visit("token_evaluations", s.cost.token_evaluations);
  visit("flops", s.cost.flops);
  visit("forward_passes", s.cost.forward_passes);
}

/// One field of many records as packed bytes.
template <typename Record, typename T>
Json pack(const std::vector<Record>& records, T Record::*member) {
  std::vector<uint8_t> bytes(records.size() * sizeof(T));
  for (size_t i = 0; i < records.size(); ++i)
    std::memcpy(bytes.data() + i * sizeof(T), &(records[i].*member), sizeof(T));
  return Json::binary(std::move(bytes));
}

/// A vector field of many records, as packed bytes; every record's has the same length.
template <typename Record, typename T>
Json pack(const std::vector<Record>& records, std::vector<T> Record::*member) {
  std::vector<uint8_t> bytes;
  const size_t width = records.empty() ? 0 : (records[0].*member).size();
  for (const Record& record : records) {
    const std::vector<T>& values = record.*member;
    if (values.size() != width)
      throw Error(ErrorCode::kInternal, "node records of one answer differ in width");
    const auto* data = reinterpret_cast<const uint8_t*>(values.data());
    bytes.insert(bytes.end(), data, data + values.size() * sizeof(T));
  }
  return Json::binary(std::move(bytes));
}

const std::vector<uint8_t>& binary_at(const Json& columns, const char* name,
                                      const std::string& where) {
  if (!columns.contains(name) || !columns[name].is_binary())
    throw format_error(where, "no column '" + std::string(name) + "'");
  return columns[name].get_binary();
}

template <typename Record, typename T>
void unpack(const Json& columns, const char* name, std::vector<Record>& records, T Record::*member,
            const std::string& where) {
  const std::vector<uint8_t>& bytes = binary_at(columns, name, where);
  if (bytes.size() != records.size() * sizeof(T))
    throw format_error(where, "column '" + std::string(name) + "' has the wrong length");
  for (size_t i = 0; i < records.size(); ++i) {
    std::memcpy(&(records[i].*member), bytes.data() + i * sizeof(T), sizeof(T));
    if constexpr (std::is_enum_v<T>) {
      if (static_cast<size_t>(records[i].*member) >= value_names<T>().size())
        throw format_error(where, "column '" + std::string(name) + "' has an unknown value");
    }
  }
}

template <typename Record, typename T>
void unpack(const Json& columns, const char* name, std::vector<Record>& records,
            std::vector<T> Record::*member, const std::string& where) {
  const std::vector<uint8_t>& bytes = binary_at(columns, name, where);
  if (records.empty() || bytes.empty()) return;
  const size_t width = bytes.size() / (records.size() * sizeof(T));
  if (width * records.size() * sizeof(T) != bytes.size())
    throw format_error(where, "column '" + std::string(name) + "' has the wrong length");
  for (size_t i = 0; i < records.size(); ++i) {
    (records[i].*member).resize(width);
    std::memcpy((records[i].*member).data(), bytes.data() + i * width * sizeof(T),
                width * sizeof(T));
  }
}

/// Calls visit(name, member) for every field of a NodeRecord.
template <typename Visit>
void for_each_node_column(Visit&& visit) {
  visit("parent", &NodeRecord::parent);
  visit("token_id", &NodeRecord::token_id);
  visit("top_k_token_id", &NodeRecord::top_k_token_id);
  visit("top_k_logprob", &NodeRecord::top_k_logprob);
  visit("tail_mass", &NodeRecord::tail_mass);
  visit("attention_entropy", &NodeRecord::attention_entropy);
  visit("attention_varentropy", &NodeRecord::attention_varentropy);
  visit("attention_agreement", &NodeRecord::attention_agreement);
  visit("logits_f16", &NodeRecord::logits_f16);
}

Json pack_tokens(const std::vector<TokenRecord>& tokens) {
  Json columns = {{"rows", tokens.size()}, {"node", pack(tokens, &TokenRecord::node)}};
  for_each_token_column([&](const ColumnDoc& doc, auto member) {
    columns[std::string(doc.name)] = pack(tokens, member);
  });
  return columns;
}

/// Maps differ in length from node to node: the lengths, and all values one after another.
void pack_maps(const std::vector<NodeRecord>& nodes, Json& columns) {
  std::vector<uint8_t> lengths, bytes;
  for (const NodeRecord& node : nodes) {
    const uint64_t length = node.maps_f16.size();
    const auto* data = reinterpret_cast<const uint8_t*>(&length);
    lengths.insert(lengths.end(), data, data + sizeof length);
    const auto* values = reinterpret_cast<const uint8_t*>(node.maps_f16.data());
    bytes.insert(bytes.end(), values, values + length * sizeof(uint16_t));
  }
  columns["maps_length"] = Json::binary(std::move(lengths));
  columns["maps_f16"] = Json::binary(std::move(bytes));
}

void unpack_maps(const Json& columns, std::vector<NodeRecord>& nodes, const std::string& where) {
  const std::vector<uint8_t>& lengths = binary_at(columns, "maps_length", where);
  const std::vector<uint8_t>& bytes = binary_at(columns, "maps_f16", where);
  if (lengths.size() != nodes.size() * sizeof(uint64_t))
    throw format_error(where, "column 'maps_length' has the wrong length");
  size_t at = 0;
  for (size_t i = 0; i < nodes.size(); ++i) {
    uint64_t length = 0;
    std::memcpy(&length, lengths.data() + i * sizeof length, sizeof length);
    if (length > (bytes.size() - at) / sizeof(uint16_t))
      throw format_error(where, "column 'maps_f16' is shorter than its lengths say");
    nodes[i].maps_f16.resize(length);
    if (length > 0)
      std::memcpy(nodes[i].maps_f16.data(), bytes.data() + at, length * sizeof(uint16_t));
    at += length * sizeof(uint16_t);
  }
  if (at != bytes.size()) throw format_error(where, "column 'maps_f16' has the wrong length");
}

Json pack_nodes(const std::vector<NodeRecord>& nodes) {
  Json columns = {{"rows", nodes.size()}};
  pack_maps(nodes, columns);
  for_each_node_column([&](const char* name, auto member) { columns[name] = pack(nodes, member); });
  return columns;
}

/// Number of records in packed columns; one of them is `witness`, of `width` bytes a record.
size_t packed_rows(const Json& columns, const char* witness, size_t width,
                   const std::string& where) {
  const auto rows = columns.at("rows").get<size_t>();
  if (rows > binary_at(columns, witness, where).size() / width)
    throw format_error(where, "more rows than its columns hold");
  return rows;
}

std::vector<TokenRecord> unpack_tokens(const Json& columns, const std::string& where) {
  std::vector<TokenRecord> tokens(packed_rows(columns, "node", sizeof(int32_t), where));
  unpack(columns, "node", tokens, &TokenRecord::node, where);
  for_each_token_column([&](const ColumnDoc& doc, auto member) {
    unpack(columns, std::string(doc.name).c_str(), tokens, member, where);
  });
  return tokens;
}

std::vector<NodeRecord> unpack_nodes(const Json& columns, const std::string& where) {
  std::vector<NodeRecord> nodes(packed_rows(columns, "parent", sizeof(int32_t), where));
  for_each_node_column(
      [&](const char* name, auto member) { unpack(columns, name, nodes, member, where); });
  unpack_maps(columns, nodes, where);
  return nodes;
}

/// Calls visit(name, member reference) for every plain field of a TwinAnswer.
template <typename AnyTwin, typename Visit>
void for_each_twin_field(AnyTwin& twin, Visit&& visit) {
  visit("response", twin.response);
  visit("stop_reason", twin.stop_reason);
  visit("generated_tokens", twin.generated_tokens);
  visit("token_evaluations", twin.token_evaluations);
  for_each_score_field(twin.score, visit);
}

/// A visitor that writes fields into `entry`, enumerations by name.
auto writer_into(Json& entry) {
  return [&entry](const char* name, const auto& value) {
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, StopReason>)
      entry[name] = kStopReasonNames[static_cast<size_t>(value)];
    else
      entry[name] = value;
  };
}

/// A visitor that reads fields from `entry`. @throws Error(kFormat), Json::exception
auto reader_from(const Json& entry, const std::string& where) {
  return [&entry, &where](const char* name, auto& value) {
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, StopReason>)
      value = stop_reason_of(entry.at(name).template get<std::string>(), where);
    else
      entry.at(name).get_to(value);
  };
}

Json twin_to_json(const TwinAnswer& twin) {
  Json entry = Json::object();
  for_each_twin_field(twin, writer_into(entry));
  return entry;
}

TwinAnswer twin_from_json(const Json& entry, const std::string& where) {
  TwinAnswer twin;
  for_each_twin_field(twin, reader_from(entry, where));
  return twin;
}

/// Calls visit(name, member reference) for every number of a BranchRecord.
template <typename AnyBranch, typename Visit>
void for_each_branch_field(AnyBranch& branch, Visit&& visit) {
  visit("fork_position", branch.fork_position);
  visit("candidate", branch.candidate);
  visit("length", branch.length);
  visit("entropy", branch.entropy);
  visit("varentropy", branch.varentropy);
  visit("mean_logprob", branch.mean_logprob);
  visit("score", branch.score);
  visit("kept", branch.kept);
}

}  // namespace

Json sample_to_json(const Sample& sample) {
  Json line = Json::object();
  for_each_field(sample, writer_into(line));
  line["tags"] = Json::object();
  for (const auto& [key, value] : sample.tags) line["tags"][key] = value;
  line["foreign"] = Json::array();
  for (const TextSpan& span : sample.foreign) line["foreign"].push_back({span.begin, span.end});
  return line;
}

Sample sample_from_json(const Json& line, const std::string& where) {
  Sample sample;
  try {
    for_each_field(sample, reader_from(line, where));
    for (const auto& [key, value] : line.at("tags").items()) sample.tags.emplace_back(key, value);
    for (const Json& span : line.at("foreign"))
      sample.foreign.push_back({span.at(0).get<int64_t>(), span.at(1).get<int64_t>()});
  } catch (const Json::exception& error) {
    throw format_error(where, std::string("not a sample: ") + error.what());
  }
  int64_t last = 0;
  for (const TextSpan& span : sample.foreign) {
    if (span.begin < last || span.end < span.begin ||
        span.end > static_cast<int64_t>(sample.response.size()))
      throw format_error(where, "a foreign span lies outside the response");
    last = span.end;
  }
  return sample;
}

std::string encode_sample(const Sample& sample) {
  Json events = Json::array();
  for (const EventRecord& event : sample.events)
    events.push_back({event.position, static_cast<int>(event.kind), event.detail});

  Json branches = Json::array();
  for (const BranchRecord& branch : sample.branches) {
    Json entry = {{"text", branch.text}, {"tokens", pack_tokens(branch.tokens)}};
    for_each_branch_field(branch, [&](const char* name, auto value) { entry[name] = value; });
    branches.push_back(std::move(entry));
  }
  Json twins = Json::array();
  for (const TwinRecord& pair : sample.twins)
    twins.push_back({{"fork", pack_tokens({pair.fork})},
                     {"treated", twin_to_json(pair.treated)},
                     {"untreated", twin_to_json(pair.untreated)}});
  Json whole = {{"sample", sample_to_json(sample)},
                {"tokens", pack_tokens(sample.tokens)},
                {"nodes", pack_nodes(sample.nodes)},
                {"events", std::move(events)},
                {"branches", std::move(branches)}};
  if (!twins.empty()) whole["twins"] = std::move(twins);
  std::string bytes;
  Json::to_cbor(whole, bytes);
  return bytes;
}

Sample decode_sample(std::string_view bytes, const std::string& where) {
  try {
    const Json whole = Json::from_cbor(bytes.begin(), bytes.end());
    Sample sample = sample_from_json(whole.at("sample"), where);
    sample.tokens = unpack_tokens(whole.at("tokens"), where);
    sample.nodes = unpack_nodes(whole.at("nodes"), where);
    for (const Json& event : whole.at("events")) {
      const auto kind = event.at(1).get<size_t>();
      if (kind >= std::size(kEventNames)) throw format_error(where, "unknown kind of event");
      sample.events.push_back({event.at(0).get<int32_t>(), static_cast<EventKind>(kind),
                               event.at(2).get<std::string>()});
    }
    for (const Json& entry : whole.at("branches")) {
      BranchRecord& branch = sample.branches.emplace_back();
      for_each_branch_field(branch,
                            [&](const char* name, auto& value) { entry.at(name).get_to(value); });
      entry.at("text").get_to(branch.text);
      branch.tokens = unpack_tokens(entry.at("tokens"), where);
    }
    for (const Json& entry : whole.value("twins", Json::array())) {
      const std::vector<TokenRecord> fork = unpack_tokens(entry.at("fork"), where);
      if (fork.size() != 1) throw format_error(where, "twins without their fork");
      sample.twins.push_back({fork.front(), twin_from_json(entry.at("treated"), where),
                              twin_from_json(entry.at("untreated"), where)});
    }
    return sample;
  } catch (const Json::exception& error) {
    throw format_error(where, std::string("not a sample: ") + error.what());
  }
}

std::string without_spans(const std::string& text, const std::vector<TextSpan>& spans) {
  std::string own;
  size_t at = 0;
  for (const TextSpan& span : spans) {
    const auto begin = static_cast<size_t>(span.begin), end = static_cast<size_t>(span.end);
    if (begin < at || end < begin || end > text.size())
      throw Error(ErrorCode::kInternal, "a foreign span lies outside the response");
    own.append(text, at, begin - at);
    at = end;
  }
  return own.append(text, at);
}

}  // namespace surprisal
