#!/usr/bin/env python3
"""Brings a benchmark's problems into data/, each file checked against its SHA-256.

From their homes on the network, or with --from out of a folder that has them. Prints the
folder's path.
"""

import argparse
import pathlib
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools" / "python"))

from fetching import environment, files, gsm8k  # noqa: E402  (the path comes first)
from fetching.download import download  # noqa: E402
from fetching.progress import Progress  # noqa: E402

DATA_SETS = {"gsm8k": gsm8k}


def main():
    arguments = parse_arguments()
    data_set = DATA_SETS[arguments.name]
    folder = pathlib.Path(arguments.output or ROOT / "data" / arguments.name)
    wrong = [file for file in data_set.FILES if not is_right(folder / file.name, file.sha256)]
    if wrong:
        say(f"{arguments.name}: licence {data_set.LICENCE}")
        folder.mkdir(parents=True, exist_ok=True)
        for file in wrong:
            (
                copy(file, arguments.source, folder)
                if arguments.source
                else fetch(file, data_set, folder)
            )
            say(f"  {file.name}: SHA-256 as expected")
    else:
        say(f"{folder} is complete")
    print(folder)
    return 0


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=DATA_SETS, metavar="NAME", help=", ".join(DATA_SETS))
    parser.add_argument(
        "--from",
        dest="source",
        metavar="DIR",
        type=pathlib.Path,
        help="take the files from this folder instead of the network",
    )
    parser.add_argument(
        "--output", metavar="DIR", help="the data set's folder (default: data/NAME)"
    )
    return parser.parse_args()


def is_right(path, sha256):
    return path.is_file() and files.sha256_of(path) == sha256


def copy(file, source, folder):
    origin = source / file.name
    if not origin.is_file():
        raise files.FetchError(f"{origin} is not there; --from needs a folder that has {file.name}")
    part = folder / f"{file.name}.part"
    shutil.copyfile(origin, part)
    accept(part, file, origin, folder)


def fetch(file, data_set, folder):
    if file.needs_extraction:
        environment.require("yaml")
    part = folder / f"{file.name}.source"
    download(file.url, part, None, ("sha256", file.source_sha256), Progress(0))
    if file.needs_extraction:
        text = data_set.examples_of_task(part.read_text(encoding="utf-8"))
        part.write_text(text, encoding="utf-8")
    accept(part, file, file.url, folder)


def accept(part, file, origin, folder):
    """Gives a file its name if it is the right one."""
    if (found := files.sha256_of(part)) != file.sha256:
        part.unlink()
        raise files.FetchError(
            f"{origin}: expected SHA-256 {file.sha256} for {file.name}, found {found}"
        )
    part.replace(folder / file.name)


def say(text):
    print(text, file=sys.stderr)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except files.FetchError as error:
        sys.exit(f"fetch_data: error: {error}")
    except KeyboardInterrupt:
        sys.exit("\nfetch_data: interrupted; run it again to go on")
