"""Runs that grow, and runs that were killed, interrupted or started twice."""

import json
import signal
import subprocess
import time
import unittest

from experiment_case import PROGRAMS, TIMEOUT_S, ExperimentCase


class GrowingRun(ExperimentCase):
    def test_more_problems_and_repeats_are_added_to_a_finished_run(self):
        run = self.output / "smoke"
        only_drawn = (
            "--set",
            "samplers={minp: {type: chain, steps: [{min_p: 0.1}]}}",
            "--set",
            "sweep={}",
        )
        self.run_experiment(*only_drawn, "--limit", 2)
        first = self.samples(run)
        more = self.run_experiment(*only_drawn, "--limit", 4, "--set", "repeats=2")
        self.assertIn("going on: 2 of 8 answers are there", more.stderr)
        second = self.samples(run)
        self.assertEqual(len(second), 8)
        kept = [s for s in second if s["doc_id"] < 2 and s["repeat"] == 0]
        self.assertEqual(kept, first)
        self.assertNotEqual(second[0]["response"], second[1]["response"], "repeats are independent")
        self.assertEqual(len(json.loads((run / "manifest.json").read_text())["sessions"]), 2)
        at_once = self.output / "at_once"
        self.run_experiment(*only_drawn, "--limit", 4, "--set", "repeats=2", output=at_once)
        self.assertEqual(self.signature(run), self.signature(at_once / "smoke"))

    def test_how_answers_are_computed_may_change_and_what_is_asked_may_not(self):
        run = self.output / "smoke"
        self.run_experiment("--limit", 2, "--set", "engine.batch=1")
        computed = ("engine.batch=3", "engine.sharing=false", "engine.prefill_chunk=7",
                    "engine.memory_bytes=100000000")  # fmt: skip
        settings = [word for setting in computed for word in ("--set", setting)]
        more = self.run_experiment("--limit", 4, *settings)
        self.assertIn("going on: 14 of 28 answers are there", more.stderr)
        at_once = self.output / "at_once"
        self.run_experiment("--limit", 4, output=at_once)
        self.assertEqual(self.samples(run), self.samples(at_once / "smoke"))
        self.assertEqual(self.signature(run), self.signature(at_once / "smoke"))
        sessions = json.loads((run / "manifest.json").read_text())["sessions"]
        self.assertEqual([s["engine"]["batch"] for s in sessions], [1, 3])
        self.assertEqual([s["engine"]["sharing"] for s in sessions], [True, False])
        for change, difference in (
            ("engine.mode=strict", r"engine.mode: \"fast\" -> \"strict\""),
            ("trace.top_k=4", "trace.top_k: 3 -> 4"),
        ):
            refused = self.run_experiment("--limit", 4, "--set", change, status=2)
            self.assertRegex(refused.stderr, difference)


class InterruptedRun(ExperimentCase):
    LONG = ("--set", "task.n_per_level=20", "--set", "task.max_new_tokens=96")

    def start(self):
        return subprocess.Popen(
            self.command(*self.LONG), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def wait_for_answers(self, process, at_least):
        spool = self.output / "smoke/parts/main/spool"
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline and process.poll() is None:
            if spool.exists() and spool.stat().st_size > at_least * 4000:
                return
            time.sleep(0.005)
        self.fail("the run ended, or made no answers, before it was interrupted")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.whole = cls.scratch / "whole"
        ExperimentCase.run_experiment(cls(), *cls.LONG, output=cls.whole)

    def test_kill_and_go_on_gives_the_same_samples(self):
        run = self.output / "smoke"
        for at_least in (1, 30, 90):
            process = self.start()
            self.wait_for_answers(process, at_least)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            for name in ("done.json", "samples.jsonl", "traces.h5", "results.csv"):
                self.assertFalse((run / name).exists(), name)
        resumed = self.run_experiment(*self.LONG)
        self.assertRegex(resumed.stderr, r"going on: \d+ of 280 answers are there")
        self.assertEqual(self.signature(run), self.signature(self.whole / "smoke"))
        self.assertEqual(self.samples(run), self.samples(self.whole / "smoke"))

    def test_ctrl_c_says_how_to_go_on(self):
        process = self.start()
        self.wait_for_answers(process, 3)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=TIMEOUT_S)
        self.assertEqual(process.returncode, 1)
        self.assertEqual(stdout, "")
        self.assertRegex(
            stderr, r"interrupted: \d+ of 280 answers are safe .*the same command goes on"
        )
        self.assertFalse((self.output / "smoke/done.json").exists())
        refused = subprocess.run(
            [PROGRAMS / "export_traces", self.output / "smoke", "--signature"],
            capture_output=True,
            text=True,
        )
        self.assertEqual(refused.returncode, 1)
        self.assertIn("interrupted", refused.stderr)
        self.run_experiment(*self.LONG)
        self.assertEqual(
            self.signature(self.output / "smoke"), self.signature(self.whole / "smoke")
        )

    def test_two_processes_cannot_write_one_run(self):
        process = self.start()
        self.wait_for_answers(process, 1)
        second = self.run_experiment(*self.LONG, status=1)
        self.assertIn("another process", second.stderr)
        process.send_signal(signal.SIGKILL)
        process.communicate()


if __name__ == "__main__":
    unittest.main()
