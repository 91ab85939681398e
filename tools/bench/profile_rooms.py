#!/usr/bin/env python3
"""Where a program's time goes, by room of this repository: what of it is the model, what is not.

    python tools/bench/profile_rooms.py -- build/release/bin/run_experiment CONFIG --threads 1 ...

Samples the program with `perf` and looks each function up in the build's static libraries. Threads that wait
spin for a moment, which counts as the model's time: with --threads 1 the shares are those of wall time.
Functions that no library or several of them define are `other`; the system's and the packaged libraries'
are named by their file.
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", type=Path, default=Path("build/release"))
    parser.add_argument("--top", type=int, default=12, help="functions outside of models/ to name")
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    owners = rooms_of_functions(args.build)
    with tempfile.NamedTemporaryFile() as data:
        subprocess.run(["perf", "record", "-q", "-e", "cpu-clock", "-F", "1000", "-o", data.name,
                        *args.command], check=True, stdout=subprocess.DEVNULL)
        report = subprocess.run(["perf", "report", "-i", data.name, "--stdio", "--no-children", "-F",
                                 "overhead,dso,symbol", "-t", "\t"], check=True, text=True,
                                capture_output=True).stdout
    shares, functions = collections.Counter(), collections.Counter()
    program = Path(args.command[0]).resolve().name
    for line in report.splitlines():
        parts = [part.strip() for part in line.split("\t")]
        if len(parts) != 3 or not parts[0].endswith("%"):
            continue
        share, file, function = float(parts[0][:-1]), parts[1], parts[2].split("] ", 1)[-1]
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
