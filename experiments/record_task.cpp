#include "experiments/record_task.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <utility>

#include "experiments/dataset.h"
#include "experiments/latex_answer.h"
#include "experiments/numeric_answer.h"
#include "experiments/pattern.h"
#include "experiments/prompt.h"
#include "experiments/scorers.h"
#include "lib/error.h"
#include "lib/sha256.h"

namespace surprisal {
namespace {

constexpr size_t kMostChoices = 26;

const Json& field(const Json& record, const std::string& path, const std::string& where) {
  const Json* value = &record;
  for (size_t from = 0; from <= path.size();) {
    const size_t dot = std::min(path.find('.', from), path.size());
    const std::string name = path.substr(from, dot - from);
    if (!value->is_object() || !value->contains(name))
      throw Error(ErrorCode::kFormat, where + ": the field '" + path + "' is missing");
    value = &value->at(name);
    from = dot + 1;
  }
  return *value;
}

std::string field_text(const Json& record, const std::string& path, const std::string& where) {
  const Json& value = field(record, path, where);
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number()) return value.dump();
  throw Error(ErrorCode::kFormat, where + ": the field '" + path +
                                      "' should be a string or a number, found " +
                                      value.type_name());
}

std::vector<std::string> choices_of(const Json& record, const std::string& path,
                                    const std::string& where) {
  std::vector<std::string> texts;
  if (path.empty()) return texts;
  const Json& values = field(record, path, where);
  const bool list_of_text =
      values.is_array() && std::all_of(values.begin(), values.end(),
                                       [](const Json& value) { return value.is_string(); });
  if (!list_of_text || values.empty() || values.size() > kMostChoices)
    throw Error(ErrorCode::kFormat,
                where + ": the field '" + path + "' should be a list of 1 to 26 texts");
  for (const Json& value : values) texts.push_back(value.get<std::string>());
  return texts;
}

std::string letter(size_t index) {
  return std::string(1, static_cast<char>('A' + index));
}

/// The letter of the right choice.
std::string right_choice(const Json& answer, size_t count, const std::string& where) {
  std::optional<int64_t> index;
  if (answer.is_number_integer()) {
    index = answer.get<int64_t>();
  } else if (answer.is_string()) {
    const std::string text = answer.get<std::string>();
    if (text.size() == 1 && text[0] >= 'A' && text[0] <= 'Z') index = text[0] - 'A';
    if (text.size() == 1 && text[0] >= '1' && text[0] <= '9') index = text[0] - '1';
  }
  if (!index || *index < 0 || *index >= static_cast<int64_t>(count))
    throw Error(ErrorCode::kFormat, where + ": the answer should be one of " +
                                        std::to_string(count) + " choices; found " +
                                        dump_line(answer).substr(0, 40));
  return letter(static_cast<size_t>(*index));
}

/// "{name}" becomes a field; braces around anything else stay as they are.
std::string fill(const std::string& pattern, const Json& record,
                 const std::vector<std::string>& choices, const std::string& where) {
  std::string text;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const size_t end = pattern[i] == '{' ? pattern.find('}', i) : std::string::npos;
    const std::string name = end == std::string::npos ? "" : pattern.substr(i + 1, end - i - 1);
    const bool is_name = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.';
    });
    if (!is_name) {
      text += pattern[i];
      continue;
    }
    if (name == "choices" && !choices.empty()) {
      for (size_t c = 0; c < choices.size(); ++c)
        text += (c ? "\n" : "") + letter(c) + ". " + choices[c];
    } else {
      text += field_text(record, name, where);
    }
    i = end;
  }
  return text;
}

std::string trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\n\v\f\r";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(kSpace) - begin + 1));
}

bool same_text(std::string_view one, std::string_view other) {
  const auto folded = [](std::string_view text) {
    std::string result = trimmed(text);
    for (char& c : result)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return result;
  };
  return folded(one) == folded(other);
}

class RecordTask : public Task {
 public:
  RecordTask(const RecordTaskSpec& spec, const TaskOptions& options) : spec_(spec) {
    const std::string owner = "task " + spec.name;
    if (options.data.empty())
      throw Error(ErrorCode::kConfig, owner + ": `data` should name the folder of its files");
    if (!spec.extract.empty()) extract_.emplace(spec.extract, owner + ": extract");
    if (spec.scorer == AnswerScorer::kRegex && !extract_)
      throw Error(ErrorCode::kConfig, owner + ": scorer regex needs `extract`");
    if (spec.scorer == AnswerScorer::kChoice && spec.choices.empty())
      throw Error(ErrorCode::kConfig, owner + ": scorer choice needs `choices`");
    std::string file = spec.file;
    if (const size_t split = file.find("{split}"); split != std::string::npos)
      file.replace(split, std::string_view("{split}").size(), options.split);
    const std::string path = options.data + '/' + file;
    const JsonLines records = read_json_lines(path);
    data_sha256_ = records.sha256;
    const std::vector<Shot> shots = read_shots(options.data);
    std::map<std::string, size_t> lines;  // by id
    for (size_t i = 0; i < records.objects.size(); ++i) {
      const std::string where = path + ":" + std::to_string(i + 1);
      if (!spec.id.empty()) {
        const auto [first, is_new] =
            lines.emplace(field_text(records.objects[i], spec.id, where), i + 1);
        if (!is_new)
          throw Error(ErrorCode::kFormat,
                      where + ": " + spec.id + " '" + first->first.substr(0, 100) +
                          "' stands already on line " + std::to_string(first->second));
      }
      add_problem(records.objects[i], static_cast<int64_t>(i), shots, where);
    }
    if (problems_.empty()) throw Error(ErrorCode::kFormat, path + ": no problem is left");
  }

  const std::vector<Problem>& problems() const override { return problems_; }
  const std::vector<std::string>& stop_strings() const override { return spec_.stops; }
  int64_t default_max_new_tokens() const override { return spec_.max_new_tokens; }
  std::string version() const override { return spec_.version; }
  std::string data_sha256() const override { return data_sha256_; }

  Score score(const Problem& problem, const std::string& response) const override {
    const auto text_or_invalid = [](const std::optional<std::string>& text) {
      return text && !text->empty() ? *text : std::string(kInvalidAnswer);
    };
    std::optional<std::string> strict =
        extract_ ? extract_->find(response, spec_.extract_last) : std::nullopt;
    Score score;
    switch (spec_.scorer) {
      case AnswerScorer::kNumeric: {
        score = score_answer(kHashesAnswer, response, problem.target);
        if (extract_) {
          score.extracted_strict = text_or_invalid(strict);
          score.strict = exact_match(score.extracted_strict, problem.target);
        }
        return score;
      }
      case AnswerScorer::kChoice: {
        const std::string own = chosen_letter(response, choice_counts_.at(problem.doc_id));
        if (strict) *strict = trimmed(*strict);
        return judge(text_or_invalid(extract_ ? strict : own), text_or_invalid(own),
                     [&](const std::string& text) { return same_text(text, problem.target); });
      }
      case AnswerScorer::kBoxed: {
        const std::optional<std::string> boxed = last_boxed(response);
        const std::string own = boxed ? *boxed : numeric_answer(response);
        return judge(text_or_invalid(extract_ ? strict : boxed), text_or_invalid(own),
                     [&](const std::string& text) { return latex_equal(text, problem.target); });
      }
      case AnswerScorer::kRegex:
        break;
    }
    const std::string found = text_or_invalid(strict);
    return judge(found, found,
                 [&](const std::string& text) { return same_text(text, problem.target); });
  }

 private:
  template <typename IsRight>
  static Score judge(const std::string& strict, const std::string& own, IsRight is_right) {
    Score score;
    score.extracted_strict = strict;
    score.extracted_flexible = score.extracted_numeric = own;
    score.strict = strict != kInvalidAnswer && is_right(strict);
    score.flexible = score.numeric = own != kInvalidAnswer && is_right(own);
    score.valid = own != kInvalidAnswer;
    return score;
  }

  std::vector<Shot> read_shots(const std::string& folder) {
    std::vector<Shot> shots;
    if (spec_.few_shot.empty()) return shots;
    const std::string path = folder + '/' + spec_.few_shot;
    const JsonLines examples = read_json_lines(path);
    if (std::ssize(examples.objects) < spec_.shots)
      throw Error(ErrorCode::kFormat, path + ": " + std::to_string(examples.objects.size()) +
                                          " examples; the task shows " +
                                          std::to_string(spec_.shots));
    for (size_t i = 0; i < static_cast<size_t>(spec_.shots); ++i) {
      const Json& example = examples.objects[i];
      const std::string where = path + ":" + std::to_string(i + 1);
      shots.push_back(
          {fill(spec_.prompt, example, choices_of(example, spec_.choices, where), where),
           field_text(example, spec_.few_shot_answer, where)});
    }
    data_sha256_ = sha256_hex(data_sha256_ + "\n" + examples.sha256);
    return shots;
  }

  void add_problem(const Json& record, int64_t doc_id, const std::vector<Shot>& shots,
                   const std::string& where) {
    const std::vector<std::string> choices = choices_of(record, spec_.choices, where);
    if (spec_.only_with_choices != 0 && choices.size() != spec_.only_with_choices) return;
    const std::string question = fill(spec_.prompt, record, choices, where);
    if (trimmed(question).empty())
      throw Error(ErrorCode::kFormat, where + ": the question is empty");
    Problem& problem = problems_.emplace_back();
    problem.doc_id = doc_id;
    problem.question_sha256 = sha256_hex(question);
    problem.target = spec_.scorer == AnswerScorer::kChoice
                         ? right_choice(field(record, spec_.answer, where), choices.size(), where)
                         : field_text(record, spec_.answer, where);
    if (spec_.scorer == AnswerScorer::kNumeric && numeric_answer(problem.target) == kInvalidAnswer)
      throw Error(ErrorCode::kFormat, where + ": the answer '" + problem.target.substr(0, 40) +
                                          "' holds no number, and the scorer is `numeric`");
    for (const std::string& tag : spec_.tags)
      problem.tags.emplace_back(tag, field(record, tag, where));
    choice_counts_[doc_id] = choices.size();
    ask(problem, shots, question, spec_.target_delimiter);
  }

  const RecordTaskSpec spec_;
  std::optional<Pattern> extract_;
  std::vector<Problem> problems_;
  std::map<int64_t, size_t> choice_counts_;  // by doc_id
  std::string data_sha256_;
};

}  // namespace

std::unique_ptr<Task> make_record_task(const RecordTaskSpec& spec, const TaskOptions& options) {
  return std::make_unique<RecordTask>(spec, options);
}

std::string chosen_letter(std::string_view response, size_t count) {
  const auto is_word = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || (c & 0x80) != 0;
  };
  /// The letter at the very start of a text, behind what may dress it.
  const auto leading = [&](std::string_view text) -> std::string {
    constexpr std::string_view kBoxed = "\\boxed{";
    size_t at = text.find_first_not_of(" \t\n*([:$");
    if (at == std::string_view::npos) return "";
    if (text.substr(at).starts_with(kBoxed)) at += kBoxed.size();
    if (at >= text.size() || text[at] < 'A' || text[at] >= static_cast<char>('A' + count))
      return "";
    if (at + 1 < text.size() && is_word(text[at + 1])) return "";
    // "A man ..." begins with an article: a bare letter must end there or be set apart.
    if (text[at] == 'A' && at + 2 < text.size() && text[at + 1] == ' ' && is_word(text[at + 2]))
      return "";
    return std::string(1, text[at]);
  };
  std::string lower(response);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  std::string found;
  size_t found_at = 0;
  for (const std::string_view marker : {"answer is", "answer:"})
    for (size_t at = lower.find(marker); at != std::string::npos; at = lower.find(marker, at + 1)) {
      const std::string here = leading(response.substr(at + marker.size()));
      if (here.empty() || (!found.empty() && at < found_at)) continue;
      found = here;
      found_at = at;
    }
  return found.empty() ? leading(response) : found;
}

}  // namespace surprisal
