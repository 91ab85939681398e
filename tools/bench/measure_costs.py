#!/usr/bin/env python3
"""How the cost of decoding grows, and what it takes of memory.

    python tools/bench/measure_costs.py MODEL --bench build/release/bin/bench_decode
    python tools/bench/measure_costs.py MODEL --bench ... --parts context batch --dtype float32

Parts: `statistics` (their own cost at 1,000 tokens of context, by steps that take turns), `memory` (peak
of a process of its own over weights + cache + logits), and curves of the time of one step over `context`,
`batch`, `layers` and `vocabulary` (the last two on random models of MODEL's other shapes). Of each point the
median step is taken, and of several passes over the curve the least, so that other programs' bursts do not
look like kinks; `slope` is what one more unit costs since the point before.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from compare_peers import Worker, own_cost

PARTS = ("statistics", "memory", "context", "batch", "layers", "vocabulary")
CONTEXTS = (128, 256, 512, 1024, 2048, 4096, 8000)
BATCHES = (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
LAYERS = (4, 8, 16, 32, 64)
VOCABULARIES = (2048, 8192, 32768, 49152, 131072)
MEMORY_GOAL = (150e6, 1.1)  # bytes above, and times, weights + cache + logits
SHAPES = ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads", "head_dim",
          "max_position_embeddings", "tie_word_embeddings", "num_hidden_layers", "vocab_size")


def worker(args, model):
    return Worker([args.bench, str(model), "--jobs", "--threads", str(args.threads), "--dtype", args.dtype], False)


def curve(args, name, points, ask):
    """Prints step times of points; `ask(point)` measures one."""
    best = dict.fromkeys(points, float("inf"))
    for _ in range(args.passes):
        for point in points:
            best[point] = min(best[point], ask(point))
    print(f"\n| {name} | ms a step | slope, us |\n|---|---|---|")
    before = None
    for point in points:
        slope = "" if before is None else f"{1e6 * (best[point] - best[before]) / (point - before):.2f}"
        print(f"| {point} | {1e3 * best[point]:.2f} | {slope} |", flush=True)
        before = point


def statistics_cost(args):
    print("\n| batch, context 1,000 | ms a step with | without | cost, % |\n|---|---|---|---|")
    engine = worker(args, args.model)
    for batch in (1, 16):
        job = {"batch": batch, "prompt": 1000 - args.decode // 2, "decode": args.decode}
        answer = engine.ask({**job, "alternate": True})
        on, off = answer["step_seconds"], answer["plain_step_seconds"]
        print(f"| {batch} | {1e3 * on:.2f} | {1e3 * off:.2f} | {own_cost(answer):.1f} |", flush=True)
    engine.close()


def memory(args, config):
    print("\n| batch, prompt | weights + cache + logits, MB | peak, MB | allowed, MB |\n|---|---|---|---|")
    for batch, prompt in ((1, 128), (16, 128), (16, 1000)):
        engine = worker(args, args.model)
        job = {"batch": batch, "prompt": prompt, "decode": 4, "statistics": True}
        answer = engine.ask(job)
        engine.close()
        peak, need = answer["peak_bytes"], answer["weight_bytes"] + answer["cache_bytes"]
        need += batch * config["vocab_size"] * 4  # logits
        allowed = MEMORY_GOAL[0] + MEMORY_GOAL[1] * need
        print(f"| {batch}, {prompt} | {need / 1e6:.0f} | {peak / 1e6:.0f} | {allowed / 1e6:.0f} |", flush=True)


def curve_of_one_model(args, name, points, job):
    engine = worker(args, args.model)
    curve(args, name, points, lambda point: engine.ask({"statistics": True, **job(point)})["step_seconds"])
    engine.close()


def curve_of_random_models(args, config, name, points, key):
    """One process for each point, all open at once so that passes take turns."""
    make = Path(__file__).parent.parent / "make_random_model.py"
    with tempfile.TemporaryDirectory() as folder:
        engines = {}
        for point in points:
            shapes = {part: config[part] for part in SHAPES if part in config} | {key: point}
            settings = [word for part, value in shapes.items()
                        for word in ("--set", f"{part}={json.dumps(value)}")]
            model = Path(folder) / str(point)
            subprocess.run([sys.executable, make, model, "--dtype", "bfloat16", *settings], check=True,
                           stdout=subprocess.DEVNULL)
            engines[point] = worker(args, model)
        job = {"batch": 16, "prompt": 16, "decode": args.decode, "statistics": True}
        curve(args, name, points, lambda point: engines[point].ask(job)["step_seconds"])
        for engine in engines.values():
            engine.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path, help="Hugging Face folder, 16-bit weights")
    parser.add_argument("--bench", required=True, help="the built bench_decode")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--decode", type=int, default=32, help="steps of a point")
    parser.add_argument("--passes", type=int, default=2)
    parser.add_argument("--longest", type=int, default=8000, help="context of the last point")
    args = parser.parse_args()
    config = json.loads((args.model / "config.json").read_text())
    print(f"{args.dtype}, {args.threads} threads, {args.decode} steps a point")
    if "statistics" in args.parts:
        statistics_cost(args)
    if "memory" in args.parts:
        memory(args, config)
    if "context" in args.parts:
        contexts = [context for context in CONTEXTS if context <= args.longest]
        curve_of_one_model(args, "context, batch 1", contexts,
                           lambda c: {"batch": 1, "prompt": c, "decode": args.decode})
    if "batch" in args.parts:
        curve_of_one_model(args, "batch, context 16", BATCHES,
                           lambda b: {"batch": b, "prompt": 8, "decode": max(8, args.decode // 4)})
    if "layers" in args.parts:
        curve_of_random_models(args, config, "layers, batch 16", LAYERS, "num_hidden_layers")
    if "vocabulary" in args.parts:
        curve_of_random_models(args, config, "vocabulary, batch 16", VOCABULARIES, "vocab_size")


if __name__ == "__main__":
    main()
