"""tests/summarise.py on what ctest 3.25 writes, and tests/run_python_tests.py on tests of all outcomes."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

TESTS = pathlib.Path(__file__).resolve().parents[1]
CTEST = """<?xml version="1.0" encoding="UTF-8"?>
<testsuite name="Linux-c++" tests="3" failures="1" disabled="0" skipped="1">
  <testcase name="good" classname="good" time="0.01" status="run"><system-out/></testcase>
  <testcase name="bad" classname="bad" time="0.01" status="fail">
    <failure message=""/><system-out>expected 1, found 2</system-out></testcase>
  <testcase name="Real.Answers" classname="Real.Answers" time="0.5" status="notrun">
    <skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/>
    <system-out>[ RUN      ] Real.Answers
a_test.cpp:3: Skipped
no GSM8K: fetch it
[  SKIPPED ] Real.Answers (0 ms)</system-out></testcase>
  <testcase name="absent_NOT_BUILT" time="0" status="notrun">
    <skipped message="Unable to find executable"/><system-out/></testcase>
</testsuite>
"""
PYTHON = """\
import unittest
class T(unittest.TestCase):
    def test_good(self): pass
    def test_bad(self): self.fail("no")
    def test_error(self): raise ValueError
    def test_part(self):
        with self.subTest("a"): self.fail("part")
    @unittest.skip("a reason")
    def test_skipped(self): self.fail()
class Broken(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise ValueError
    def test_never_reached(self): pass
"""


class SummaryTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def summarise(self, text):
        path = self.folder / "results.xml"
        path.write_text(text, encoding="utf-8")
        return subprocess.run(
            [sys.executable, TESTS / "summarise.py", path],
            capture_output=True,
            text=True,
            check=False,
        )

    def test_counts_and_names_what_did_not_pass(self):
        result = self.summarise(CTEST)
        self.assertEqual(
            result.stdout.splitlines(),
            [
                "failed: bad",
                "skipped: Real.Answers: no GSM8K: fetch it",
                "failed: absent_NOT_BUILT: Unable to find executable",
                "1 passed, 2 failed, 1 skipped",
            ],
        )
        self.assertEqual(result.returncode, 1)

    def test_a_run_without_tests_is_no_success(self):
        self.assertEqual(self.summarise("<testsuite/>").returncode, 1)

    def test_the_python_runner_reports_every_outcome(self):
        # A copy of the runner in a tree of its own finds that tree's tests.
        runner = self.folder / "run_python_tests.py"
        runner.write_bytes((TESTS / "run_python_tests.py").read_bytes())
        (self.folder / "sub").mkdir()
        (self.folder / "sub" / "test_outcomes.py").write_text(PYTHON, encoding="utf-8")
        results = self.folder / "python.xml"
        command = [sys.executable, runner, "--junit", results]
        run = subprocess.run(command, capture_output=True, check=False)
        self.assertEqual(run.returncode, 1)
        lines = self.summarise(results.read_text(encoding="utf-8")).stdout.splitlines()
        self.assertEqual(lines[-1], "1 passed, 4 failed, 1 skipped")
        self.assertIn("skipped: test_outcomes.T.test_skipped: a reason", lines)


if __name__ == "__main__":
    unittest.main()
