"""The engines compare_peers.py measures ours against, each in a process of its own.

    python peer_workers.py NAME MODEL THREADS

NAME is transformers-float32, transformers-bfloat16 (eager attention, attentions returned and their
per-head entropy computed at every decoded token when statistics are asked for), or llama.cpp-f16,
llama.cpp-bf16, llama.cpp-f32 (llama-cpp-python). Speaks the protocol of bench_decode --jobs: one job a line of
standard input, one line of JSON in answer; loading is outside the times.
"""

import json
import os
import sys
import tempfile
import time

PREFILL_TOKENS = 512  # per forward pass, as in bench_decode


def prompt(sequence, length, vocabulary):
    """Distinct prompts, the same in every engine: decoding.cpp has this formula too."""
    return [100 + (i * 7919 + sequence * 104729) % (vocabulary - 100) for i in range(length)]


class Transformers:
    def __init__(self, folder, dtype, threads):
        import torch
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(threads)
        self.torch = torch
        self.model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=getattr(torch, dtype), attn_implementation="eager"
        ).eval()

    def run(self, batch, length, new, statistics):
        torch = self.torch
        vocabulary = self.model.config.vocab_size
        ids = torch.tensor([prompt(s, length, vocabulary) for s in range(batch)])
        first = []
        with torch.inference_mode():
            start = time.perf_counter()
            out = None
            for begin in range(0, length, PREFILL_TOKENS):
                out = self.model(
                    ids[:, begin : begin + PREFILL_TOKENS],
                    past_key_values=out.past_key_values if out else None,
                    use_cache=True,
                    logits_to_keep=1,
                )
            token = out.logits[:, -1].argmax(-1, keepdim=True)
            prefill = time.perf_counter() - start
            start = time.perf_counter()
            for _ in range(new):
                first.append(int(token[0]))
                out = self.model(
                    token,
                    past_key_values=out.past_key_values,
                    use_cache=True,
                    output_attentions=statistics,
                )
                if statistics:
                    for weights in out.attentions:
                        p = weights[:, :, -1].float()
                        torch.special.entr(p).sum(-1)
                token = out.logits[:, -1].argmax(-1, keepdim=True)
            return prefill, time.perf_counter() - start, first


class LlamaCpp:
    def __init__(self, folder, dtype, threads):
        import llama_cpp

        self.lib = llama_cpp
        self.threads = threads
        with tempfile.TemporaryDirectory() as scratch:
            path = os.path.join(scratch, "model.gguf")
            write_gguf(folder, dtype, path)
            llama_cpp.llama_backend_init()
            params = llama_cpp.llama_model_default_params()
            params.use_mmap = False
            self.model = llama_cpp.llama_model_load_from_file(path.encode(), params)
        if not self.model:
            sys.exit("llama.cpp cannot load the converted model")
        self.vocabulary = llama_cpp.llama_vocab_n_tokens(
            llama_cpp.llama_model_get_vocab(self.model)
        )

    def run(self, batch, length, new, _statistics):
        import numpy as np

        lib = self.lib
        params = lib.llama_context_default_params()
        params.n_ctx = batch * ((length + new + 255) // 256 * 256)
        params.n_seq_max = batch
        params.n_batch = params.n_ubatch = max(PREFILL_TOKENS, batch)
        params.n_threads = params.n_threads_batch = self.threads
        context = lib.llama_init_from_model(self.model, params)
        work = lib.llama_batch_init(params.n_batch, 0, 1)

        def decode(tokens):  # [(token, position, sequence, whether its logits are wanted)]
            work.n_tokens = len(tokens)
            for i, (token, position, sequence, wanted) in enumerate(tokens):
                work.token[i], work.pos[i] = token, position
                work.n_seq_id[i], work.seq_id[i][0] = 1, sequence
                work.logits[i] = wanted
            if lib.llama_decode(context, work) != 0:
                sys.exit("llama_decode failed")

        def best(index):
            row = lib.llama_get_logits_ith(context, index)
            return int(np.ctypeslib.as_array(row, (self.vocabulary,)).argmax())

        prompts = [prompt(s, length, self.vocabulary) for s in range(batch)]
        first, token = [], [0] * batch
        start = time.perf_counter()
        for s in range(batch):
            for begin in range(0, length, PREFILL_TOKENS):
                end = min(length, begin + PREFILL_TOKENS)
                decode([(prompts[s][i], i, s, i + 1 == end) for i in range(begin, end)])
            token[s] = best(-1)
        prefill = time.perf_counter() - start
        start = time.perf_counter()
        for step in range(new):
            first.append(token[0])
            decode([(token[s], length + step, s, True) for s in range(batch)])
            token = [best(s) for s in range(batch)]
        decoding = time.perf_counter() - start
        lib.llama_batch_free(work)
        lib.llama_free(context)
        return prefill, decoding, first


def write_gguf(folder, dtype, path):
    """A Llama of a Hugging Face folder as GGUF without a vocabulary."""
    import gguf
    import numpy as np
    import torch
    from safetensors.torch import load_file

    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    rope = config.get("rope_parameters") or config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("no_vocab")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    types = {
        "f32": (torch.float32, None),
        "f16": (torch.float16, None),
        "bf16": (torch.bfloat16, gguf.GGMLQuantizationType.BF16),
    }
    names = {
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    for name, tensor in load_file(os.path.join(folder, "model.safetensors")).items():
        parts = name.removeprefix("model.").removesuffix(".weight").split(".")
        if parts[0] == "layers":
            # Rotary pairs are neighbours in GGUF, half a head apart in Hugging Face's layout.
            count = {"q_proj": heads, "k_proj": kv_heads}.get(parts[-1])
            if count:
                rows, columns = tensor.shape
                tensor = tensor.view(count, 2, rows // count // 2, columns).transpose(1, 2)
                tensor = tensor.reshape(rows, columns)
            new_name = f"blk.{parts[1]}.{names['.'.join(parts[2:])]}.weight"
        else:
            new_name = {
                "embed_tokens": "token_embd.weight",
                "norm": "output_norm.weight",
                "lm_head": "output.weight",
            }[parts[0]]
        torch_type, raw_type = types[dtype] if tensor.dim() > 1 else types["f32"]
        tensor = tensor.to(torch_type).contiguous()
        if raw_type is None:
            writer.add_tensor(new_name, tensor.numpy())
        else:
            values = tensor.view(torch.uint16).numpy()
            writer.add_tensor(new_name, values.view(np.uint8), raw_dtype=raw_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    name, folder, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    engine, dtype = name.rsplit("-", 1)
    worker = {"transformers": Transformers, "llama.cpp": LlamaCpp}[engine](folder, dtype, threads)
    worker.run(1, 16, 2, True)
    for line in sys.stdin:
        job = json.loads(line)
        prefill, decode, first = worker.run(
            job["batch"], job["prompt"], job["decode"], job.get("statistics", False)
        )
        answer = {"prefill_seconds": prefill, "decode_seconds": decode, "first_tokens": first[:8]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
