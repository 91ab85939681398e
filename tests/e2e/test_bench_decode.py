import json
import subprocess

from experiment_case import PROGRAMS, ExperimentCase


class BenchDecode(ExperimentCase):
    def bench(self, *arguments, status=0, jobs=""):
        command = [PROGRAMS / "bench_decode", self.model, "--threads", "1", *map(str, arguments)]
        result = subprocess.run(command, input=jobs, capture_output=True, text=True, timeout=120)
        self.assertEqual(result.returncode, status, result.stdout + result.stderr)
        return result

    def test_measures_what_the_command_line_asks_for(self):
        result = self.bench(
            *("--batch", 2, "--prompt", 8, "--decode", 4, "--repeats", 2, "--json"),
            *("--statistics", "heads", "--dtype", "float32"),
        )
        measured = json.loads(result.stdout)
        asked = {"batch": 2, "prompt": 8, "decode": 4, "threads": 1, "repeats": 2}
        asked |= {"statistics": "heads", "dtype": "float32", "device": "cpu"}
        self.assertEqual({key: measured[key] for key in asked}, asked)
        for key in ("prefill_tokens_per_second", "decode_tokens_per_second", "share_of_memory_roof"):
            spread = measured[key]
            self.assertGreater(spread["min"], 0)
            self.assertLessEqual(spread["min"], spread["median"])
            self.assertLessEqual(spread["median"], spread["max"])
        mean_step = asked["batch"] / measured["decode_tokens_per_second"]["max"]
        self.assertGreater(measured["fast_step_seconds"]["min"], 0)
        self.assertLessEqual(measured["fast_step_seconds"]["min"], mean_step)
        shares = [measured[key] for key in ("share_of_floor_speed", "fast_step_share_of_floor_speed")]
        self.assertLessEqual(shares[0]["max"], shares[1]["max"])

    def test_counts_what_a_step_reads(self):
        """The tiny model's weights in float32, and each sequence's blocks of 16 tokens."""
        config = json.loads((self.model / "config.json").read_text())
        hidden, inner, layers = (
            config[key] for key in ("hidden_size", "intermediate_size", "num_hidden_layers")
        )
        key_width = hidden // config["num_attention_heads"] * config["num_key_value_heads"]
        layer = hidden * (2 * hidden + 2 * key_width + 3 * inner)
        weights = layers * layer + config["vocab_size"] * hidden
        jobs = '{"batch": 3, "prompt": 20, "decode": 5}\n{"batch": 1, "prompt": 4, "decode": 2}\n'
        lines = self.bench("--jobs", "--dtype", "float32", jobs=jobs).stdout.splitlines()
        answers = [json.loads(line) for line in lines]
        self.assertEqual([a["weight_bytes"] for a in answers], [4 * weights] * 2)
        token = layers * 2 * key_width * 4
        self.assertEqual([a["cache_bytes"] for a in answers], [3 * 32 * token, 16 * token])
        work = answers[0]["work"]
        self.assertEqual(work["product_flops"], 3 * 2 * weights)
        self.assertEqual(work["bytes"], 4 * weights + 3 * 22.5 * token)
        self.assertEqual(len(answers[0]["first_tokens"]), 5)

    def test_refuses_what_it_cannot_measure(self):
        self.assertIn("some", self.bench("--statistics", "some", status=2).stderr)
        self.bench("--batch", 0, status=2)
        self.bench("--jobs", jobs='{"batch": 0}\n', status=2)
