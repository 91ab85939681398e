"""tools/fetch_data.py: checksums, atomic files, and the few-shot examples out of a task file."""

import contextlib
import dataclasses
import hashlib
import io
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

from local_hub import LocalHub

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import fetch_data  # noqa: E402
from fetching import files, gsm8k  # noqa: E402

PROBLEMS = b'{"question": "1+1?", "answer": "#### 2"}\n'
TASK = """\
task: a_task
process_results: !function utils.something
fewshot_config:
  sampler: first_n
  samples:
  - question: What is
      one?
    target: "One \\u2013 1."
"""
EXAMPLES = '{"question": "What is one?", "target": "One – 1."}\n'


def sha256(data):
    return hashlib.sha256(data if isinstance(data, bytes) else data.encode()).hexdigest()


class FetchDataTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.home = pathlib.Path(temporary.name)
        self.folder, self.source = self.home / "data", self.home / "source"
        self.source.mkdir()
        (self.source / "train.jsonl").write_bytes(PROBLEMS)
        (self.source / "fewshot_cot.jsonl").write_text(EXAMPLES, encoding="utf-8")
        self.server = LocalHub({"train.jsonl": PROBLEMS, "task.yaml": TASK.encode()})
        self.addCleanup(self.server.close)
        base = f"{self.server.storage}/storage"
        self.files = [
            gsm8k.DataFile(
                "train.jsonl", f"{base}/train.jsonl", sha256(PROBLEMS), sha256(PROBLEMS)
            ),
            gsm8k.DataFile(
                "fewshot_cot.jsonl", f"{base}/task.yaml", sha256(EXAMPLES), sha256(TASK)
            ),
        ]

    def run_tool(self, *arguments):
        command = ["fetch_data.py", "gsm8k", "--output", str(self.folder), *map(str, arguments)]
        with mock.patch.object(gsm8k, "FILES", self.files), mock.patch.object(
            sys, "argv", command
        ), contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(
            io.StringIO()
        ) as err:
            status = fetch_data.main()
        self.assertEqual(out.getvalue(), f"{self.folder}\n")
        self.assertEqual(status, 0)
        return err.getvalue()

    def check_folder(self):
        self.assertEqual(
            {p.name: p.read_bytes() for p in self.folder.iterdir()},
            {"train.jsonl": PROBLEMS, "fewshot_cot.jsonl": EXAMPLES.encode()},
        )

    def test_from_a_folder(self):
        self.run_tool("--from", self.source)
        self.check_folder()
        self.assertIn("is complete", self.run_tool())

    def test_from_the_network(self):
        self.run_tool()
        self.check_folder()

    def test_what_was_fetched_whole_before_an_interruption_is_used(self):
        self.folder.mkdir()
        (self.folder / f"train.jsonl.source.{sha256(PROBLEMS)[:12]}.part").write_bytes(PROBLEMS)
        self.server._send_file = lambda request, name: self.server._send(
            request, 416 if "Range" in request.headers else 200, self.server.files[name]
        )
        self.run_tool()
        self.check_folder()

    def test_a_damaged_file_is_replaced_and_others_are_kept(self):
        self.run_tool("--from", self.source)
        (self.folder / "train.jsonl").write_bytes(b"damaged")
        kept = (self.folder / "fewshot_cot.jsonl").stat()
        self.run_tool("--from", self.source)
        self.check_folder()
        self.assertEqual((self.folder / "fewshot_cot.jsonl").stat().st_mtime_ns, kept.st_mtime_ns)

    def test_wrong_files_are_refused(self):
        (self.source / "train.jsonl").write_bytes(PROBLEMS + b" ")
        with self.assertRaisesRegex(files.FetchError, "expected SHA-256"):
            self.run_tool("--from", self.source)
        self.assertEqual(list(self.folder.iterdir()), [])
        (self.source / "train.jsonl").unlink()
        with self.assertRaisesRegex(files.FetchError, "train.jsonl is not there"):
            self.run_tool("--from", self.source)
        self.server.tampered = {"train.jsonl"}
        with self.assertRaisesRegex(files.FetchError, "wrong checksum"):
            self.run_tool()
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_other_examples_than_the_pinned_ones_are_refused(self):
        self.files[1] = dataclasses.replace(self.files[1], sha256=sha256("something else"))
        with self.assertRaisesRegex(files.FetchError, "expected SHA-256"):
            self.run_tool()

    def test_a_task_file_without_examples_is_named(self):
        for text in ("task: x\n", "- a\n", "a: [\n"):
            with self.subTest(text), self.assertRaisesRegex(files.FetchError, "fewshot_config"):
                gsm8k.examples_of_task(text)


class RealPinsTest(unittest.TestCase):
    def test_the_pins_are_those_of_the_real_files(self):
        shared = ROOT.parent / "shared" / "data" / "gsm8k"
        if not shared.is_dir():
            self.skipTest("no copy of GSM8K beside this checkout (../shared/data/gsm8k)")
        for file in gsm8k.FILES:
            self.assertEqual(files.sha256_of(shared / file.name), file.sha256, file.name)


if __name__ == "__main__":
    unittest.main()
