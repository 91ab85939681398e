#!/usr/bin/env python3
"""Compares the `tokenize` program with Hugging Face `tokenizers` and sentencepiece on fuzzed text.

    python tests/oracle/fuzz_tokenizers.py --tokenize build/release/bin/tokenize \
        [--count 20000] [--seed 0] [--kinds gpt2 llama3 ...] [--model FOLDER]...

Trains a small tokenizer of every kind (tokenizer_kinds.py) and, with --model, also takes real
folders. For each, on `count` strings: ids with special text parsed and not parsed, and the text that
the ids decode to. Ends with status 1 if anything differs. Needs tokenizers==0.23.3,
sentencepiece==0.2.x.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import unicodedata
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer

import tokenizer_kinds

SPACES = " \t\n\r\x0b\x0c\x85\xa0\u1680\u2000\u2003\u2009\u200a\u2028\u2029\u202f\u205f\u3000\u200b\u180e\ufeff\x1c"
CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'\u017f", "\u2019s", "'", "''s", "'ss"]
NUMBERS = [chr(c) for c in range(0x110000)
           if unicodedata.category(chr(c))[0] == "N"] + [chr(c) for c in range(0x11DE0, 0x11DEA)]
MARKS = [chr(c) for c in range(0x110000) if unicodedata.combining(chr(c))] + \
        [chr(c) for c in (0x1ACF, 0x1AE0, 0x10D69, 0x113CE, 0x16D67, 0x1E5EE)]
COMPOSED = [c for c in map(chr, range(0x110000))
            if unicodedata.decomposition(c) and not unicodedata.decomposition(c).startswith("<")]
HANGUL = [chr(c) for c in (0x1100, 0x1161, 0x11A8, 0xAC00, 0xAC01, 0xD7A3)]


def code_point(rng):
    """Any scalar value, each plane and each byte length equally likely."""
    low, high = rng.choice([(0, 0x7F), (0x80, 0x7FF), (0x800, 0xFFFF), (0x10000, 0x1FFFF), (0x20000, 0x3FFFF),
                            (0x1D000, 0x1FBFF), (0x40000, 0x10FFFF), (0x10A00, 0x12000), (0xE0000, 0xE01FF)])
    code = rng.randint(low, high)
    return chr(code) if not 0xD800 <= code <= 0xDFFF else "\ufffd"


def mixed_case(rng, text):
    return "".join(rng.choice((str.upper, str.lower))(c) if c.isascii() else c for c in text)


def fragment(rng, specials):
    kind = rng.randrange(14)
    if kind == 0:
        return "".join(code_point(rng) for _ in range(rng.randint(1, 6)))
    if kind == 1:
        return "".join(rng.choice(NUMBERS) for _ in range(rng.randint(1, 7)))
    if kind == 2:
        return "".join(rng.choice("0123456789") for _ in range(rng.randint(1, 9)))
    if kind == 3:
        return rng.choice(tokenizer_kinds.WORDS) + mixed_case(rng, rng.choice(CONTRACTIONS))
    if kind == 4:
        return "".join(rng.choice(SPACES) for _ in range(rng.randint(1, 8)))
    if kind == 5:
        return rng.choice(" \n\t\r") * rng.randint(1, 6)
    if kind == 6 and specials:
        return rng.choice(specials)
    if kind == 7 and specials:  # nearly special
        text = rng.choice(specials)
        cut = rng.randrange(len(text) + 1)
        return text[:cut] + rng.choice(["", " ", "x", text[:1]]) + text[cut:]
    if kind == 8:
        return rng.choice("aeocnASD\u0915\u05d0") + "".join(rng.choice(MARKS) for _ in range(rng.randint(1, 4)))
    if kind == 9:
        return unicodedata.normalize(rng.choice(("NFD", "NFC")), rng.choice(COMPOSED)) + rng.choice(MARKS + [""])
    if kind == 10:
        return "".join(rng.choice(HANGUL) for _ in range(rng.randint(1, 4)))
    if kind == 11:
        return "".join(rng.choice("!?.,;:-_=+*/\\<>|[]{}()#@$%^&~`\"'") for _ in range(rng.randint(1, 6)))
    if kind == 12:
        return rng.choice("aAbé你!0 ▁") * rng.randint(1, 40)
    return rng.choice(tokenizer_kinds.WORDS) + rng.choice(["", " ", "", " ", "\n"])


def fuzzed_text(rng, specials):
    return "".join(fragment(rng, specials) for _ in range(rng.choice((0, 1, 2, 3, 5, 8, 13))))


class HuggingFace:
    """tokenizer.json through `tokenizers`."""

    def __init__(self, folder):
        path = str(folder / "tokenizer.json")
        self.parsing, self.plain = Tokenizer.from_file(path), Tokenizer.from_file(path)
        self.plain.encode_special_tokens = True
        self.specials = [t.content for t in self.parsing.get_added_tokens_decoder().values()]

    def encode(self, text, parse_special, add_special):
        tokenizer = self.parsing if parse_special else self.plain
        return tokenizer.encode(text, add_special_tokens=add_special).ids

    def decode(self, ids, skip_special):
        return self.parsing.decode(ids, skip_special_tokens=skip_special)


class SentencePiece:
    """tokenizer.model through sentencepiece; special tokens are cut out of the text first."""

    def __init__(self, folder):
        model = (folder / "tokenizer.model").read_bytes()
        config = json.loads((folder / "tokenizer_config.json").read_text())
        self.legacy = config.get("legacy", False)
        self.prefixing = sentencepiece.SentencePieceProcessor(model_proto=model)
        proto = sentencepiece_model_pb2.ModelProto.FromString(model)
        proto.normalizer_spec.add_dummy_prefix = False
        self.bare = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
        self.specials = ["<unk>", "<s>", "</s>"]

    def encode(self, text, parse_special, add_special):
        ids = [self.prefixing.bos_id()] if add_special else []
        at = 0
        while at < len(text):
            starts = [(text.find(s, at), s) for s in self.specials if parse_special and s in text[at:]]
            cut, special = min(starts, default=(len(text), ""))
            if cut > at:
                encoder = self.prefixing if self.legacy or at == 0 else self.bare
                ids += encoder.encode(text[at:cut])
            if special:
                ids.append(self.prefixing.piece_to_id(special))
            at = cut + len(special)
        return ids

    def decode(self, ids, skip_special):
        """transformers' decoder for these models: Replace, ByteFallback, Fuse, Strip."""
        out, run = b"", b""
        for token in ids:
            special = self.prefixing.is_control(token) or self.prefixing.is_unknown(token)
            if special and skip_special:
                continue
            piece = self.prefixing.id_to_piece(token)
            if self.prefixing.is_byte(token):
                run += bytes([int(piece[3:5], 16)])
            else:
                out, run = out + self.settle(run) + piece.replace("▁", " ").encode(), b""
        text = (out + self.settle(run)).decode()
        return text[1:] if text.startswith(" ") else text

    @staticmethod
    def settle(run):
        try:
            return run.decode().encode()
        except UnicodeDecodeError:
            return "\ufffd".encode() * len(run)


def ask(program, folder, requests):
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    done = subprocess.run([program, str(folder)], input=lines, capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.split("\n") if line]
    assert len(answers) == len(requests), (len(answers), len(requests))
    return answers


def oracle_of(folder):
    return (SentencePiece if (folder / "tokenizer.model").exists() else HuggingFace)(folder)


def make_cases(rng, oracle, count):
    """Requests for `tokenize`, three for each of `count` strings, and the right answers."""
    requests, expected = [], []
    for _ in range(count):
        text = fuzzed_text(rng, oracle.specials)
        for parse_special in (True, False):
            add_special = rng.random() < 0.2
            ids = oracle.encode(text, parse_special, add_special)
            requests.append({"text": text, "parse_special": parse_special, "add_special": add_special})
            expected.append({"ids": ids})
        if rng.random() < 0.3:  # orders that no encoder makes
            ids = rng.sample(ids, len(ids))
        skip = rng.random() < 0.5
        requests.append({"ids": ids, "skip_special": skip})
        expected.append({"text": oracle.decode(ids, skip)})
    return requests, expected


def compare(program, folder, oracle, count, seed):
    requests, expected = make_cases(random.Random(f"{folder.name}/{seed}"), oracle, count)
    answers = ask(program, folder, requests)
    wrong = [i for i, answer in enumerate(answers) if answer != expected[i]]
    for i in wrong[:5]:
        print(f"  {json.dumps(requests[i])}\n    expected {expected[i]}\n    found    {answers[i]}")
    print(f"{folder.name}: {count} strings, {len(requests)} comparisons, {len(wrong)} mismatches", flush=True)
    return len(wrong)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenize", required=True, help="the program")
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", default=list(tokenizer_kinds.KINDS))
    parser.add_argument("--model", type=Path, action="append", default=[], help="a real folder")
    arguments = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as scratch:
        for kind in arguments.kinds:
            folder = Path(scratch) / kind
            tokenizer_kinds.KINDS[kind](folder)
            wrong += compare(arguments.tokenize, folder, oracle_of(folder), arguments.count, arguments.seed)
        for folder in arguments.model:
            wrong += compare(arguments.tokenize, folder, oracle_of(folder), arguments.count, arguments.seed)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
