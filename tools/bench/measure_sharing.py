#!/usr/bin/env python3
"""What sharing saves: sweeps of thresholds with `engine.sharing` on and off, in the same program.

    python tools/bench/measure_sharing.py data/models/SmolLM2-135M-Instruct --task stepwise
    python tools/bench/measure_sharing.py MODEL --task gsm8k_cot_zeroshot --data data/gsm8k \\
        --settings 8 32 --thresholds 1 2 --problems 4 --max-new-tokens 64

For each sweep: tokens that the answers asked for and that were computed, their ratio, the seconds of both
runs (of the generation alone, from their manifests), and their ratio over that of the tokens: the goal is
1.25 or less. In `mode: strict` both runs must give the same samples byte for byte and the same trace
signature; otherwise this program fails. One threshold: `entropy_cut` from --low to --high nats; two: a grid
of it and `varentropy_cut` over the same range.
"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path


def grid(settings: int, thresholds: int) -> tuple[int, int]:
    """Steps of the first and the second threshold: 8 = 4 x 2, 32 = 8 x 4, 128 = 16 x 8."""
    if thresholds == 1:
        return settings, 1
    second = 1
    while second * second * 4 <= settings:
        second *= 2
    return settings // second, second


def config(args, name: str, settings: int, thresholds: int, sharing: bool) -> str:
    first, second = grid(settings, thresholds)
    axis = "{min: %g, max: %g, steps: %d}"
    sweep = f"  samplers.cut.entropy_cut: {axis % (args.low, args.high, first)}\n"
    if second > 1:
        sweep += f"  samplers.cut.varentropy_cut: {axis % (args.low, args.high, second)}\n"
    rules = "low_low: argmax, low_high: chain, high_low: chain, high_high: hotter"
    if second == 1:
        rules = "low_low: argmax, low_high: argmax, high_low: chain, high_high: chain"
    data = f", data: {args.data}" if args.data else ""
    return f"""name: {name}
model: {{path: {args.model}, dtype: float32, device: cpu}}
task: {{name: {args.task}{data}, limit: {args.problems}, max_new_tokens: {args.max_new_tokens}}}
samplers:
  cut: {{type: quadrant, {rules}}}
sweep:
{sweep}engine: {{mode: strict, sharing: {str(sharing).lower()}, batch: {args.batch}}}
trace: {{top_k: 0, attention: none}}
"""


def run(args, folder: Path, settings: int, thresholds: int, sharing: bool) -> dict:
    name = f"{settings}_of_{thresholds}_{'shared' if sharing else 'alone'}"
    file = folder / f"{name}.yaml"
    file.write_text(config(args, name, settings, thresholds, sharing))
    subprocess.run([args.bin / "run_experiment", file, "--output", folder, "--threads",
                    str(args.threads)], check=True, stdout=subprocess.DEVNULL)
    session = json.loads((folder / name / "manifest.json").read_text())["sessions"][-1]
    signature = subprocess.run([args.bin / "export_traces", folder / name, "--signature"],
                               check=True, capture_output=True, text=True).stdout
    # A cell's identity does not depend on the engine, so the lines are the same to the byte.
    return session | {"signature": signature, "samples": (folder / name / "samples.jsonl").read_bytes()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--task", default="stepwise")
    parser.add_argument("--data", default="")
    parser.add_argument("--settings", type=int, nargs="+", default=[8, 32, 128])
    parser.add_argument("--thresholds", type=int, nargs="+", default=[1, 2], choices=[1, 2])
    parser.add_argument("--low", type=float, default=0.5, help="of the cuts, nats")
    parser.add_argument("--high", type=float, default=4.0)
    parser.add_argument("--problems", type=int, default=4)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bin", type=Path, default=Path("build/release/bin"))
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    args = parser.parse_args()

    print("settings thresholds  requested  computed  ratio  alone s  shared s  ratio  over tokens'")
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for thresholds in args.thresholds:
            for settings in args.settings:
                shared = run(args, Path(folder), settings, thresholds, True)
                alone = run(args, Path(folder), settings, thresholds, False)
                if (alone["samples"], alone["signature"]) != (shared["samples"], shared["signature"]):
                    print("sharing changed an answer", file=sys.stderr)
                    return 1
                requested, computed = shared["requested_tokens"], shared["computed_tokens"]
                if alone["computed_tokens"] != requested:
                    print("what was computed alone is not what was asked for", file=sys.stderr)
                    return 1
                tokens = computed / requested
                time = shared["seconds"] / alone["seconds"]
                print(f"{settings:8} {thresholds:10} {requested:10} {computed:9} {tokens:6.3f} "
                      f"{alone['seconds']:8.1f} {shared['seconds']:9.1f} {time:6.3f} "
                      f"{time / tokens:13.2f}", flush=True)
                figures.append({"settings": settings, "thresholds": thresholds,
                                "requested_tokens": requested, "computed_tokens": computed,
                                "alone_seconds": alone["seconds"],
                                "shared_seconds": shared["seconds"]})
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
