"""A small Hugging Face hub on this machine, with the faults that a test asks for."""

import hashlib
import http.server
import json
import threading
import urllib.parse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class LocalHub:
    """Serves one repository; redirects large files to a second port, as hubs do to their storage.

    cut_after: end each of the next `cuts` longer transfers after that many bytes. token: demand it.
    tampered: file names whose bytes differ from their checksum. requests: (path, headers) seen.
    """

    def __init__(self, files, repository="HuggingFaceTB/SmolLM2-360M-Instruct"):
        self.files = files
        self.repository = repository
        self.cut_after = 0
        self.cuts = 0
        self.token = None
        self.tampered = set()
        self.resumes = True
        self.failures = []  # HTTP statuses to answer the next requests for files with
        self.requests = []
        self._servers = [self._serve(), self._serve()]
        self.address, self.storage = (
            f"http://127.0.0.1:{s.server_address[1]}" for s in self._servers
        )

    def close(self):
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def _serve(self):
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                hub.requests.append((self.path, dict(self.headers)))
                hub._answer(self)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    def _answer(self, request):
        path = urllib.parse.unquote(urllib.parse.urlsplit(request.path).path)
        if path.startswith("/storage/"):
            return self._send_file(request, path.removeprefix("/storage/"))
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return self._send(request, 401, b"Access to this model is restricted")
        if path.startswith(f"/api/models/{self.repository}/revision/"):
            return self._send(request, 200, json.dumps(self.listing()).encode())
        name = path.removeprefix(f"/{self.repository}/resolve/{COMMIT}/")
        if name not in self.files:
            return self._send(request, 404, b"not found")
        if name.endswith(".safetensors"):
            request.send_response(302)
            request.send_header("Location", f"{self.storage}/storage/{name}")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return None
        return self._send_file(request, name)

    def listing(self):
        siblings = []
        for name, body in self.files.items():
            sibling = {
                "rfilename": name,
                "size": len(body),
                "blobId": hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest(),
            }
            if name.endswith(".safetensors"):
                sibling["lfs"] = {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body)}
            siblings.append(sibling)
        return {"sha": COMMIT, "siblings": siblings, "cardData": {"license": "apache-2.0"}}

    def _send_file(self, request, name):
        if self.failures:
            return self._send(request, self.failures.pop(0), b"try later")
        body = self.files[name]
        if name in self.tampered:
            body = b"?" + body[1:]
        start = 0
        if self.resumes and (wanted := request.headers.get("Range")):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        request.send_response(206 if start else 200)
        request.send_header("Content-Length", str(len(body) - start))
        request.end_headers()
        rest = body[start:]
        if self.cuts > 0 and len(rest) > self.cut_after:
            self.cuts -= 1
            rest = rest[: self.cut_after]
        request.wfile.write(rest)
        request.close_connection = True
        return None

    @staticmethod
    def _send(request, status, body):
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)
