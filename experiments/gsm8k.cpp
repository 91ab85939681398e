#include "experiments/gsm8k.h"

#include <algorithm>
#include <filesystem>
#include <span>
#include <string_view>
#include <utility>

#include "experiments/dataset.h"
#include "experiments/prompt.h"
#include "experiments/python_random.h"
#include "experiments/scorers.h"
#include "lib/error.h"
#include "lib/sha256.h"

namespace surprisal {
namespace {

/// What distinguishes one task from the next. Ref: lm-evaluation-harness 0.4.13,
/// lm_eval/tasks/gsm8k/*.yaml and lm_eval/tasks/llama3/instruct/gsm8k/gsm8k.yaml
struct Variant {
  std::string_view name, version, summary;
  std::string_view before_question, after_question;
  std::string_view target_delimiter;
  std::string_view shots_file;  ///< fixed examples; "" = none, kTrainFile = drawn for each problem
  size_t shots;
  std::string_view after_shot;    ///< put behind every example's answer
  bool whole_solution_is_target;  ///< else what follows "####"
  AnswerPattern strict;
  std::vector<std::string> stops;
  int64_t max_new_tokens;
};

constexpr std::string_view kTrainFile = "train.jsonl";
constexpr std::string_view kLlamaInstruction =
    "Given the following problem, reason and give a final answer to the problem.\nProblem: ";
constexpr int64_t kHarnessTokens = 256;  // where a task says nothing: the hf backend's own limit
constexpr uint32_t kShotSeed = 1234;     // the harness' default --seed for few-shot examples

const std::vector<Variant>& variants() {
  static const std::vector<Variant> table = {
      {"gsm8k",
       "gsm8k v3",
       "GSM8K, 5 examples drawn from the training set for every problem",
       "Question: ",
       "\nAnswer:",
       " ",
       kTrainFile,
       5,
       "",
       true,
       kHashesAnswer,
       {"Question:", "</s>", "<|im_end|>"},
       kHarnessTokens},
      {"gsm8k_cot",
       "gsm8k_cot v3",
       "GSM8K, 8 fixed chain-of-thought examples",
       "Q: ",
       "\nA:",
       " ",
       "fewshot_cot.jsonl",
       8,
       "",
       false,
       kCotAnswer,
       {"Q:", "</s>", "<|im_end|>"},
       kHarnessTokens},
      {"gsm8k_cot_llama",
       "gsm8k_cot_llama v4",
       "GSM8K as Meta asks it, 8 fixed examples",
       kLlamaInstruction,
       "\nYour response should end with \"The final answer is [answer]\" where [answer] is the "
       "response to the problem.\n",
       "",
       "fewshot_cot_llama.jsonl",
       8,
       "",
       false,
       kCotLlamaAnswer,
       {"<|eot_id|>", "<|start_header_id|>user<|end_header_id|>", "Q:", "</s>", "<|im_end|>"},
       kHarnessTokens},
      {"gsm8k_cot_zeroshot",
       "gsm8k_cot_zeroshot v3",
       "GSM8K, \"Let's think step by step.\"",
       "Q: ",
       "\nA: Let's think step by step.",
       " ",
       "",
       0,
       "",
       true,
       kCotAnswer,
       {"Q:", "</s>", "<|im_end|>"},
       kHarnessTokens},
      {"gsm8k_llama",
       "gsm8k_llama v3",
       "GSM8K as Meta asks it, 8 fixed examples, 1,024 tokens",
       kLlamaInstruction,
       "\nYour response should end with \"The final answer is [answer]\" where [answer] is the "
       "response to the problem.",
       " ",
       "fewshot_cot_llama.jsonl",
       8,
       ".",
       false,
       kLlamaAnswer,
       {},
       1024},
  };
  return table;
}

const Variant& variant_named(const std::string& name) {
  for (const Variant& variant : variants())
    if (variant.name == name) return variant;
  throw unknown_name_error("GSM8K task", name, gsm8k_task_names());
}

/// What follows the last "####", without the white space around it.
std::string final_answer(const std::string& solution) {
  const size_t hashes = solution.rfind("####");
  std::string answer = hashes == std::string::npos ? solution : solution.substr(hashes + 4);
  constexpr std::string_view kSpace = " \t\n\v\f\r";
  answer.erase(0, std::min(answer.find_first_not_of(kSpace), answer.size()));
  answer.erase(answer.find_last_not_of(kSpace) + 1);
  return answer;
}

/// @return the file's path  @throws Error(kIo) where there is none, saying what brings it
std::string present(const std::string& folder, std::string_view file) {
  const std::string path = folder + '/' + std::string(file);
  std::error_code failure;
  if (!std::filesystem::exists(path, failure) && !failure)
    throw Error(ErrorCode::kIo, path +
                                    ": there is no such file; `tools/fetch_data.py gsm8k` "
                                    "brings GSM8K to data/gsm8k");
  return path;
}

class Gsm8kTask : public Task {
 public:
  Gsm8kTask(const Variant& variant, const TaskOptions& options) : variant_(variant) {
    if (options.split != "test" && options.split != "train")
      throw Error(ErrorCode::kConfig, "task " + std::string(variant.name) +
                                          ": there is no split '" + options.split +
                                          "'; it has 'test' and 'train'");
    if (options.data.empty())
      throw Error(ErrorCode::kConfig, "task " + std::string(variant.name) +
                                          ": `data` should name the folder of the GSM8K files; "
                                          "`tools/fetch_data.py gsm8k` makes data/gsm8k");
    const std::string file = options.split + ".jsonl";
    const Dataset questions = read_dataset(present(options.data, file), {"question", "answer"});
    std::string hashes = questions.sha256 + "  " + file + '\n';
    Dataset examples;
    if (!variant.shots_file.empty()) {
      examples = read_examples(present(options.data, variant.shots_file));
      hashes += examples.sha256 + "  " + std::string(variant.shots_file) + '\n';
    }
    data_sha256_ = variant.shots_file.empty() ? questions.sha256 : sha256_hex(hashes);
    build_problems(questions, examples, options.split == "train");
  }

  const std::vector<Problem>& problems() const override { return problems_; }
  const std::vector<std::string>& stop_strings() const override { return variant_.stops; }
  int64_t default_max_new_tokens() const override { return variant_.max_new_tokens; }
  Score score(const Problem& problem, const std::string& response) const override {
    return score_answer(variant_.strict, response, problem.target);
  }
  std::string version() const override { return std::string(variant_.version); }
  std::string data_sha256() const override { return data_sha256_; }

 private:
  bool shots_are_drawn() const { return variant_.shots_file == kTrainFile; }

  Dataset read_examples(const std::string& path) const {
    Dataset examples = read_dataset(path, {"question", shots_are_drawn() ? "answer" : "target"});
    if (examples.records.size() < variant_.shots)
      throw Error(ErrorCode::kFormat, path + ": " + std::to_string(examples.records.size()) +
                                          " examples; the task shows " +
                                          std::to_string(variant_.shots));
    return examples;
  }

  std::string question_text(const std::string& question) const {
    return std::string(variant_.before_question) + question + std::string(variant_.after_question);
  }

  Shot shot(const DataRecord& record) const {
    return {question_text(record[0]), record[1] + std::string(variant_.after_shot)};
  }

  /// The harness draws the examples of one problem after another from one generator. A problem that
  /// is itself an example is dropped: one more is drawn, or all anew when duplicates leave too few.
  std::vector<Shot> draw_shots(PythonRandom& random, const Dataset& examples,
                               const DataRecord& asked, bool may_meet_itself) const {
    const auto& pool = examples.records;
    std::vector<Shot> shots;
    for (const size_t index : random.sample(pool.size(), variant_.shots + may_meet_itself))
      if (!may_meet_itself || (pool[index] != asked && shots.size() < variant_.shots))
        shots.push_back(shot(pool[index]));
    if (shots.size() == variant_.shots) return shots;
    std::vector<const DataRecord*> others;
    for (const DataRecord& record : pool)
      if (record != asked) others.push_back(&record);
    shots.clear();
    for (const size_t index : random.sample(others.size(), variant_.shots))
      shots.push_back(shot(*others[index]));
    return shots;
  }

  void build_problems(const Dataset& questions, const Dataset& examples, bool from_train) {
    PythonRandom random(kShotSeed);
    std::vector<Shot> shots;
    if (!shots_are_drawn())
      for (size_t i = 0; i < variant_.shots; ++i) shots.push_back(shot(examples.records[i]));
    for (const DataRecord& record : questions.records) {
      if (shots_are_drawn()) shots = draw_shots(random, examples, record, from_train);
      Problem& problem = problems_.emplace_back();
      problem.doc_id = static_cast<int64_t>(problems_.size()) - 1;
      problem.question_sha256 = sha256_hex(record[0]);
      problem.target = variant_.whole_solution_is_target ? record[1] : final_answer(record[1]);
      ask(problem, shots, question_text(record[0]), variant_.target_delimiter);
    }
  }

  const Variant& variant_;
  std::vector<Problem> problems_;
  std::string data_sha256_;
};

}  // namespace

std::vector<std::string> gsm8k_task_names() {
  std::vector<std::string> names;
  for (const Variant& variant : variants()) names.emplace_back(variant.name);
  return names;
}

std::string gsm8k_task_summary(const std::string& name) {
  return std::string(variant_named(name).summary);
}

std::unique_ptr<Task> make_gsm8k_task(const std::string& name, const TaskOptions& options) {
  return std::make_unique<Gsm8kTask>(variant_named(name), options);
}

}  // namespace surprisal
