#!/usr/bin/env python3
"""Holds our GSM8K tasks against lm-evaluation-harness 0.4.13, problem by problem.

  compare_lm_eval.py prompts   --oracle BIN --data DIR [--limit N]
  compare_lm_eval.py rules     --oracle BIN [--count N] [--seed S]
  compare_lm_eval.py vectors   --out FILE [--count N] [--seed S]
  compare_lm_eval.py responses --bin DIR --data DIR --model DIR [--task NAME ...] [--limit N]
                               [--chat both|on|off] [--cache DIR]

prompts    every prompt of the five tasks, as messages (--apply_chat_template
           --fewshot_as_multiturn) and as plain text, targets, stop strings and token limits
rules      extraction, exact_match and the cut at stop strings on fuzzed text
vectors    writes tests/experiments/fixtures/answer_vectors.json: the harness' own extractions and
           verdicts on fuzzed text
responses  runs run_experiment (greedy, float32) and the harness' `hf` backend on the same problems:
           prompts, responses, extractions, verdicts. The harness' side is kept in the cache
           folder, since it is the slow one.

BIN is build/release/tests/task_oracle, DIR of --bin build/release/bin. Needs lm-eval==0.4.13 (and
transformers, torch for responses). Exits 1 on any difference.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")

TASK_FILES = {
    "gsm8k": "gsm8k/gsm8k.yaml",
    "gsm8k_cot": "gsm8k/gsm8k-cot.yaml",
    "gsm8k_cot_llama": "gsm8k/gsm8k-cot-llama.yaml",
    "gsm8k_cot_zeroshot": "gsm8k/gsm8k-cot-zeroshot.yaml",
    "gsm8k_llama": "llama3/instruct/gsm8k/gsm8k.yaml",
}
HARNESS_VERSION = "0.4.13"
HARNESS_TOKENS = 256  # the hf backend's limit where a task sets none
SHOT_SEED = 1234  # the command line's default for few-shot examples


def harness_task_file(task, data, folder):
    """A YAML file that is the harness' own task, but reads local files."""
    import lm_eval
    import yaml

    if lm_eval.__version__ != HARNESS_VERSION:
        sys.exit(f"lm-eval is {lm_eval.__version__}; this comparison is with {HARNESS_VERSION}")
    files = {split: str(Path(data).resolve() / f"{split}.jsonl") for split in ("train", "test")}
    path = Path(folder) / f"{task}.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "include": str(Path(lm_eval.__file__).parent / "tasks" / TASK_FILES[task]),
                "dataset_path": "json",
                "dataset_name": None,
                "dataset_kwargs": {"data_files": files},
            }
        )
    )
    return str(path)


def harness_task(task, data):
    from lm_eval.tasks import TaskManager

    with tempfile.TemporaryDirectory() as folder:
        loaded = TaskManager().load([harness_task_file(task, data, folder)])
    return loaded["tasks"][task]


def run_oracle(oracle, arguments, lines=()):
    """Our answers: JSON lines out, JSON lines in."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run([oracle, *arguments], input=text, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{oracle} {' '.join(arguments)}: {done.stderr.strip()}")
    # Not splitlines(): JSON may hold U+2028 and the like as they are.
    return [json.loads(line) for line in done.stdout.split("\n") if line]


class Differences:
    """Counts comparisons and prints the first few that fail."""

    SHOWN = 5

    def __init__(self, title):
        self.title, self.compared, self.failed = title, 0, 0

    def check(self, what, ours, theirs):
        self.compared += 1
        if ours == theirs:
            return
        self.failed += 1
        if self.failed <= self.SHOWN:
            print(f"{self.title}: {what}\n  ours   {ours!r}\n  theirs {theirs!r}")

    def finish(self):
        print(f"{self.title}: {self.compared} comparisons, {self.failed} differences")
        return self.failed == 0


def compare_prompts(options):
    same = True
    for name in TASK_FILES:
        differences = Differences(f"prompts of {name}")
        ours = run_oracle(options.oracle, ["problems", name, options.data, "test"])
        for chat in (True, False):
            task = harness_task(name, options.data)
            task.set_fewshot_seed(seed=SHOT_SEED)
            # The harness hands the turns to the tokenizer's template; here they come back as JSON.
            as_json = lambda turns, add_generation_prompt: json.dumps(turns)
            for doc_id, doc in enumerate(task.eval_docs):
                if options.limit and doc_id >= options.limit:
                    break
                context = task.fewshot_context(
                    doc,
                    num_fewshot=task.config.num_fewshot,
                    apply_chat_template=chat,
                    fewshot_as_multiturn=chat,
                    chat_template=as_json if chat else None,
                )
                problem = ours[doc_id]
                if chat:
                    differences.check(f"messages of {doc_id}", problem["messages"], json.loads(context))
                else:
                    differences.check(f"prompt of {doc_id}", problem["prompt"], context)
                differences.check(f"target of {doc_id}", problem["target"], task.doc_to_target(doc))
        limits = task.config.generation_kwargs
        differences.check("stop strings", ours[0]["stops"], limits["until"])
        differences.check(
            "token limit", ours[0]["max_new_tokens"], limits.get("max_gen_toks", HARNESS_TOKENS)
        )
        if not options.limit:
            differences.check("number of problems", len(ours), len(task.eval_docs))
        same = differences.finish() and same
    return same


FRAGMENTS = [
    "The answer is ", "the answer is ", "The final answer is ", "final answer is ", "#### ", "####",
    "-", "--", "$", ",", ".", "..", "\n", " ", "  ", "\t", "\r", "0", "7", "18", "1,000", "18.00",
    "3.", "-4", "$5", "$", "½", "٣", "é", "中", "\u2028", "\u0085", "😀", "x", "a=", "*", "**",
    "Q:", "Question:", "</s>", "<|im_end|>", "<|im", "Qu", "Answer", "\\boxed{", "}", "%", "/",
]  # fmt: skip


MARKERS = ["The answer is ", "The final answer is ", "final answer is ", "#### ", "The answer is -"]


def fuzzed_text(rng):
    """Fragments in any order, two times in three with an answer somewhere among them."""
    fragments = [rng.choice(FRAGMENTS) for _ in range(rng.randrange(0, 14))]
    if rng.random() < 0.67:
        answer = rng.choice(MARKERS) + str(rng.randrange(2000)) + rng.choice(FRAGMENTS)
        fragments.insert(rng.randrange(len(fragments) + 1), answer)
    return "".join(fragments)


def harness_verdicts(task, response, target):
    """(strict, flexible) as [extraction, verdict], the way the harness computes them."""
    verdicts = []
    for ensemble in task._filters:
        responses = [[response]]
        for function in ensemble.filters:
            responses = function().apply(responses, [{}])
        extracted = list(responses)[0]
        metric = task._metric_fn_list["exact_match"]
        score = metric(
            references=[target], predictions=[extracted], **task._metric_fn_kwargs["exact_match"]
        )
        verdicts.append([extracted, bool(score["exact_match"])])
    return verdicts


def fuzzed_answers(rng, count):
    """(task, its name, lines of response and target) for every task."""
    for name in TASK_FILES:
        with tempfile.TemporaryDirectory() as data:
            for split in ("train", "test"):
                (Path(data) / f"{split}.jsonl").write_text('{"question": "q", "answer": "#### 1"}\n' * 9)
            task = harness_task(name, data)
        yield task, name, [
            {
                "pattern": name,
                "response": fuzzed_text(rng),
                "target": fuzzed_text(rng) if rng.random() < 0.5 else "... \n#### " + rng.choice(FRAGMENTS),
            }
            for _ in range(count)
        ]


def write_vectors(options):
    vectors = []
    for task, _, lines in fuzzed_answers(random.Random(options.seed), options.count):
        for line in lines:
            strict, flexible = harness_verdicts(task, line["response"], line["target"])
            vectors.append({**line, "strict": strict, "flexible": flexible})
    provenance = f"lm-eval {HARNESS_VERSION}; compare_lm_eval.py vectors --count {options.count} --seed {options.seed}"
    rows = ",\n".join(json.dumps(vector) for vector in vectors)
    Path(options.out).write_text(f'{{"provenance": "{provenance}", "vectors": [\n{rows}\n]}}\n')
    print(f"{options.out}: {len(vectors)} vectors")
    return True


def compare_rules(options):
    from lm_eval.models.utils import postprocess_generated_text

    rng = random.Random(options.seed)
    differences = Differences("extractions and verdicts")
    for task, name, lines in fuzzed_answers(rng, options.count):
        for line, score in zip(lines, run_oracle(options.oracle, ["score"], lines), strict=True):
            strict, flexible = harness_verdicts(task, line["response"], line["target"])
            ours = [
                [score["extracted_strict"], score["strict"]],
                [score["extracted_flexible"], score["flexible"]],
            ]
            differences.check(line, ours, [strict, flexible])
    same = differences.finish()

    differences = Differences("cuts at stop strings")
    stops = ["Q:", "</s>", "<|im_end|>", "Question:", "", "..", ".\n", "answer is", "\n\n"]
    lines = [
        {"text": fuzzed_text(rng), "stops": rng.sample(stops, rng.randrange(0, len(stops)))}
        for _ in range(options.count)
    ]
    for line, cut in zip(lines, run_oracle(options.oracle, ["cut"], lines), strict=True):
        differences.check(line, cut["cut"], postprocess_generated_text(line["text"], line["stops"], None))
    return differences.finish() and same


def our_answers(options, task, chat, folder):
    """Runs run_experiment; the lines of samples.jsonl in the order of the problems."""
    import yaml

    name = f"{task}_{'chat' if chat else 'plain'}"
    config = {
        "name": name,
        "model": {"path": str(Path(options.model).resolve()), "dtype": "float32"},
        "task": {
            "name": task,
            "data": str(Path(options.data).resolve()),
            "limit": options.limit,
            "chat_template": chat,
        },
        "samplers": {"greedy": {"type": "greedy"}},
    }
    path = Path(folder) / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config))
    command = [Path(options.bin) / "run_experiment", path, "--output", folder]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    text = (Path(folder) / name / "samples.jsonl").read_text()
    lines = [json.loads(line) for line in text.split("\n") if line]
    return sorted(lines, key=lambda line: line["doc_id"])


def harness_answers(options, task, chat):
    """What lm-eval's `hf` backend answers: a line per problem, kept in the cache folder."""
    import hashlib

    weights = hashlib.sha256((Path(options.model) / "config.json").read_bytes()).hexdigest()[:8]
    kept = Path(options.cache or ".") / f"lm_eval_{task}_{'chat' if chat else 'plain'}_{options.limit}_{weights}.json"
    if options.cache and kept.exists():
        return json.loads(kept.read_text())
    import lm_eval

    with tempfile.TemporaryDirectory() as folder:
        done = lm_eval.simple_evaluate(
            model="hf",
            model_args={"pretrained": options.model, "dtype": "float32", "device": "cpu"},
            tasks=[harness_task_file(task, options.data, folder)],
            batch_size=1,
            limit=options.limit,
            apply_chat_template=chat,
            fewshot_as_multiturn=chat,
            bootstrap_iters=0,
            log_samples=True,
        )
    answers = {}
    for sample in done["samples"][task]:
        answer = answers.setdefault(sample["doc_id"], {})
        answer["prompt"] = sample["arguments"][0][0]
        answer["response"] = sample["resps"][0][0]
        # "strict-match", "flexible_extract": the harness' tasks spell them both ways.
        answer[re.split("[-_]", sample["filter"])[0]] = [sample["filtered_resps"][0], bool(sample["exact_match"])]
    lines = [answers[doc_id] for doc_id in sorted(answers)]
    if options.cache:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(lines, indent=1))
    return lines


def compare_responses(options):
    same = True
    chats = {"both": (True, False), "on": (True,), "off": (False,)}[options.chat]
    for task in options.task or TASK_FILES:
        for chat in chats:
            differences = Differences(f"{task}, chat template {'on' if chat else 'off'}")
            with tempfile.TemporaryDirectory() as folder:
                ours = our_answers(options, task, chat, folder)
            theirs = harness_answers(options, task, chat)
            differences.check("number of problems", len(ours), len(theirs))
            for our, their in zip(ours, theirs):
                doc = our["doc_id"]
                differences.check(f"prompt of {doc}", our["prompt"], their["prompt"])
                differences.check(f"response to {doc}", our["response"], their["response"])
                for rule in ("strict", "flexible"):
                    verdict = [our[f"extracted_{rule}"], our[rule]]
                    differences.check(f"{rule} verdict of {doc}", verdict, their[rule])
            same = differences.finish() and same
    return same


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    commands = parser.add_subparsers(dest="command", required=True)
    prompts = commands.add_parser("prompts")
    prompts.add_argument("--oracle", required=True)
    prompts.add_argument("--data", required=True)
    prompts.add_argument("--limit", type=int, default=0, help="problems of each task; 0 = all")
    rules = commands.add_parser("rules")
    rules.add_argument("--oracle", required=True)
    rules.add_argument("--count", type=int, default=20000)
    rules.add_argument("--seed", type=int, default=0)
    vectors = commands.add_parser("vectors")
    vectors.add_argument("--out", required=True)
    vectors.add_argument("--count", type=int, default=150)
    vectors.add_argument("--seed", type=int, default=0)
    responses = commands.add_parser("responses")
    responses.add_argument("--bin", required=True)
    responses.add_argument("--data", required=True)
    responses.add_argument("--model", required=True)
    responses.add_argument("--task", nargs="*", choices=list(TASK_FILES))
    responses.add_argument("--limit", type=int, default=16, help="problems of each task")
    responses.add_argument("--chat", choices=["both", "on", "off"], default="both")
    responses.add_argument("--cache", help="folder that keeps what the harness answered")
    options = parser.parse_args()
    compare = {
        "prompts": compare_prompts,
        "rules": compare_rules,
        "vectors": write_vectors,
        "responses": compare_responses,
    }
    sys.exit(0 if compare[options.command](options) else 1)


if __name__ == "__main__":
    main()
