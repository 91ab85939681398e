"""What the tests of whole runs share: a tiny model, a scratch folder, the programs."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = pathlib.Path(os.environ.get("SURPRISAL_PROGRAMS", ROOT / "build/release/bin"))
SMOKE = ROOT / "configs/smoke.yaml"
TIMEOUT_S = 600  # on a machine that does much else; alone each run takes a second or two

sys.path.insert(0, str(ROOT / "tools/python"))
import surprisal_traces  # noqa: E402, F401  (for the tests)


class ExperimentCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not (PROGRAMS / "run_experiment").exists():
            raise unittest.SkipTest(f"{PROGRAMS}/run_experiment is not built")
        cls.scratch = pathlib.Path(tempfile.mkdtemp(prefix="surprisal-e2e-"))
        cls.addClassCleanup(shutil.rmtree, cls.scratch, ignore_errors=True)
        cls.model = cls.scratch / "random-tiny"
        make = [sys.executable, ROOT / "tools/make_random_model.py", cls.model, "--seed", "0"]
        subprocess.run(make, check=True, capture_output=True)

    def setUp(self):
        self.output = pathlib.Path(tempfile.mkdtemp(dir=self.scratch))

    def command(self, *arguments, config=SMOKE, output=None):
        """One thread, so that tests side by side do not wait for each other's."""
        return [
            str(PROGRAMS / "run_experiment"), str(config), "--set", f"model.path={self.model}",
            "--output", str(output or self.output), "--threads", "1", *map(str, arguments),
        ]  # fmt: skip

    def run_experiment(self, *arguments, status=0, **options):
        result = subprocess.run(
            self.command(*arguments, **options), capture_output=True, text=True, timeout=TIMEOUT_S
        )
        self.assertEqual(result.returncode, status, result.stdout + result.stderr)
        return result

    def signature(self, run):
        command = [PROGRAMS / "export_traces", run, "--signature"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    @staticmethod
    def samples(run):
        with open(run / "samples.jsonl", encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]
