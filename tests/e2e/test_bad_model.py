"""A damaged or unknown model folder gives one clear error, the right exit status and no output."""

import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = pathlib.Path(os.environ.get("SURPRISAL_PROGRAMS", ROOT / "build/release/bin"))
TIMEOUT_S = 300


def header_of(path):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def write(path, header, data):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


class BadModel(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not (PROGRAMS / "inspect_model").exists():
            raise unittest.SkipTest(f"{PROGRAMS}/inspect_model is not built")
        cls.scratch = pathlib.Path(tempfile.mkdtemp(prefix="surprisal-bad-model-"))
        cls.addClassCleanup(shutil.rmtree, cls.scratch, ignore_errors=True)
        cls.good = cls.scratch / "good"
        make = [sys.executable, ROOT / "tools/make_random_model.py", cls.good, "--seed", "0"]
        subprocess.run(make, check=True, capture_output=True)

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=self.scratch)) / "model"
        shutil.copytree(self.good, self.folder)
        self.weights = self.folder / "model.safetensors"
        self.output = self.folder.parent / "out.h5"

    def inspect(self, *arguments):
        command = [PROGRAMS / "inspect_model", self.folder, "--text", "one two three", "--output",
                   self.output, "--threads", "1", *arguments]  # fmt: skip
        return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)

    def refused(self, *arguments, status, says):
        result = self.inspect(*arguments)
        self.assertEqual(result.returncode, status, result.stderr)
        self.assertEqual(result.stdout, "")
        errors = [line for line in result.stderr.splitlines() if ": error: " in line]
        self.assertEqual(len(errors), 1, result.stderr)
        for words in says if isinstance(says, tuple) else (says,):
            self.assertIn(words, result.stderr)
        self.assertFalse(self.output.exists())

    def edit(self, name, **changes):
        path = self.folder / name
        content = json.loads(path.read_text()) | changes
        path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))

    def tokenize(self, line):
        command = [PROGRAMS / "tokenize", self.folder]
        return subprocess.run(
            command, input=json.dumps(line) + "\n", capture_output=True, text=True, timeout=TIMEOUT_S
        )

    def test_the_model_these_tests_break_is_good(self):
        self.assertEqual(self.inspect().returncode, 0)
        self.assertTrue(self.output.exists())

    def test_missing_empty_and_truncated_weights(self):
        data = self.weights.read_bytes()
        for content in (b"", data[:5], data[:100], data[:-1]):
            self.weights.write_bytes(content)
            self.refused(status=1, says="model.safetensors")
        self.weights.unlink()
        self.refused(status=1, says=("model.safetensors", "model.safetensors.index.json"))

    def test_headers_that_lie(self):
        header, data = header_of(self.weights)
        names = sorted((n for n in header if n != "__metadata__"),
                       key=lambda n: header[n]["data_offsets"])  # fmt: skip
        second = header[names[1]]["data_offsets"]
        write(self.weights, header | {names[1]: header[names[1]]
              | {"data_offsets": [second[0] - 4, second[1] - 4]}}, data)  # fmt: skip
        self.refused(status=1, says=names[1])
        for length in (2**64 - 1, 100_000_001, len(data) + 2**20):
            self.weights.write_bytes(struct.pack("<Q", length) + b"{}" + data)
            self.refused(status=1, says="header")

    def test_an_index_that_points_outside_of_the_folder(self):
        header, _ = header_of(self.weights)
        outside = self.folder.parent / "secret.safetensors"
        self.weights.rename(outside)
        for name in ("../secret.safetensors", str(outside)):
            weights = {tensor: name for tensor in header if tensor != "__metadata__"}
            (self.folder / "model.safetensors.index.json").write_text(
                json.dumps({"weight_map": weights})
            )
            self.refused(status=1, says="plain file name")

    def test_tensors_that_do_not_fit_are_one_list(self):
        self.edit("config.json", intermediate_size=161, num_hidden_layers=3)
        self.refused(status=1, says=("missing: model.layers.2.mlp.up_proj.weight",
                                     "wrong shape: model.layers.0.mlp.up_proj.weight"))  # fmt: skip

    def test_nan_is_named_by_position_and_on_request_by_layer(self):
        header, data = header_of(self.weights)
        begin, end = header["model.layers.1.mlp.down_proj.weight"]["data_offsets"]
        damaged = bytearray(data)
        damaged[begin:end] = b"\xff" * (end - begin)  # NaN in every format
        write(self.weights, header, bytes(damaged))
        self.refused(status=1, says=("NaN", "position 0"))
        self.refused("--check-layers", status=1, says="layer 1")

    def test_what_is_not_served_is_named(self):
        for key, value, known in (
            ("model_type", "gpt2", "llama, mistral, qwen2"),
            ("rope_parameters", {"rope_type": "spiral", "rope_theta": 1e4}, "llama3, yarn"),
            ("hidden_act", "gelu", "silu"),
            ("quantization_config", {"bits": 4}, "float32"),
        ):
            with self.subTest(key):
                shutil.copy(self.good / "config.json", self.folder)
                self.edit("config.json", **{key: value})
                self.refused(status=2, says=(key.split("_param")[0], known))
        self.edit("config.json", quantization_config=None, hidden_size=None)
        self.refused(status=1, says=("config.json", "hidden_size"))
        (self.folder / "config.json").unlink()
        self.refused(status=1, says="config.json")

    def test_unknown_tokenizers(self):
        file = json.loads((self.folder / "tokenizer.json").read_text())
        unigram = file | {"model": {"type": "Unigram", "vocab": [["a", 0.0]], "unk_id": 0}}
        wordpiece = file | {"pre_tokenizer": {"type": "BertPreTokenizer"}}
        for content, says in ((unigram, "Unigram"), (wordpiece, "BertPreTokenizer")):
            (self.folder / "tokenizer.json").write_text(json.dumps(content))
            self.refused(status=2, says=says)
        (self.folder / "tokenizer.json").write_text("{")
        self.refused(status=1, says="tokenizer.json")
        (self.folder / "tokenizer.json").unlink()
        self.refused(status=1, says="tokenizer")
        (self.folder / "tokenizer.model").write_bytes(b"\n\x05hello")
        self.refused(status=1, says="tokenizer.model")

    def test_an_unknown_chat_template_says_how_to_supply_one(self):
        self.edit("tokenizer_config.json", chat_template="{% for m in messages %}{{ m }}{% endfor %}")
        result = self.tokenize({"messages": [{"role": "user", "content": "Hi"}]})
        error = json.loads(result.stdout)["error"]
        self.assertEqual(error["code"], "unsupported")
        self.assertIn("surprisal_chat_format.json", error["message"])
        command = [PROGRAMS / "generate", self.folder, "--chat", "--prompt", "Hi"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertIn("surprisal_chat_format.json", result.stderr)


if __name__ == "__main__":
    unittest.main()
