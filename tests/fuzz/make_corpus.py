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


LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def tokenizer():
    def added(content, number, **more):
        return {"id": number, "content": content, "single_word": False, "lstrip": False,
                "rstrip": False, "normalized": False, "special": True, **more}

    bytes_ = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    words = ["H", "e", "l", "o", "w", "r", "d", "\u0120", "el", "lo", "ello", "\u00c3", "\u00a9", "2",
             "\u010a"]
    merges = ["e l", "l o", "el lo"]
    byte_level = {
        "version": "1.0", "added_tokens": [added("<s>", 15), added("<|im_end|>", 16, lstrip=True)],
        "normalizer": None, "pre_tokenizer": bytes_, "post_processor": None,
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": {word: i for i, word in enumerate(words)}, "merges": merges}}
    split = {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": LLAMA3}, "behavior": "Isolated", "invert": False},
        {**bytes_, "use_regex": False}]}
    template = {"type": "TemplateProcessing", "single": [
        {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [15], "tokens": ["<s>"]}}}
    pieces = ["<unk>", "\u2581", "H", "e", "l", "o", "el", "<0xE9>", "<0xC3>"]
    metaspace = {
        **byte_level, "added_tokens": [added("<unk>", 0), added("<x>", 9, special=False, normalized=True)],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "\u2581"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
        "pre_tokenizer": None,
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"},
            {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True,
                  "vocab": {piece: i for i, piece in enumerate(pieces)}, "merges": [["e", "l"]]}}
    digits = {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, bytes_]}
    files = {
        "ok_gpt2": byte_level,
        "ok_smollm": {**byte_level, "pre_tokenizer": digits},
        "ok_llama3": {**byte_level, "pre_tokenizer": split, "post_processor": template,
                      "model": {**byte_level["model"], "ignore_merges": True}},
        "ok_nfc": {**byte_level, "normalizer": {"type": "NFC"}},
        "ok_metaspace": metaspace,
        "bad_list": [],
        "bad_version": {**byte_level, "version": "2.0"},
        "bad_model": {**byte_level, "model": {"type": "Unigram", "vocab": []}},
        "bad_added_id": {**byte_level, "added_tokens": [added("<s>", 77)]},
        "bad_regex": json.loads(json.dumps({**byte_level, "pre_tokenizer": split}).replace("1,3", "1,4")),
        "bad_decoder": {**byte_level, "decoder": {"type": "WordPiece"}},
        "bad_template": {**byte_level, "post_processor": {**template, "single": []}},
        "bad_merge": {**byte_level, "model": {**byte_level["model"], "merges": ["e q"]}},
    }
    return {f"{name}.json": json.dumps(value).encode() for name, value in files.items()}


def sentencepiece():
    """Model files of sentencepiece: protocol buffers (sentencepiece_model.proto), written by hand."""
    def varint(number):
        out = b""
        while number > 127:
            out, number = out + bytes([number & 127 | 128]), number >> 7
        return out + bytes([number])

    def field(number, value):
        if isinstance(value, int):
            return varint(number << 3) + varint(value)
        if isinstance(value, float):
            return varint(number << 3 | 5) + struct.pack("<f", value)
        data = value.encode() if isinstance(value, str) else value
        return varint(number << 3 | 2) + varint(len(data)) + data

    def piece(text, score=0.0, kind=1):  # kinds: 1 normal, 2 unknown, 3 control, 6 byte
        return field(1, field(1, text) + field(2, score) + field(3, kind))

    def model(pieces, model_type=2, byte_fallback=1):
        trainer = field(3, model_type) + field(35, byte_fallback)
        normalizer = field(1, "identity") + field(3, 1) + field(4, 0) + field(5, 1)
        return b"".join(pieces) + field(2, trainer) + field(3, normalizer)

    special = [piece("<unk>", kind=2), piece("<s>", kind=3), piece("</s>", kind=3)]
    raw = [piece(f"<0x{i:02X}>", kind=6) for i in range(256)]
    words = [piece(text, -float(i)) for i, text in enumerate(["el", "lo", "\u2581w", "\u2581", "H", "e", "l", "o"])]
    return {f"{name}.model": content for name, content in {
        "ok_bpe": model(special + raw + words),
        "ok_no_fallback": model(special + words, byte_fallback=0),
        "ok_unigram": model(special + raw + words, model_type=1),
        "bad_empty": b"",
        "bad_text": b"\nhello",
        "bad_no_unknown": model(special[1:] + raw + words),
        "bad_twice": model(special + raw + words + words[:1]),
        "bad_byte_name": model(special + raw + words + [piece("x", kind=6)]),
        "bad_nul": model(special + raw + words + [piece("\0x")], model_type=1),  # found by fuzzing
        "bad_cut": model(special + raw + words)[:-5],
    }.items()}


def jinja():
    files = {
        "ok_chatml": "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + "
                     "message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
                     "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
        "ok_rules": "{%- set ns = namespace(n=0, found=false) -%}\n{%- for m in messages[1:] if m.role != 'x' %}\n"
                    "  {%- if loop.first and not loop.last %}{{ bos_token }}{% elif (m.role == 'user') != "
                    "(loop.index0 % 2 == 0) %}{{ raise_exception('roles') if false }}{% else %}"
                    "{{ m['content'] | trim | upper ~ (1 + 2 * 3) }}{% endif %}\n"
                    "  {%- set ns.n = ns.n + 1 %}\n{%- endfor -%}\n{{ ns.n if tools is none }}{# note #}",
        "ok_ranges": "{% for i in range(3) %}{{ messages[i].content.strip().split('e')[0] }}"
                     "{% for k, v in messages[i].items() %}{{ k }}{{ v[::-1] | length }}{% endfor %}{% endfor %}",
        "bad_open": "{{ messages",
        "bad_block": "{% for m in messages %}",
        "bad_statement": "{% include 'x' %}",
        "bad_raises": "{{ raise_exception('no') }}",
        "bad_filter": "{{ messages | unheard_of }}",
    }
    return {f"{name}.jinja": text.encode() for name, text in files.items()}


def yaml():
    files = {
        "ok_experiment": "name: a\nseed: 0\nmodel:\n  path: data/m\nsamplers:\n  g: {type: greedy}\n"
                         "  c: {type: chain, steps: [{temperature: 0.7}, {min_p: 0.1}]}\n"
                         "sweep:\n  samplers.c.steps.min_p: [0.05, 0.1]\n",
        "ok_empty": "",
        "ok_text": "a: |\n  two\n  lines\nb: 'it''s'\nc: \"\\u00e9\\n\"\n",
        "bad_alias": "a: &x 1\nb: *x\n",
        "bad_tag": "a: !!python/object 1\n",
        "bad_twice": "a: 1\na: 2\n",
        "bad_key": "? [1, 2]\n: 3\n",
        "bad_two_documents": "a: 1\n---\nb: 2\n",
        "bad_depth": "[" * 70 + "]" * 70,
        "bad_bytes": b"a: \xff\n",
    }
    return {f"{name}.yaml": text if isinstance(text, bytes) else text.encode() for name, text in files.items()}


def trace():
    """Recipes of trace files (trace_recipe.h)."""
    def names(*values):
        return {"enum": ["a", "b", "c"], "values": list(values)}

    recipe = {
        "attributes": {"format": "surprisal-trace", "format_version": 1, "complete": True},
        "datasets": {
            "/cells/id": ["greedy", "entropix"],
            "/samples/cell": [0, 1], "/samples/doc_id": [0, 0], "/samples/repeat": [0, 0],
            "/samples/stop_reason": names(0, 2), "/samples/token_begin": [0, 2],
            "/samples/token_count": [2, 1],
            "/tokens/sample": [0, 0, 1], "/tokens/position": [5, 6, 5], "/tokens/attempt": [0, 0, 0],
            "/tokens/token_id": [7, 8, 9], "/tokens/source": names(0, 1, 0),
            "/tokens/state": names(0, 0, 1), "/tokens/action": names(0, 1, 2),
            "/tokens/gate": names(0, 0, 0), "/tokens/entropy": [0.5, 1.5, 0.25],
            "/nodes/question": [0, 0], "/nodes/top_k_logprob": {"width": 2, "values": [0.5, 1, 2, 3]}}}

    def changed(path, values):
        return {**recipe, "datasets": {**recipe["datasets"], path: values}}

    only_samples = {key: [] if key.startswith("/samples/token_") or key.endswith(("cell", "doc_id", "repeat"))
                    else names() if key == "/samples/stop_reason" else value
                    for key, value in recipe["datasets"].items()}
    files = {
        "ok_two_samples": recipe,
        "ok_no_samples": {**recipe, "datasets": only_samples},
        "bad_format": {**recipe, "attributes": {**recipe["attributes"], "format": "other"}},
        "bad_version": {**recipe, "attributes": {**recipe["attributes"], "format_version": 2}},
        "bad_incomplete": {**recipe, "attributes": {**recipe["attributes"], "complete": False}},
        "bad_cell": changed("/samples/cell", [0, 2]),
        "bad_begin": changed("/samples/token_begin", [0, -1]),
        "bad_count": changed("/samples/token_count", [2, 9223372036854775807]),
        "bad_short_column": changed("/tokens/attempt", [0]),
        "bad_kind": changed("/tokens/state", ["low", "low", "high"]),
    }
    return {f"{name}.json": json.dumps(value).encode() for name, value in files.items()}


def main():
    for write in (jinja, model_config, safetensors, sentencepiece, tokenizer, trace, yaml):
        folder = CORPUS / write.__name__
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in write().items():
            (folder / file).write_bytes(content)


if __name__ == "__main__":
    main()
