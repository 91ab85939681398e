#!/usr/bin/env python3
"""A whole sweep against a loop of transformers runs, as a user would write it: cell by cell, problem by
problem, eager attention with the attentions' entropies at every token, nothing shared.

    python tools/bench/compare_sweep.py configs/gsm8k_entropix.yaml --model data/models/SmolLM2-135M-Instruct \\
        --data data/gsm8k --limit 64 --answers 14

Ours is the time of `run_experiment` from start to end: loading, scoring, traces and all. Of transformers only
the forward passes are timed: a prompt's, and one for each further token that our answer took, so that both
do the same work whatever they would have said; its loading, sampling and scoring are left out, which favours
it. It computes --answers of the answers, spread over the sweep, half of them before a second run of ours and
half after; the rest is extrapolated by its time per prompt token and per decoded token. Needs torch and
transformers.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from compare_peers import Worker

WORKER = Path(__file__).parent / "peer_workers.py"


def ours(args, folder: Path) -> tuple[float, dict, list]:
    """Seconds from start to end, the manifest's session, and the answers."""
    limit = ["--set", f"task.max_new_tokens={args.max_new_tokens}"] if args.max_new_tokens else []
    start = time.perf_counter()
    subprocess.run([args.bin / "run_experiment", args.config, "--output", folder, "--limit", str(args.limit),
                    "--threads", str(args.threads), "--set", f"model.path={args.model}",
                    "--set", f"task.data={args.data}", "--set", f"model.dtype={args.dtype}", *limit],
                   check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    run, = folder.iterdir()
    session = json.loads((run / "manifest.json").read_text())["sessions"][-1]
    samples = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    return seconds, session, samples


def decoded(sample: dict) -> int:
    return sample["token_evaluations"] - sample["prompt_tokens"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=64, help="problems")
    parser.add_argument("--max-new-tokens", type=int, help="of an answer; default: the config's")
    parser.add_argument("--answers", type=int, default=14, help="that transformers computes")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"], help="of both")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--bin", type=Path, default=Path("build/release/bin"))
    args = parser.parse_args()

    peer = Worker([sys.executable, WORKER, f"transformers-{args.dtype}", args.model, str(args.threads)], False)
    seconds, timed = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in (1, 2):
            run = Path(folder) / str(number)
            run.mkdir()
            wall, session, samples = ours(args, run)
            seconds.append(wall)
            chosen = [samples[i * len(samples) // args.answers] for i in range(args.answers)]
            for sample in chosen[number - 1 :: 2]:
                job = {"batch": 1, "prompt": sample["prompt_tokens"], "decode": decoded(sample),
                       "statistics": True}
                timed.append((sample, peer.ask(job)))
    peer.close()

    per_prompt_token = (sum(answer["prefill_seconds"] for _, answer in timed)
                        / sum(sample["prompt_tokens"] for sample, _ in timed))
    per_token = (sum(answer["decode_seconds"] for _, answer in timed)
                 / max(1, sum(decoded(sample) for sample, _ in timed)))
    theirs = (per_prompt_token * sum(sample["prompt_tokens"] for sample in samples)
              + per_token * sum(decoded(sample) for sample in samples))
    cells = len({sample["cell"] for sample in samples})
    print(f"{cells} cells x {args.limit} problems, {args.dtype}, {args.threads} threads:"
          f" {session['requested_tokens']} tokens asked for, {session['computed_tokens']} computed")
    print(f"ours, from start to end: {', '.join(f'{s:.1f}' for s in seconds)} s")
    print(f"transformers: {sum(a['prefill_seconds'] + a['decode_seconds'] for _, a in timed):.1f} s for"
          f" {len(timed)} of {len(samples)} answers ({1 / per_prompt_token:.0f} prompt tokens/s,"
          f" {1 / per_token:.1f} tokens/s); extrapolated to all: {theirs:.0f} s")
    print(f"ratio: {', '.join(f'{theirs / s:.1f}' for s in seconds)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
