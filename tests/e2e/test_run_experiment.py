"""What else run_experiment does: dry runs, listings, several models and tasks, full logits."""

import json
import shutil
import subprocess
import unittest

import h5py
import numpy as np
from experiment_case import PROGRAMS, TIMEOUT_S, ExperimentCase


class OtherWays(ExperimentCase):
    def test_dry_run_writes_nothing(self):
        result = self.run_experiment("--dry-run")
        self.assertIn("7 cells, 6 prompts, 42 answers", result.stdout)
        self.assertIn("at most 1008 answer tokens", result.stdout)
        self.assertRegex(result.stdout, r"at most about \d+")
        self.assertEqual(list(self.output.iterdir()), [])

    def test_lists_document_every_parameter(self):
        for what, words in (
            ("samplers", ("greedy:", "entropy_cut: number >= 0 (nats)")),
            ("tasks", ("stepwise:", "levels:", "limit:")),
            ("models", ("data/models",)),
        ):
            command = [PROGRAMS / "run_experiment", "--list", what]
            result = subprocess.run(command, check=True, capture_output=True, text=True)
            for word in words:
                self.assertIn(word, result.stdout)

    def test_several_models_and_tasks_in_one_run(self):
        second = self.scratch / "second-model"
        shutil.copytree(self.model, second, dirs_exist_ok=True)
        config = json.loads((second / "config.json").read_text())
        (second / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 1e-4}))
        config = self.output / "two.yaml"
        config.write_text(
            f"name: two\nmodels: [{{path: {self.model}}}, {{path: {second}, dtype: bfloat16}}]\n"
            "tasks: [{name: stepwise, levels: [1], n_per_level: 2, max_new_tokens: 8},"
            " {name: stepwise, split: dev, levels: [2], n_per_level: 1, max_new_tokens: 8}]\n"
            "samplers: {greedy: {type: greedy}, minp: {type: chain, steps: [{min_p: 0.1}]}}\n"
        )
        command = [PROGRAMS / "run_experiment", config, "--output", self.output, "--threads", "1"]
        subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT_S)
        samples = self.samples(self.output / "two")
        self.assertEqual(len(samples), 2 * 2 * (2 + 1))
        rows = json.loads((self.output / "two/results.json").read_text())
        expected = [
            (*model, split, sampler)
            for model in (("random-tiny", "float32"), ("second-model", "bfloat16"))
            for split in ("test", "dev")
            for sampler in ("greedy", "minp")
        ]
        found = [(row["model"], row["dtype"], row["split"], row["sampler"]) for row in rows]
        self.assertEqual(found, expected)
        with h5py.File(self.output / "two/traces.h5") as trace:
            self.assertEqual(len(trace.attrs["model_sha256"].split(",")), 2)

    def test_a_trace_without_attention_has_none_and_decides_alike(self):
        self.run_experiment("--limit", 2)
        self.run_experiment("--limit", 2, "--set", "trace.attention=none", "--set", "name=without")
        with h5py.File(self.output / "without/traces.h5") as trace:
            self.assertTrue(np.all(np.isnan(trace["tokens/attention_entropy"][()])))
            self.assertNotIn("attention_entropy", trace["nodes"])
        self.assertEqual(
            self.signature(self.output / "without"), self.signature(self.output / "smoke")
        )

    def test_full_logits_fit_the_recorded_statistics(self):
        self.run_experiment("--limit", 1, "--set", "trace.logits=f16")
        with h5py.File(self.output / "smoke/traces.h5") as trace:
            logits = trace["nodes/logits"][()].astype(np.float64)
            self.assertEqual(logits.shape[1], 512)
            shifted = logits - logits.max(1, keepdims=True)
            p = np.exp(shifted) / np.exp(shifted).sum(1, keepdims=True)
            entropy = -(p * np.log(p)).sum(1)
            recorded = trace["tokens/entropy"][()]
            # half precision keeps 11 bits of logits up to ~10: entropies move by some thousandths
            np.testing.assert_allclose(entropy[trace["tokens/node"][()]], recorded, atol=5e-3)


if __name__ == "__main__":
    unittest.main()

    def test_maps_fit_the_recorded_statistics(self):
        self.run_experiment("--limit", 1, "--set", "trace.attention=maps")
        with h5py.File(self.output / "smoke/traces.h5") as trace:
            nodes, tokens = trace["nodes"], trace["tokens"]
            values, begin = nodes["maps"][()].astype(np.float64), nodes["maps_begin"][()]
            shapes, recorded = nodes["maps_shape"][()], nodes["attention_entropy"][()]
            self.assertEqual(begin[-1] + shapes[-1].prod(), len(values))
            for token in range(len(tokens["node"])):
                node = tokens["node"][token]
                map_ = values[begin[node] : begin[node] + shapes[node].prod()].reshape(shapes[node])
                self.assertEqual(map_.shape[2], tokens["position"][token])
                np.testing.assert_allclose(map_.sum(2), 1, atol=2e-3)  # half precision: 11 bits
                entropy = -(map_ * np.log(np.where(map_ > 0, map_, 1))).sum(2)
                np.testing.assert_allclose(entropy, recorded[node], atol=5e-3)
