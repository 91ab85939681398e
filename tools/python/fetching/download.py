"""HTTP downloads that resume, retry, verify a checksum, and keep the user's token to its host."""

import errno
import hashlib
import http.client
import os
import pathlib
import time
import urllib.error
import urllib.parse
import urllib.request

from .files import FetchError

_BLOCK = 1 << 18
_ATTEMPTS = 5
_TIMEOUT_SECONDS = 60
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES}
_TRANSIENT_STATUS = {408, 429, 500, 502, 503, 504}


class _KeepTokenAtHome(urllib.request.HTTPRedirectHandler):
    """Hubs redirect to a storage host; urllib would hand the Authorization header on to it."""

    def redirect_request(self, request, file, code, message, headers, url):
        new = super().redirect_request(request, file, code, message, headers, url)
        if new is not None and (
            urllib.parse.urlsplit(url)[:2] != urllib.parse.urlsplit(request.full_url)[:2]
        ):
            new.remove_header("Authorization")
        return new


_OPENER = urllib.request.build_opener(_KeepTokenAtHome)


def open_url(url, token=None, start=0):
    """Opens `url` from byte `start` on. Raises urllib.error.URLError and its HTTPError."""
    headers = {"User-Agent": "surprisal-fetch", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    if token and _is_private(url):
        headers["Authorization"] = f"Bearer {token}"
    return _OPENER.open(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_SECONDS)


def read_url(url, token=None, limit=64 << 20, pause=time.sleep):
    """The whole body of a small answer; FetchError beyond `limit` bytes. Retries."""
    for attempt in range(_ATTEMPTS):
        try:
            with open_url(url, token) as answer:
                body = answer.read(limit + 1)
            if len(body) > limit:
                raise FetchError(f"{url}: the answer is larger than {limit} bytes")
            return body
        except (OSError, http.client.HTTPException) as error:
            _pause_or_raise(error, url, attempt, pause)
    raise AssertionError("unreachable: the last attempt raises")


def download(url, path, size, checksum, progress, token=None, pause=time.sleep):
    """Fetches `url` into `path`, which appears only once its size and checksum are right.

    What an earlier, interrupted call fetched is kept in `path`.part and continued. `size` may be
    None; `checksum` is ("sha256", hex) or ("git", hex), the SHA-1 of a git blob. Raises FetchError.
    """
    path = pathlib.Path(path)
    part = path.with_name(f"{path.name}.{checksum[1][:12]}.part")
    progress.skip(_size(part))
    for attempt in range(_ATTEMPTS):
        try:
            _continue(url, part, size, progress, token)
            break
        except (OSError, http.client.HTTPException) as error:
            _pause_or_raise(error, url, attempt, pause)
    found = _checksum(part, checksum[0])
    if found != checksum[1]:
        progress.skip(-_size(part))
        part.unlink()
        raise FetchError(
            f"{url}: wrong checksum: expected {checksum[0]} {checksum[1]}, found {found}; "
            "the damaged copy was removed, run the command again"
        )
    os.replace(part, path)


def _continue(url, part, size, progress, token):
    """One connection's worth; raises OSError when it ends before the file does."""
    start = _size(part)
    if size is not None and start > size:  # left by something else: begin anew
        progress.skip(-start)
        part.unlink()
        start = 0
    if size is not None and start == size and part.exists():
        return
    try:
        answer = open_url(url, token, start)
    except urllib.error.HTTPError as error:
        if start and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # all of it was there; the checksum decides
        raise
    with answer:
        if start and answer.status != http.client.PARTIAL_CONTENT:  # the server does not resume
            progress.skip(-start)
            start = 0
        with open(part, "r+b" if start else "wb") as file:
            file.seek(start)
            while block := answer.read(_BLOCK):
                file.write(block)
                progress.add(len(block))
        expected = size if size is not None else start + int(answer.headers["Content-Length"] or 0)
    if _size(part) < expected:
        raise ConnectionError(f"the connection ended after {_size(part)} of {expected} bytes")


def _pause_or_raise(error, url, attempt, pause):
    """Waits before the next try of something that may pass; FetchError for what will not."""
    status = getattr(error, "code", None)
    if getattr(error, "errno", None) in _DISK_ERRORS:
        raise FetchError(f"cannot store {url}: {error}") from error
    if status is not None and status not in _TRANSIENT_STATUS:
        raise FetchError(f"{url}: HTTP status {status} {error.reason}") from error
    if attempt + 1 == _ATTEMPTS:
        reason = getattr(error, "reason", error)
        raise FetchError(
            f"cannot fetch {url}: {reason}; what arrived is kept, " "run the command again to go on"
        ) from error
    pause(2.0**attempt)


def _checksum(path, kind):
    digest = hashlib.sha256() if kind == "sha256" else hashlib.sha1(b"blob %d\0" % _size(path))
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _size(path):
    return path.stat().st_size if path.exists() else 0


def _is_private(url):
    """Whether nobody in between can read a token sent to `url`: TLS, or this machine itself."""
    parts = urllib.parse.urlsplit(url)
    return parts.scheme == "https" or parts.hostname in ("localhost", "127.0.0.1", "::1")
