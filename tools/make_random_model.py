#!/usr/bin/env python3
"""Writes a Hugging Face folder of a small Llama-architecture model with seeded random weights.

For tests and smoke runs: it needs no download and has every file a real model has (config.json,
generation_config.json, tokenizer.json, tokenizer_config.json, safetensors). The weights are a pure
function of the seed and of each tensor's name and shape, scaled so that next-token entropies spread
over a few nats.

    tools/make_random_model.py OUT --seed 0
    tools/make_random_model.py OUT --set num_key_value_heads=1 --set mlp_bias=true --dtype bfloat16
"""

import argparse
import hashlib
import json
import pathlib
import sys

import numpy as np
import safetensors

SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content']"
    " + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TINY = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "hidden_act": "silu",
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-5,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    "tie_word_embeddings": False,
    "attention_bias": False,
    "mlp_bias": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
ARCHITECTURES = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
}
LOGIT_SPREAD = 2.5  # standard deviation of the logits: about 3 nats of entropy at 512 tokens
BIAS_SPREAD = 0.1


def byte_characters():
    """GPT-2's printable stand-ins for the 256 bytes, in byte order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    stand_in = iter(range(256, 512))
    return [chr(byte if byte in printable else next(stand_in)) for byte in range(256)]


def make_tokenizer(vocab_size):
    """Byte-level BPE: special tokens, the 256 bytes, then pairs of frequent English letters."""
    if vocab_size < len(SPECIAL_TOKENS) + 256:
        sys.exit(f"vocab_size must be at least {len(SPECIAL_TOKENS) + 256}")
    characters = byte_characters()
    tokens = SPECIAL_TOKENS + characters
    letters = [characters[ord(" ")], *"etaoinshrdlucmwfgypbvk"]
    pairs = [(a, b) for a in letters for b in letters if b != letters[0]]
    merges = pairs[: vocab_size - len(tokens)]
    tokens += [a + b for a, b in merges]
    tokens += [f"<|unused_{i}|>" for i in range(vocab_size - len(tokens))]
    added = [
        {
            "id": i,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for i, token in enumerate(SPECIAL_TOKENS)
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Digits", "individual_digits": True},
                {**byte_level, "use_regex": True},
            ],
        },
        "post_processor": None,
        "decoder": {**byte_level, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": [[a, b] for a, b in merges],
        },
    }


def tensor_shapes(config):
    """The checkpoint's keys and shapes, in the order of the model."""
    hidden, inner, head_dim = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    q_size = config["num_attention_heads"] * head_dim
    kv_size = config["num_key_value_heads"] * head_dim
    o_bias = config.get("attention_bias", False)
    qkv_bias = o_bias or config["model_type"] == "qwen2"
    shapes = {"model.embed_tokens.weight": (config["vocab_size"], hidden)}

    def linear(name, out, size, bias):
        shapes[name + ".weight"] = (out, size)
        if bias:
            shapes[name + ".bias"] = (out,)

    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        linear(prefix + "self_attn.q_proj", q_size, hidden, qkv_bias)
        linear(prefix + "self_attn.k_proj", kv_size, hidden, qkv_bias)
        linear(prefix + "self_attn.v_proj", kv_size, hidden, qkv_bias)
        linear(prefix + "self_attn.o_proj", hidden, q_size, o_bias)
        for part, out, size in (("gate", inner, hidden), ("up", inner, hidden), ("down", hidden, inner)):
            linear(prefix + f"mlp.{part}_proj", out, size, config.get("mlp_bias", False))
        shapes[prefix + "input_layernorm.weight"] = (hidden,)
        shapes[prefix + "post_attention_layernorm.weight"] = (hidden,)
    shapes["model.norm.weight"] = (hidden,)
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (config["vocab_size"], hidden)
    return shapes


def random_tensor(name, shape, seed, tied):
    """Normal weights that keep activations near unit size; norms near 1."""
    key = int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:8], "little")
    normal = np.random.Generator(np.random.Philox(key)).standard_normal(shape)
    if "norm" in name:
        return (1 + 0.1 * normal).astype(np.float32)
    if name.endswith(".bias"):
        return (BIAS_SPREAD * normal).astype(np.float32)
    if name == "lm_head.weight" or (name == "model.embed_tokens.weight" and tied):
        return (LOGIT_SPREAD / np.sqrt(shape[-1]) * normal).astype(np.float32)
    if name == "model.embed_tokens.weight":
        return normal.astype(np.float32)
    return (normal / np.sqrt(shape[-1])).astype(np.float32)


def encode(values, dtype):
    """The values' bits in the given dtype, which NumPy need not know."""
    if dtype == "float32":
        return values
    if dtype == "float16":
        return values.astype(np.float16)
    bits = values.view(np.uint32).astype(np.uint64)  # bfloat16: round to nearest, ties to even
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def write_safetensors(path, tensors, dtype):
    """`tensors` must outlive the call: the library takes their addresses."""
    specs = {
        name: safetensors.TensorSpec(
            dtype=dtype, shape=list(array.shape), data_ptr=array.ctypes.data, data_len=array.nbytes
        )
        for name, array in tensors.items()
    }
    safetensors.serialize_file(specs, path, {"format": "pt"})
    path.chmod(0o644)  # the library makes it private


def write_weights(folder, config, seed, dtype, shards):
    tied = config["tie_word_embeddings"]
    tensors = {
        name: encode(random_tensor(name, shape, seed, tied), dtype)
        for name, shape in tensor_shapes(config).items()
    }
    if shards == 1:
        write_safetensors(folder / "model.safetensors", tensors, dtype)
        return
    names = list(tensors)
    weight_map = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        part = {name: tensors[name] for name in names[shard::shards]}
        weight_map.update({name: file for name in part})
        write_safetensors(folder / file, part, dtype)
    total = sum(tensor.nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    write_json(folder / "model.safetensors.index.json", index)


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def parse_setting(text):
    key, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"expected KEY=JSON, found {text!r}")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


def make_config(args):
    config = dict(TINY, dtype=args.dtype)
    settings = dict(args.set)
    config.update(settings)
    if config["model_type"] not in ARCHITECTURES:
        sys.exit(f"model_type must be one of {', '.join(ARCHITECTURES)}")
    config["architectures"] = [ARCHITECTURES[config["model_type"]]]
    if config["model_type"] == "mistral":
        config.setdefault("sliding_window", None)
    # A key set to null on the command line is left out of the file, so that old layouts can be made.
    absent = [key for key, value in settings.items() if value is None and key != "sliding_window"]
    return config, {key: value for key, value in config.items() if key not in absent}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", choices=["float32", "float16", "bfloat16"], default="float32")
    parser.add_argument("--shards", type=int, default=1, help="number of weight files")
    parser.add_argument(
        "--set",
        action="append",
        type=parse_setting,
        default=[],
        metavar="KEY=JSON",
        help="an entry of config.json; null leaves a key out",
    )
    args = parser.parse_args()
    config, written = make_config(args)
    if not config.get("head_dim"):
        config["head_dim"] = config["hidden_size"] // config["num_attention_heads"]
    if not config.get("num_key_value_heads"):
        config["num_key_value_heads"] = config["num_attention_heads"]
    args.output.mkdir(parents=True, exist_ok=True)
    write_weights(args.output, config, args.seed, args.dtype, args.shards)
    write_json(args.output / "tokenizer.json", make_tokenizer(config["vocab_size"]))
    write_json(
        args.output / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": SPECIAL_TOKENS[1],
            "eos_token": SPECIAL_TOKENS[2],
            "add_bos_token": False,
            "chat_template": CHATML,
            "model_max_length": config["max_position_embeddings"],
        },
    )
    write_json(
        args.output / "generation_config.json",
        {"bos_token_id": config["bos_token_id"], "eos_token_id": config["eos_token_id"]},
    )
    write_json(
        args.output / "surprisal_provenance.json",
        {"provenance": f"random weights, seed {args.seed} (tools/make_random_model.py)"},
    )
    write_json(args.output / "config.json", written)  # last: its presence says the folder is whole


if __name__ == "__main__":
    main()
