"""An independent Llama forward pass in float64 NumPy: the oracle of the C++ model's fixtures.

Written from the papers and from the configuration's meaning, one token sequence at a time, nothing
cached, every intermediate in float64. It shares no code with the C++ model nor with PyTorch.
"""

import json
import math
import pathlib

import numpy as np


def read_safetensors(folder):
    """All tensors of a folder as float64 (F32, F16, BF16)."""
    tensors = {}
    for path in sorted(pathlib.Path(folder).glob("*.safetensors")):
        data = path.read_bytes()
        size = int.from_bytes(data[:8], "little")
        for name, entry in json.loads(data[8 : 8 + size]).items():
            if name == "__metadata__":
                continue
            begin, end = (8 + size + offset for offset in entry["data_offsets"])
            raw = data[begin:end]
            if entry["dtype"] == "BF16":
                bits = np.frombuffer(raw, np.uint16).astype(np.uint32) << 16
                values = bits.view(np.float32)
            else:
                values = np.frombuffer(raw, {"F32": np.float32, "F16": np.float16}[entry["dtype"]])
            tensors[name] = values.astype(np.float64).reshape(entry["shape"])
    return tensors


def rope_frequencies(config, length):
    """(radians per position [D/2], factor of cos and sin) for a sequence of `length` tokens."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    theta = rope.get("rope_theta", config.get("rope_theta"))
    dim = config["head_dim"]
    exponent = np.arange(0, dim, 2) / dim
    if kind == "dynamic" and length > config["max_position_embeddings"]:
        trained = config["max_position_embeddings"]
        stretch = rope["factor"] * length / trained - (rope["factor"] - 1)
        theta = theta * stretch ** (dim / (dim - 2))
    frequency = theta ** -exponent
    if kind in ("default", "dynamic"):
        return frequency, 1.0
    factor = rope["factor"]
    if kind == "linear":
        return frequency / factor, 1.0
    original = rope["original_max_position_embeddings"]
    if kind == "llama3":
        turns = original * frequency / (2 * math.pi)  # over the original context
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        keep = np.clip((turns - low) / (high - low), 0, 1)
        return frequency * (keep + (1 - keep) / factor), 1.0
    assert kind == "yarn", kind

    def dimension(turns):  # at which a frequency turns that often over the original context
        return dim * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(theta))

    low, high = dimension(rope.get("beta_fast", 32)), dimension(rope.get("beta_slow", 1))
    if rope.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    ramp = np.clip((np.arange(dim // 2) - low) / max(high - low, 0.001), 0, 1)
    scaling = rope.get("attention_factor") or 0.1 * math.log(factor) + 1
    return frequency * (1 - ramp) + frequency / factor * ramp, scaling


def rms_norm(x, weight, epsilon):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * weight


def rotate(x, angles, scaling):
    """Pairs (i, i + D/2) of x [T, heads, D] turn by angles [T, D/2]."""
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    cos, sin = np.cos(angles)[:, None] * scaling, np.sin(angles)[:, None] * scaling
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


def windows(config):
    """Per layer: how many newest keys a query sees; None = all."""
    window = config.get("sliding_window")
    if config["model_type"] == "qwen2":
        if not config.get("use_sliding_window"):
            window = None
        first = config.get("max_window_layers", 0)
        return [window if i >= first else None for i in range(config["num_hidden_layers"])]
    return [window] * config["num_hidden_layers"]


def forward(folder, ids, positions=None):
    """logits [T, V], attention maps [L, H, T, T] and raw scores of the same shape (NaN = masked).

    positions: what each token is rotated by, [T]; by default its place.
    """
    config = json.loads((pathlib.Path(folder) / "config.json").read_text())
    weights = read_safetensors(folder)
    heads, dim = config["num_attention_heads"], config["head_dim"]
    kv_heads, epsilon = config["num_key_value_heads"], config["rms_norm_eps"]
    length = len(ids)
    positions = np.arange(length) if positions is None else np.asarray(positions)
    frequency, scaling = rope_frequencies(config, positions[-1] + 1)
    angles = positions[:, None] * frequency
    query, key = np.arange(length)[:, None], np.arange(length)[None, :]

    def linear(x, name):
        return x @ weights[name + ".weight"].T + weights.get(name + ".bias", 0.0)

    hidden = weights["model.embed_tokens.weight"][ids]
    all_maps, all_scores = [], []
    for layer, window in enumerate(windows(config)):
        prefix = f"model.layers.{layer}."
        x = rms_norm(hidden, weights[prefix + "input_layernorm.weight"], epsilon)
        q = linear(x, prefix + "self_attn.q_proj").reshape(length, heads, dim)
        k = linear(x, prefix + "self_attn.k_proj").reshape(length, kv_heads, dim)
        v = linear(x, prefix + "self_attn.v_proj").reshape(length, kv_heads, dim)
        q, k = rotate(q, angles, scaling), rotate(k, angles, scaling)
        k, v = (np.repeat(part, heads // kv_heads, axis=1) for part in (k, v))
        scores = np.einsum("thd,shd->hts", q, k) / math.sqrt(dim)
        visible = (key <= query) & (window is None or key > query - window)
        scores = np.where(visible, scores, -np.inf)
        p = np.exp(scores - scores.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        mixed = np.einsum("hts,shd->thd", p, v).reshape(length, heads * dim)
        hidden = hidden + linear(mixed, prefix + "self_attn.o_proj")
        x = rms_norm(hidden, weights[prefix + "post_attention_layernorm.weight"], epsilon)
        gate = linear(x, prefix + "mlp.gate_proj")
        inner = gate / (1 + np.exp(-gate)) * linear(x, prefix + "mlp.up_proj")
        hidden = hidden + linear(inner, prefix + "mlp.down_proj")
        all_maps.append(p)
        all_scores.append(np.where(visible, scores, np.nan))
    hidden = rms_norm(hidden, weights["model.norm.weight"], epsilon)
    head = weights.get("lm_head.weight", weights["model.embed_tokens.weight"])
    return hidden @ head.T, np.stack(all_maps), np.stack(all_scores)


def agreement(p):
    """1 - mean over heads of the total-variation distance to the mean head; p [..., H, T, S]."""
    distance = 0.5 * np.abs(p - p.mean(-3, keepdims=True)).sum(-1)
    return 1 - distance.mean(-2)


def statistics(maps, scores):
    """Per head [T, L, H, 6] and per layer [T, L, 3], in the order of lib/attention_statistics.h."""
    heads = maps.shape[1]
    visible = ~np.isnan(scores)
    known = np.where(visible, scores, 0)
    top = np.where(visible, scores, -np.inf).max(-1, keepdims=True)
    log_sum = (top + np.log((visible * np.exp(known - top)).sum(-1, keepdims=True)))[..., 0]
    surprisal = np.where(visible, log_sum[..., None] - known, 0)
    entropy = (maps * surprisal).sum(-1)
    varentropy = (maps * (surprisal - entropy[..., None]) ** 2 * visible).sum(-1)
    magnitude = np.abs(known).sum(-1) / visible.sum(-1)
    per_head = np.stack([entropy, varentropy, maps.max(-1), maps[..., 0], magnitude, log_sum], -1)
    agree = agreement(maps)
    rescaled = (agree - 1 / heads) / (1 - 1 / heads) if heads > 1 else np.ones_like(agree)
    rest = maps[..., 1:]
    mass = rest.sum(-1, keepdims=True)
    without_first = agreement(np.divide(rest, mass, out=np.zeros_like(rest), where=mass > 0))
    per_layer = np.stack([agree, rescaled, without_first], -1)
    return per_head.transpose(2, 0, 1, 3), per_layer.transpose(1, 0, 2)


def padded_statistics(scores, slots):
    """Of the last layer, every query's keys followed by zero scores up to `slots` slots:
    (per head [T, H, 2], mean absolute deviation [T])."""
    last = scores[-1]  # [H, T, S]
    heads, length, _ = last.shape
    per_head, deviation = np.zeros((length, heads, 2)), np.zeros(length)
    for t in range(length):
        s = np.zeros((heads, slots))
        valid = last[:, t][:, ~np.isnan(last[0, t])]
        s[:, : valid.shape[1]] = valid
        p = np.exp(s - s.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        per_head[t, :, 0] = -(p * np.log(p)).sum(-1)
        per_head[t, :, 1] = np.abs(s).mean(-1)
        deviation[t] = np.abs(p - p.mean(0)).mean()
    return per_head, deviation
