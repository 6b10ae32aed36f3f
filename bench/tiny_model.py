"""A model that loads in a moment: a random Llama of two layers whose tokens are bytes, saved as a folder.

``python bench/tiny_model.py FOLDER`` makes one and prints the folder. Quick forms of benchmarks and tests use it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

WIDTH, LAYERS, SCALE = 64, 2, 0.4

CHAT = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def make_tiny(
    folder: Path,
    *,
    context: int = 8192,
    intermediate: int = 64,
    seed: int = 3,
    ends: Sequence[int] | None = None,
    chat: str | None = CHAT,
) -> Path:
    """Save it in ``folder``, which is made.

    Args:
        folder: of weights, configuration and tokenizer.
        context: most tokens of prompt and answer together.
        intermediate: width of the layers between attention, which decides how much memory it takes.
        seed: of the weights.
        ends: tokens that end an answer; null: the one that is made for it.
        chat: template of conversations; null: none.
    """
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    # Written as transformers would save it, and without it: importing torch takes several times as long as all this.
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytewise = Tokenizer(models.BPE(vocab={each: n for n, each in enumerate(alphabet)}, merges=[]))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = decoders.ByteLevel()
    bytewise.add_special_tokens(["<pad>", "<end>"])
    pad, end = (bytewise.token_to_id(token) for token in ("<pad>", "<end>"))
    folder.mkdir(parents=True, exist_ok=True)
    bytewise.save(str(folder / "tokenizer.json"))
    named = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "eos_token": "<end>"}
    files = {
        "tokenizer_config": named | ({} if chat is None else {"chat_template": chat}),
        "generation_config": {"eos_token_id": [end] if ends is None else list(ends), "pad_token_id": pad},
        "config": {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "float32",
            "vocab_size": bytewise.get_vocab_size(), "hidden_size": WIDTH, "intermediate_size": intermediate,
            "num_hidden_layers": LAYERS, "num_attention_heads": 4, "max_position_embeddings": context,
        },
    }  # fmt: skip
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content), "utf-8")
    drawn = np.random.default_rng(seed)
    weights = {
        name: np.ones(shape, np.float32)
        if len(shape) == 1
        else drawn.standard_normal(shape, np.float32) * np.float32(SCALE)
        for name, shape in _shapes(bytewise.get_vocab_size(), intermediate)
    }
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def _shapes(vocabulary: int, intermediate: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Of the weights, by their names in transformers."""
    yield "model.embed_tokens.weight", (vocabulary, WIDTH)
    for layer in range(LAYERS):
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            yield f"model.layers.{layer}.self_attn.{name}.weight", (WIDTH, WIDTH)
        for name in ("gate_proj", "up_proj"):
            yield f"model.layers.{layer}.mlp.{name}.weight", (intermediate, WIDTH)
        yield f"model.layers.{layer}.mlp.down_proj.weight", (WIDTH, intermediate)
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield f"model.layers.{layer}.{name}.weight", (WIDTH,)
    yield "model.norm.weight", (WIDTH,)
    yield "lm_head.weight", (vocabulary, WIDTH)


if __name__ == "__main__":
    print(make_tiny(Path(sys.argv[1])))
