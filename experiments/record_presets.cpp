#include "experiments/record_task.h"

namespace surprisal {
namespace {

constexpr std::string_view kBestAnswer = "[tT]he best answer is ([A-Z])";

/// MATH-500 asked for \boxed{} without examples; scored by the benchmark's own spelling.
/// Fields as in HuggingFaceH4/MATH-500.
RecordTaskSpec math500() {
  return {.name = "math500",
          .version = "math500 v1",
          .file = "{split}.jsonl",
          .prompt = "Problem:\n{problem}\n\nPut the final answer in \\boxed{}.\n\nSolution:",
          .answer = "answer",
          .id = "unique_id",
          .tags = {"subject", "level", "unique_id"},
          .scorer = AnswerScorer::kBoxed,
          .stops = {"Problem:"},
          .max_new_tokens = 1024};
}

/// Prompt and four-option rule of lm-evaluation-harness 0.4.13,
/// tasks/llama3/instruct/arc_challenge; there the assistant's turn is begun for the model with "The
/// best answer is", here it writes that itself.
RecordTaskSpec arc_challenge() {
  return {.name = "arc_challenge",
          .version = "arc_challenge v1",
          .file = "{split}.jsonl",
          .prompt =
              "Given the following question and four candidate answers (A, B, C and D), choose "
              "the best answer.\nQuestion: {question}\n{choices}\nYour response should end "
              "with \"The best answer is [the_answer_letter]\" where the [the_answer_letter] "
              "is one of A, B, C or D.",
          .answer = "answerKey",
          .choices = "choices.text",
          .extract = std::string(kBestAnswer),
          .scorer = AnswerScorer::kChoice,
          .max_new_tokens = 100,
          .only_with_choices = 4};
}

/// Prompt and extraction of lm-evaluation-harness 0.4.13, tasks/llama3/instruct/mmlu_pro, without
/// its examples. Fields as in TIGER-Lab/MMLU-Pro.
RecordTaskSpec mmlu_pro() {
  return {.name = "mmlu_pro",
          .version = "mmlu_pro v1",
          .file = "{split}.jsonl",
          .prompt =
              "Given the following question and candidate answers, choose the best "
              "answer.\nQuestion: {question}\n{choices}\nYour response should end with \"The "
              "best answer is [the_answer_letter].\" where the [the_answer_letter] is a letter "
              "from the provided choices.\n\nLet's think step by step.",
          .answer = "answer",
          .choices = "options",
          .tags = {"category"},
          .extract = std::string(kBestAnswer),
          .scorer = AnswerScorer::kChoice,
          .max_new_tokens = 1024};
}

/// What stands before question and answer in lm-evaluation-harness 0.4.13, tasks/mgsm/utils.py.
struct Language {
  std::string_view code, question, answer;
};
constexpr Language kLanguages[] = {{"bn", "প্রশ্ন: ", "ধাপে ধাপে উত্তর:"},
                                   {"de", "Frage: ", "Schritt-für-Schritt-Antwort:"},
                                   {"en", "Question: ", "Step-by-Step Answer:"},
                                   {"es", "Pregunta: ", "Respuesta paso a paso:"},
                                   {"fr", "Question : ", "Réponse étape par étape :"},
                                   {"ja", "問題： ", "ステップごとの答え:"},
                                   {"ru", "Задача: ", "Пошаговоерешение:"},
                                   {"sw", "Swali: ", "Jibu la Hatua kwa Hatua:"},
                                   {"te", "ప్రశ్న: ", "దశలవారీగా సమాధానం:"},
                                   {"th", "โจทย์: ", "คำตอบทีละขั้นตอน:"},
                                   {"zh", "问题： ", "逐步解答:"}};

/// MGSM asked in its own language without examples; the last number counts. A language is a file:
/// mgsm_de.jsonl, with the fields question and answer_number.
std::unique_ptr<Task> make_mgsm(ParamReader& reader, const TaskOptions& options) {
  std::vector<std::string> codes;
  for (const Language& language : kLanguages) codes.emplace_back(language.code);
  const std::string code = reader.choice("language", "en", codes, "of the problems");
  if (reader.is_describing()) return nullptr;
  for (const Language& language : kLanguages) {
    if (language.code != code) continue;
    const std::string question(language.question), answer(language.answer);
    return make_record_task({.name = "mgsm",
                             .version = "mgsm v1",
                             .file = "mgsm_" + code + ".jsonl",
                             .prompt = question + "{question}\n" + answer,
                             .answer = "answer_number",
                             .scorer = AnswerScorer::kNumeric,
                             .stops = {question.substr(0, question.size() - 1)},
                             .max_new_tokens = 512},
                            options);
  }
  return nullptr;
}

std::unique_ptr<Task> make_jsonl(ParamReader& reader, const TaskOptions& options) {
  RecordTaskSpec spec;
  spec.name = "jsonl";
  spec.version = "jsonl v1";
  spec.file = reader.string("file", "{split}.jsonl", "below `data`; {split} stands for the split");
  spec.prompt =
      reader.string("template", std::nullopt,
                    "the prompt: {FIELD} stands for a field, {choices} for lettered lines");
  spec.answer = reader.string("answer", "answer", "field of the right answer");
  spec.choices = reader.string("choices", "", "field of the choices, a list of texts");
  spec.id = reader.string("id", "", "field that tells records apart; none may stand twice");
  spec.tags = reader.strings("tags", {}, "fields kept with every answer, e.g. template_id");
  spec.extract = reader.string("extract", "", "regular expression that finds the answer");
  spec.extract_last = reader.boolean("extract_last", true, "its last match instead of the first");
  const std::string scorer =
      reader.choice("scorer", "numeric", {"numeric", "choice", "boxed", "regex"}, "what is right");
  for (size_t s = 0; s < std::size(kAnswerScorerNames); ++s)
    if (kAnswerScorerNames[s] == scorer) spec.scorer = static_cast<AnswerScorer>(s);
  spec.few_shot = reader.string("few_shot", "", "file of examples below `data`");
  spec.few_shot_answer =
      reader.string("few_shot_answer", "answer", "field of an example's worked answer");
  spec.shots = reader.integer("shots", 0, {.min = 0, .max = 1000}, "examples", "the first so many");
  spec.target_delimiter =
      reader.string("target_delimiter", " ", "between an example's question and its answer");
  spec.stops = reader.strings("stop", {}, "texts that end an answer");
  if (reader.is_describing()) return nullptr;
  if (spec.few_shot.empty() != (spec.shots == 0))
    throw reader.error("shots", "few_shot and shots go together");
  return make_record_task(spec, options);
}

void add_preset(TaskRegistry& registry, const std::string& summary, const RecordTaskSpec& spec) {
  registry.add(spec.name, {summary, [spec](ParamReader& reader, const TaskOptions& options) {
                             return reader.is_describing() ? nullptr
                                                           : make_record_task(spec, options);
                           }});
}

}  // namespace

void add_record_tasks(TaskRegistry& registry) {
  add_preset(registry, "MATH-500, answer in \\boxed{}, scored by the benchmark's spelling",
             math500());
  add_preset(registry, "ARC-Challenge as Meta asks it, four choices", arc_challenge());
  add_preset(registry, "MMLU-Pro as Meta asks it, without examples", mmlu_pro());
  registry.add("mgsm", {"MGSM, school mathematics in eleven languages", make_mgsm});
  registry.add("jsonl", {"Any local JSON-lines file: template, fields, scorer", make_jsonl});
}

}  // namespace surprisal
