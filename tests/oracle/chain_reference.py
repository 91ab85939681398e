#!/usr/bin/env python3
"""Rows, chains and what transformers' logits processors make of them: the oracle of dialect hf.

    pip install torch transformers==5.17
    python tests/oracle/chain_reference.py > tests/samplers/data/chain_hf.jsonl

One object a line: {"request": a try_sampler line, "expected": {"kept_ids", "probs"}}. Rows are
float64 in torch, so a kept set differs from ours only where a rule's boundary is within rounding;
such rows are left out (the boundary's distance is checked by nudging every parameter).
"""

import argparse
import json

import numpy as np
import torch
from transformers.generation import logits_process

RULES = {
    "temperature": (logits_process.TemperatureLogitsWarper, "temp", "temperature", (0.2, 2.5)),
    "top_k": (logits_process.TopKLogitsWarper, "k", "top_k", (1, 20)),
    "top_p": (logits_process.TopPLogitsWarper, "p", "top_p", (0.05, 0.99)),
    "min_p": (logits_process.MinPLogitsWarper, "p", "min_p", (0.01, 0.9)),
    "typical": (logits_process.TypicalLogitsWarper, "p", "mass", (0.1, 0.95)),
    "epsilon": (logits_process.EpsilonLogitsWarper, "epsilon", "epsilon", (0.002, 0.1)),
    "eta": (logits_process.EtaLogitsWarper, "epsilon", "epsilon", (0.002, 0.5)),
    "top_h": (logits_process.TopHLogitsWarper, "alpha", "top_h", (0.1, 0.9)),
    "repetition": (logits_process.RepetitionPenaltyLogitsProcessor, "repeat", "penalty", (0.5, 2)),
    "no_repeat_ngram": (logits_process.NoRepeatNGramLogitsProcessor, "n", "ngram_size", (1, 3)),
}
INTEGERS = {"top_k", "no_repeat_ngram"}
WITHOUT_MIN_KEEP = {"temperature", "top_h", "repetition", "no_repeat_ngram"}


def apply(steps, logits, history, nudge=0.0):
    scores = torch.tensor([logits], dtype=torch.float32).double()  # the float32 that we read
    for rule, params in steps:
        make, ours, theirs, _ = RULES[rule]
        value = params[ours] if rule in INTEGERS else params[ours] * (1 + nudge)
        extra = {"min_tokens_to_keep": params["min_keep"]} if "min_keep" in params else {}
        scores = make(**{theirs: value}, **extra)(torch.tensor([history]), scores)
    return scores[0]


def kept(scores):
    return torch.nonzero(torch.isfinite(scores)).flatten().tolist()


def random_steps(rng):
    steps = []
    for rule in rng.permutation(list(RULES))[: rng.integers(1, 5)]:
        _, ours, _, (low, high) = RULES[rule]
        value = int(rng.integers(low, high + 1)) if rule in INTEGERS else round(rng.uniform(low, high), 3)
        params = {ours: value}
        if rule not in WITHOUT_MIN_KEEP and rng.random() < 0.3:
            params["min_keep"] = int(rng.integers(1, 6))
        steps.append((str(rule), params))
    return steps


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--vocab", type=int, default=40)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    written = 0
    while written < options.cases:
        # Every third row has ties: logits on a coarse grid.
        logits = rng.normal(0, rng.uniform(0.5, 4), options.vocab)
        logits = np.round(logits * 2) / 2 if written % 3 == 0 else np.round(logits, 4)
        logits = logits.tolist()
        steps = random_steps(rng)
        if written % 3 == 0:  # which of a tie these or a min_keep keep is left to the sort
            steps = [(rule, {k: v for k, v in params.items() if k != "min_keep"})
                     for rule, params in steps if rule not in ("top_p", "top_h")] or [("top_k", {"k": 5})]
        history = rng.integers(0, 6, rng.integers(1, 12)).tolist()
        scores = apply(steps, logits, history)
        nudged = [kept(apply(steps, logits, history, nudge)) for nudge in (1e-6, -1e-6)]
        if not kept(scores) == nudged[0] == nudged[1]:
            continue
        probs = torch.softmax(scores, -1).tolist()
        request = {"logits": logits, "history": history, "sampler": {
            "type": "chain", "dialect": "hf", "steps": [{rule: params} for rule, params in steps]}}
        expected = {"kept_ids": kept(scores), "probs": [round(p, 9) for p in probs if p > 0]}
        print(json.dumps({"request": request, "expected": expected}, separators=(",", ":")))
        written += 1


if __name__ == "__main__":
    main()
