"""A person at the terminal decides between branches that tie."""

import json
import os
import pty
import select
import time
import unittest

from experiment_case import TIMEOUT_S, ExperimentCase, surprisal_traces

BRANCH = (
    "{type: quadrant, entropy_cut: 0.1, low_high: branch, high_low: branch, high_high: branch, "
    "branch: {width: 2, horizon: 4, margin: 100, max_per_answer: 3, cooldown: 0}}"
)
PROMPT = b"Enter for *: "


class Interactive(ExperimentCase):
    def converse(self, command, replies):
        """Runs it at a terminal of its own, giving the replies in turn. @return what it showed"""
        child, terminal = pty.fork()
        if child == 0:
            os.execv(command[0], command)
        shown, seen, deadline = b"", 0, time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 1)[0]:
                continue
            try:
                text = os.read(terminal, 65536)
            except OSError:  # it has closed its side
                break
            if not text:
                break
            shown += text
            if PROMPT in shown[seen:]:
                seen = len(shown)
                os.write(terminal, next(replies) + b"\n")
        os.close(terminal)
        self.assertEqual(os.waitpid(child, 0)[1], 0, shown.decode("utf-8", "replace"))
        return shown.decode("utf-8", "replace")

    def test_number_words_and_enter(self):
        given = []

        def replies():
            while True:
                for reply in (b"2", b"because it is", b""):
                    given.append(reply)
                    yield reply

        shown = self.converse(
            self.command(
                "--interactive", "--limit", "2",
                "--set", f"samplers={{branch: {BRANCH}}}", "--set", "sweep={}",
            ),
            replies(),
        )  # fmt: skip
        self.assertIn("The model sees equally good ways to go on", shown)
        trace = surprisal_traces.load_arrays(self.output / "smoke")
        asked = [
            json.loads(detail)
            for kind, detail in zip(trace.events["kind"], trace.events["detail"], strict=True)
            if kind == "ask"
        ]
        self.assertEqual(len(asked), len(given))
        answers = [question["answer"] for question in asked]
        self.assertEqual(answers.count("because it is"), given.count(b"because it is"))
        self.assertGreaterEqual(answers.count(1), given.count(b"2"))  # counted from 0; Enter, too
        self.assertTrue(
            any("because it is" in s["response"] for s in self.samples(self.output / "smoke"))
        )

    def test_without_a_terminal_it_is_refused(self):
        result = self.run_experiment("--interactive", status=2)
        self.assertIn("terminal", result.stderr)


if __name__ == "__main__":
    unittest.main()
