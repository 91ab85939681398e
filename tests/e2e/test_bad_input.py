"""Bad input gives one clear error and no result."""

import json
import resource
import shutil
import signal
import subprocess
import unittest

from experiment_case import SMOKE, TIMEOUT_S, ExperimentCase


class BadInput(ExperimentCase):
    def refused(self, *arguments, status=2, only_error=True, **options):
        result = self.run_experiment(*arguments, status=status, **options)
        self.assertEqual(result.stdout, "")
        if only_error:
            self.assertTrue(result.stderr.startswith("run_experiment: error: "), result.stderr)
        return result.stderr

    def test_misspelt_keys(self):
        self.assertIn("did you mean 'repeats'?", self.refused("--set", "repeat=2"))
        self.assertIn(
            "did you mean 'entropy_cut'?", self.refused("--set", "samplers.quadrant.entropy_cutt=2")
        )
        self.assertIn("did you mean 'levels'?", self.refused("--set", "task.level=[1]"))
        self.assertIn("did you mean 'greedy'?", self.refused("--set", "samplers.greedy.type=gredy"))
        self.assertIn("did you mean 'stepwise'?", self.refused("--set", "task.name=stepwize"))

    def test_errors_name_the_line(self):
        config = self.output / "a.yaml"
        config.write_text(SMOKE.read_text().replace("max_new_tokens", "max_new_token"))
        line = 1 + SMOKE.read_text()[: SMOKE.read_text().index("max_new_tokens")].count("\n")
        self.assertIn(f"a.yaml:{line}: ", self.refused(config=config))

    def test_what_is_not_built_is_refused_and_never_ignored(self):
        self.refused("--shard", "1/2")
        self.assertFalse((self.output / "smoke").exists())

    def test_a_prompt_longer_than_the_context_names_the_problem(self):
        config = json.loads((self.model / "config.json").read_text())
        short = self.scratch / "short"
        shutil.copytree(self.model, short, dirs_exist_ok=True)
        (short / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 60}))
        self.assertRegex(
            self.refused("--set", f"model.path={short}"),
            r"stepwise problem \d+: its prompt has \d+ tokens",
        )

    def test_nan_weights_are_an_error_that_says_where_and_give_no_result(self):
        broken = self.scratch / "nan"
        shutil.copytree(self.model, broken, dirs_exist_ok=True)
        weights = next(broken.glob("*.safetensors"))
        data = bytearray(weights.read_bytes())
        data[-64:] = b"\xff" * 64  # NaN in every format
        weights.write_bytes(data)
        error = self.run_experiment("--set", f"model.path={broken}", status=1).stderr
        self.assertRegex(error, r"error: .*(NaN|nan)")
        self.assertFalse((self.output / "smoke/done.json").exists())

    def test_no_such_model_task_data_or_config(self):
        self.assertIn("absent", self.refused("--set", "model.path=absent", status=1))
        self.assertIn("absent.yaml", self.refused(config="absent.yaml"))
        error = self.refused("--set", "task={name: gsm8k_cot_zeroshot, data: absent}", status=1)
        self.assertIn("absent", error)

    def test_dataset_line_that_is_not_json(self):
        (self.output / "test.jsonl").write_text('{"question": "q", "answer": "#### 1"}\nnot json\n')
        error = self.refused(
            "--set", f"task={{name: gsm8k_cot_zeroshot, data: {self.output}}}", status=1
        )
        self.assertIn("test.jsonl:2", error)

    def test_repeats_of_a_sampler_without_fresh_randomness(self):
        self.assertIn("repeats", self.refused("--set", "repeats=2"))

    def test_an_unwritable_output(self):
        (self.output / "file").write_text("")
        self.assertIn("--output", self.refused(output=self.output / "file", status=1))

    def test_a_full_disk_loses_nothing_that_was_finished(self):
        run = self.output / "smoke"

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))

        result = subprocess.run(
            self.command(), capture_output=True, text=True, preexec_fn=limit, timeout=TIMEOUT_S
        )
        self.assertEqual(result.returncode, 1)
        self.assertIn("cannot write", result.stderr)
        self.assertFalse((run / "done.json").exists())
        resumed = self.run_experiment()
        self.assertRegex(resumed.stderr, r"going on: \d+ of 42 answers are there")

    def test_a_disk_full_only_for_the_products(self):
        part = self.output / "smoke/parts/main"
        part.mkdir(parents=True)
        for name in ("traces.h5", "samples.jsonl"):
            (part / f"{name}.tmp").unlink(missing_ok=True)
            (part / f"{name}.tmp").symlink_to("/dev/full")
            error = self.refused("--limit", 2, status=1, only_error=False)
            self.assertRegex(error, rf"{name}\.tmp: .*No space left on device\n$")
            self.assertFalse((part / name).exists())
            (part / f"{name}.tmp").unlink()
        self.assertNotIn("loading", self.run_experiment("--limit", 2).stderr)

    def test_a_spool_of_another_run_is_refused(self):
        self.run_experiment("--limit", 1)
        run = self.output / "smoke"
        other = self.output / "other"
        shutil.copytree(run, other)
        for name in ("manifest.json", "done.json"):
            (other / name).unlink()
        error = self.refused("--limit", 1, "--set", "name=other")
        self.assertIn("belongs to another run", error)


if __name__ == "__main__":
    unittest.main()
