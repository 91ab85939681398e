#!/usr/bin/env python3
"""What a dtype changes in a model's predictions, against float32.

    tools/fetch_data.py gsm8k
    .venv/bin/python tools/bench/compare_dtypes.py data/models/SmolLM2-135M-Instruct --data data/gsm8k

Over the tokens of GSM8K questions with their solutions, each read in one pass: the mean divergence
KL(float32 || dtype) of the next-token distributions in nats, how often the likeliest token is the same, what
the text's own tokens cost (nats a token), and the largest change of a distribution's entropy.
"""
import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import h5py
import numpy as np


def log_probabilities(args, dtype: str, text: str, file: Path) -> tuple[np.ndarray, np.ndarray]:
    """ln p of the token after each of the text's tokens, [T, V] in double, and the tokens."""
    subprocess.run([args.bin / "inspect_model", args.model, "--text", text, "--dtype", dtype, "--device", "cpu",
                    "--output", file], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with h5py.File(file) as inspected:
        logits, tokens = inspected["logits"][:].astype(np.float64), inspected["token_ids"][:]
    top = logits.max(1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(1, keepdims=True)), tokens


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder with GSM8K's test.jsonl")
    parser.add_argument("--problems", type=int, default=8)
    parser.add_argument("--dtypes", nargs="+", default=["bfloat16", "int8"])
    parser.add_argument("--bin", type=Path, default=Path("build/release/bin"))
    args = parser.parse_args()
    with open(args.data / "test.jsonl", encoding="utf-8") as lines:
        problems = [json.loads(line) for _, line in zip(range(args.problems), lines)]
    divergence = {dtype: [] for dtype in args.dtypes}
    same, cost, entropy = ({dtype: [] for dtype in ("float32", *args.dtypes)} for _ in range(3))
    with tempfile.TemporaryDirectory() as folder:
        for problem in problems:
            text = f"{problem['question']}\n{problem['answer']}"
            for dtype in ("float32", *args.dtypes):
                ln_p, tokens = log_probabilities(args, dtype, text, Path(folder) / "logits.h5")
                if dtype == "float32":
                    exact = ln_p
                else:
                    divergence[dtype].extend((np.exp(exact) * (exact - ln_p)).sum(1))
                same[dtype].extend(ln_p.argmax(1) == exact.argmax(1))
                cost[dtype].extend(-ln_p[np.arange(len(tokens) - 1), tokens[1:]])
                change = (np.exp(ln_p) * ln_p).sum(1) - (np.exp(exact) * exact).sum(1)
                entropy[dtype].extend(abs(change))
    print(f"{len(same['float32'])} tokens of {len(problems)} problems")
    print("| dtype | divergence, nats | same likeliest token, % | cost of a token, nats | largest change of entropy |")
    print("|---|---|---|---|---|")
    for dtype in ("float32", *args.dtypes):
        print(f"| {dtype} | {np.mean(divergence.get(dtype, [0])):.2g} | {100 * np.mean(same[dtype]):.1f} |"
              f" {np.mean(cost[dtype]):.4f} | {max(entropy[dtype]):.2g} |")


if __name__ == "__main__":
    main()
