#!/usr/bin/env python3
"""Writes tests/lib/fixtures/tokenizers/: small tokenizers and what the reference libraries make of
fuzzed strings with them. Each folder is a model folder plus cases.jsonl, lines as `tokenize` takes
them with the expected answer in "expect".

    python tests/oracle/make_tokenizer_fixtures.py    # tokenizers==0.23.3, sentencepiece==0.2.3
"""

import json
import random
from pathlib import Path

import sentencepiece
import tokenizers

import fuzz_tokenizers
import tokenizer_kinds

CASES = 70
KINDS = ("gpt2_prefix", "smollm", "llama3", "qwen2", "llama2", "llama2_legacy", "llama2_json",
         "llama2_json_first")


def write_cases(folder, oracle):
    requests, expected = fuzz_tokenizers.make_cases(random.Random(f"fixture/{folder.name}"), oracle, CASES)
    with open(folder / "cases.jsonl", "w") as out:
        for request, answer in zip(requests, expected):
            out.write(json.dumps({**request, "expect": answer}) + "\n")


def main():
    root = Path(__file__).parents[1] / "lib" / "fixtures" / "tokenizers"
    for kind in KINDS:
        folder = root / kind
        tokenizer_kinds.KINDS[kind](folder, small=True)
        write_cases(folder, fuzz_tokenizers.oracle_of(folder))
    (root / "README.md").write_text(
        "Written by `tests/oracle/make_tokenizer_fixtures.py` with tokenizers "
        f"{tokenizers.__version__} and sentencepiece {sentencepiece.__version__}; do not edit.\n")


if __name__ == "__main__":
    main()
