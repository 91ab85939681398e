"""replay must agree with real runs on every answer that it decides."""

import json
import subprocess
import sys
import unittest

import h5py
from experiment_case import PROGRAMS, ExperimentCase

# Cuts in the middle of what a tiny random model produces, and short pauses, so that it visits every
# state and thinks often.
BASE = (
    "--set", "sweep={}", "--set", "task.n_per_level=8", "--set", "task.max_new_tokens=32",
    "--set", "samplers.quadrant.varentropy_cut=3.4", "--set", "samplers.quadrant.entropy_cut=3.8",
    "--set", "samplers.quadrant.think.calm_tokens=1",
    "--set", "samplers.quadrant.think.calm_entropy=3.5",
)  # fmt: skip
OTHERS = (
    {"entropy_cut": 3.801}, {"entropy_cut": 3.6}, {"entropy_cut": 4.4}, {"varentropy_cut": 3.0},
    {"varentropy_cut": 3.45}, {"think.cooldown": 9}, {"think.calm_entropy": 3.4}, {"gate": "entropy"},
    {"gate": "random", "random_rate": 0.02}, {"think.text": '" Hmm,"'},
    {"high_low.action": "argmax"}, {"high_low.otherwise": "argmax"}, {"low_high.action": "argmax"},
    {"base.steps": "[{temperature: 0.3}]"}, {"think.max_per_answer": 1},
)  # fmt: skip


class Replay(ExperimentCase):
    def replayed(self, run, *changes, status=0):
        command = [str(PROGRAMS / "replay"), str(run), "--json", *changes]
        result = subprocess.run(command, capture_output=True, text=True, timeout=600)
        self.assertEqual(result.returncode, status, result.stderr)
        return [json.loads(line) for line in result.stdout.splitlines()] if status == 0 else result

    def answers(self, run):
        """Tokens (position, id, source), end and text of every answer of the quadrant sampler."""
        cells = json.loads((run / "cells.json").read_text())
        cell = next(c["id"] for c in cells if c["sampler"] == "quadrant")
        answers = {}
        with h5py.File(run / "traces.h5") as trace:
            columns = [trace[f"tokens/{name}"][()] for name in ("position", "token_id", "source")]
            begins = trace["samples/token_begin"][()]
            counts = trace["samples/token_count"][()]
            for sample, begin, count in zip(self.samples(run), begins, counts):  # the same order
                if sample["cell"] == cell:
                    rows = [tuple(row) for row in zip(*(c[begin : begin + count] for c in columns))]
                    answers[sample["doc_id"]] = (rows, sample["stop_reason"], sample["response"])
        return answers

    def test_agrees_with_real_runs(self):
        self.run_experiment(*BASE)
        run = self.output / "smoke"
        before = self.answers(run)
        outcomes = {"same": 0, "changed": 0, "undecidable": 0}
        for number, change in enumerate(OTHERS):
            settings = [f"samplers.quadrant.{key}={value}" for key, value in change.items()]
            arguments = [a for setting in settings for a in ("--set", setting)]
            real = self.output / str(number)
            self.run_experiment(*BASE, *arguments, output=real)
            after = self.answers(real / "smoke")
            for answer in self.replayed(run, *arguments):
                outcomes[answer["outcome"]] += 1
                old, new = before[answer["doc_id"]], after[answer["doc_id"]]
                if answer["outcome"] == "same":
                    self.assertEqual(old, new, (change, answer))
                if answer["outcome"] == "changed":
                    start = old[0][0][0] if old[0] else answer["position"]
                    at = answer["position"] - start
                    self.assertEqual(old[0][:at], new[0][:at], (change, answer))
                    self.assertNotEqual(old[0][at : at + 1], new[0][at : at + 1], (change, answer))
        self.assertGreater(outcomes["same"], 30, outcomes)
        self.assertGreater(outcomes["changed"], 30, outcomes)

    def test_its_own_settings_change_nothing(self):
        self.run_experiment(*BASE)
        run = self.output / "smoke"
        same = self.replayed(run, "--set", "samplers.quadrant.entropy_cut=3.8")
        self.assertEqual({answer["outcome"] for answer in same}, {"same"})
        self.assertEqual(len(same), 16)

    def test_refusals(self):
        self.run_experiment(*BASE)
        run = self.output / "smoke"
        for change, message in (
            ("samplers.minp.steps.min_p=0.3", "only quadrant is replayed"),
            ("samplers.quadrnt.entropy_cut=3", "did you mean 'quadrant'"),
            ("samplers.quadrant.entropy_ct=3", "did you mean 'entropy_cut'"),
            ("task.limit=3", "samplers.NAME.KEY=VALUE"),
        ):
            result = self.replayed(run, "--set", change, status=2)
            self.assertIn(message, result.stderr)


if __name__ == "__main__":
    sys.exit(unittest.main())
