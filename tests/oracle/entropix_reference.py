#!/usr/bin/env python3
"""Runs the real Entropix samplers on random rows: the oracle of `type: entropix`.

Needs a clone of github.com/xjdr-alt/entropix (Apache-2.0) and, for its JAX versions,
`pip install jax==0.4.34 jaxlib==0.4.34 chex==0.1.87`; for v2_torch, torch. Two uses:

  entropix_reference.py CLONE --variant v2_jax --cases 60 > tests/samplers/data/entropix_v2_jax.jsonl
  entropix_reference.py CLONE --variant v2_jax --cases 5000 --vocab 2048 --compare build/release/bin/try_sampler

The first writes fixtures: {"request": a try_sampler line, "expected": {"token", "state", ...}}.
The second pipes the requests through try_sampler and reports every difference.
"""

import argparse
import ast
import importlib
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

COMMITS = {"v1": "a5e83a4", "v2_jax": "e55e9a3", "v2_torch": "e55e9a3", "v3_70b": "cdb6f6f",
           "v4_server": "9d41be6"}


def checkout(clone, variant, folder):
    """Puts the variant's source tree under `folder` and makes it importable."""
    archive = subprocess.run(["git", "-C", clone, "archive", COMMITS[variant]],
                             check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
    sys.path.insert(0, str(folder))


def random_case(rng, vocab, heads, slots):
    """A row of one of the shapes that the states are about, and scores over a part of the cache."""
    kind = rng.choice(["peak", "fork", "flat", "wild", "mid"])
    spread = {"peak": 1.0, "fork": 2.0, "flat": 0.1, "wild": 4.0, "mid": 2.0}[kind]
    logits = rng.normal(0, spread, vocab)
    if kind == "peak":
        logits[rng.integers(vocab)] += 25
    if kind == "fork":
        chosen = rng.choice(vocab, rng.integers(2, 5), replace=False)
        logits[chosen] += rng.uniform(4, 14) + rng.normal(0, 0.5, len(chosen))
    if kind == "mid":
        logits *= rng.uniform(0.3, 3)
    valid = int(rng.integers(4, slots + 1))
    scores = np.zeros((heads, slots))
    scores[:, :valid] = rng.normal(-1, 2, (heads, valid))
    generated = rng.integers(0, vocab, rng.integers(2, 12))
    clarifying = generated[0] if rng.random() < 0.5 else rng.integers(vocab)
    return {
        "logits": np.round(logits, 4).tolist(),
        "attention_scores": np.round(scores, 4).tolist(),
        "valid_slots": valid,
        "history": generated.tolist(),
        "prompt_length": 0,
        "clarifying_token": int(clarifying),
    }


STATES = {"LELV": "low_low", "HELV": "high_low", "LEHV": "low_high", "HEHV": "high_high"}


def scalars(metrics):
    return {k: float(np.asarray(v).reshape(-1)[0]) for k, v in metrics.items()}


def first_token(token):
    return int(np.asarray(token).reshape(-1)[0])


def jax_inputs(case):
    import jax.numpy as jnp
    return (jnp.array(case["logits"], jnp.float32)[None, None, :],
            jnp.array(case["attention_scores"], jnp.float32)[None, :, None, :],
            jnp.array(case["history"], jnp.int32)[:, None])


def definitions(path, names, replacements):
    """Executes the imports of numeric libraries and the named definitions of a source file."""
    source = pathlib.Path(path).read_text()
    for old, new in replacements.items():
        source = source.replace(old, new)
    wanted = []
    for node in ast.parse(source).body:
        imported = [alias.name for alias in getattr(node, "names", [])]
        module = getattr(node, "module", "") or ""
        if isinstance(node, (ast.Import, ast.ImportFrom)) and (
                module in ("typing",) or any(n.split(".")[0] in ("jax", "torch") for n in imported)):
            wanted.append(node)
        elif isinstance(node, ast.FunctionDef) and node.name in names:
            wanted.append(node)
        elif isinstance(node, ast.Assign) and node.targets[0].id in names:
            wanted.append(node)
    scope = {}
    exec(compile(ast.Module(wanted, []), path, "exec"), scope)
    return scope


def run_v1(cases, folder):
    names = {"LN_2", "calculate_varentropy_logsoftmax", "multinomial_sample_one", "_sample", "sample"}
    for case in cases:
        logits, _, history = jax_inputs(case)
        scope = definitions(f"{folder}/entropix/main.py", names,
                            {"2564": str(case["clarifying_token"])})
        entropy, varentropy = scope["calculate_varentropy_logsoftmax"](logits)
        yield {"token": first_token(scope["sample"](history, logits)),
               "metrics": scalars({"logits_entropy": entropy, "logits_varentropy": varentropy})}


def run_v2_jax(cases, _):
    sampler = importlib.import_module("entropix.sampler")
    config = sampler.SamplerConfig()
    for case in cases:
        logits, scores, history = jax_inputs(case)
        token = sampler.sample(history, logits, scores, config,
                               clarifying_question_token=case["clarifying_token"])
        yield {"token": first_token(token),
               "metrics": scalars(sampler.calculate_metrics(logits, scores))}


def run_v2_torch(cases, folder):
    import torch
    path = pathlib.Path(f"{folder}/entropix/torch_sampler.py")
    for case in cases:  # a fresh generator and its own clarifying token each
        scope = {}
        exec(path.read_text().replace("2564", str(case["clarifying_token"])), scope)
        logits = torch.tensor(case["logits"])[None, None, :]
        scores = torch.tensor(case["attention_scores"])[None, :, None, :]
        history = torch.tensor(case["history"])[None, :]
        yield {"token": first_token(scope["sample"](history, logits, scores)),
               "metrics": scalars(scope["calculate_metrics"](logits, scores))}


def run_v3_70b(cases, _):
    sampler = importlib.import_module("entropix.sampler")
    config = sampler.SamplerConfig()
    for case in cases:
        logits, scores, _ = jax_inputs(case)
        token = sampler.sample(logits, scores, config,
                               clarifying_question_token=case["clarifying_token"])
        yield {"token": first_token(token),
               "metrics": scalars(sampler.calculate_metrics(logits, scores))}


def run_v4_server(cases, _):
    sampler = importlib.import_module("entropix.sampler")
    for case in cases:
        logits, scores, _ = jax_inputs(case)
        token = sampler.sample(logits, scores, clarifying_question_token=case["clarifying_token"])
        yield {"token": first_token(token),
               "metrics": scalars(sampler.calculate_metrics(logits, scores))}


RUNNERS = {"v1": run_v1, "v2_jax": run_v2_jax, "v2_torch": run_v2_torch, "v3_70b": run_v3_70b,
           "v4_server": run_v4_server}


def request_of(case, variant):
    request = dict(case)
    request["sampler"] = {"type": "entropix", "variant": variant,
                          "clarifying_token": request.pop("clarifying_token")}
    return request


def compare(program, requests, expected, tolerance=2e-5):
    """Prints every difference; the metrics' tolerance is float32 sums against double ones."""
    lines = "\n".join(json.dumps(request) for request in requests)
    answers = subprocess.run([program], input=lines, capture_output=True, text=True, check=True)
    differences = 0
    for number, (line, want) in enumerate(zip(answers.stdout.splitlines(), expected)):
        got = json.loads(line)
        wrong = [] if got.get("decision", {}).get("token") == want["token"] else ["token"]
        for name, value in want.get("metrics", {}).items():
            if abs(got.get("decision_metrics", {}).get(name, 1e9) - value) > tolerance * max(1, abs(value)):
                wrong.append(name)
        if wrong:
            differences += 1
            print(number, wrong, "expected", want, "got", got.get("error") or got["decision"],
                  got.get("state"), got.get("decision_metrics"))
    print(f"{len(expected)} cases, {differences} differ")
    return differences


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clone")
    parser.add_argument("--variant", choices=sorted(RUNNERS), default="v2_jax")
    parser.add_argument("--cases", type=int, default=60)
    parser.add_argument("--vocab", type=int, default=64)
    parser.add_argument("--heads", type=int, default=2)
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compare", metavar="TRY_SAMPLER")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    cases = [random_case(rng, options.vocab, options.heads, options.slots)
             for _ in range(options.cases)]
    with tempfile.TemporaryDirectory() as folder:
        checkout(options.clone, options.variant, pathlib.Path(folder))
        expected = list(RUNNERS[options.variant](cases, folder))
    requests = [request_of(case, options.variant) for case in cases]
    if options.compare:
        return 1 if compare(options.compare, requests, expected) else 0
    for request, want in zip(requests, expected):
        print(json.dumps({"request": request, "expected": want}, separators=(",", ":")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
