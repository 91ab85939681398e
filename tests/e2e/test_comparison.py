"""compare_runs and rescore on a whole run: figures against sums made here."""

import json
import shutil
import subprocess
import sys
import unittest

from experiment_case import PROGRAMS, ROOT, ExperimentCase

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

    def test_other_weights_and_other_data_are_refused(self):
        def compare_with(*settings):
            self.run_experiment(*task, *settings, output=self.output / "other")
            return self.program(
                "compare_runs", self.output / "smoke", "--baseline", "greedy", "--with",
                self.output / "other/smoke", status=2,
            ).stderr  # fmt: skip

        def write(last_question):
            questions = ["1+1?", "2+2?", last_question]
            lines = [json.dumps({"question": q, "answer": 4}) for q in questions]
            (self.output / "test.jsonl").write_text("\n".join(lines))

        task = ("--set", f"task={{name: jsonl, data: {self.output}, template: '{{question}}', "
                "max_new_tokens: 4}")  # fmt: skip
        write("3+1?")
        self.run_experiment(*task)
        others = self.scratch / "other-weights"
        make = [sys.executable, ROOT / "tools/make_random_model.py", others, "--seed", "1"]
        subprocess.run(make, check=True, capture_output=True)
        self.assertIn("model.weights_sha256", compare_with("--set", f"model.path={others}"))
        shutil.rmtree(self.output / "other")
        write("1+3?")
        self.assertIn("task.data_sha256", compare_with())
        changed = self.run_experiment(*task, status=2).stderr
        self.assertIn("holds a different experiment", changed)
        self.assertIn("tasks.0.data_sha256", changed)

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
