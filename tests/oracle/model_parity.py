#!/usr/bin/env python3
"""Compares inspect_model with transformers over every feature of the model, and with real folders.

For each case: a random tiny checkpoint (tools/make_random_model.py) is run by both, float32 logits
must agree within 1e-4 (max abs) and attention maps within 1e-5 (transformers' eager attention);
entropy, varentropy and agreement are recomputed in float64 from transformers' maps. 16-bit compute
is compared by top-1 agreement and a loose bound.

    tests/oracle/model_parity.py --inspect build/release/bin/inspect_model [--only NAME]
                                 [--device cuda] [FOLDER...]

The device is ours alone: transformers always computes on the CPU, so that `--device cuda` compares
a GPU with the same expected values.

FOLDER: real model folders to compare as well, on `--tokens` random tokens or, with `--prompts`, on
the questions of a JSONL file. For these the distance of both from transformers in float64 is shown:
where transformers' own float32 is further than the bar from it, agreement is luck.
Needs torch 2.11, transformers 5.17, h5py (tests/oracle/README.md).
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy as np
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[2]
GENERATOR = ROOT / "tools" / "make_random_model.py"

LOGIT_TOLERANCE = 1e-4  # float32: the project's bar
MAP_TOLERANCE = 1e-5
STATISTIC_TOLERANCE = 1e-4  # of values up to 10, from transformers' maps, themselves float32
# 16-bit compute: rounding of 2^-8 (bfloat16) accumulates over the layers; logits have spread 2.5.
HALF_TOLERANCE = {"bfloat16": 0.3, "float16": 0.05}
HALF_TOP1 = 0.9

TOKENS = 200  # beyond one chunk of inspect_model (128)
DYNAMIC_TOKENS = 120  # dynamic RoPE depends on the length of the pass: one chunk


def rope(kind, **more):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, **more}}


LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}
YARN = {"factor": 4.0, "original_max_position_embeddings": 128}
QWEN2 = {"model_type": "qwen2", "use_sliding_window": False, "sliding_window": None,
         "max_window_layers": 2}
V4 = {"rope_parameters": None, "dtype": None, "torch_dtype": "float32"}

# name: (config entries, options of the generator, tokens)
CASES = {
    "gqa": ({}, [], TOKENS),
    "mha": ({"num_key_value_heads": 4}, [], TOKENS),
    "mha_by_default": ({"num_key_value_heads": None}, [], TOKENS),
    "mqa": ({"num_key_value_heads": 1}, [], TOKENS),
    "odd_group": ({"num_attention_heads": 9, "num_key_value_heads": 3, "hidden_size": 72,
                   "head_dim": 8}, [], TOKENS),
    "wide_heads": ({"head_dim": 32}, [], TOKENS),
    "narrow_heads": ({"head_dim": 6}, [], TOKENS),
    "head_dim_by_default": ({"head_dim": None}, [], TOKENS),
    "tied": ({"tie_word_embeddings": True}, [], TOKENS),
    "attention_bias": ({"attention_bias": True}, [], TOKENS),
    "mlp_bias": ({"mlp_bias": True}, [], TOKENS),
    "large_epsilon": ({"rms_norm_eps": 0.1}, [], TOKENS),
    "deep": ({"num_hidden_layers": 12}, [], TOKENS),
    "rope_theta": (rope("default", rope_theta=500000.0), [], TOKENS),
    "rope_linear": (rope("linear", factor=2.5), [], TOKENS),
    "rope_dynamic_within": ({**rope("dynamic", factor=4.0)}, [], DYNAMIC_TOKENS),
    "rope_dynamic_beyond": ({**rope("dynamic", factor=4.0), "max_position_embeddings": 48}, [],
                            DYNAMIC_TOKENS),
    "rope_llama3": (rope("llama3", **LLAMA3), [], TOKENS),
    "rope_llama3_wide": ({**rope("llama3", **LLAMA3), "head_dim": 64}, [], TOKENS),
    "rope_yarn": (rope("yarn", **YARN), [], TOKENS),
    "rope_yarn_factor": (rope("yarn", **YARN, attention_factor=1.5), [], TOKENS),
    "rope_yarn_mscale": (rope("yarn", **YARN, mscale=0.7, mscale_all_dim=1.2), [], TOKENS),
    "rope_yarn_untruncated": (rope("yarn", **YARN, truncate=False, beta_fast=16.0, beta_slow=2.0),
                              [], TOKENS),
    "v4_layout": ({**V4, "rope_theta": 20000.0}, [], TOKENS),
    "v4_linear": ({**V4, "rope_theta": 20000.0, "rope_scaling": {"type": "linear", "factor": 2.0}},
                  [], TOKENS),
    "v4_llama3": ({**V4, "rope_theta": 20000.0,
                   "rope_scaling": {"rope_type": "llama3", **LLAMA3}}, [], TOKENS),
    "bf16_file": ({}, ["--dtype", "bfloat16"], TOKENS),
    "f16_file": ({}, ["--dtype", "float16"], TOKENS),
    "sharded": ({"attention_bias": True}, ["--shards", "3", "--dtype", "bfloat16"], TOKENS),
    "mistral": ({"model_type": "mistral"}, [], TOKENS),
    "mistral_window": ({"model_type": "mistral", "sliding_window": 33}, [], TOKENS),
    "qwen2": (QWEN2, [], TOKENS),
    "qwen2_window": ({**QWEN2, "use_sliding_window": True, "sliding_window": 17,
                      "max_window_layers": 1}, [], TOKENS),
    "qwen2_tied": ({**QWEN2, "tie_word_embeddings": True}, [], TOKENS),
}


def make_folder(folder, entries, options, seed=0):
    settings = [f"--set={key}={json.dumps(value)}" for key, value in entries.items()]
    subprocess.run([sys.executable, GENERATOR, folder, "--seed", str(seed), *options, *settings],
                   check=True)


def run_ours(inspect, folder, ids, output, dtype, device):
    subprocess.run([inspect, folder, "--token-ids", ",".join(map(str, ids)), "--maps", "all",
                    "--dtype", dtype, "--device", device, "--output", output],
                   check=True, stdout=subprocess.DEVNULL)
    with h5py.File(output) as file:
        return {"logits": file["logits"][()], "maps": file["attention/maps"][()],
                **{name: file["attention"][name][()]
                   for name in ("entropy", "varentropy", "agreement")}}


def load_theirs(folder, dtype):
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=getattr(torch, dtype), attn_implementation="eager")


def run_theirs(model, ids):
    with torch.no_grad():
        output = model(torch.tensor([ids]), output_attentions=True)
    maps = np.stack([attention[0].float().numpy() for attention in output.attentions])
    return {"logits": output.logits[0].float().numpy(), "maps": maps, **statistics_of(maps)}


def statistics_of(maps):
    """Entropy and varentropy [T, L, H] and agreement [T, L] in float64, from maps [L, H, T, T]."""
    p = maps.astype(np.float64).transpose(2, 0, 1, 3)
    p /= p.sum(-1, keepdims=True)
    surprisal = -np.log(np.where(p > 0, p, 1))
    entropy = (p * surprisal).sum(-1)
    varentropy = (p * (surprisal - entropy[..., None]) ** 2).sum(-1)
    distance = 0.5 * np.abs(p - p.mean(2, keepdims=True)).sum(-1)
    return {"entropy": entropy, "varentropy": varentropy, "agreement": 1 - distance.mean(2)}


def compare(ours, theirs):
    return {name: float(np.abs(ours[name] - theirs[name]).max()) for name in theirs}


def check_float32(name, inspect, folder, ids, output, device):
    return judge_float32(name, run_ours(inspect, folder, ids, output, "float32", device),
                         run_theirs(load_theirs(folder, "float32"), ids))


def judge_float32(name, ours, theirs):
    difference = compare(ours, theirs)
    good = (difference["logits"] <= LOGIT_TOLERANCE and difference["maps"] <= MAP_TOLERANCE
            and all(difference[key] <= STATISTIC_TOLERANCE
                    for key in ("entropy", "varentropy", "agreement")))
    print(f"{'ok  ' if good else 'FAIL'} {name:24} float32  "
          + "  ".join(f"{key} {value:.1e}" for key, value in difference.items()), flush=True)
    return good


def check_half(name, inspect, folder, ids, output, dtype, device):
    ours = run_ours(inspect, folder, ids, output, dtype, device)["logits"]
    theirs = run_theirs(load_theirs(folder, dtype), ids)["logits"]
    difference = np.abs(ours - theirs).max()
    top1 = (ours.argmax(-1) == theirs.argmax(-1)).mean()
    good = difference <= HALF_TOLERANCE[dtype] and top1 >= HALF_TOP1
    print(f"{'ok  ' if good else 'FAIL'} {name:24} {dtype:8} logits {difference:.1e}  "
          f"top-1 {top1:.3f}", flush=True)
    return good


def check_folder(folder, inspect, prompts, output, device):
    """How many of the prompts agree."""
    single, double = load_theirs(folder, "float32"), load_theirs(folder, "float64")
    agree = 0
    for number, ids in enumerate(prompts):
        ours = run_ours(inspect, folder, ids, output, "float32", device)
        theirs, truth = run_theirs(single, ids), run_theirs(double, ids)
        agree += judge_float32(f"{folder.name} {number}", ours, theirs)
        for who, values in (("ours", ours), ("theirs", theirs)):
            print(f"     {who:6} from float64: " + "  ".join(
                f"{key} {compare(values, truth)[key]:.1e}" for key in ("logits", "maps")))
    return agree


def prompts_of(folder, args):
    if args.prompts is None:
        vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
        return [np.random.default_rng(1).integers(0, vocabulary, args.tokens).tolist()]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    questions = [json.loads(line)["question"] for line in open(args.prompts, encoding="utf-8")]
    return [tokenizer(question)["input_ids"] for question in questions[:args.limit]]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inspect", type=pathlib.Path, required=True)
    parser.add_argument("--only", help="cases whose name contains this")
    parser.add_argument("--device", default="cpu", help="where inspect_model computes: cpu, cuda")
    parser.add_argument("--tokens", type=int, default=300, help="tokens for real folders")
    parser.add_argument("--prompts", type=pathlib.Path,
                        help="JSONL whose `question`s real folders read instead")
    parser.add_argument("--limit", type=int, default=12, help="questions of --prompts")
    parser.add_argument("folders", nargs="*", type=pathlib.Path)
    args = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    failures = checked = 0
    with tempfile.TemporaryDirectory() as scratch:
        output = pathlib.Path(scratch) / "ours.h5"
        for name, (entries, options, tokens) in CASES.items():
            if args.only and args.only not in name:
                continue
            folder = pathlib.Path(scratch) / name
            make_folder(folder, entries, options)
            ids = np.random.default_rng(1).integers(0, 512, tokens).tolist()
            failures += not check_float32(name, args.inspect, folder, ids, output, args.device)
            checked += 1
            if name in ("gqa", "qwen2"):
                for dtype in HALF_TOLERANCE:
                    failures += not check_half(name, args.inspect, folder, ids, output, dtype,
                                               args.device)
                    checked += 1
        for folder in args.folders:
            prompts = prompts_of(folder, args)
            failures += len(prompts) - check_folder(folder, args.inspect, prompts, output,
                                                    args.device)
            checked += len(prompts)
    print(f"{checked - failures} of {checked} agree")
    return 1 if failures or not checked else 0


if __name__ == "__main__":
    sys.exit(main())
