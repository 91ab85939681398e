"""compare_runs and rescore on a whole run: figures against sums made here."""

import json
import subprocess
import sys
import unittest

from experiment_case import PROGRAMS, ExperimentCase

ANALYSIS = ("--set", "analysis={primary: numeric, baseline: greedy, family: [minp, quadrant]}")


class Comparison(ExperimentCase):
    def program(self, name, *arguments, status=0):
        command = [str(PROGRAMS / name), *map(str, arguments)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=600)
        self.assertEqual(result.returncode, status, result.stdout + result.stderr)
        return result

    def test_figures_are_those_of_the_samples(self):
        self.run_experiment(*ANALYSIS)
        run = self.output / "smoke"
        report = json.loads(self.program("compare_runs", run, "--json").stdout)
        self.assertEqual(report["declared"]["tests"], 5)  # minp 2 settings, quadrant 3
        (group,) = report["groups"]
        answers = {}
        for sample in self.samples(run):
            answers.setdefault(sample["cell"], {})[sample["doc_id"]] = sample
        for cell in group["cells"]:
            own = answers[cell["cell"]].values()
            mean = sum(s["token_evaluations"] for s in own) / len(own)
            self.assertAlmostEqual(cell["mean_token_evaluations"], mean)
            self.assertEqual(cell["numeric"]["value"], sum(s["numeric"] for s in own) / len(own))
            self.assertEqual(
                cell["truncated_share"],
                sum(s["stop_reason"] in ("length", "context") for s in own) / len(own),
            )
        for comparison in group["comparisons"]:
            base, cell = answers[comparison["baseline"]], answers[comparison["cell"]]
            wins = sum(cell[q]["numeric"] > base[q]["numeric"] for q in base)
            losses = sum(cell[q]["numeric"] < base[q]["numeric"] for q in base)
            self.assertEqual((comparison["wins"], comparison["losses"]), (wins, losses))
            self.assertEqual(comparison["discordant"], wins + losses)
            if comparison["test"]:  # six problems cannot show anything
                self.assertEqual(comparison["test"]["verdict"], "too_few_to_tell")
                self.assertIsNone(comparison["test"]["p"])
        text = self.program("compare_runs", run).stdout
        self.assertIn("too few discordant pairs to tell", text)

    def test_other_problems_are_refused(self):
        self.run_experiment()
        other = self.output / "other"
        self.run_experiment("--limit", "4", output=other)
        result = self.program(
            "compare_runs", self.output / "smoke", "--baseline", "greedy", "--with",
            other / "smoke", status=2,
        )  # fmt: skip
        self.assertIn("did not answer the same problems (6 and 4)", result.stderr)
        self.run_experiment("--set", "task.generator_seed=1", output=other / "seed")
        result = self.program(
            "compare_runs", self.output / "smoke", "--baseline", "greedy", "--with",
            other / "seed/smoke", status=2,
        )  # fmt: skip
        self.assertIn("task.generator_seed", result.stderr)

    def test_rescoring_changes_nothing_but_finds_what_was_changed(self):
        self.run_experiment()
        run = self.output / "smoke"
        self.assertIn("Nothing changed", self.program("rescore", run).stdout)
        samples = self.samples(run)
        samples[3]["numeric"] = not samples[3]["numeric"]
        lines = "".join(json.dumps(sample) + "\n" for sample in samples)
        (run / "samples.jsonl").write_text(lines)
        report = json.loads(self.program("rescore", run, "--json").stdout)
        (change,) = report["changes"]
        self.assertEqual(change["doc_id"], samples[3]["doc_id"])
        self.assertEqual(change["scorer"], "numeric")


if __name__ == "__main__":
    sys.exit(unittest.main())
