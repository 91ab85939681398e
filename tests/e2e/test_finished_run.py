"""One run of configs/smoke.yaml, looked at from all sides."""

import csv
import json
import pathlib
import shutil
import subprocess
import unittest

import h5py
import numpy as np
from experiment_case import PROGRAMS, TIMEOUT_S, ExperimentCase, surprisal_traces

FLOAT32_STEP = 2.0**-23  # log-probabilities are stored as float32

FILES = """
    config.yaml manifest.json cells.json samples.jsonl traces.h5 results.csv results.json done.json
    parts/main/spool parts/main/samples.jsonl parts/main/traces.h5 parts/main/done.json
"""
SAMPLE_KEYS = """
    cell doc_id repeat seed question_sha256 prompt response target extracted_strict
    extracted_flexible extracted_numeric strict flexible numeric valid stop_reason prompt_tokens
    generated_tokens injected_tokens retrieved_tokens discarded_tokens interventions
    token_evaluations flops forward_passes
"""
SAME_IN_BOTH = """
    doc_id repeat prompt_tokens generated_tokens injected_tokens retrieved_tokens discarded_tokens
    interventions token_evaluations flops forward_passes strict flexible numeric valid
"""
DOCUMENTED_COLUMNS = {
    "cells": """id sampler samplers.minp.steps.min_p samplers.quadrant.entropy_cut strict flexible
        numeric""",
    "samples": """cell doc_id repeat stop_reason prompt_tokens generated_tokens token_evaluations
        strict flexible numeric token_begin token_count""",
    "tokens": """sample position attempt token_id node source state action gate entropy varentropy
        max_probability second_probability logprob rank sampling_logprob kept temperature
        decision_entropy decision_varentropy threshold_margin attention_entropy
        attention_varentropy attention_agreement attention_sink""",
    "branches": """sample fork_position candidate token_begin token_count entropy varentropy
        mean_logprob score kept""",
    "branch_tokens": "sample position token_id source state entropy varentropy logprob rank",
    "events": "sample position kind detail",
    "nodes": """question parent token_id top_k_token_id top_k_logprob tail_mass attention_entropy
        attention_varentropy attention_agreement""",
}


class FinishedRun(ExperimentCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = cls.scratch / "finished"
        cls.result = ExperimentCase.run_experiment(cls(), output=cls.folder)
        cls.run_folder = cls.folder / "smoke"

    def trace(self):
        return h5py.File(self.run_folder / "traces.h5", "r")

    def test_every_file_of_a_run_is_there(self):
        for name in FILES.split():
            self.assertTrue((self.run_folder / name).exists(), name)
        self.assertEqual(list(self.run_folder.rglob("*.tmp")), [])

    def test_the_table_and_the_paths_are_on_stdout_and_nothing_else_is(self):
        lines = self.result.stdout.splitlines()
        self.assertIn("random-tiny (random weights", lines[0])
        self.assertTrue(
            any(line.startswith("quadrant") and "entropy_cut=2.5" in line for line in lines)
        )
        self.assertIn("note: entropix:", self.result.stdout)
        for path in lines[-7:]:
            self.assertTrue(pathlib.Path(path).exists(), path)
        self.assertIn("42/42 answers", self.result.stderr)

    def test_the_manifest_says_what_sharing_saved(self):
        (session,) = json.loads((self.run_folder / "manifest.json").read_text())["sessions"]
        asked_for = sum(sample["token_evaluations"] for sample in self.samples(self.run_folder))
        self.assertEqual(session["requested_tokens"], asked_for)
        self.assertLess(session["computed_tokens"], asked_for / 2)  # 7 cells, 6 prompts
        self.assertGreaterEqual(session["peak_rows"], 6)
        self.assertGreater(session["peak_cache_bytes"], 0)
        self.assertIn(f"answers asked for {asked_for} tokens", self.result.stderr)

    def test_samples_have_the_documented_keys_and_a_fixed_order(self):
        samples = self.samples(self.run_folder)
        self.assertEqual(len(samples), 7 * 6)
        documented = SAMPLE_KEYS.split()
        self.assertEqual(list(samples[0])[: len(documented)], documented)
        cells = [cell["id"] for cell in json.loads((self.run_folder / "cells.json").read_text())]
        expected = [(doc, cell) for doc in range(6) for cell in cells]
        self.assertEqual([(s["doc_id"], s["cell"]) for s in samples], expected)

    def test_traces_agree_with_samples(self):
        samples = self.samples(self.run_folder)
        with self.trace() as trace:
            cells = trace["cells/id"].asstr()[()]
            table, tokens = trace["samples"], trace["tokens"]
            names = sorted(
                h5py.check_enum_dtype(table["stop_reason"].dtype).items(), key=lambda item: item[1]
            )
            for row, sample in enumerate(samples):
                self.assertEqual(cells[table["cell"][row]], sample["cell"])
                self.assertEqual(names[table["stop_reason"][row]][0], sample["stop_reason"])
                for key in SAME_IN_BOTH.split():
                    self.assertEqual(table[key][row], sample[key], key)
                begin, count = table["token_begin"][row], table["token_count"][row]
                here = slice(begin, begin + count)
                self.assertEqual(count, sample["generated_tokens"])
                self.assertTrue(np.all(tokens["sample"][here] == row))
                positions = np.arange(sample["prompt_tokens"], sample["prompt_tokens"] + count)
                self.assertTrue(np.all(tokens["position"][here] == positions))
                sources = h5py.check_enum_dtype(tokens["source"].dtype)
                injected = int(np.sum(tokens["source"][here] == sources["injected"]))
                self.assertEqual(injected, sample["injected_tokens"])
            text, offsets = trace["text/bytes"][()].tobytes(), trace["text/offsets"][()]
            responses = [text[a:b].decode() for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
            self.assertEqual(responses, [sample["response"] for sample in samples])

    def test_injected_spans_hold_the_thought(self):
        injected = [s for s in self.samples(self.run_folder) if s["injected_tokens"] > 0]
        self.assertTrue(injected, "the smoke run is meant to insert thoughts")
        for sample in injected:
            response = sample["response"].encode()
            for begin, end in sample["foreign"]:
                # A character that the model left half-written before it is replaced there.
                self.assertEqual(response[begin:end].decode().lstrip("\ufffd"), " Wait,")

    def test_trace_schema(self):
        with self.trace() as trace:
            self.assertEqual(trace.attrs["format"], "surprisal-trace")
            self.assertEqual(trace.attrs["entropy_unit"], "nat")
            self.assertTrue(trace.attrs["complete"])
            manifest = json.loads((self.run_folder / "manifest.json").read_text())
            self.assertEqual(trace.attrs["config_sha256"], manifest["config_sha256"])
            self.assertEqual(trace.attrs["model_sha256"], manifest["models"][0]["weights_sha256"])
            self.assertEqual(json.loads(trace["meta/manifest_json"].asstr()[()]), manifest)
            self.assertEqual(
                trace["meta/config_yaml"].asstr()[()], (self.run_folder / "config.yaml").read_text()
            )
            for group, columns in DOCUMENTED_COLUMNS.items():
                for name in columns.split():
                    self.assertIn(name, trace[group])
                lengths = {dataset.shape[0] for dataset in trace[group].values()}
                self.assertEqual(len(lengths), 1, group)
                for dataset in trace[group].values():
                    self.assertIn("units", dataset.attrs)
                    self.assertIn("description", dataset.attrs)
                    self.assertEqual(
                        (dataset.compression, dataset.compression_opts, dataset.shuffle),
                        ("gzip", 4, True),
                    )
            for name in (
                "tokens/source",
                "tokens/state",
                "tokens/action",
                "tokens/gate",
                "events/kind",
            ):
                self.assertIsNotNone(h5py.check_enum_dtype(trace[name].dtype), name)
            self.assertEqual(trace["nodes/attention_entropy"].shape[1:], (2, 4))
            self.assertEqual(trace["nodes/attention_agreement"].shape[1:], (2,))
            self.assertEqual(trace["nodes/top_k_logprob"].shape[1:], (3,))

    def test_nodes_are_the_contexts_of_the_tokens(self):
        with self.trace() as trace:
            tokens = {name: trace["tokens"][name][()] for name in ("sample", "node", "token_id")}
            parent, token = trace["nodes/parent"][()], trace["nodes/token_id"][()]
            top, logprob = trace["nodes/top_k_token_id"][()], trace["nodes/top_k_logprob"][()]
            for row in range(len(tokens["node"])):
                node = tokens["node"][row]
                first = row == 0 or tokens["sample"][row - 1] != tokens["sample"][row]
                self.assertEqual(parent[node], -1 if first else tokens["node"][row - 1])
                self.assertEqual(token[node], -1 if first else tokens["token_id"][row - 1])
            # A token among the top k stands there with its own log-probability and rank.
            rank, own = trace["tokens/rank"][()], trace["tokens/logprob"][()]
            for row in np.flatnonzero(rank < top.shape[1]):
                node = tokens["node"][row]
                self.assertEqual(top[node, rank[row]], tokens["token_id"][row])
                self.assertAlmostEqual(logprob[node, rank[row]], own[row], delta=20 * FLOAT32_STEP)
            tail = trace["nodes/tail_mass"][()]
            np.testing.assert_allclose(np.exp(logprob.astype(float)).sum(1) + tail, 1, atol=1e-6)
            self.assertLess(
                len(parent), len(tokens["node"]), "answers of several cells share contexts"
            )

    def test_two_cells_that_see_the_same_distribution_choose_alike(self):
        """Common random numbers: two thresholds differ only from where they matter."""
        trace = surprisal_traces.load_arrays(self.run_folder)
        cells = [i for i, name in enumerate(trace.cells["sampler"]) if name == "minp"]
        rows = {cell: {} for cell in cells}
        for row, sample in enumerate(trace.tokens["sample"]):
            key = trace.samples["doc_id"][sample], trace.tokens["position"][row]
            rows.get(trace.samples["cell"][sample], {})[key] = row
        same_node, same_token = 0, 0
        for key, row in rows[cells[0]].items():
            other = rows[cells[1]].get(key)
            if other is None or trace.tokens["node"][row] != trace.tokens["node"][other]:
                continue
            same_node += 1
            same_token += trace.tokens["token_id"][row] == trace.tokens["token_id"][other]
        self.assertGreater(same_node, 20)
        self.assertGreater(same_token / same_node, 0.7)  # with independent draws: far below

    def test_results_agree_with_samples(self):
        samples = self.samples(self.run_folder)
        rows = json.loads((self.run_folder / "results.json").read_text())
        with open(self.run_folder / "results.csv", encoding="utf-8") as text:
            table = list(csv.DictReader(text))
        self.assertEqual([row["cell"] for row in rows], [row["cell"] for row in table])
        for row, flat in zip(rows, table, strict=True):
            own = [sample for sample in samples if sample["cell"] == row["cell"]]
            self.assertEqual(row["n"], len(own))
            for scorer in ("strict", "flexible", "numeric"):
                self.assertAlmostEqual(
                    row[scorer]["value"], np.mean([sample[scorer] for sample in own])
                )
                self.assertEqual(float(flat[scorer]), row[scorer]["value"])
            self.assertAlmostEqual(
                row["invalid_share"], np.mean([not sample["valid"] for sample in own])
            )
            self.assertAlmostEqual(
                row["mean_token_evaluations"], np.mean([s["token_evaluations"] for s in own])
            )
            self.assertAlmostEqual(sum(row["state_shares"].values()), 1)
            self.assertIn("random weights", row["model_provenance"])

    def test_a_finished_run_is_shown_again_and_not_touched(self):
        before = {
            path: path.stat().st_mtime_ns for path in self.run_folder.rglob("*") if path.is_file()
        }
        again = self.run_experiment(output=self.folder)
        self.assertEqual(again.stdout, self.result.stdout)
        self.assertIn("nothing was left to do", again.stderr)
        self.assertEqual({path: path.stat().st_mtime_ns for path in before}, before)

    def test_a_damaged_product_is_made_again_from_the_spool(self):
        copy = self.output / "smoke"
        shutil.copytree(self.run_folder, copy)
        (copy / "traces.h5").unlink()
        (copy / "results.csv").write_text("garbage")
        again = self.run_experiment()
        self.assertNotIn("loading", again.stderr)
        self.assertEqual(self.signature(copy), self.signature(self.run_folder))
        self.assertEqual(
            (copy / "results.csv").read_bytes(), (self.run_folder / "results.csv").read_bytes()
        )

    def test_another_experiment_under_the_same_name_is_refused_with_a_diff(self):
        for change, line in (
            ("seed=1", "seed: 0 -> 1"),
            ("trace.top_k=4", "trace.top_k: 3 -> 4"),
            ("samplers.greedy.type=chain", 'samplers.greedy.type: "greedy" -> "chain"'),
            ("task.max_new_tokens=25", "tasks.0.max_new_tokens: 24 -> 25"),
        ):
            refused = self.run_experiment("--set", change, output=self.folder, status=2)
            self.assertIn(line, refused.stderr)
            self.assertIn("another `name`", refused.stderr)
        self.run_experiment("--limit", 3, output=self.folder, status=2)

    def test_other_weights_are_refused(self):
        copy = self.scratch / "other-model"
        shutil.copytree(self.model, copy)
        weights = next(copy.glob("*.safetensors"))
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(data)
        refused = self.run_experiment("--set", f"model.path={copy}", output=self.folder, status=2)
        self.assertIn("models.0.weights_sha256", refused.stderr)

    def test_the_kept_config_repeats_the_run(self):
        config = self.run_folder / "config.yaml"
        command = [
            PROGRAMS / "run_experiment",
            config,
            "--set",
            "name=again",
            "--output",
            self.output,
            "--threads",
            "1",
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT_S)
        self.assertEqual(self.signature(self.output / "again"), self.signature(self.run_folder))

    def test_batch_and_sharing_change_no_decision(self):
        for name, settings in (
            ("alone", ("engine.batch=1", "engine.sharing=false")),
            ("wide", ("engine.batch=7",)),
        ):
            changes = [
                part for setting in (f"name={name}", *settings) for part in ("--set", setting)
            ]
            self.run_experiment(*changes)
            self.assertEqual(
                self.signature(self.output / name), self.signature(self.run_folder), name
            )

    def test_exports_agree_with_the_trace(self):
        for form in ("csv", "jsonl"):
            command = [
                PROGRAMS / "export_traces",
                self.run_folder,
                "--format",
                form,
                "--output",
                self.output / form,
            ]
            subprocess.run(command, check=True, capture_output=True)
        trace = surprisal_traces.load_arrays(self.run_folder)
        with open(self.output / "csv/tokens.csv", encoding="utf-8") as text:
            rows = list(csv.DictReader(text))
        with open(self.output / "jsonl/tokens.jsonl", encoding="utf-8") as text:
            lines = [json.loads(line) for line in text]
        self.assertEqual(len(rows), len(trace.tokens["entropy"]))
        for row, line, entropy, state in zip(
            rows, lines, trace.tokens["entropy"], trace.tokens["state"], strict=True
        ):
            self.assertEqual(np.float32(row["entropy"]), entropy)
            self.assertEqual(np.float32(line["entropy"]), entropy)
            self.assertEqual((row["state"], line["state"]), (state, state))

    def test_python_frames(self):
        try:
            import pandas  # noqa: F401
        except ImportError:
            self.skipTest("pandas is not installed in this environment")
        run = surprisal_traces.load(self.run_folder)
        self.assertEqual(len(run.samples), 42)
        self.assertIn("sampled", list(run.tokens.source.cat.categories))
        self.assertEqual(run.nodes_arrays["top_k_token_id"].shape, (len(run.nodes), 3))
        self.assertEqual(run.samples.response[0], self.samples(self.run_folder)[0]["response"])

    def test_python_reader_refuses_what_is_no_trace(self):
        with self.assertRaises(surprisal_traces.TraceError):
            surprisal_traces.load_arrays(self.output)
        (self.output / "traces.h5").write_bytes(b"nothing")
        with self.assertRaises(surprisal_traces.TraceError):
            surprisal_traces.load_arrays(self.output)


if __name__ == "__main__":
    unittest.main()
