"""Small tokenizers of every kind that lib/ reads, trained on the spot.

Used by fuzz_tokenizers.py (live comparison) and make_tokenizer_fixtures.py (committed fixtures).
Each builder writes a Hugging Face folder; `oracle(folder)` is what the folder's ids must equal.
"""

import io
import json
import random

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, processors, trainers

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
WORDS = ("the of and a to in is you that it he was for on are as with his they I at be this have "
         "from or one had by word but not what all were we when your can said there use an each "
         "which she do how their if will up other about out many then them these so some her would "
         "make like him into time has look two more write go see number no way could people my than "
         "first water been call who oil its now find long down day did get come made may part over "
         "don't it's we're I've I'm you'll he'd café naïve Straße été mañana 你好 世界 日本語 привет "
         "мир שלום مرحبا नमस्ते 한국어 emoji 😀 👍🏽 price $12.50 100 2024 3.14 x=y+1; def f(x): return").split()


def corpus(seed=0, lines=600):
    rng = random.Random(seed)
    for _ in range(lines):
        words = [rng.choice(WORDS) for _ in range(rng.randint(3, 25))]
        yield rng.choice([" ", " ", " ", "  ", "\n", "\t"]).join(words) + rng.choice([".", "!\n", "?", ""])


def size(full, small):
    """Fixtures are committed: their vocabularies are as small as still shows merging."""
    return 480 if small else full


def byte_level(tokenizer, splitters, specials, vocab_size, added=(), template=None):
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(splitters) if len(splitters) > 1 else splitters[0]
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=specials, show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.add_tokens(list(added))
    if template:
        name = template
        post = processors.TemplateProcessing(single=f"{name} $A", pair=f"{name} $A {name} $B",
                                             special_tokens=[(name, tokenizer.token_to_id(name))])
        tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), post])
    return tokenizer


def save(tokenizer, folder, config, list_merges=True):
    folder.mkdir(parents=True, exist_ok=True)
    data = json.loads(tokenizer.to_str())
    if not list_merges:  # the older spelling
        data["model"]["merges"] = [" ".join(pair) for pair in data["model"]["merges"]]
    (folder / "tokenizer.json").write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def gpt2(folder, small=False):
    tokenizer = byte_level(Tokenizer(models.BPE()), [pre_tokenizers.ByteLevel(add_prefix_space=False)],
                           ["<|endoftext|>"], size(900, small))
    save(tokenizer, folder, {"eos_token": "<|endoftext|>"}, list_merges=False)


def gpt2_prefix(folder, small=False):
    tokenizer = byte_level(Tokenizer(models.BPE()), [pre_tokenizers.ByteLevel(add_prefix_space=True)],
                           ["<|endoftext|>"], size(700, small),
                           added=[AddedToken("day", single_word=True, normalized=True),
                                  AddedToken("<mask>", lstrip=True), AddedToken("<r>", rstrip=True),
                                  AddedToken("<both >", lstrip=True, rstrip=True),
                                  AddedToken("<bothand", special=True), AddedToken("\n\n")])
    save(tokenizer, folder, {"eos_token": "<|endoftext|>"})


def smollm(folder, small=False):
    tokenizer = byte_level(
        Tokenizer(models.BPE()),
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)],
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<file_sep>"], size(900, small))
    save(tokenizer, folder, {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"})


def split_then_bytes(regex):
    return [pre_tokenizers.Split(Regex(regex), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]


def llama3(folder, small=False):
    tokenizer = byte_level(Tokenizer(models.BPE(ignore_merges=True)), split_then_bytes(LLAMA3), [], size(1000, small),
                           added=[AddedToken(t, special=True) for t in
                                  ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>",
                                   "<|end_header_id|>", "<|eot_id|>")], template="<|begin_of_text|>")
    # Whole words that merging would never reach: what ignore_merges is about.
    data = json.loads(tokenizer.to_str())
    vocabulary = data["model"]["vocab"]
    unreachable = ["Ġqzx", "zzzz", "ĠworldĠ", "!!!!!!", "Ċ" * 5]
    # Added ids follow the vocabulary, so the unreachable words take the place of its last tokens.
    dropped = sorted(vocabulary, key=vocabulary.get)[-len(unreachable):]
    for word, old in zip(unreachable, dropped):
        vocabulary[word] = vocabulary.pop(old)
    data["model"]["merges"] = [[a, b] for a, b in data["model"]["merges"]
                               if not {a, b, a + b} & set(dropped)]
    save(Tokenizer.from_str(json.dumps(data)), folder,
         {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"})


def qwen2(folder, small=False):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    byte_level(tokenizer, split_then_bytes(QWEN2), [], size(1000, small),
               added=[AddedToken(t, special=True) for t in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")] +
                     [AddedToken(t, special=False, normalized=False) for t in ("<tool_call>", "</tool_call>")] +
                     [AddedToken("cafe\u0301", special=False, normalized=True)])
    save(tokenizer, folder, {"eos_token": "<|im_end|>"})


def train_sentencepiece(byte_fallback=True, small=False):
    """A model with Llama-2's settings (as its trainer_spec and normalizer_spec say)."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(" ".join(line.split()) for line in corpus(1, 2000)), model_writer=model,
        model_type="bpe", vocab_size=(600 if small else 800) if byte_fallback else 500, byte_fallback=byte_fallback, split_digits=True,
        character_coverage=0.995, normalization_rule_name="identity", remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True, minloglevel=2)
    return model.getvalue()


def sentencepiece_folder(folder, config, byte_fallback=True, small=False):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(train_sentencepiece(byte_fallback, small))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


NAMES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def llama2(folder, small=False):
    sentencepiece_folder(folder, {"legacy": False, **NAMES}, small=small)


def llama2_legacy(folder, small=False):
    sentencepiece_folder(folder, {"legacy": True, **NAMES}, small=small)


def sentencepiece_no_fallback(folder, small=False):
    sentencepiece_folder(folder, NAMES, byte_fallback=False, small=small)


def llama2_bpe(metaspace, small):
    """The sentencepiece model as transformers converts it: scores become a list of merges."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=train_sentencepiece(small=small))
    vocabulary = {processor.id_to_piece(i): i for i in range(processor.get_piece_size())}
    merges = []
    for piece, rank in vocabulary.items():
        for cut in range(1, len(piece)):
            if piece[:cut] in vocabulary and piece[cut:] in vocabulary:
                merges.append((rank, vocabulary[piece[:cut]], vocabulary[piece[cut:]], piece[:cut], piece[cut:]))
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[m[3:] for m in sorted(merges)],
                                     unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(steps)
    if metaspace:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme=metaspace, split=False)
    else:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in ("<unk>", "<s>", "</s>")])
    tokenizer.add_tokens([AddedToken("<extra>", special=False, normalized=True)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    return tokenizer


def llama2_json(folder, small=False):
    save(llama2_bpe(None, small), folder, {"bos_token": "<s>", "eos_token": "</s>"})


def llama2_json_first(folder, small=False):
    save(llama2_bpe("first", small), folder, {"bos_token": "<s>", "eos_token": "</s>"})


def llama2_json_always(folder, small=False):
    save(llama2_bpe("always", small), folder, {"bos_token": "<s>", "eos_token": "</s>"}, list_merges=False)


KINDS = {f.__name__: f for f in (gpt2, gpt2_prefix, smollm, llama3, qwen2, llama2, llama2_legacy,
                                 sentencepiece_no_fallback, llama2_json, llama2_json_first,
                                 llama2_json_always)}
