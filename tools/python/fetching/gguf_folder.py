"""Turns a quantised GGUF of a Llama model into an ordinary Hugging Face folder (bf16 safetensors).

GGUF names and the order of the q and k rows are llama.cpp's (ggml-org/llama.cpp,
convert_hf_to_gguf.py, LlamaModel.permute); the target names are those of transformers'
modeling_llama.py.
"""

import pathlib

import gguf
import numpy
import safetensors

from .files import FetchError, write_json

_BLOCK_TENSORS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OTHER_TENSORS = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
# Splitting rules that GGUF names but does not contain (llama.cpp, src/llama-vocab.cpp).
_SPLITTERS = {
    "smollm": {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Digits", "individual_digits": True},
            {
                "type": "ByteLevel",
                "add_prefix_space": False,
                "trim_offsets": True,
                "use_regex": True,
            },
        ],
    },
}
_BYTE_LEVEL_DECODER = {
    "type": "ByteLevel",
    "add_prefix_space": True,
    "trim_offsets": True,
    "use_regex": True,
}


def convert(gguf_path, folder):
    """Writes model.safetensors, config.json, generation_config.json and the tokenizer's files.

    The same GGUF always gives the same bytes. Raises FetchError for a GGUF that is no plain Llama
    or whose tokenizer is not byte-level BPE with a splitting rule known here.
    """
    source = gguf.GGUFReader(gguf_path)
    facts = {name: field.contents() for name, field in source.fields.items()}
    if facts["general.architecture"] != "llama":
        raise FetchError(
            f"{gguf_path}: architecture {facts['general.architecture']!r}, not 'llama'"
        )
    folder = pathlib.Path(folder)
    names = _write_weights(source.tensors, facts, folder / "model.safetensors")
    config = _config(facts, tied="lm_head.weight" not in names)
    write_json(folder / "config.json", config)
    write_json(
        folder / "generation_config.json",
        {
            "_from_model_config": True,
            **{key: config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")},
        },
    )
    _write_tokenizer(facts, folder)


def hugging_face_name(name):
    """The checkpoint key for a GGUF tensor name, e.g. blk.3.attn_q.weight."""
    parts = name.split(".")
    if len(parts) == 4 and parts[0] == "blk" and parts[2] in _BLOCK_TENSORS:
        return f"model.layers.{int(parts[1])}.{_BLOCK_TENSORS[parts[2]]}.{parts[3]}"
    if name in _OTHER_TENSORS:
        return _OTHER_TENSORS[name]
    raise FetchError(f"GGUF tensor {name!r} has no counterpart in a Llama checkpoint")


def undo_permutation(rows, heads):
    """GGUF keeps q and k rows in rotation pairs (0, d/2, 1, d/2+1, ...); Hugging Face in halves.

    rows [heads * d, E] -> [heads * d, E].
    """
    pairs = rows.reshape(heads, rows.shape[0] // heads // 2, 2, -1)  # [H, d/2, 2, E]
    return pairs.swapaxes(1, 2).reshape(rows.shape)


def to_bfloat16(values):
    """float32 -> its upper 16 bits as uint16, to nearest, ties to even. Finite values only."""
    if not numpy.isfinite(values).all():
        raise FetchError("a dequantised tensor holds a value that is not finite")
    bits = numpy.ascontiguousarray(values, dtype=numpy.float32).view(numpy.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(numpy.uint16)


def _write_weights(tensors, facts, path):
    heads = {
        "attn_q": facts["llama.attention.head_count"],
        "attn_k": facts["llama.attention.head_count_kv"],
    }
    arrays = {}
    for tensor in tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        kind = tensor.name.split(".")[-2]
        if kind in heads:
            values = undo_permutation(values, heads[kind])
        arrays[hugging_face_name(tensor.name)] = to_bfloat16(values)
    specs = {
        name: safetensors.TensorSpec(
            dtype="bfloat16",
            shape=list(array.shape),
            data_ptr=array.ctypes.data,
            data_len=array.nbytes,
        )
        for name, array in arrays.items()
    }
    safetensors.serialize_file(specs, path, {"format": "pt"})
    return arrays.keys()


def _config(facts, tied):
    heads = facts["llama.attention.head_count"]
    head_dim = facts.get("llama.attention.key_length", facts["llama.embedding_length"] // heads)
    if facts["llama.rope.dimension_count"] != head_dim or "llama.rope.scaling.type" in facts:
        raise FetchError("partial or scaled rotary embeddings in a GGUF are not supported")
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": facts["tokenizer.ggml.bos_token_id"],
        "eos_token_id": facts["tokenizer.ggml.eos_token_id"],
        "pad_token_id": facts["tokenizer.ggml.padding_token_id"],
        "head_dim": head_dim,
        "hidden_act": "silu",
        "hidden_size": facts["llama.embedding_length"],
        "intermediate_size": facts["llama.feed_forward_length"],
        "max_position_embeddings": facts["llama.context_length"],
        "mlp_bias": False,
        "num_attention_heads": heads,
        "num_hidden_layers": facts["llama.block_count"],
        "num_key_value_heads": facts["llama.attention.head_count_kv"],
        "rms_norm_eps": _shortest(facts["llama.attention.layer_norm_rms_epsilon"]),
        "rope_scaling": None,
        "rope_theta": _shortest(facts["llama.rope.freq_base"]),
        "tie_word_embeddings": tied,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "vocab_size": facts["llama.vocab_size"],
    }


def _shortest(value):
    """The shortest decimal that is this float32: GGUF stores 1e-5 as 9.999999747378752e-06."""
    return float(str(numpy.float32(value)))


def _write_tokenizer(facts, folder):
    kind, rule = facts["tokenizer.ggml.model"], facts["tokenizer.ggml.pre"]
    if kind != "gpt2" or rule not in _SPLITTERS:
        raise FetchError(f"GGUF tokenizer {kind!r} with rule {rule!r} is not known here")
    tokens = facts["tokenizer.ggml.tokens"]
    control = [
        i for i, t in enumerate(facts["tokenizer.ggml.token_type"]) if t == gguf.TokenType.CONTROL
    ]
    added = [
        {
            "id": i,
            "content": tokens[i],
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for i in control
    ]
    merges = [merge.split(" ") for merge in facts["tokenizer.ggml.merges"]]
    unknown = tokens[facts["tokenizer.ggml.unknown_token_id"]]
    write_json(
        folder / "tokenizer.json",
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": added,
            "normalizer": None,
            "pre_tokenizer": _SPLITTERS[rule],
            "post_processor": None,
            "decoder": _BYTE_LEVEL_DECODER,
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
                "merges": merges,
            },
        },
    )
    special = {
        "bos_token": tokens[facts["tokenizer.ggml.bos_token_id"]],
        "eos_token": tokens[facts["tokenizer.ggml.eos_token_id"]],
        "pad_token": tokens[facts["tokenizer.ggml.padding_token_id"]],
        "unk_token": unknown,
    }
    write_json(folder / "special_tokens_map.json", special)
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "add_prefix_space": facts["tokenizer.ggml.add_space_prefix"],
            "add_bos_token": facts["tokenizer.ggml.add_bos_token"],
            "clean_up_tokenization_spaces": False,
            "model_max_length": facts["llama.context_length"],
            **special,
            "chat_template": facts["tokenizer.chat_template"],
        },
    )
