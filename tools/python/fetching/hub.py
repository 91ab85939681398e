"""Brings one model repository from a Hugging Face hub: one commit, checked file by file."""

import dataclasses
import json
import os
import pathlib
import re
import shutil

from .download import download, read_url
from .files import FetchError, plain_name

DEFAULT_HUB = "https://huggingface.co"
_WANTED = re.compile(
    r"[^/]*\.safetensors|model\.safetensors\.index\.json|(generation_)?config\.json"
    r"|tokenizer\.(json|model)|tokenizer_config\.json|special_tokens_map\.json"
    r"|chat_template\.(jinja|json)|LICENSE(\.\w+)?|USE_POLICY\.md"
)
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """One file of the listing; `checksum` as download() takes it."""

    name: str
    size: int
    checksum: tuple


@dataclasses.dataclass(frozen=True)
class Listing:
    """A repository at one commit, with the files that a Llama model needs."""

    commit: str
    licence: str
    files: list


def user_token(environment=os.environ):
    """The user's token for the hub: HF_TOKEN, or the file of the hub's own client; or None."""
    if token := environment.get("HF_TOKEN", "").strip():
        return token
    home = environment.get("HF_HOME") or os.path.join(
        environment.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "huggingface"
    )
    path = pathlib.Path(environment.get("HF_TOKEN_PATH") or os.path.join(home, "token"))
    return path.read_text(encoding="utf-8").strip() or None if path.is_file() else None


def list_repository(hub, repository, revision, token):
    """What `repository` holds at `revision`.

    Raises FetchError, with advice where a licence must be accepted.
    """
    url = f"{hub}/api/models/{repository}/revision/{revision}?blobs=true"
    try:
        answer = json.loads(read_url(url, token))
        commit, siblings = answer["sha"], answer["siblings"]
        if not _COMMIT.fullmatch(commit):
            raise ValueError(f"commit {commit!r}")
        names = [sibling["rfilename"] for sibling in siblings]
        for name in names:  # a listing that tries to escape once is not to be trusted at all
            for part in name.split("/"):
                plain_name(part)
        files = [
            _remote_file(sibling) for sibling in siblings if _WANTED.fullmatch(sibling["rfilename"])
        ]
    except FetchError as error:
        raise _explained(error, hub, repository, token) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FetchError(
            f"{url}: not a listing as a hub gives it ({error!r}); "
            "is --hub (or HF_ENDPOINT) right?"
        ) from error
    if not any(file.name.endswith(".safetensors") for file in files):
        raise FetchError(f"{repository} at {commit} has no *.safetensors")
    return Listing(commit, (answer.get("cardData") or {}).get("license") or "not stated", files)


def fetch_repository(hub, repository, listing, folder, progress, token):
    """Fetches every file of `listing` into `folder`; those already there and right are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    left = progress.total - sum(p.stat().st_size for p in folder.iterdir())
    free = shutil.disk_usage(folder).free
    if left > free:
        raise FetchError(
            f"{folder}: {left / 1e9:.1f} GB are still to come and " f"{free / 1e9:.1f} GB are free"
        )
    for file in sorted(listing.files, key=lambda file: file.size):
        target = folder / plain_name(file.name)
        if target.exists():
            progress.skip(file.size)  # download() gives a file its name only once it is right
            continue
        url = f"{hub}/{repository}/resolve/{listing.commit}/{file.name}"
        try:
            download(url, target, file.size, file.checksum, progress, token)
        except FetchError as error:
            raise _explained(error, hub, repository, token) from error
    _check_index(folder)


def _remote_file(sibling):
    """Large files carry their SHA-256; the others the id of their git blob."""
    if lfs := sibling.get("lfs"):
        return RemoteFile(sibling["rfilename"], int(lfs["size"]), ("sha256", lfs["sha256"]))
    return RemoteFile(sibling["rfilename"], int(sibling["size"]), ("git", sibling["blobId"]))


def _check_index(folder):
    """Every shard that the index names must be a plain file name and have arrived."""
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return
    shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    missing = sorted(name for name in shards if not (folder / plain_name(name)).is_file())
    if missing:
        raise FetchError(f"{index} names files that the repository lacks: {', '.join(missing)}")


def _explained(error, hub, repository, token):
    """The same error, with what to do about a refused or unknown repository."""
    text = str(error)
    if "HTTP status 401" in text or "HTTP status 403" in text:
        have = "the token you gave was refused" if token else "no token was found"
        return FetchError(
            f"{text}\n  {repository} is given only to people who accepted its licence, and {have}."
            f"\n  Accept it at {hub}/{repository}, make a token that can read at "
            f"{hub}/settings/tokens,\n  and run again with HF_TOKEN=<your token>."
        )
    if "HTTP status 404" in text:
        return FetchError(f"{text}\n  {hub} has no {repository} at that revision.")
    return error
