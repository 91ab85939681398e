#include "experiments/trace_writer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "experiments/trace_reader.h"
#include "lib/error.h"
#include "lib/version.h"

namespace surprisal {

TraceWriter::TraceWriter(const std::string& path, const TraceHeader& header)
    : file_(hdf5::File::create(path)) {
  hdf5::Attributes root = file_.attributes();
  root.set("format", kTraceFormat);
  root.set("format_version", kTraceFormatVersion);
  root.set("entropy_unit", "nat");
  root.set("tool_version", kVersion);
  root.set("config_sha256", header.config_sha256);
  root.set("model_sha256", header.model_sha256);
  root.set("complete", false);
  for (const char* group : {"/cells", "/samples", "/tokens", "/branches", "/branch_tokens",
                            "/events", "/nodes", "/text", "/meta"})
    file_.create_group(group);  // before their columns, so that these keep their order
  create_sample_columns();
  create_token_columns();
  create_branch_columns();
  create_event_columns();
  if (header.twins) create_twin_columns();
  nodes_ = std::make_unique<TraceNodes>(file_, header.options, header.layers, header.heads,
                                        header.vocab_size);
  text_bytes_.emplace(file_, "/text/bytes",
                      ColumnDoc{"bytes", "byte", "UTF-8 responses of all samples, in order"});
  text_offsets_.emplace(
      file_, "/text/offsets",
      ColumnDoc{"offsets", "byte", "the response of sample i is bytes[offsets[i]:offsets[i + 1]]"});
  text_offsets_->push(int64_t{0});
}

TraceWriter::~TraceWriter() = default;

void TraceWriter::create_sample_columns() {
  samples_.emplace(file_, "/samples");
  TraceTable<SampleRow>& table = *samples_;
  const auto field = [&]<typename T>(const ColumnDoc& doc, T Sample::*member) {
    table.column<T>(doc, [member](const SampleRow& row) { return row.sample->*member; });
  };
  const auto verdict = [&](const ColumnDoc& doc, bool Score::*member) {
    table.column<bool>(doc, [member](const SampleRow& row) { return row.sample->score.*member; });
  };
  table.column<int64_t>({"cell", "", "row of /cells"},
                        [](const SampleRow& row) { return row.cell; });
  field({"doc_id", "", "the problem's number in its split"}, &Sample::doc_id);
  field({"repeat", "", "which answer to the problem, from 0"}, &Sample::repeat);
  field({"stop_reason", "", "why the answer ended"}, &Sample::stop_reason);
  field({"prompt_tokens", "tokens", "length of the prompt"}, &Sample::prompt_tokens);
  field({"generated_tokens", "tokens", "length of the answer, injected and retrieved included"},
        &Sample::generated_tokens);
  field({"injected_tokens", "tokens", "of the answer, inserted as thoughts"},
        &Sample::injected_tokens);
  field({"retrieved_tokens", "tokens", "of the answer, retrieved"}, &Sample::retrieved_tokens);
  field({"discarded_tokens", "tokens", "rewound or of branches that lost"},
        &Sample::discarded_tokens);
  field({"interventions", "", "thoughts, branches, rewinds, questions and retrievals"},
        &Sample::interventions);
  table.column<int64_t>(
      {"token_evaluations", "tokens", "the model would process for this answer alone"},
      [](const SampleRow& row) { return row.sample->cost.token_evaluations; });
  table.column<double>({"flops", "flop", "of those, from shapes, attention included"},
                       [](const SampleRow& row) { return row.sample->cost.flops; });
  table.column<int64_t>({"forward_passes", "", "sequential steps of this answer alone"},
                        [](const SampleRow& row) { return row.sample->cost.forward_passes; });
  verdict({"strict", "", "right by the benchmark's strict match"}, &Score::strict);
  verdict({"flexible", "", "right by the benchmark's flexible match"}, &Score::flexible);
  verdict({"numeric", "", "right as a number"}, &Score::numeric);
  verdict({"valid", "", "a number could be extracted"}, &Score::valid);
  table.column<int64_t>({"token_begin", "", "first row of /tokens"},
                        [](const SampleRow& row) { return row.token_begin; });
  table.column<int64_t>({"token_count", "", "rows of /tokens"}, [](const SampleRow& row) {
    return static_cast<int64_t>(row.sample->tokens.size());
  });
}

void TraceWriter::create_token_columns() {
  tokens_.emplace(file_, "/tokens");
  TraceTable<TokenRow>& table = *tokens_;
  table.column<int64_t>({"sample", "", "row of /samples"},
                        [](const TokenRow& row) { return row.sample; });
  table.column<int64_t>(
      {"node", "", "row of /nodes: the context the token was chosen in; -1: not recorded"},
      [](const TokenRow& row) { return row.node; });
  for_each_token_column([&]<typename T>(const ColumnDoc& doc, T TokenRecord::*member) {
    table.column<T>(doc, [member](const TokenRow& row) { return row.token->*member; });
  });
}

void TraceWriter::create_branch_columns() {
  branches_.emplace(file_, "/branches");
  const auto field = [&]<typename T>(const ColumnDoc& doc, T BranchRecord::*member) {
    branches_->column<T>(doc, [member](const BranchRow& row) { return row.branch->*member; });
  };
  branches_->column<int64_t>({"sample", "", "row of /samples"},
                             [](const BranchRow& row) { return row.sample; });
  field({"fork_position", "tokens", "place in the context where branches part"},
        &BranchRecord::fork_position);
  field({"candidate", "", "the token the branch begins with"}, &BranchRecord::candidate);
  branches_->column<int64_t>({"token_begin", "", "first row of /branch_tokens"},
                             [](const BranchRow& row) { return row.token_begin; });
  branches_->column<int64_t>(
      {"token_count", "", "rows of /branch_tokens; 0 for what was kept: it stands in /tokens"},
      [](const BranchRow& row) { return static_cast<int64_t>(row.branch->tokens.size()); });
  field({"length", "tokens", "of the branch, the candidate included"}, &BranchRecord::length);
  field({"entropy", "nat", "mean over the compared length; NaN: taken back, not compared"},
        &BranchRecord::entropy);
  field({"varentropy", "nat^2", "mean over the compared length"}, &BranchRecord::varentropy);
  field({"mean_logprob", "nat", "mean over the compared length"}, &BranchRecord::mean_logprob);
  field({"score", "", "that branches were compared by"}, &BranchRecord::score);
  field({"kept", "", "the branch that won"}, &BranchRecord::kept);

  branch_tokens_.emplace(file_, "/branch_tokens");
  branch_tokens_->column<int64_t>({"sample", "", "row of /samples"},
                                  [](const TokenRow& row) { return row.sample; });
  for_each_token_column([&]<typename T>(const ColumnDoc& doc, T TokenRecord::*member) {
    branch_tokens_->column<T>(doc, [member](const TokenRow& row) { return row.token->*member; });
  });
}

void TraceWriter::create_event_columns() {
  events_.emplace(file_, "/events");
  events_->column<int64_t>({"sample", "", "row of /samples"},
                           [](const EventRow& row) { return row.sample; });
  events_->column<int32_t>({"position", "tokens", "place in the context"},
                           [](const EventRow& row) { return row.event->position; });
  events_->column<EventKind>({"kind", "", "what happened"},
                             [](const EventRow& row) { return row.event->kind; });
}

void TraceWriter::create_twin_columns() {
  file_.create_group("/twins");
  twins_.emplace(file_, "/twins");
  twins_->column<int64_t>({"sample", "", "row of /samples: the answer that was followed both ways"},
                          [](const TwinRow& row) { return row.sample; });
  const auto at_fork = [&]<typename T>(T TokenRecord::*member) {
    for_each_token_column([&]<typename U>(const ColumnDoc& doc, U TokenRecord::*column) {
      if constexpr (std::is_same_v<T, U>)
        if (column == member)
          twins_->column<T>(doc, [member](const TwinRow& row) { return row.twins->fork.*member; });
    });
  };
  at_fork(&TokenRecord::position);
  at_fork(&TokenRecord::state);
  at_fork(&TokenRecord::action);
  at_fork(&TokenRecord::gate);
  for (const auto member : {&TokenRecord::entropy, &TokenRecord::varentropy,
                            &TokenRecord::max_probability, &TokenRecord::second_probability,
                            &TokenRecord::attention_entropy, &TokenRecord::attention_varentropy,
                            &TokenRecord::attention_agreement, &TokenRecord::attention_sink})
    at_fork(member);
  for (const bool treated : {true, false}) {
    const std::string name = treated ? "treated_" : "untreated_";
    const std::string what = treated ? " of the answer that was acted on"
                                     : " of the answer that the base chain went on with";
    const auto field = [&]<typename T>(const std::string& leaf, const std::string& unit,
                                       const std::string& description, T TwinAnswer::*member) {
      const std::string column = name + leaf, text = description + what;
      twins_->column<T>({column, unit, text}, [treated, member](const TwinRow& row) {
        return (treated ? row.twins->treated : row.twins->untreated).*member;
      });
    };
    const auto verdict = [&](const std::string& leaf, bool Score::*member) {
      const std::string column = name + leaf, text = "right by the " + leaf + " match" + what;
      twins_->column<bool>({column, "", text}, [treated, member](const TwinRow& row) {
        return (treated ? row.twins->treated : row.twins->untreated).score.*member;
      });
    };
    verdict("strict", &Score::strict);
    verdict("flexible", &Score::flexible);
    verdict("numeric", &Score::numeric);
    field("stop_reason", "", "end", &TwinAnswer::stop_reason);
    field("generated_tokens", "tokens", "length, what stood before the fork included,",
          &TwinAnswer::generated_tokens);
    field("token_evaluations", "tokens", "cost from the fork on", &TwinAnswer::token_evaluations);
  }
}

void TraceWriter::add(const Sample& sample, int64_t cell, int64_t question, int64_t heads,
                      bool position_gap) {
  const int64_t row = samples_->rows();
  const std::vector<int64_t> node_rows =
      nodes_->add(sample.nodes, question, row, heads, position_gap);
  samples_->push({&sample, cell, tokens_->rows()});
  for (const TokenRecord& token : sample.tokens) {
    if (token.node >= static_cast<int32_t>(node_rows.size()))
      throw Error(ErrorCode::kInternal, "a token refers to a node that was not recorded");
    tokens_->push({&token, row, token.node < 0 ? -1 : node_rows[static_cast<size_t>(token.node)]});
  }
  for (const BranchRecord& branch : sample.branches) {
    branches_->push({&branch, row, branch_tokens_->rows()});
    branch_texts_.push_back(branch.text);
    for (const TokenRecord& token : branch.tokens) branch_tokens_->push({&token, row, -1});
  }
  for (const EventRecord& event : sample.events) {
    events_->push({&event, row});
    event_details_.push_back(event.detail);
  }
  for (const TwinRecord& pair : sample.twins) {
    if (!twins_) throw Error(ErrorCode::kInternal, "an answer has twins that the trace leaves out");
    twins_->push({&pair, row});
    treated_texts_.push_back(pair.treated.response);
    untreated_texts_.push_back(pair.untreated.response);
  }
  text_bytes_->push(std::span<const uint8_t>(
      reinterpret_cast<const uint8_t*>(sample.response.data()), sample.response.size()));
  text_end_ += static_cast<int64_t>(sample.response.size());
  text_offsets_->push(text_end_);
}

void TraceWriter::finish(const std::vector<CellResult>& cells, const std::string& config_yaml,
                         const std::string& manifest_json) {
  samples_->flush();
  tokens_->flush();
  branches_->flush();
  branch_tokens_->flush();
  events_->flush();
  if (twins_) {
    twins_->flush();
    file_.write_strings("/twins/treated_text", treated_texts_, "", "the whole answer acted on");
    file_.write_strings("/twins/untreated_text", untreated_texts_, "",
                        "the whole answer that the base chain went on with");
  }
  nodes_->flush();
  text_bytes_->flush();
  text_offsets_->flush();
  file_.write_strings("/branches/text", branch_texts_, "", "what the branch says");
  file_.write_strings("/events/detail", event_details_, "", "the text inserted, or the reason");
  write_cells(cells);
  file_.write_text("/meta/config_yaml", config_yaml, "the experiment as it was run");
  file_.write_text("/meta/manifest_json", manifest_json, "manifest.json of the run");
  file_.attributes().set("complete", true);
  samples_.reset();
  tokens_.reset();
  branches_.reset();
  branch_tokens_.reset();
  events_.reset();
  twins_.reset();
  nodes_.reset();
  text_bytes_.reset();
  text_offsets_.reset();
  file_.close();
}

void TraceWriter::write_cells(const std::vector<CellResult>& cells) {
  const auto texts = [&](const ColumnDoc& doc, auto value) {
    std::vector<std::string> values;
    for (const CellResult& cell : cells) values.push_back(value(cell));
    file_.write_strings("/cells/" + std::string(doc.name), values, doc.unit, doc.description);
  };
  const auto column = [&]<typename T>(const ColumnDoc& doc, T, auto value) {
    GrowingColumn<T> out(file_, "/cells/" + std::string(doc.name), doc);
    for (const CellResult& cell : cells) out.push(static_cast<T>(value(cell)));
    out.flush();
  };
  const auto accuracy = [&](const std::string& scorer, Proportion CellResult::*member) {
    const std::string of = "share of right answers by the " + scorer + " scorer";
    column({scorer, "1", of}, double{}, [=](const CellResult& c) { return (c.*member).value; });
    column({scorer + "_low", "1", of + ", lower end of the 95 % interval"}, double{},
           [=](const CellResult& c) { return (c.*member).low; });
    column({scorer + "_high", "1", of + ", upper end of the 95 % interval"}, double{},
           [=](const CellResult& c) { return (c.*member).high; });
  };
  texts({"id", "", "of the cell"}, [](const CellResult& c) { return c.cell; });
  texts({"model", "", "name of the model's folder"}, [](const CellResult& c) { return c.model; });
  texts({"model_provenance", "", "how the weights came to be; empty: as published"},
        [](const CellResult& c) { return c.model_provenance; });
  texts({"dtype", "", "of the arithmetic"}, [](const CellResult& c) { return c.dtype; });
  texts({"task", "", "name of the task"}, [](const CellResult& c) { return c.task; });
  texts({"split", "", "of the task"}, [](const CellResult& c) { return c.split; });
  texts({"sampler", "", "its name in the experiment"},
        [](const CellResult& c) { return c.sampler; });
  texts({"sampler_label", "", "a caveat about the sampler; empty: none"},
        [](const CellResult& c) { return c.sampler_label; });
  column({"n", "", "answers"}, int64_t{}, [](const CellResult& c) { return c.n; });
  accuracy("strict", &CellResult::strict);
  accuracy("flexible", &CellResult::flexible);
  accuracy("numeric", &CellResult::numeric);
  column({"invalid_share", "1", "answers without a number"}, double{},
         [](const CellResult& c) { return c.invalid_share; });
  column({"truncated_share", "1", "answers ended by max_new_tokens or the context"}, double{},
         [](const CellResult& c) { return c.truncated_share; });
  column({"mean_generated_tokens", "tokens", "mean over answers"}, double{},
         [](const CellResult& c) { return c.generated_tokens; });
  column({"mean_token_evaluations", "tokens", "mean over answers"}, double{},
         [](const CellResult& c) { return c.token_evaluations; });
  column({"mean_forward_passes", "", "mean over answers"}, double{},
         [](const CellResult& c) { return c.forward_passes; });
  column({"interventions_per_answer", "", "mean over answers"}, double{},
         [](const CellResult& c) { return c.interventions; });

  std::set<std::string> keys;
  for (const CellResult& cell : cells)
    for (const auto& [key, value] : cell.swept) keys.insert(key);
  for (const std::string& key : keys) {
    const auto value_of = [&](const CellResult& cell) {
      const auto found = std::find_if(cell.swept.begin(), cell.swept.end(),
                                      [&](const auto& entry) { return entry.first == key; });
      return found == cell.swept.end() ? Json(nullptr) : found->second;
    };
    const bool numeric = std::all_of(cells.begin(), cells.end(), [&](const CellResult& cell) {
      const Json value = value_of(cell);
      return value.is_null() || value.is_number();
    });
    const std::string what = "swept parameter; ";
    if (numeric) {
      column({key, "", what + "NaN: not of this cell"}, double{}, [&](const CellResult& cell) {
        const Json value = value_of(cell);
        return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
      });
    } else {
      texts({key, "", what + "empty: not of this cell"}, [&](const CellResult& cell) {
        const Json value = value_of(cell);
        return value.is_null() ? "" : value.is_string() ? value.get<std::string>() : value.dump();
      });
    }
  }
}

}  // namespace surprisal
