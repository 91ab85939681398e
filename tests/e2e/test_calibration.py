"""calibrate, and thresholds written as quantiles."""

import json
import subprocess
import sys
import unittest

import h5py
import numpy as np
from experiment_case import PROGRAMS, ExperimentCase


class Calibration(ExperimentCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.file = cls.scratch / "calibration.json"
        cls.calibrate()
        cls.calibration = json.loads(cls.file.read_text())

    @classmethod
    def calibrate(cls):
        command = [
            PROGRAMS / "calibrate", cls.model, "--task", "stepwise", "--limit", "8",
            "--set", "task.max_new_tokens=24", "--set", "model.dtype=float32",
            "--set", "model.device=cpu", "--threads", "1",
            "--runs", cls.scratch / "runs", "--output", cls.file,
        ]  # fmt: skip
        result = subprocess.run(command, capture_output=True, text=True, timeout=600)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def test_quantiles_are_those_of_the_trace(self):
        run = self.scratch / "runs/calibrate_random-tiny_stepwise"
        with h5py.File(run / "traces.h5") as trace:
            counts = trace["samples/token_count"][()]
            self.assertEqual(len(counts), 8)
            weights = np.repeat(1 / counts, counts)
            for signal in ("entropy", "varentropy", "max_probability", "attention_entropy",
                           "attention_agreement"):  # fmt: skip
                values = trace[f"tokens/{signal}"][()].astype(np.float64)
                got = np.array(self.calibration["quantiles"][signal])
                self.assertEqual(got.shape, (1001,))
                for step in (1, 100, 500, 900, 999):
                    q = got[step]
                    share = step / 1000 * weights.sum()
                    self.assertGreaterEqual(weights[values <= q].sum(), share - 1e-6)
                    self.assertLessEqual(weights[values < q].sum(), share + 1e-6)
        self.assertEqual(self.calibration["split"], "dev")
        self.assertEqual(self.calibration["questions"], 8)

    def test_a_quantile_is_the_number_it_stands_for(self):
        cut = self.calibration["quantiles"]["entropy"][700]
        only = ("--set", "sweep={}", "--set", f"model.calibration={self.file}")
        self.run_experiment(*only, "--set", "samplers.quadrant.entropy_cut=q0.70")
        run = self.output / "smoke"
        cell = next(c for c in json.loads((run / "cells.json").read_text())
                    if c["sampler"] == "quadrant")  # fmt: skip
        self.assertEqual(cell["identity"]["sampler"]["entropy_cut"], cut)
        self.assertEqual(
            cell["quantiles"]["entropy_cut"],
            {"quantile": "q0.70", "signal": "entropy", "value": cut},
        )
        manifest = json.loads((run / "manifest.json").read_text())
        self.assertEqual(manifest["models"][0]["calibration"]["split"], "dev")
        other = self.output / "number"
        self.run_experiment(*only, "--set", f"samplers.quadrant.entropy_cut={cut!r}", output=other)
        self.assertEqual(self.signature(run), self.signature(other / "smoke"))

    def test_without_a_calibration_or_with_anothers_it_is_refused(self):
        quantile = ("--set", "sweep={}", "--set", "samplers.quadrant.entropy_cut=q0.70")
        result = self.run_experiment(*quantile, status=2)
        self.assertIn("calibrate MODEL --task", result.stderr)
        foreign = self.output / "foreign.json"
        foreign.write_text(json.dumps(self.calibration | {"weights_sha256": "00"}))
        result = self.run_experiment(*quantile, "--set", f"model.calibration={foreign}", status=2)
        self.assertIn("was made of other weights", result.stderr)

    def test_calibrating_again_gives_the_same(self):
        before = self.file.read_bytes()
        self.assertIn("entropy", self.calibrate())
        self.assertEqual(self.file.read_bytes(), before)


if __name__ == "__main__":
    sys.exit(unittest.main())
