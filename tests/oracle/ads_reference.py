#!/usr/bin/env python3
"""Runs the real adaptive Dirichlet sampler of Entropix: the oracle of its ADS variants.

Needs a clone of github.com/xjdr-alt/entropix (Apache-2.0) and `pip install jax==0.4.34 jaxlib==0.4.34`.

  ads_reference.py CLONE --variant f0b8ea6 > tests/samplers/data/entropix_ads_f0b8ea6.jsonl

One object a line: {"request": a try_sampler line of several steps, "expected": [per step what does not
hang on its random draws]}. The support, fixed in its configuration to Llama 3's vocabulary, is that of
the rows. After the first step its averages hold a NaN (defect ads_nan), so that no draw is left in what
f0b8ea6 does: its tokens are compared too.
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
COMPARED = ["emwa_temp", "emwa_ent_naked", "emwa_varent_naked", "emwa_topk_ent_naked"]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clone")
    parser.add_argument("--variant", choices=["e982dd5", "f0b8ea6"], required=True)
    parser.add_argument("--cases", type=int, default=6)
    parser.add_argument("--vocab", type=int, default=48)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "-C", options.clone, "archive", options.variant],
                                 check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
        sys.path.insert(0, folder)
        import jax
        import jax.numpy as jnp
        config = importlib.import_module("entropix.dslider_config").DEFAULT_DS_CONFIG
        dslider = importlib.import_module("entropix.dslider")
    config = dataclasses.replace(config, dirichlet_support=jnp.arange(options.vocab, dtype=jnp.int32))
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


if __name__ == "__main__":
    main()
