"""Yoked controls: as many interventions to every question, as far apart, at other places."""

import json
import subprocess
import sys
import unittest

from experiment_case import PROGRAMS, ExperimentCase, surprisal_traces

SAMPLERS = """samplers={greedy: {type: greedy}, think: {type: quadrant, gate: entropy,
    entropy_cut: 0, low_low: argmax, low_high: argmax, high_low: argmax, high_high: argmax,
    reflecting: argmax, think: {cap: 2, cooldown: 3, max_per_answer: 3}}, yoked: {yoked_to: think}}"""
YOKED = ("--set", " ".join(SAMPLERS.split()), "--set", "sweep={}")


class YokedControl(ExperimentCase):
    def places(self, run, sampler):
        """(doc_id, repeat) -> where thoughts were inserted, in tokens of the answer."""
        trace = surprisal_traces.load_arrays(run)
        samples, events = trace.samples, trace.events
        (cell,) = (i for i, name in enumerate(trace.cells["sampler"]) if name == sampler)
        places = {}
        for i in range(len(samples["cell"])):
            if samples["cell"][i] == cell:
                places[samples["doc_id"][i], samples["repeat"][i]] = []
        for sample, position, kind in zip(events["sample"], events["position"], events["kind"]):
            if samples["cell"][sample] == cell and kind == "think":
                answer = samples["doc_id"][sample], samples["repeat"][sample]
                places[answer].append(int(position) - int(samples["prompt_tokens"][sample]))
        return places

    def test_every_question_has_its_own_number_and_spacing(self):
        result = self.run_experiment(*YOKED, "--limit", 5)
        run = self.output / "smoke"
        think, yoked = self.places(run, "think"), self.places(run, "yoked")
        self.assertEqual(sorted(think), sorted(yoked))
        gaps = lambda at: [b - a for a, b in zip(at, at[1:])]
        left_out = 0
        for question, at in think.items():
            self.assertGreater(len(at), 1)
            others = yoked[question]
            left_out += len(at) - len(others)
            remaining = gaps(at)
            for gap in gaps(others):
                remaining.remove(gap)  # raises where a gap is not one of the other's
        self.assertNotEqual(think, yoked)
        planned = sum(map(len, think.values()))
        self.assertIn(
            f"yoked: of {planned} interventions, placed at random, {left_out} were left out",
            result.stdout,
        )
        rows = {r["sampler"]: r for r in json.loads((run / "results.json").read_text())}
        self.assertEqual(rows["yoked"]["planned_interventions_per_answer"], planned / len(think))
        self.assertIsNone(rows["think"]["planned_interventions_per_answer"])
        # More problems are added to it, and the same come out at once.
        self.run_experiment(*YOKED)
        self.run_experiment(*YOKED, output=self.output / "at_once")
        self.assertEqual(self.signature(run), self.signature(self.output / "at_once/smoke"))

    def test_it_follows_the_setting_that_was_chosen(self):
        self.run_experiment(
            *YOKED, "--limit", 3,
            "--set", "sweep={samplers.think.think.max_per_answer: [1, 2, 3]}",
            "--set", "tune={split: dev, limit: 3, match: {intervention_rate: 0.08, samplers: [think]}}",
            "--set", "analysis={baseline: greedy, family: [think, yoked]}",
        )  # fmt: skip
        run = self.output / "smoke"
        rows = {r["sampler"]: r for r in json.loads((run / "results.json").read_text())}
        self.assertEqual(rows["yoked"]["swept"], rows["think"]["swept"])
        self.assertIn("'think', to which it is yoked", rows["yoked"]["choice"])
        tuning = json.loads((run / "tuning/results.json").read_text())
        self.assertEqual({row["sampler"] for row in tuning}, {"greedy", "think"})
        compared = subprocess.run(
            [PROGRAMS / "compare_runs", run], check=True, capture_output=True, text=True
        )
        self.assertRegex(
            compared.stdout,
            r"note: yoked.*: of \d+ interventions, placed at random, \d+ were left out",
        )

    def test_it_is_not_replayed(self):
        self.run_experiment(*YOKED, "--limit", 2)
        replay = [PROGRAMS / "replay", self.output / "smoke"]
        refused = subprocess.run(
            [*replay, "--set", "samplers.yoked.entropy_cut=1"], capture_output=True, text=True
        )
        self.assertEqual(refused.returncode, 2)
        self.assertIn("replay that one", refused.stderr)

    def test_gate_yoked_is_not_written_by_hand(self):
        error = self.run_experiment(
            "--set", "samplers={think: {type: quadrant, gate: yoked}}", "--set", "sweep={}", status=2
        ).stderr  # fmt: skip
        self.assertIn("yoked_to: OTHER", error)


if __name__ == "__main__":
    sys.exit(unittest.main())
