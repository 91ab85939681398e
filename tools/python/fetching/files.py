"""Checksums, folders that appear whole or not at all, and the record of where they came from."""

import hashlib
import json
import os
import pathlib
import shutil

PROVENANCE_FILE = "surprisal_provenance.json"


class FetchError(Exception):
    """Something the user can act on: the message says where, what was expected and what to do."""


def sha256_of(path):
    """Hex SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def plain_name(name):
    """`name` itself if it names a file right inside a folder; FetchError if it could lead out."""
    if not name or name in (".", "..") or any(c in name for c in "/\\\0") or name.startswith("~"):
        raise FetchError(f"refusing the file name {name!r}: it may lead out of its folder")
    return name


def write_json(path, value):
    """Writes JSON the same way every time: indented, UTF-8, keys in the order given."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    pathlib.Path(path).write_text(text, encoding="utf-8")


def write_provenance(folder, facts):
    """Stores `facts`, with the size and SHA-256 of every file in `folder`, beside the files."""
    files = sorted(p for p in pathlib.Path(folder).iterdir() if p.name != PROVENANCE_FILE)
    record = {p.name: {"bytes": p.stat().st_size, "sha256": sha256_of(p)} for p in files}
    write_json(pathlib.Path(folder) / PROVENANCE_FILE, {**facts, "files": record})


def read_provenance(folder):
    """The record in `folder`, or None where there is none that can be read."""
    try:
        record = json.loads((pathlib.Path(folder) / PROVENANCE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def is_complete(folder, thorough=False):
    """Whether every file that the record names is there with its size (`thorough`: its SHA-256)."""
    record = read_provenance(folder)
    if not record or not record.get("files"):
        return False
    for name, fact in record["files"].items():
        path = pathlib.Path(folder) / plain_name(name)
        if not path.is_file() or path.stat().st_size != fact["bytes"]:
            return False
        if thorough and sha256_of(path) != fact["sha256"]:
            return False
    return True


def partial_folder(folder, version=""):
    """The hidden neighbour in which `folder` is prepared; it outlives an interruption."""
    folder = pathlib.Path(folder).absolute()
    return folder.with_name(f".{folder.name}.partial{version}")


def check_replaceable(folder):
    """Refuses to write over a folder that these tools did not make."""
    folder = pathlib.Path(folder)
    if folder.exists() and (
        not folder.is_dir() or (any(folder.iterdir()) and read_provenance(folder) is None)
    ):
        raise FetchError(
            f"{folder} is there already and was not made by this tool; "
            "move it away or choose another --output"
        )


def publish(partial, folder):
    """Gives the finished `partial` folder its name in one rename; a damaged older one makes way."""
    folder = pathlib.Path(folder).absolute()
    for file in pathlib.Path(partial).iterdir():
        file.chmod(0o644)  # safetensors writes 0600: a model is for every user of the machine
    check_replaceable(folder)
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.rename(folder, old)
    os.rename(partial, folder)
    shutil.rmtree(old, ignore_errors=True)
    for stale in folder.parent.glob(f"{partial_folder(folder).name}*"):  # of an older commit
        shutil.rmtree(stale, ignore_errors=True)
