#!/usr/bin/env python3
"""Runs the real adaptive Dirichlet sampler of Entropix: the oracle of its ADS variants.

Needs a clone of github.com/xjdr-alt/entropix (Apache-2.0) and `pip install jax==0.4.34 jaxlib==0.4.34`.

  ads_reference.py CLONE --variant f0b8ea6 > tests/samplers/data/entropix_ads_f0b8ea6.jsonl

One object a line: {"request": a try_sampler line of several steps, "expected": [per step what does not
hang on its random draws]}. The support, fixed in its configuration to Llama 3's vocabulary, is that of
the rows. After the first step its averages hold a NaN (defect ads_nan), so that no draw is left in what
f0b8ea6 does: its tokens are compared too. `head` also tells its case by what it returns: "asks" (token
2564, here 5), "resamples" (a new state; the last step of a case, for which token is masked hangs on a
draw), or "keeps". Its cast of a resampled state to bfloat16, which float32 rows make a type error, is off.
"""

import argparse
import dataclasses
import importlib
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

STEPS = 4
HEAD = "0a7f7bb"
CLARIFYING_TOKEN, ITS_PLACE_HERE = 2564, 5
COMPARED = ["emwa_temp", "emwa_ent_naked", "emwa_varent_naked", "emwa_topk_ent_naked"]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clone")
    parser.add_argument("--variant", choices=["e982dd5", "f0b8ea6", "head"], required=True)
    parser.add_argument("--cases", type=int, default=6)
    parser.add_argument("--vocab", type=int, default=48)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "-C", options.clone, "archive",
                                  HEAD if options.variant == "head" else options.variant],
                                 check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
        sys.path.insert(0, folder)
        import jax
        import jax.numpy as jnp
        config = importlib.import_module("entropix.dslider_config").DEFAULT_DS_CONFIG
        dslider = importlib.import_module("entropix.dslider")
        if options.variant == "head":
            sampler = importlib.import_module("entropix.sampler")
    config = dataclasses.replace(config, dirichlet_support=jnp.arange(options.vocab, dtype=jnp.int32))
    if options.variant == "head":
        with_head(config, dslider, sampler)
        return
    rng = np.random.default_rng(1)
    for _ in range(options.cases):
        prompt = rng.normal(0, 2, (5, options.vocab)).round(3)
        rows = rng.normal(0, rng.uniform(0.5, 4), (STEPS, options.vocab)).round(3)
        if options.variant == "e982dd5":
            state = dslider.initialize_state(1, options.vocab, config, jnp.float32)
        else:
            state = dslider.initialize_state(jnp.array(prompt, jnp.float32)[None], 1, config)
        expected = []
        for step in range(STEPS):
            state, token, *_ = dslider.adaptive_dirichlet_step(
                jax.random.PRNGKey(step), state, jnp.array(rows[step], jnp.float32)[None], config)
            expected.append({name: float(np.asarray(getattr(state, name)).reshape(-1)[0])
                             for name in COMPARED})
            if options.variant == "f0b8ea6" and step > 0:
                expected[-1]["token"] = int(token[0])
        request = {"sampler": {"type": "entropix", "variant": "ads_" + options.variant},
                   "prompt_logits": prompt.tolist(),
                   "steps": [{"logits": row.tolist(), "history": [1] * (i + 2), "prompt_length": 1}
                             for i, row in enumerate(rows)]}
        print(json.dumps({"request": request, "expected": expected}, separators=(",", ":")))


def head_rows(rng, vocab):
    """One that it asks about, two that it keeps, one that it resamples; the middle two in any order."""
    flat = rng.normal(0, 0.4, vocab)
    sharp = rng.normal(0, 1, vocab)
    sharp[rng.integers(vocab)] += 12
    middle = rng.normal(0, 1.2, vocab)  # entropy is high, varentropy between: no case holds
    torn = rng.normal(0, 0.3, vocab)
    torn[rng.integers(vocab)] += 5
    return [flat, *rng.permutation([sharp, middle]), torn]


def with_head(config, dslider, sampler):
    import jax
    import jax.numpy as jnp
    import types
    sampler.jnp = types.SimpleNamespace(**{**vars(jnp), "bfloat16": jnp.float32})
    rng = np.random.default_rng(2)
    vocab = 96
    config = dataclasses.replace(config, dirichlet_support=jnp.arange(vocab, dtype=jnp.int32))
    sampler.DEFAULT_DS_CONFIG = config
    for _ in range(5):
        prompt = rng.normal(0, 2, (4, vocab)).round(3)
        rows = np.array(head_rows(rng, vocab)).round(3)
        state = dslider.initialize_state(jnp.array(prompt, jnp.float32)[None], 1, config)
        state = jax.tree_util.tree_map(lambda x: x.astype(jnp.float32), state)
        expected = []
        for row in rows:
            logits, key = jnp.array(row, jnp.float32)[None], jax.random.PRNGKey(1337)
            stepped, *_ = dslider.adaptive_dirichlet_step(key, state, logits, config)
            token, returned = sampler.sample(state, logits, config, key=key)
            case = "keeps"
            if int(token[0, 0]) == CLARIFYING_TOKEN:
                case = "asks"
            elif not np.array_equal(returned.emwa_ent_naked, state.emwa_ent_naked):
                case = "resamples"
            expected.append({"case": case})
            if case != "resamples":
                expected[-1].update({name: float(np.asarray(getattr(stepped, name)).reshape(-1)[0])
                                     for name in COMPARED})
            state = returned
        request = {"sampler": {"type": "entropix", "variant": "ads_head",
                               "clarifying_token": ITS_PLACE_HERE},
                   "prompt_logits": prompt.tolist(),
                   "steps": [{"logits": row.tolist(), "history": [1] * (i + 2), "prompt_length": 1}
                             for i, row in enumerate(rows)]}
        print(json.dumps({"request": request, "expected": expected}, separators=(",", ":")))


if __name__ == "__main__":
    main()
