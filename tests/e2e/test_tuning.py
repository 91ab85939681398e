"""`tune:` chooses settings on one split and reports on another."""

import json
import sys
import unittest

from experiment_case import ExperimentCase

TUNE = (
    "--set", "sweep={samplers.minp.steps.min_p: [0.05, 0.2], samplers.quadrant.entropy_cut: [2, 3]}",
    "--set", "tune={split: dev, limit: 4, scorer: numeric}",
)  # fmt: skip


def expected_choice(cells):
    """The stated rule, once more: accuracy, then cost, then order."""
    best = {}
    for cell in cells:
        merit = (-cell["accuracy"], cell["mean_token_evaluations"])
        if cell["sampler"] not in best or merit < best[cell["sampler"]][0]:
            best[cell["sampler"]] = (merit, cell["swept"])
    return {sampler: swept for sampler, (_, swept) in best.items()}


class Tuning(ExperimentCase):
    def test_chooses_on_dev_and_reports_on_test(self):
        result = self.run_experiment(*TUNE)
        run = self.output / "smoke"
        manifest = json.loads((run / "manifest.json").read_text())
        tuned = manifest["tuning"]["cells"]
        self.assertEqual(len(tuned), 6)  # greedy 1, minp 2, entropix 1, quadrant 2
        rows = json.loads((run / "results.json").read_text())
        self.assertEqual({row["split"] for row in rows}, {"test"})
        self.assertEqual(
            {row["sampler"]: row["swept"] for row in rows}, expected_choice(tuned)
        )
        for row in rows:
            swept = row["sampler"] in ("minp", "quadrant")
            self.assertEqual(
                row["choice"],
                "chosen from 2 settings on 4 problems of 'dev', numeric" if swept else "not tuned",
            )
        self.assertIn("chosen from 2 settings on 4 problems of 'dev'", result.stdout)

        # The account agrees with the tuning run's own answers.
        dev = json.loads((run / "tuning/results.json").read_text())
        self.assertEqual({row["split"] for row in dev}, {"dev"})
        self.assertEqual([cell["cell"] for cell in tuned], [row["cell"] for row in dev])
        for cell, row in zip(tuned, dev):
            answers = [s for s in self.samples(run / "tuning") if s["cell"] == cell["cell"]]
            self.assertEqual(len(answers), 4)
            self.assertEqual(cell["accuracy"], sum(s["numeric"] for s in answers) / 4)
            self.assertEqual(cell["accuracy"], row["numeric"]["value"])

        before = (run / "results.json").stat().st_mtime_ns
        again = self.run_experiment(*TUNE)
        self.assertIn("nothing was left to do", again.stderr)
        self.assertEqual((run / "results.json").stat().st_mtime_ns, before)

    def test_choosing_on_the_reported_problems_is_labelled(self):
        self.run_experiment(
            "--set", "sweep={samplers.minp.steps.min_p: [0.05, 0.2]}",
            "--set", "tune={split: test, limit: 4}",
        )  # fmt: skip
        rows = json.loads((self.output / "smoke/results.json").read_text())
        choice = next(row["choice"] for row in rows if row["sampler"] == "minp")
        self.assertIn("4 of them are reported on here, so it looks better than it is", choice)

    def test_uneven_tuning_is_refused_before_it_begins(self):
        result = self.run_experiment(
            "--set", "sweep={samplers.minp.steps.min_p: [0.05, 0.2], "
            "samplers.quadrant.entropy_cut: [2, 2.5, 3]}",
            "--set", "tune={split: dev}", status=2,
        )  # fmt: skip
        self.assertIn("minp 2, quadrant 3", result.stderr)
        self.assertFalse((self.output / "smoke").exists())

    def test_a_name_that_means_nothing_is_refused_before_it_begins(self):
        result = self.run_experiment(
            *TUNE, "--set", "analysis={baseline: gredy, family: [minp]}", status=2
        )
        self.assertIn("did you mean 'greedy'", result.stderr)
        self.assertFalse((self.output / "smoke").exists())

    def test_dry_run_shows_both_parts(self):
        result = self.run_experiment(*TUNE, "--dry-run")
        self.assertIn("6 cells, 4 prompts, 24 answers", result.stdout)
        self.assertIn("4 cells, 6 prompts, 24 answers", result.stdout)


if __name__ == "__main__":
    sys.exit(unittest.main())
