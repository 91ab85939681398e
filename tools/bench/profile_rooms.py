#!/usr/bin/env python3
"""Where a program's time goes, by room of this repository: what of it is the model, what is not.

    python tools/bench/profile_rooms.py -- build/release/bin/run_experiment CONFIG --threads 1 ...

Samples the program with `perf` and looks each function up in the build's static libraries. Threads that wait
spin for a moment, which counts as the model's time: with --threads 1 the shares are those of wall time.
What the kernel does for a function (to give it memory at the first touch, to read a file) counts as that
function's. Functions that no library or several of them define are `other`; packaged libraries' are named by
their file.
"""
import argparse
import collections
import subprocess
import sys
import tempfile
from pathlib import Path


def rooms_of_functions(build: Path) -> dict[str, str]:
    """Demangled name without parameters -> the library that defines it, if one does."""
    owners = collections.defaultdict(set)
    for library in sorted(build.glob("*/libsurprisal_*.a")):
        room = library.stem.removeprefix("libsurprisal_")
        names = subprocess.run(["nm", "--demangle", "--defined-only", library], check=True, text=True,
                               capture_output=True).stdout
        for line in names.splitlines():
            parts = line.split(" ", 2)
            if len(parts) == 3 and parts[1] in "tTwWu":
                owners[bare(parts[2])].add(room)
    return {name: rooms.copy().pop() for name, rooms in owners.items() if len(rooms) == 1}


def bare(name: str) -> str:
    """A function's name without parameters and, which `nm` gives for templates, without its result."""
    name = name.replace("(anonymous namespace)", "{anonymous}").split(" [clone")[0].split("(")[0]
    depth, start = 0, 0
    for i, character in enumerate(name):
        depth += {"<": 1, ">": -1}.get(character, 0)
        if character == " " and depth == 0:
            start = i + 1
    return name[start:]


def sampled_functions(profile: str) -> collections.Counter:
    """(file, function) -> samples: of each the innermost frame outside of the kernel."""
    script = subprocess.run(["perf", "script", "-i", profile, "-F", "ip,sym,dso"], check=True, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    samples = collections.Counter()
    for stack in script.split("\n\n"):
        frames = [line.strip().split(" ", 1)[1].rpartition(" (") for line in stack.splitlines() if line.strip()]
        if frames:
            function, _, file = next((f for f in frames if not f[2].startswith("[kernel")), frames[-1])
            samples[Path(file.rstrip(")")).name, function] += 1
    return samples


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", type=Path, default=Path("build/release"))
    parser.add_argument("--top", type=int, default=12, help="functions outside of models/ to name")
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    owners = rooms_of_functions(args.build)
    with tempfile.NamedTemporaryFile() as data:
        subprocess.run(["perf", "record", "-q", "-g", "-e", "cpu-clock", "-F", "1000", "-o", data.name,
                        *args.command], check=True, stdout=subprocess.DEVNULL)
        samples = sampled_functions(data.name)
    shares, functions = collections.Counter(), collections.Counter()
    program = Path(args.command[0]).resolve().name
    for (file, function), count in samples.items():
        share = 100 * count / samples.total()
        room = owners.get(bare(function), "other") if file == program else file
        shares[room] += share
        if room != "models":
            functions[f"{room}: {function}"] += share
    for room, share in shares.most_common():
        print(f"{share:6.2f} %  {room}")
    print("\nOutside of models/:")
    for function, share in functions.most_common(args.top):
        print(f"{share:6.2f} %  {function[:110]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
