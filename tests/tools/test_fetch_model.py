"""tools/fetch_model.py against a local hub: resuming, checksums, tokens, hostile file names."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

from local_hub import COMMIT, LocalHub

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "python"))

from fetching import download, files, hub  # noqa: E402
from fetching.progress import Progress  # noqa: E402

WEIGHTS = bytes(range(256)) * 5000
FILES = {
    "config.json": b'{"model_type": "llama"}\n',
    "tokenizer.json": b"{}",
    "model.safetensors": WEIGHTS,
    "README.md": b"not needed",
    "onnx/model.onnx": b"not needed",
}
NAME = "smollm2-360m-instruct"


class FetchModelTest(unittest.TestCase):
    def setUp(self):
        self.hub = LocalHub(dict(FILES))
        self.addCleanup(self.hub.close)
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.home = pathlib.Path(temporary.name)
        self.folder = self.home / "models" / "SmolLM2-360M-Instruct"

    def fetch(self, *arguments, name=NAME, **environment):
        clean = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith("HF_") and "proxy" not in key.lower()
        }
        return subprocess.run(
            [
                sys.executable,
                ROOT / "tools" / "fetch_model.py",
                name,
                "--output",
                self.folder,
                *arguments,
            ],
            env={**clean, "HOME": str(self.home), "HF_ENDPOINT": self.hub.address, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def test_brings_what_a_model_needs_and_records_where_from(self):
        result = self.fetch()
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout.strip(), str(self.folder))
        self.assertIn("licence apache-2.0", result.stderr)
        self.assertEqual(
            {p.name for p in self.folder.iterdir()},
            {"config.json", "tokenizer.json", "model.safetensors", files.PROVENANCE_FILE},
        )
        self.assertEqual((self.folder / "model.safetensors").read_bytes(), WEIGHTS)
        record = files.read_provenance(self.folder)
        self.assertEqual(record["provenance"], "as published")
        self.assertEqual(record["source"]["commit"], COMMIT)
        self.assertEqual([p.name for p in self.folder.parent.iterdir()], [self.folder.name])

    def test_second_run_asks_the_hub_nothing(self):
        self.fetch()
        self.hub.requests.clear()
        self.assertEqual(self.fetch().returncode, 0)
        self.assertEqual(self.hub.requests, [])

    def test_a_damaged_folder_is_made_again(self):
        self.fetch()
        (self.folder / "config.json").write_bytes(b"{}")
        self.assertEqual(self.fetch().returncode, 0)
        self.assertEqual((self.folder / "config.json").read_bytes(), FILES["config.json"])
        (self.folder / "model.safetensors").write_bytes(b"?" + WEIGHTS[1:])  # the same size
        self.assertIn("is complete", self.fetch().stderr)
        self.assertEqual(self.fetch("--check").returncode, 0)
        self.assertEqual((self.folder / "model.safetensors").read_bytes(), WEIGHTS)

    def test_goes_on_where_the_connection_broke(self):
        self.hub.cut_after, self.hub.cuts = 500_000, 1
        self.hub.failures = [503]
        result = self.fetch()
        self.assertEqual(result.returncode, 0, result.stderr)
        ranges = [
            headers.get("Range") for path, headers in self.hub.requests if "/storage/" in path
        ]
        self.assertIn("bytes=500000-", ranges)
        self.assertEqual((self.folder / "model.safetensors").read_bytes(), WEIGHTS)

    def test_a_later_run_goes_on_where_an_interrupted_one_stopped(self):
        url, path = f"{self.hub.storage}/storage/model.safetensors", self.home / "model.safetensors"
        checksum = ("sha256", self.hub.listing()["siblings"][2]["lfs"]["sha256"])
        self.hub.cut_after, self.hub.cuts = 100_000, 99
        with self.assertRaisesRegex(files.FetchError, "run the command again"):
            self.download(url, path, checksum)
        self.assertFalse(path.exists())
        self.hub.cuts = 0
        self.hub.requests.clear()
        self.download(url, path, checksum)
        self.assertEqual([h.get("Range") for _, h in self.hub.requests], ["bytes=500000-"])
        self.assertEqual(path.read_bytes(), WEIGHTS)

    def test_a_server_that_cannot_resume_starts_anew(self):
        self.hub.resumes = False
        self.hub.cut_after, self.hub.cuts = 100_000, 1
        url, path = f"{self.hub.storage}/storage/model.safetensors", self.home / "model.safetensors"
        self.download(url, path, ("sha256", self.hub.listing()["siblings"][2]["lfs"]["sha256"]))
        self.assertEqual(path.read_bytes(), WEIGHTS)

    def download(self, url, path, checksum):
        download.download(
            url, path, len(WEIGHTS), checksum, Progress(len(WEIGHTS)), pause=lambda _: None
        )

    def test_wrong_bytes_are_refused_and_not_kept(self):
        for name in ("model.safetensors", "config.json"):
            with self.subTest(name):
                self.hub.tampered = {name}
                result = self.fetch()
                self.assertEqual(result.returncode, 1)
                self.assertIn("wrong checksum", result.stderr)
                self.assertIn(name, result.stderr)
                self.assertFalse(self.folder.exists())
                shutil.rmtree(self.folder.parent)
        self.hub.tampered = set()
        self.assertEqual(self.fetch().returncode, 0)

    def test_a_gated_model_says_what_to_do(self):
        self.hub.token = "right"
        result = self.fetch()
        self.assertEqual(result.returncode, 1)
        for text in ("401", "accepted its licence", "no token was found", "HF_TOKEN"):
            self.assertIn(text, result.stderr)
        self.assertIn("was refused", self.fetch(HF_TOKEN="wrong").stderr)

    def test_the_token_is_read_and_stays_with_the_hub(self):
        self.hub.token = "right"
        stored = self.home / ".cache" / "huggingface" / "token"
        stored.parent.mkdir(parents=True)
        stored.write_text("right\n", encoding="utf-8")
        self.assertEqual(self.fetch().returncode, 0)
        to_storage = [
            headers for path, headers in self.hub.requests if path.startswith("/storage/")
        ]
        self.assertTrue(to_storage)
        self.assertNotIn("Authorization", {key for headers in to_storage for key in headers})

    def test_no_token_goes_out_in_clear_text(self):
        self.assertFalse(download._is_private("http://example.org/a"))
        self.assertTrue(download._is_private("https://example.org/a"))

    def test_names_that_lead_out_of_the_folder_are_refused(self):
        for name in (
            "../escape.safetensors",
            "/etc/escape.json",
            "..\\escape.json",
            "a/../../b.json",
            ".",
        ):
            with self.subTest(name):
                self.hub.files = {**FILES, name: b"x"}
                result = self.fetch()
                self.assertEqual(result.returncode, 1)
                self.assertIn("refusing the file name", result.stderr)
                self.assertFalse(self.folder.exists())

    def test_an_index_that_leads_out_or_lacks_a_shard_is_refused(self):
        for shard, message in (
            ("../secret.safetensors", "refusing"),
            ("other.safetensors", "lacks"),
        ):
            with self.subTest(shard):
                index = json.dumps({"weight_map": {"a": shard, "b": "model.safetensors"}}).encode()
                self.hub.files = {**FILES, "model.safetensors.index.json": index}
                result = self.fetch()
                self.assertEqual(result.returncode, 1)
                self.assertIn(message, result.stderr)
                self.assertFalse(self.folder.exists())
                shutil.rmtree(self.folder.parent)

    def test_a_folder_of_somebody_else_is_left_alone(self):
        self.folder.mkdir(parents=True)
        (self.folder / "mine.txt").write_text("mine", encoding="utf-8")
        result = self.fetch()
        self.assertEqual(result.returncode, 1)
        self.assertIn("was not made by this tool", result.stderr)
        self.assertEqual([p.name for p in self.folder.iterdir()], ["mine.txt"])

    def test_a_folder_with_another_model_is_left_alone(self):
        self.fetch()
        result = self.fetch(name="qwen2.5-0.5b-instruct")
        self.assertEqual(result.returncode, 1)
        self.assertIn("holds SmolLM2-360M-Instruct", result.stderr)
        self.assertEqual(self.fetch("--revision", "beef").returncode, 1)
        self.assertEqual(self.fetch("--revision", COMMIT[:8]).returncode, 0)

    def test_what_is_no_hub_is_named(self):
        self.hub.listing = lambda: {"siblings": 3}
        self.assertIn("not a listing as a hub gives it", self.fetch().stderr)
        self.assertIn("404", self.fetch(name="qwen2.5-0.5b-instruct").stderr)

    def test_usage_errors_give_status_2_and_the_list_is_complete(self):
        result = self.fetch(name="no-such-model")
        self.assertEqual(result.returncode, 2)
        self.assertIn("llama-3.1-8b-instruct", result.stderr)
        listed = self.fetch("--list").stdout.splitlines()
        self.assertEqual(len(listed), 11)

    def test_token_files_of_the_hubs_own_client(self):
        token = self.home / "elsewhere"
        token.write_text("abc", encoding="utf-8")
        self.assertEqual(hub.user_token({"HF_TOKEN_PATH": str(token)}), "abc")
        self.assertEqual(hub.user_token({"HF_TOKEN": " x "}), "x")
        self.assertIsNone(hub.user_token({"HF_HOME": str(self.home / "nowhere")}))


if __name__ == "__main__":
    unittest.main()
