#!/usr/bin/env python3
"""Adds up JUnit files (ctest's and run_python_tests.py's).

Prints which tests failed, why others were skipped, and how many passed.
"""

import re
import sys
import xml.etree.ElementTree as xml


def read(path):
    """(name, "passed" | "failed" | "skipped", reason) of every test in one JUnit file."""
    for case in xml.parse(path).iter("testcase"):
        output = case.findtext("system-out") or ""
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.get("status") == "fail":
            yield case.get("name"), "failed", ""
        elif skipped is not None or case.get("status") in ("notrun", "disabled"):
            yield case.get("name"), "skipped", _reason(skipped, output)
        else:
            yield case.get("name"), "passed", ""


def _reason(skipped, output):
    """GoogleTest prints the text of GTEST_SKIP on the line after its place in the source."""
    if match := re.search(r"Skipped\n(.+)", output):
        return match[1].strip()
    message = skipped.get("message", "") if skipped is not None else ""
    return "" if message.startswith("SKIP_") else message


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
