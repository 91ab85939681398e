#!/usr/bin/env python3
"""Compares chat templates as `tokenize` renders them with transformers.

    python tests/oracle/chat_templates.py --tokenize build/release/bin/tokenize \
        [--model FOLDER] [TEMPLATE.jinja ...]        live comparison
    python tests/oracle/chat_templates.py --write    rewrites tests/lib/fixtures/chat/cases.jsonl

The templates of tests/lib/fixtures/chat are our own, small, and use what published ones use. Give
published ones (files, or a real model's folder) on the command line. The one difference that is
meant: there is no clock, so `strftime_now` is taken from transformers' environment.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import jinja2
import transformers
from transformers.utils import chat_template_utils

FIXTURES = Path(__file__).parents[1] / "lib" / "fixtures" / "chat"
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
CONTENTS = ["Hi", "  spaces \n", "", "two\nlines", "\u00a0\u2003é \u3000\x1c", "{{ 7 }}{% if %}", "[INST] <|im_end|>",
            "'\"\\n", "世界 👍🏽"]


def conversations(rng, count):
    """Mostly well-formed; some that templates refuse."""
    yield [{"role": "user", "content": "Hello"}]
    for _ in range(count):
        roles = ["system"] * rng.randint(0, 1) + ["user", "assistant"] * rng.randint(0, 3) + ["user"] * rng.randint(0, 1)
        if rng.random() < 0.15:
            roles += [rng.choice(["system", "assistant", "critic"])]
        if roles:
            yield [{"role": role, "content": rng.choice(CONTENTS)} for role in roles]


def reference(text, messages, add_generation_prompt, tokens):
    """What transformers renders, or None where it refuses."""
    compiled = chat_template_utils._compile_jinja_template(text)
    compiled.environment.globals.pop("strftime_now", None)
    try:
        return compiled.render(messages=messages, tools=None, documents=None,
                               add_generation_prompt=add_generation_prompt, **tokens)
    except (jinja2.exceptions.TemplateError, TypeError):
        return None


def cases(text, seed, count, tokens=TOKENS):
    rng = random.Random(seed)
    for messages in conversations(rng, count):
        flag = rng.random() < 0.7
        yield {"messages": messages, "add_generation_prompt": flag,
               "expect": reference(text, messages, flag, tokens)}


def compare(program, folder, name, checked):
    requests = [{key: case[key] for key in ("messages", "add_generation_prompt")} for case in checked]
    done = subprocess.run([program, str(folder)], input="".join(json.dumps(r) + "\n" for r in requests),
                          capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    wrong = [(case, answer) for case, answer in zip(checked, answers, strict=True)
             if answer.get("text") != case["expect"]]
    for case, answer in wrong[:2]:
        print(f"  {json.dumps(case)}\n    found {json.dumps(answer)[:1000]}")
    refused = sum(case["expect"] is None for case in checked)
    print(f"{name}: {len(checked)} conversations ({refused} refused), {len(wrong)} mismatches", flush=True)
    return len(wrong)


def compare_template(program, path, tokenizer_folder, count):
    text = path.read_text()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "tokenizer.json").write_bytes((tokenizer_folder / "tokenizer.json").read_bytes())
        (folder / "tokenizer_config.json").write_text(json.dumps(TOKENS))
        (folder / "chat_template.jinja").write_text(text)
        return compare(program, folder, path.name, list(cases(text, path.name, count)))


def compare_model(program, folder, count):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokens = {k: v for k, v in tokenizer.special_tokens_map.items() if isinstance(v, str)}
    checked = list(cases(tokenizer.chat_template, "model", count, tokens))
    for case in checked:
        if case["expect"] is not None:
            assert case["expect"] == tokenizer.apply_chat_template(
                case["messages"], tokenize=False, add_generation_prompt=case["add_generation_prompt"])
    return compare(program, folder, folder.name, checked)


def write():
    with open(FIXTURES / "cases.jsonl", "w") as out:
        for path in sorted(FIXTURES.glob("*.jinja")):
            for case in cases(path.read_text(), path.name, 25):
                out.write(json.dumps({"template": path.name, **case}) + "\n")
    (FIXTURES / "README.md").write_text(
        "The templates are our own. `cases.jsonl` is written by `tests/oracle/chat_templates.py --write` with "
        f"transformers {transformers.__version__} and jinja2 {jinja2.__version__}; do not edit.\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenize", help="the program")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--model", type=Path, action="append", default=[])
    parser.add_argument("templates", nargs="*", type=Path)
    arguments = parser.parse_args()
    if arguments.write:
        return write()
    wrong = 0
    tokenizer_folder = FIXTURES.parent / "tokenizers" / "smollm"
    for path in [*sorted(FIXTURES.glob("*.jinja")), *arguments.templates]:
        wrong += compare_template(arguments.tokenize, path, tokenizer_folder, arguments.count)
    for folder in arguments.model:
        wrong += compare_model(arguments.tokenize, folder, arguments.count)
    return sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
