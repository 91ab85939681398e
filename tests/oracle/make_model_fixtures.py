#!/usr/bin/env python3
"""Writes tests/models/fixtures: tiny checkpoints and what a float64 NumPy model says of them.

    tests/oracle/make_model_fixtures.py [--output tests/models/fixtures]

Between them the fixtures cover GQA, MQA, MHA, head_dim != hidden/heads, biases, tied and untied
embeddings, one file and shards, F32/F16/BF16, the v4 and v5 layouts, all five RoPE types, sliding
windows, and the three architectures. Each expected.h5 holds token_ids, logits, maps, per_head,
per_layer, padded_head, padded_mean_abs_deviation and gap_logits (of the first tokens, their positions
skipping one at gap_at), and names its generator and versions. Before
anything is written, transformers must agree with NumPy within 2e-5.
"""

import argparse
import json
import pathlib
import subprocess
import sys

import h5py
import numpy as np
import torch
import transformers

import numpy_llama

ROOT = pathlib.Path(__file__).resolve().parents[2]
GENERATOR = ROOT / "tools" / "make_random_model.py"
TOLERANCE = 2e-5  # float32 transformers against float64 NumPy
TOKENS = 40
PADDED_SLOTS = 64
GAP_AT = 13  # within a block of the cache and a sliding window
GAP_TOKENS = 20  # within the trained length of dynamic RoPE, beyond which passes differ

SMALL = {"vocab_size": 260, "hidden_size": 16, "intermediate_size": 24, "head_dim": 8,
         "max_position_embeddings": 128}
FIXTURES = {
    "llama": ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0,
                                   "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                   "original_max_position_embeddings": 32},
               "attention_bias": True, "mlp_bias": True}, ["--dtype", "float32"]),
    "llama_v4": ({"rope_parameters": None, "dtype": None, "torch_dtype": "float16",
                  "rope_theta": 5000.0, "rope_scaling": {"type": "linear", "factor": 2.0},
                  "num_key_value_heads": 1, "eos_token_id": [2, 0]},
                 ["--dtype", "float16", "--shards", "2"]),
    "llama_dynamic": ({"rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0,
                                           "factor": 4.0},
                       "max_position_embeddings": 24, "num_key_value_heads": 4, "head_dim": 4},
                      ["--dtype", "bfloat16"]),
    "mistral": ({"model_type": "mistral", "sliding_window": 9, "tie_word_embeddings": True,
                 "rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0,
                                     "original_max_position_embeddings": 32}},
                ["--dtype", "bfloat16"]),
    "qwen2": ({"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 17,
               "max_window_layers": 1}, ["--dtype", "bfloat16"]),
}


def make_fixture(folder, entries, options):
    settings = {**SMALL, **entries}
    subprocess.run(
        [sys.executable, GENERATOR, folder, "--seed", "7", *options,
         *(f"--set={key}={json.dumps(value)}" for key, value in settings.items())], check=True)
    for path in folder.glob("tokenizer*"):  # the model's tests need none
        path.unlink()


def check_with_transformers(folder, ids, positions, logits, maps):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32,
                                                              attn_implementation="eager")
    with torch.no_grad():
        output = model(torch.tensor([ids]), position_ids=torch.tensor(positions)[None],
                       attention_mask=torch.ones(1, len(ids)), output_attentions=True)
    for ours, theirs in [(logits, output.logits[0].numpy()),
                         (maps, np.stack([a[0].numpy() for a in output.attentions]))]:
        difference = np.abs(ours - theirs).max()
        if not difference <= TOLERANCE:
            sys.exit(f"{folder.name}: transformers differs from NumPy by {difference}")


def write_expected(folder, ids):
    places = np.arange(len(ids))
    logits, maps, scores = numpy_llama.forward(folder, ids)
    check_with_transformers(folder, ids, places, logits, maps)
    late = (places + (places >= GAP_AT))[:GAP_TOKENS]
    gap_logits, gap_maps, _ = numpy_llama.forward(folder, ids[:GAP_TOKENS], late)
    check_with_transformers(folder, ids[:GAP_TOKENS], late, gap_logits, gap_maps)
    per_head, per_layer = numpy_llama.statistics(maps, scores)
    padded_head, padded_deviation = numpy_llama.padded_statistics(scores, PADDED_SLOTS)
    arrays = {"logits": logits, "maps": maps, "per_head": per_head, "per_layer": per_layer,
              "padded_head": padded_head, "padded_mean_abs_deviation": padded_deviation,
              "gap_logits": gap_logits}
    with h5py.File(folder / "expected.h5", "w", libver=("earliest", "v108")) as file:
        file.attrs["generator"] = "tests/oracle/make_model_fixtures.py"
        file.attrs["versions"] = (f"numpy {np.__version__}, torch {torch.__version__}, "
                                  f"transformers {transformers.__version__}")
        file.attrs["padded_slots"] = PADDED_SLOTS
        file.attrs["gap_at"] = GAP_AT
        file["token_ids"] = np.array(ids, np.int32)
        for name, values in arrays.items():
            file.create_dataset(name, data=values.astype(np.float32), compression="gzip",
                                shuffle=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "tests/models/fixtures")
    args = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    ids = np.random.default_rng(3).integers(0, SMALL["vocab_size"], TOKENS).tolist()
    for name, (entries, options) in FIXTURES.items():
        folder = args.output / name
        make_fixture(folder, entries, options)
        write_expected(folder, ids)
        size = sum(path.stat().st_size for path in folder.iterdir())
        print(f"{name}: {size // 1024} KB")


if __name__ == "__main__":
    main()
