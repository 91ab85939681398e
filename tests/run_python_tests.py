#!/usr/bin/env python3
"""Runs every test_*.py below tests/, apart from tests/oracle (it needs the live libraries).

With --junit, stores the outcomes as ctest does.
"""

import argparse
import pathlib
import sys
import time
import unittest
import xml.etree.ElementTree as xml

HERE = pathlib.Path(__file__).resolve().parent


class RecordingResult(unittest.TextTestResult):
    """Keeps each test's outcome in `outcomes`: (name, seconds, kind, text), kind "" for a pass."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.outcomes = []
        self._problem = ("", "")

    def startTest(self, test):
        super().startTest(test)
        self._problem, self._start = ("", ""), time.monotonic()

    def stopTest(self, test):
        super().stopTest(test)
        self.outcomes.append((test.id(), time.monotonic() - self._start, *self._problem))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._problem = ("skipped", reason)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self._problem = ("failure", str(error[1]))

    def addError(self, test, error):
        super().addError(test, error)
        if isinstance(test, unittest.TestCase):
            self._problem = ("failure", str(error[1]))
        else:  # setUpClass or setUpModule: no test was started
            self.outcomes.append((str(test), 0.0, "failure", str(error[1])))

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            self._problem = ("failure", f"{subtest}: {error[1]}")


def write_junit(path, outcomes):
    suite = xml.Element("testsuite", name="python", tests=str(len(outcomes)))
    for name, seconds, kind, text in outcomes:
        case = xml.SubElement(suite, "testcase", name=name, time=f"{seconds:.3f}")
        if kind:
            xml.SubElement(case, kind, message=text)
    xml.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--junit", type=pathlib.Path)
    arguments = parser.parse_args()
    suite = unittest.TestSuite()
    for folder in sorted({p.parent for p in HERE.rglob("test_*.py")} - {HERE / "oracle"}):
        suite.addTests(unittest.TestLoader().discover(str(folder), top_level_dir=str(folder)))
    result = unittest.TextTestRunner(resultclass=RecordingResult, verbosity=1).run(suite)
    if arguments.junit:
        write_junit(arguments.junit, result.outcomes)
    return 0 if result.wasSuccessful() and result.testsRun else 1


if __name__ == "__main__":
    sys.exit(main())
