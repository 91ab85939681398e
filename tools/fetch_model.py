#!/usr/bin/env python3
"""Brings a language model into data/models, as an ordinary Hugging Face folder.

smollm2-135m-instruct comes out of a Python package (dequantised, and says so); the others come from
a Hugging Face hub. Interrupt it and run it again: it goes on. Prints the folder's path.
"""

import argparse
import importlib.util
import os
import pathlib
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools" / "python"))

from fetching import environment, files, hub  # noqa: E402  (the path comes first)
from fetching.catalogue import MODELS, PackagedModel  # noqa: E402
from fetching.progress import Progress  # noqa: E402


def main():
    arguments = parse_arguments()
    if arguments.list:
        for name, model in MODELS.items():
            gated = "  asks for a token" if model.gated else ""
            print(f"{name:24} {model.gigabytes:5.2f} GB  {model.licence}{gated}")
        return 0
    model = MODELS[arguments.name]
    folder = pathlib.Path(arguments.output or ROOT / "data" / "models" / model.folder)
    if files.is_complete(folder, thorough=arguments.check):
        check_identity(folder, model, arguments.revision)
        say(f"{folder} is complete")
    else:
        files.check_replaceable(folder)
        prepare = from_package if isinstance(model, PackagedModel) else from_hub
        prepare(model, folder, arguments)
    print(folder)
    return 0


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="one of --list")
    parser.add_argument("--list", action="store_true", help="print the names, sizes and licences")
    parser.add_argument(
        "--output", metavar="DIR", help="the model's folder (default: data/models/...)"
    )
    parser.add_argument(
        "--check", action="store_true", help="read every byte of a folder that is there already"
    )
    parser.add_argument(
        "--revision", default="main", help="a commit or branch on the hub (default: main)"
    )
    parser.add_argument(
        "--hub",
        default=os.environ.get("HF_ENDPOINT") or hub.DEFAULT_HUB,
        help="address of the hub (default: HF_ENDPOINT or %(default)s)",
    )
    arguments = parser.parse_args()
    if not arguments.list and arguments.name not in MODELS:
        parser.error(f"unknown model {arguments.name!r}; known: {', '.join(MODELS)}")
    return arguments


def check_identity(folder, model, revision):
    """Refuses a complete folder that holds something else than what is asked for."""
    record = files.read_provenance(folder)
    held, commit = record.get("name"), record.get("source", {}).get("commit", "")
    if held != model.folder:
        raise files.FetchError(f"{folder} holds {held}; choose another --output")
    if revision != "main" and not commit.startswith(revision):
        raise files.FetchError(
            f"{folder} holds commit {commit or 'of no hub'}, not {revision}; "
            "choose another --output"
        )


def from_package(model, folder, _arguments):
    module = model.package.replace("-", "_")
    environment.require(module, "gguf", "safetensors", "numpy")
    spec = importlib.util.find_spec(module)  # found, not imported: it would want llama.cpp
    source = pathlib.Path(spec.submodule_search_locations[0]) / model.file
    say(
        f"{folder.name}: licence {model.licence}, from {model.package} {model.version}, "
        f"dequantised from {model.quantisation}"
    )
    if (found := files.sha256_of(source)) != model.sha256:
        raise files.FetchError(
            f"{source}: expected SHA-256 {model.sha256}, found {found}; "
            f"install {model.package}=={model.version} again"
        )
    from fetching import gguf_folder  # needs the packages looked for above

    partial = files.partial_folder(folder)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    gguf_folder.convert(source, partial)
    if (found := files.sha256_of(partial / "model.safetensors")) != model.weights_sha256:
        raise files.FetchError(
            f"{partial}/model.safetensors: expected SHA-256 {model.weights_sha256}, "
            f"found {found}: other versions of gguf or numpy than tools/requirements.txt?"
        )
    files.write_provenance(
        partial,
        {
            "provenance": f"dequantised from {model.quantisation}",
            "name": model.folder,
            "licence": model.licence,
            "source": {
                "package": model.package,
                "version": model.version,
                "file": model.file,
                "sha256": model.sha256,
            },
        },
    )
    files.publish(partial, folder)


def from_hub(model, folder, arguments):
    address = arguments.hub.rstrip("/")
    token = hub.user_token()
    listing = hub.list_repository(address, model.repository, arguments.revision, token)
    say(
        f"{model.repository} at {listing.commit[:12]}: licence {listing.licence} "
        f"({address}/{model.repository})"
    )
    partial = files.partial_folder(folder, listing.commit)  # two commits never mix
    progress = Progress(sum(file.size for file in listing.files))
    try:
        hub.fetch_repository(address, model.repository, listing, partial, progress, token)
    finally:
        progress.finish()
    files.write_provenance(
        partial,
        {
            "provenance": "as published",
            "name": model.folder,
            "licence": listing.licence,
            "source": {"repository": model.repository, "commit": listing.commit},
        },
    )
    files.publish(partial, folder)


def say(text):
    print(text, file=sys.stderr)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except files.FetchError as error:
        sys.exit(f"fetch_model: error: {error}")
    except KeyboardInterrupt:
        sys.exit("\nfetch_model: interrupted; run it again to go on")
