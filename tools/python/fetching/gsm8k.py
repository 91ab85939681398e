"""GSM8K: where its files live, their SHA-256, and the few-shot examples of lm-eval's tasks."""

import dataclasses
import json

from .files import FetchError

LICENCE = (
    "MIT (openai/grade-school-math; the few-shot examples: MIT, EleutherAI/lm-evaluation-harness)"
)
_RAW = "https://raw.githubusercontent.com"
_PROBLEMS = (
    f"{_RAW}/openai/grade-school-math/"
    "3101c7d5072418e28b9008a6636bde82a006892c/grade_school_math/data"
)
_TASKS = (
    f"{_RAW}/EleutherAI/lm-evaluation-harness/"
    "4e7e0d47f33bc71070c1d38394bafbb52b117163/lm_eval/tasks/gsm8k"
)


@dataclasses.dataclass(frozen=True)
class DataFile:
    """`sha256` is that of the stored file; `source_sha256` that of what lies at `url`."""

    name: str
    url: str
    sha256: str
    source_sha256: str

    @property
    def needs_extraction(self):
        return self.sha256 != self.source_sha256


FILES = [
    DataFile(
        "train.jsonl",
        f"{_PROBLEMS}/train.jsonl",
        *2 * ["17f347dc51477c50d4efb83959dbb7c56297aba886e5544ee2aaed3024813465"],
    ),
    DataFile(
        "test.jsonl",
        f"{_PROBLEMS}/test.jsonl",
        *2 * ["3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14"],
    ),
    DataFile(
        "fewshot_cot.jsonl",
        f"{_TASKS}/gsm8k-cot.yaml",
        "834e15ff15ab7058dfb6d1d928a6263a3637cfbf9a2f9240eea3753c2e3463c6",
        "7c9dd2561fe334a55f62bdc6a876f045e6dc7f53714c7a9db506b89c6de6bc96",
    ),
    DataFile(
        "fewshot_cot_llama.jsonl",
        f"{_TASKS}/gsm8k-cot-llama.yaml",
        "bdf781ffe51291e97efe06145c3abdc5ac0337c334b48f4dab78ac5930e9701b",
        "c295bc7e942e8f3a51b91d14d5e592d2b037330c831f4ab5b2f8ddca27e031d6",
    ),
]


def examples_of_task(text):
    """The samples under `fewshot_config` of an lm-eval task file, one JSON object a line."""
    import yaml  # comes with gguf; only a fetch from the network needs it

    class TaskLoader(yaml.SafeLoader):
        """Passes over the Python functions that task files may name (`!function a.b`)."""

    TaskLoader.add_multi_constructor("!", lambda loader, suffix, node: None)
    try:
        samples = yaml.load(text, Loader=TaskLoader)["fewshot_config"]["samples"]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise FetchError(f"no fewshot_config.samples in the task file: {error!r}") from error
    return "".join(json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples)
