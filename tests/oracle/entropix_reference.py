#!/usr/bin/env python3
"""Runs the real Entropix samplers on random rows: the oracle of `type: entropix`.

Needs a clone of github.com/xjdr-alt/entropix (Apache-2.0) and, for its JAX versions,
`pip install jax==0.4.34 jaxlib==0.4.34 chex==0.1.87`. Two uses:

  entropix_reference.py CLONE --variant v2_jax --cases 60 > tests/samplers/data/entropix_v2_jax.jsonl
  entropix_reference.py CLONE --variant v2_jax --cases 5000 --vocab 2048 --compare build/release/bin/try_sampler

The first writes fixtures: {"request": a try_sampler line, "expected": {"token", "state", ...}}.
The second pipes the requests through try_sampler and reports every difference.
"""

import argparse
import importlib
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

COMMITS = {"v2_jax": "e55e9a3"}


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


def run_v2_jax(cases):
    import jax.numpy as jnp
    sampler = importlib.import_module("entropix.sampler")
    config = sampler.SamplerConfig()
    for case in cases:
        logits = jnp.array(case["logits"], jnp.float32)[None, None, :]
        scores = jnp.array(case["attention_scores"], jnp.float32)[None, :, None, :]
        history = jnp.array(case["history"], jnp.int32)[:, None]
        token = sampler.sample(history, logits, scores, config,
                               clarifying_question_token=case["clarifying_token"])
        metrics = {k: float(np.asarray(v).reshape(-1)[0])
                   for k, v in sampler.calculate_metrics(logits, scores).items()}
        yield {"token": int(np.asarray(token).reshape(-1)[0]), "metrics": metrics}


RUNNERS = {"v2_jax": run_v2_jax}


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
        expected = list(RUNNERS[options.variant](cases))
    requests = [request_of(case, options.variant) for case in cases]
    if options.compare:
        return 1 if compare(options.compare, requests, expected) else 0
    for request, want in zip(requests, expected):
        print(json.dumps({"request": request, "expected": want}, separators=(",", ":")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
