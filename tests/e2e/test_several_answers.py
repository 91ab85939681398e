"""Methods that make several answers of one: every strategy, and randomised twins, in whole runs."""

import collections
import json
import unittest

import numpy as np
from experiment_case import ExperimentCase, surprisal_traces

CHAIN = "{type: chain, steps: [{temperature: 1}], strategy: %s}"
STRATEGIES = {
    "vote": CHAIN % "{type: self_consistency, k: 3}",
    "likeliest": CHAIN % "{type: best_of_n, n: 3}",
    "confident": CHAIN % "{type: deepconf, n: 3, mode: online, warmup: 2, window: 4}",
    "first_tokens": "{type: greedy, strategy: {type: cot_decoding, k: 3}}",
    "beams": "{type: greedy, strategy: {type: beam_search, beams: 3}}",
    "gated": "{type: greedy, strategy: {type: entropy_gated, threshold: 1, step_tokens: 6}}",
}
THINK = (
    "{type: quadrant, entropy_cut: 1, varentropy_cut: 0.1, high_low: think, high_high: think, "
    "base: {steps: [{top_k: 1}]}, think: {text: ' Wait,', cooldown: 0, cap: 1}}"
)


class SeveralAnswers(ExperimentCase):
    def experiment(self, samplers, *more, **options):
        """smoke.yaml with these samplers instead of its own; its folder."""
        maps = ", ".join(f"{name}: {sampler}" for name, sampler in samplers.items())
        self.run_experiment(
            "--set", f"samplers={{{maps}}}", "--set", "sweep={}", *more, **options
        )  # fmt: skip
        return (options.get("output") or self.output) / "smoke"

    def test_every_strategy_answers_and_keeps_what_it_gave_up(self):
        run = self.experiment(STRATEGIES)
        samples = self.samples(run)
        self.assertEqual(len(samples), 6 * len(STRATEGIES))
        trace = surprisal_traces.load_arrays(run)
        self.assertNotIn("twins", trace.tables)
        branches = collections.defaultdict(list)
        for row, sample in enumerate(trace.branches["sample"]):
            branches[sample].append(row)
        names = trace.cells["sampler"][trace.samples["cell"]]
        for row, name in enumerate(names):
            kept = trace.branches["kept"][branches[row]]
            if name in ("vote", "likeliest", "confident"):
                self.assertEqual((len(kept), sum(kept)), (3, 1), name)
            else:
                self.assertGreaterEqual(len(kept), 1, name)

    def test_a_vote_is_the_vote_of_the_repeats(self):
        vote = self.experiment({"vote": STRATEGIES["vote"]})
        plain = self.experiment(
            {"plain": "{type: chain, steps: [{temperature: 1}]}"},
            "--set", "repeats=3", output=self.output / "plain",
        )  # fmt: skip
        repeats = collections.defaultdict(dict)
        for sample in self.samples(plain):
            repeats[sample["doc_id"]][sample["repeat"]] = sample["response"]
        trace = surprisal_traces.load_arrays(vote)
        offered = collections.defaultdict(list)
        for row, sample in enumerate(trace.branches["sample"]):
            offered[trace.samples["doc_id"][sample]].append(trace.branches["text"][row])
        for doc_id, texts in offered.items():
            self.assertEqual(texts, [repeats[doc_id][repeat] for repeat in range(3)])

    def test_twins_leave_the_answers_alone_and_show_both_ways(self):
        alone = self.experiment({"think": THINK}, output=self.output / "alone")
        run = self.experiment(
            {"think": THINK}, "--set", "counterfactual={probability: 0.5, actions: [think]}"
        )
        self.assertEqual(
            [s["response"] for s in self.samples(alone)], [s["response"] for s in self.samples(run)]
        )
        trace = surprisal_traces.load_arrays(run)
        twins = trace.twins
        self.assertGreater(len(twins["sample"]), 5)
        self.assertEqual(set(twins["action"]), {"think"})
        self.assertTrue(np.all(twins["entropy"] >= 1))
        for treated, untreated in zip(twins["treated_text"], twins["untreated_text"], strict=True):
            self.assertIn(" Wait,", treated)
            self.assertNotEqual(treated, untreated)
        (row,) = json.loads((run / "results.json").read_text())
        for effect in row["twins"]:
            of_state = twins["state"] == effect["state"]
            self.assertEqual(effect["pairs"], int(np.sum(of_state)))
            for half in ("treated", "untreated"):
                share = float(np.mean(twins[f"{half}_numeric"][of_state]))
                self.assertAlmostEqual(effect[half], share)

    def test_twins_need_something_to_compare(self):
        result = self.run_experiment(
            "--set", "samplers={greedy: {type: greedy}}", "--set", "sweep={}",
            "--set", "counterfactual={probability: 0.5}", status=2,
        )  # fmt: skip
        self.assertIn("no sampler here intervenes by states", result.stderr)


if __name__ == "__main__":
    unittest.main()
