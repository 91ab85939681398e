#!/usr/bin/env python3
"""Writes the seed corpora in tests/fuzz/corpus: one small file per rule that a reader enforces.

ok_* must be accepted and bad_* refused (replay_test.cpp). Needs nothing but Python.
"""

import json
import pathlib
import struct

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"


def entry(dtype="F32", shape=(2,), begin=0, end=8, **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end], **more}


def packed(header, data=b"\0" * 8, length=None):
    """A file of the given header (a value, or its text) and data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def safetensors():
    two = {"a": entry(), "b": entry("BF16", (2, 2), 8, 16)}
    zero = entry(shape=(0, 3), begin=8, end=8)
    duplicate = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},' * 2
    files = {
        "ok_one": packed({"a": entry()}),
        "ok_two": packed(two, b"\0" * 16),
        "ok_no_tensors": packed({}, b""),
        "ok_scalar": packed({"a": entry(shape=(), end=4)}, b"\0" * 4),
        "ok_zero_size": packed({"a": entry(), "z": zero}),
        "ok_padded_header": packed(json.dumps({"a": entry()}).encode() + b"   "),
        "ok_metadata": packed({"__metadata__": {"format": "pt"}, "a": entry()}),
        "ok_four_bit": packed({"a": entry("F4", (16,))}),
        "bad_empty": b"",
        "bad_seven_bytes": b"\0" * 7,
        "bad_header_longer_than_file": packed({"a": entry()}, length=1000),
        "bad_header_over_the_cap": packed({"a": entry()}, length=100_000_001),
        "bad_header_length_overflows": packed({"a": entry()}, length=2**64 - 1),
        "bad_header_is_empty": packed(b""),
        "bad_header_begins_with_space": packed(b" " + json.dumps({"a": entry()}).encode()),
        "bad_header_is_not_json": packed(b"{nonsense"),
        "bad_header_is_not_utf8": packed(b'{"\xff":1}'),
        "bad_header_is_nested_deeply": packed(b'{"a":' * 50 + b"1" + b"}" * 50),
        "bad_duplicate_key": packed(duplicate[:-1] + b"}"),
        "bad_entry_is_no_object": packed({"a": 1}),
        "bad_metadata_is_no_object": packed({"__metadata__": 1, "a": entry()}),
        "bad_metadata_number": packed({"__metadata__": {"x": 1}, "a": entry()}),
        "bad_unknown_dtype": packed({"a": entry("F33")}),
        "bad_unknown_key": packed({"a": entry(stride=[1])}),
        "bad_missing_shape": packed({"a": {"dtype": "F32", "data_offsets": [0, 8]}}),
        "bad_hole": packed({"a": entry(), "b": entry(begin=12, end=20)}, b"\0" * 20),
        "bad_overlap": packed({"a": entry(), "b": entry(begin=4, end=12)}, b"\0" * 12),
        "bad_first_starts_late": packed({"a": entry(begin=4, end=12)}, b"\0" * 12),
        "bad_reversed_offsets": packed({"a": entry(begin=8, end=0)}),
        "bad_three_offsets": packed({"a": {**entry(), "data_offsets": [0, 4, 8]}}),
        "bad_negative_extent": packed({"a": entry(shape=(-2,))}),
        "bad_fractional_extent": packed({"a": entry(shape=(2.0,))}),
        "bad_exponent_extent": packed(json.dumps({"a": entry()}).replace("[2]", "[2e0]").encode()),
        "bad_size_overflows": packed({"a": entry(shape=(2**32, 2**32))}),
        "bad_zero_times_overflow": packed({"a": entry(shape=(2**63, 2, 0), end=0)}, b""),
        "bad_many_axes": packed({"a": entry(shape=(1,) * 500, end=4)}, b"\0" * 4),
        "bad_size_disagrees": packed({"a": entry(shape=(3,))}),
        "bad_half_a_byte": packed({"a": entry("F4", (15,))}),
        "bad_data_cut_short": packed({"a": entry()}, b"\0" * 7),
        "bad_data_left_over": packed({"a": entry()}, b"\0" * 9),
    }
    return {f"{name}.safetensors": content for name, content in files.items()}


def model_config():
    base = {"model_type": "llama", "vocab_size": 512, "hidden_size": 64, "intermediate_size": 160,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
            "hidden_act": "silu", "max_position_embeddings": 512, "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0, "eos_token_id": [1, 2]}
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}
    v5 = {key: value for key, value in base.items() if key != "rope_theta"}
    files = {
        "ok_v4": base,
        "ok_v5": {**v5, "rope_parameters": {**yarn, "rope_theta": 10000.0}},
        "ok_qwen2": {**base, "model_type": "qwen2", "use_sliding_window": True,
                     "sliding_window": 16, "max_window_layers": 1},
        "ok_mistral": {**base, "model_type": "mistral", "sliding_window": None},
        "bad_list": [],
        "bad_model_type": {**base, "model_type": "gpt2"},
        "bad_negative": {**base, "hidden_size": -1},
        "bad_huge": {**base, "vocab_size": 2**63},
        "bad_layers": {**base, "num_hidden_layers": 10**9},
        "bad_fraction": {**base, "num_attention_heads": 4.5},
        "bad_text": {**base, "num_attention_heads": "4"},
        "bad_zero_heads": {**base, "num_attention_heads": 0},
        "bad_divisor": {**base, "num_key_value_heads": 3},
        "bad_odd_head_dim": {**base, "head_dim": 7},
        "bad_rope_type": {**base, "rope_scaling": {"type": "spiral", "factor": 2}},
        "bad_rope_key": {**base, "rope_scaling": {"type": "linear", "factor": 2, "x": 1}},
        "bad_rope_list": {**base, "rope_scaling": [1]},
        "bad_factor": {**base, "rope_scaling": {"type": "linear", "factor": -2}},
        "bad_eos": {**base, "eos_token_id": [1, -2]},
        "bad_layer_types": {**base, "layer_types": ["full_attention"]},
        "bad_quantised": {**base, "quantization_config": {"bits": 4}},
    }
    return {f"{name}.json": json.dumps(value).encode() for name, value in files.items()}


def main():
    for name, files in (("safetensors", safetensors()), ("model_config", model_config())):
        folder = CORPUS / name
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            (folder / file).write_bytes(content)


if __name__ == "__main__":
    main()
