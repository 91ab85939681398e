#!/usr/bin/env python3
"""Compares greedy answers of `generate` with transformers.generate, token by token.

    python tests/oracle/greedy_generation.py --generate build/release/bin/generate \
        [--tokens 100] [--threads N] FOLDER

20 prompts (stories, sums, code, other scripts; half of them through the chat template), float32, on
the CPU, eager attention. Where an answer differs, the first differing token is shown with the
margin between the two best logits there: a margin near the float32 noise of 1e-4 is a tie, anything
more is an error. Both count: the status is 1. Needs torch 2.11, transformers 5.17.
"""

import argparse
import json
import pathlib
import subprocess
import sys

import torch
import transformers

PLAIN = [
    "Once upon a time, in a village by the sea,",
    "The three laws of thermodynamics state that",
    "def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n",
    "Tom has 12 apples. He gives 5 to Ann and buys 7 more. Now he has",
    "1, 1, 2, 3, 5, 8, 13,",
    "La capitale de la France est",
    "Ingredients:\n- 200 g flour\n- 2 eggs\n",
    "Dear Sir or Madam,\n\nI am writing to",
    "日本の首都は",
    "SELECT name, COUNT(*) FROM",
]
CHAT = [
    "What is 17 + 25?",
    "Why is the sky blue?",
    "Write a haiku about rain.",
    "A train travels 60 km in 1.5 hours. How fast is it? Think step by step.",
    "List three uses of a paperclip.",
    "Translate 'good morning' into Spanish, French and German.",
    "What does `git rebase` do?",
    "Is 91 a prime number?",
    "¿Quién escribió Don Quijote?",
    "Summarise: The cat sat on the mat. The mat was red. The cat was black.",
]


def ours(program, folder, prompt, chat, tokens, threads):
    command = [program, folder, "--prompt", prompt, "--max-new-tokens", str(tokens), "--dtype", "float32",
               "--device", "cpu", "--json", *(["--chat"] if chat else []),
               *(["--threads", str(threads)] if threads else [])]
    answer = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return answer["prompt"], [token["token_id"] for token in answer["tokens"]], answer["response"]


def theirs(model, tokenizer, prompt, chat, tokens):
    if chat:
        text = tokenizer.apply_chat_template([{"role": "user", "content": prompt}], tokenize=False,
                                             add_generation_prompt=True)
        inputs = tokenizer(text, return_tensors="pt", add_special_tokens=False)
    else:
        text, inputs = prompt, tokenizer(prompt, return_tensors="pt")
    output = model.generate(**inputs, max_new_tokens=tokens, do_sample=False, return_dict_in_generate=True,
                            output_logits=True)
    ids = output.sequences[0, inputs["input_ids"].shape[1]:].tolist()
    top = torch.stack(output.logits)[:, 0].topk(2).values
    return text, ids, (top[:, 0] - top[:, 1]).tolist()


def without_stop(ids, stop_ids):
    """What is generated before the stop token, which `generate` does not report as a token."""
    return ids[:-1] if ids and ids[-1] in stop_ids else ids


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generate", required=True, help="the program")
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--threads", type=int)
    parser.add_argument("folder", type=pathlib.Path)
    arguments = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    tokenizer = transformers.AutoTokenizer.from_pretrained(arguments.folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(arguments.folder, dtype=torch.float32,
                                                              attn_implementation="eager")
    stop_ids = model.generation_config.eos_token_id
    stop_ids = stop_ids if isinstance(stop_ids, list) else [stop_ids]
    equal = compared = 0
    smallest = float("inf")
    for chat, prompt in [(False, p) for p in PLAIN] + [(True, p) for p in CHAT]:
        our_prompt, our_ids, response = ours(arguments.generate, arguments.folder, prompt, chat,
                                             arguments.tokens, arguments.threads)
        text, ids, margins = theirs(model, tokenizer, prompt, chat, arguments.tokens)
        ids, our_ids = without_stop(ids, stop_ids), without_stop(our_ids, stop_ids)
        smallest = min([smallest, *margins])
        same = our_prompt == text and our_ids == ids and response == tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        equal, compared = equal + same, compared + len(ids)
        if not same:
            pairs = list(zip(our_ids, ids))
            at = next((i for i, (a, b) in enumerate(pairs) if a != b), len(pairs))
            margin = f"; margin {margins[at]:.1e}" if at < len(margins) else ""
            print(f"  token {at}: ours {our_ids[at:at + 3]}, theirs {ids[at:at + 3]}{margin}")
        print(f"{'ok  ' if same else 'FAIL'} {len(ids):4} tokens  {prompt[:50]!r}", flush=True)
    print(f"{equal} of {len(PLAIN) + len(CHAT)} answers equal, {compared} tokens; "
          f"smallest margin between the two best logits {smallest:.1e}")
    return 0 if equal == len(PLAIN) + len(CHAT) else 1


if __name__ == "__main__":
    sys.exit(main())
