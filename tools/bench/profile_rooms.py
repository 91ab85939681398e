#!/usr/bin/env python3
"""Where a program's time goes, by room of this repository: what of it is the model, what is not.

    python tools/bench/profile_rooms.py -- build/release/bin/run_experiment CONFIG --threads 1 ...

Samples the program with `perf` and looks each function up in the build's static libraries. What a packaged
library does (copy memory, allocate, compress) counts as the room's that called it, as does what the kernel does
for it (to give it memory at the first touch, to read a file); where no room did, it is named by the library's
file. Threads that wait spin for a moment, which counts as the model's time: with --threads 1 the shares are those
of wall time.
"""
import argparse
import collections
import subprocess
import sys
import tempfile
from collections.abc import Iterator
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


def stacks(profile: str) -> Iterator[list[tuple[str, str]]]:
    """Of each sample the frames, innermost first, as (file, function), without the kernel's."""
    script = subprocess.run(["perf", "script", "--no-inline", "-i", profile, "-F", "ip,sym,dso"], check=True,
                            text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    for stack in script.split("\n\n"):
        lines = [line.strip().split(" ", 1)[1].rpartition(" (") for line in stack.splitlines() if line.strip()]
        frames = [(Path(file.rstrip(")")).name, function) for function, _, file in lines]
        if frames:
            yield [f for f in frames if not f[0].startswith("[kernel")] or frames[-1:]


def room_and_function(frames: list[tuple[str, str]], program: str, owners: dict[str, str]) -> tuple[str, str]:
    """The room at work, or the file if none is, and what it does, by the innermost function."""
    file, function = frames[0]
    for caller_file, caller in frames:
        room = owners.get(bare(caller)) if caller_file == program else None
        if room is not None:
            return room, function if caller == function else f"{function} < {bare(caller)}"
    return "other" if file == program else file, function


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", type=Path, default=Path("build/release"))
    parser.add_argument("--top", type=int, default=12, help="functions outside of models/ to name")
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    owners = rooms_of_functions(args.build)
    with tempfile.NamedTemporaryFile() as data:
        subprocess.run(["perf", "record", "-q", "--call-graph", "dwarf", "-e", "cpu-clock", "-F", "250",
                        "-o", data.name, *args.command], check=True, stdout=subprocess.DEVNULL)
        program = Path(args.command[0]).resolve().name
        samples = collections.Counter(room_and_function(frames, program, owners) for frames in stacks(data.name))
    shares, functions = collections.Counter(), collections.Counter()
    for (room, function), count in samples.items():
        share = 100 * count / samples.total()
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
