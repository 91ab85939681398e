"""Compares decoding speed with other engines, side by side on this machine.

    python tools/bench/compare_peers.py --model MODEL --bench build/release/bin/bench_decode

All engines have the same weights, prompts, number of tokens and threads, and take turns: a repeat
is one job of every engine and a measurement of both roofs, so that what else the machine does hits
all of them. Loading, and the first use of memory, are outside the times. Ratios are taken within a
repeat; what is printed is their median and range. The peers' prefill returns no attention (what
favours them); llama.cpp never returns any. Needs torch, transformers, safetensors, gguf and
llama-cpp-python, built for this machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
EAGER = ("transformers-float32", "transformers-bfloat16")
LLAMA = ("llama.cpp-f16", "llama.cpp-bf16")
OURS = ("ours-float32", "ours-bfloat16")
STATISTICS = "+statistics"
ALTERNATING = "+statistics at every other step"  # what they cost shows within one run only


class Worker:
    """An engine in a process of its own that answers jobs, one line of JSON each."""

    def __init__(self, command, verbose):
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if verbose else subprocess.DEVNULL,
            text=True,
        )
        self.command = command

    def ask(self, job):
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{' '.join(self.command)}: stopped; --verbose shows what it wrote")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def weight_count(config):
    """Weights of a model's products: all but norms, and a tied embedding once."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    heads = config["num_attention_heads"]
    dim = config.get("head_dim") or hidden // heads
    kv = config["num_key_value_heads"] * dim
    layer = 2 * hidden * heads * dim + 2 * hidden * kv + 3 * hidden * inner
    return config["num_hidden_layers"] * layer + config["vocab_size"] * hidden


def cache_bytes_per_token(config, engine):
    """Of the cache, which has the dtype of the engine."""
    dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    number = 2 if engine.endswith("bfloat16") else 4
    return 2 * config["num_key_value_heads"] * dim * number * config["num_hidden_layers"]


def floor_seconds(config, job, roof, engine):
    """The least time one decoding step can take, by the roof that binds it: the arithmetic
    (products at the rate of the engine's dtype, attention at float32's), or the weights (16-bit)
    and the cache read once."""
    heads = config["num_attention_heads"]
    dim = config.get("head_dim") or config["hidden_size"] // heads
    weights, context = weight_count(config), job["prompt"] + job["new"] / 2
    rate = "bfloat16_flops_per_second" if engine == "ours-bfloat16" else "flops_per_second"
    compute = 2 * weights / roof[rate]
    compute += 4 * context * heads * dim * config["num_hidden_layers"] / roof["flops_per_second"]
    read = 2 * weights + job["batch"] * context * cache_bytes_per_token(config, engine)
    return max(job["batch"] * compute, read / roof["bytes_per_second"])


def spread(values, digits=2):
    return (
        f"{statistics.median(values):.{digits}f}"
        f" [{min(values):.{digits}f}, {max(values):.{digits}f}]"
    )


def rates(repeats, engine, job):
    tokens = {"prefill": job["batch"] * job["prompt"], "decode": job["batch"] * job["new"]}
    return {
        phase: [count / repeat[engine][f"{phase}_seconds"] for repeat in repeats]
        for phase, count in tokens.items()
    }


def report(config, job, repeats):
    """One work's table: speeds, then the ratios that have goals."""
    print(f"\n## batch {job['batch']}, prompt {job['prompt']}, {job['new']} new tokens\n")
    print("| engine | prefill tokens/s | decode tokens/s |\n|---|---|---|")
    engines = [name for name in repeats[0] if name != "roof" and not name.endswith(ALTERNATING)]
    speed = {engine: rates(repeats, engine, job) for engine in engines}
    for engine in engines:
        values = speed[engine]
        print(f"| {engine} | {spread(values['prefill'], 1)} | {spread(values['decode'], 1)} |")
    first = {engine: repeats[0][engine]["first_tokens"] for engine in engines}
    odd = [engine for engine in engines if first[engine] != first[engines[0]]]
    if odd:
        print(f"\nFirst tokens differ from those of {engines[0]}: {', '.join(odd)}")

    def best(names, phase):
        """Of each repeat the fastest of the engines present."""
        present = [speed[name][phase] for name in names if name in speed]
        return [max(values) for values in zip(*present)]

    lines = {}
    for ours in (name for name in OURS if name in speed):
        with_statistics = speed[ours + STATISTICS]

        def ratio(phase, peers):
            return [a / b for a, b in zip(with_statistics[phase], best(peers, phase))]

        if any(name in speed for name in LLAMA):
            lines[f"{ours}: decode / best 16-bit llama.cpp"] = ratio("decode", LLAMA)
            lines[f"{ours}: prefill / best llama.cpp"] = ratio(
                "prefill", (*LLAMA, "llama.cpp-f32")
            )
        if any(name in speed for name in EAGER):
            lines[f"{ours}: decode / best eager transformers with attentions"] = ratio(
                "decode", EAGER
            )
        floors = [floor_seconds(config, job, repeat["roof"], ours) for repeat in repeats]
        lines[f"{ours}: decode / floor's speed"] = [
            rate * floor / job["batch"] for rate, floor in zip(with_statistics["decode"], floors)
        ]
        lines[f"{ours}: statistics' own cost, %"] = [
            100 * (answer["step_seconds"] / answer["plain_step_seconds"] - 1)
            for answer in (repeat[ours + ALTERNATING] for repeat in repeats)
        ]
    print("\n| ratio | median [range] |\n|---|---|")
    for name, values in lines.items():
        print(f"| {name} | {spread(values)} |")
    roofs = [repeat["roof"] for repeat in repeats]
    print(
        f"\nRoofs: {spread([r['bytes_per_second'] / 1e9 for r in roofs], 1)} GB/s,"
        f" {spread([r['flops_per_second'] / 1e9 for r in roofs], 0)} GFLOP/s,"
        f" in bfloat16 {spread([r['bfloat16_flops_per_second'] / 1e9 for r in roofs], 0)}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="Hugging Face folder, 16-bit weights")
    parser.add_argument("--bench", required=True, help="the built bench_decode")
    parser.add_argument("--ours", nargs="+", default=[*OURS], choices=OURS)
    parser.add_argument("--peers", nargs="*", default=[*LLAMA, *EAGER])
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 16, 64])
    parser.add_argument("--prompt", nargs="+", type=int, default=[128, 512])
    parser.add_argument("--new", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--verbose", action="store_true", help="show what the engines write")
    parser.add_argument("--output", help="also write every measurement as JSON")
    args = parser.parse_args()

    with open(os.path.join(args.model, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    common = [args.bench, args.model, "--threads", str(args.threads)]
    ours = {
        name: Worker([*common, "--dtype", name.removeprefix("ours-")], args.verbose)
        for name in args.ours
    }
    roof = next(iter(ours.values()))
    script = os.path.join(HERE, "peer_workers.py")
    peers = {
        name: Worker([sys.executable, script, name, args.model, str(args.threads)], args.verbose)
        for name in args.peers
    }
    measured = []
    for batch in args.batch:
        for prompt in args.prompt:
            job = {"batch": batch, "prompt": prompt, "new": args.new}
            repeats = []
            for _ in range(args.repeats):
                repeat = {"roof": roof.ask({"roof": True})}
                for name, worker in ours.items():
                    repeat[name] = worker.ask({**job, "statistics": False})
                    repeat[name + STATISTICS] = worker.ask({**job, "statistics": True})
                    repeat[name + ALTERNATING] = worker.ask({**job, "alternate": True})
                for name, worker in peers.items():
                    repeat[name] = worker.ask({**job, "statistics": True})
                repeats.append(repeat)
            measured.append({"job": job, "repeats": repeats})
            report(config, job, repeats)
            if args.output:  # after each work, so that an interrupted run leaves what it has
                with open(args.output, "w", encoding="utf-8") as file:
                    json.dump(measured, file, indent=1)
    for worker in (*ours.values(), *peers.values()):
        worker.close()


if __name__ == "__main__":
    main()
