#!/usr/bin/env python3
"""Adds up JUnit files (ctest's and run_python_tests.py's).

Prints which tests failed, why others were skipped, and how many passed.
"""

import re
import sys
import xml.etree.ElementTree as xml

# ctest writes a test that it could not start as a skipped one; for us it has failed.
_NEVER_RAN = {"Unable to find executable", "Required Files Missing", "Fixture dependency failed"}


def read(path):
    """(name, "passed" | "failed" | "skipped", reason) of every test in one JUnit file."""
    for case in xml.parse(path).iter("testcase"):
        name, skipped = case.get("name"), case.find("skipped")
        if skipped is not None and skipped.get("message", "") not in _NEVER_RAN:
            yield name, "skipped", _reason(skipped, case.findtext("system-out") or "")
        elif skipped is not None or case.find("failure") is not None:
            yield name, "failed", "" if skipped is None else skipped.get("message")
        else:
            yield name, "passed", ""


def _reason(skipped, output):
    """GoogleTest prints the text of GTEST_SKIP on the line after its place in the source."""
    match = re.search(r"Skipped\n(.+)", output)
    return match[1].strip() if match else skipped.get("message", "")


def main():
    tests = [test for path in sys.argv[1:] for test in read(path)]
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for name, outcome, reason in tests:
        counts[outcome] += 1
        if outcome != "passed":
            print(f"{outcome}: {name}{': ' if reason else ''}{reason}")
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    return 0 if counts["passed"] and not counts["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
