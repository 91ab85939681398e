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

DECODE = "decode / best 16-bit llama.cpp"
PREFILL = "prefill / best llama.cpp"
EQUAL = "decode / best eager transformers with attentions"  # equal function
FLOOR = "decode / floor's speed"
OWN_COST = "statistics' own cost, %"
GOALS = {  # by batch
    DECODE: lambda batch: 1.0 if batch == 1 else 1.7,
    FLOOR: lambda batch: 0.8 if batch == 1 else 0.6,
    EQUAL: lambda batch: 4,
    PREFILL: lambda batch: 1.0,
    OWN_COST: {1: 3, 16: 5}.get,  # at 1,000 tokens of context
}


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


def floor_seconds(work, roof, engine):
    """The least time one decoding step can take, by the roof that binds it: the arithmetic
    (products at the rate of the engine's dtype, attention at float32's), or the weights and the
    cache read once."""
    rate = "bfloat16_flops_per_second" if engine == "ours-bfloat16" else "flops_per_second"
    arithmetic = work["product_flops"] / roof[rate]
    arithmetic += work["attention_flops"] / roof["flops_per_second"]
    return max(arithmetic, work["bytes"] / roof["bytes_per_second"])


def spread(values, digits=2):
    return (
        f"{statistics.median(values):.{digits}f}"
        f" [{min(values):.{digits}f}, {max(values):.{digits}f}]"
    )


def rates(repeats, engine, job):
    tokens = {"prefill": job["batch"] * job["prompt"], "decode": job["batch"] * job["decode"]}
    return {
        phase: [count / repeat[engine][f"{phase}_seconds"] for repeat in repeats]
        for phase, count in tokens.items()
    }


def own_cost(answer):
    """Of the statistics, in per cent of a step without."""
    return 100 * (answer["step_seconds"] / answer["plain_step_seconds"] - 1)


def report(job, repeats):
    """Prints one work's speeds and ratios. @return {(ours, ratio): values}"""
    print(f"\n## batch {job['batch']}, prompt {job['prompt']}, {job['decode']} tokens decoded\n")
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

    ratios = {}
    for ours in (name for name in OURS if name in speed):
        with_statistics = speed[ours + STATISTICS]

        def ratio(phase, peers):
            return [a / b for a, b in zip(with_statistics[phase], best(peers, phase))]

        if any(name in speed for name in LLAMA):
            ratios[ours, DECODE] = ratio("decode", LLAMA)
            ratios[ours, PREFILL] = ratio("prefill", (*LLAMA, "llama.cpp-f32"))
        if any(name in speed for name in EAGER):
            ratios[ours, EQUAL] = ratio("decode", EAGER)
        ratios[ours, FLOOR] = [
            floor_seconds(answer["work"], repeat["roof"], ours) * job["decode"] / answer["decode_seconds"]
            for repeat in repeats
            for answer in [repeat[ours + STATISTICS]]
        ]
        ratios[ours, OWN_COST] = [own_cost(repeat[ours + ALTERNATING]) for repeat in repeats]
    print("\n| ratio | median [range] |\n|---|---|")
    for (ours, name), values in ratios.items():
        print(f"| {ours}: {name} | {spread(values)} |")
    roofs = [repeat["roof"] for repeat in repeats]
    print(
        f"\nRoofs: {spread([r['bytes_per_second'] / 1e9 for r in roofs], 1)} GB/s,"
        f" {spread([r['flops_per_second'] / 1e9 for r in roofs], 0)} GFLOP/s,"
        f" in bfloat16 {spread([r['bfloat16_flops_per_second'] / 1e9 for r in roofs], 0)}",
        flush=True,
    )
    return ratios


def report_goals(measured):
    """Prints what is asked of us, and whether the medians reach it."""
    print("\n## Goals\n\n| engine | work | ratio | goal | median [range] | |\n|---|---|---|---|---|---|")
    for job, ratios in measured:
        for (ours, name), values in ratios.items():
            goal = GOALS[name](job["batch"])
            if goal is None or (name == OWN_COST) != (job["prompt"] + job["decode"] // 2 == 1000):
                continue
            middle = statistics.median(values)
            met = middle <= goal if name == OWN_COST else middle >= goal
            sign = "<=" if name == OWN_COST else ">="
            print(f"| {ours} | batch {job['batch']}, prompt {job['prompt']} | {name} | {sign} {goal} |"
                  f" {spread(values)} | {'met' if met else 'MISSED'} |")
    print("\nA whole sweep against a loop of transformers runs: compare_sweep.py. What of a sweep is not"
          " the model: profile_rooms.py.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="Hugging Face folder, 16-bit weights")
    parser.add_argument("--bench", required=True, help="the built bench_decode")
    parser.add_argument("--ours", nargs="+", default=[*OURS], choices=OURS)
    parser.add_argument("--peers", nargs="*", default=[*LLAMA, *EAGER], choices=[*LLAMA, *EAGER])
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 16, 64])
    parser.add_argument("--prompt", nargs="+", type=int, default=[128, 512])
    parser.add_argument("--decode", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--verbose", action="store_true", help="show what the engines write")
    parser.add_argument("--output", help="also write every measurement as JSON")
    args = parser.parse_args()

    common = [args.bench, args.model, "--jobs", "--threads", str(args.threads)]
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
    measured, goals = [], []

    def measure(job, names):
        """Lets our engines, and the peers named, take turns at one job."""
        repeats = []
        for _ in range(args.repeats):
            repeat = {"roof": roof.ask({"roof": True})}
            for name, worker in ours.items():
                repeat[name] = worker.ask({**job, "statistics": False})
                repeat[name + STATISTICS] = worker.ask({**job, "statistics": True})
                repeat[name + ALTERNATING] = worker.ask({**job, "alternate": True})
            for name in names:
                repeat[name] = peers[name].ask({**job, "statistics": True})
            repeats.append(repeat)
        measured.append({"job": job, "repeats": repeats})
        goals.append((job, report(job, repeats)))
        if args.output:  # after each work, so that an interrupted run leaves what it has
            with open(args.output, "w", encoding="utf-8") as file:
                json.dump(measured, file, indent=1)

    for batch in args.batch:
        for prompt in args.prompt:
            measure({"batch": batch, "prompt": prompt, "decode": args.decode}, peers)
    for batch in {1, 16} & set(args.batch):  # the statistics' own cost at 1,000 tokens of context
        measure({"batch": batch, "prompt": 1000 - args.decode // 2, "decode": args.decode}, ())
    report_goals(goals)
    for worker in (*ours.values(), *peers.values()):
        worker.close()


if __name__ == "__main__":
    main()
