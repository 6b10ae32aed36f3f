"""A model that loads in a moment: a random Llama of two layers whose tokens are bytes, as a folder or as a GGUF file.

``python bench/tiny_model.py FOLDER`` makes one and prints the folder. Quick forms of benchmarks and tests use it: a
real model spends most of its time on arithmetic, which says nothing about whether a script works.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

WIDTH, LAYERS, HEADS, SCALE = 64, 2, 4, 0.4
END = "<end>"
SOON = 3
"""By how much the weights of the token that ends an answer are larger in a GGUF file: answers are a few tokens long."""

CHAT = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)

GGUF_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.layers": "blk",
    "self_attn.o_proj": "attn_output",
    "self_attn.": "attn_",
    "mlp.": "ffn_",
    "_proj": "",
    "post_attention_layernorm": "ffn_norm",
    "input_layernorm": "attn_norm",
    "model.norm": "output_norm",
    "lm_head": "output",
}
"""What replaces which part of a weight's name in transformers, in this order."""


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
    bytewise.add_special_tokens(["<pad>", END])
    pad, end = (bytewise.token_to_id(token) for token in ("<pad>", END))
    folder.mkdir(parents=True, exist_ok=True)
    bytewise.save(str(folder / "tokenizer.json"))
    named = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "eos_token": END}
    files = {
        "tokenizer_config": named | ({} if chat is None else {"chat_template": chat}),
        "generation_config": {"eos_token_id": [end] if ends is None else list(ends), "pad_token_id": pad},
        "config": {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "float32",
            "vocab_size": bytewise.get_vocab_size(), "hidden_size": WIDTH, "intermediate_size": intermediate,
            "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "max_position_embeddings": context,
        },
    }  # fmt: skip
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content), "utf-8")
    weights = _draw(bytewise.get_vocab_size(), intermediate, seed)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def make_tiny_gguf(path: Path, *, context: int = 8192, seed: int = 3) -> Path:
    """Save it as a GGUF file for llama.cpp, in 32 bits. Its answers are a few tokens long.

    Args:
        path: of the file.
        context: most tokens of prompt and answer together.
        seed: of the weights.
    """
    from gguf import GGUFWriter, TokenType
    from tokenizers import pre_tokenizers

    # llama.cpp wants one merge at least.
    words = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "\u0120t", END]
    file = GGUFWriter(path, "llama")
    file.add_context_length(context)
    file.add_embedding_length(WIDTH)
    file.add_feed_forward_length(WIDTH)
    file.add_block_count(LAYERS)
    file.add_head_count(HEADS)
    file.add_head_count_kv(HEADS)
    file.add_layer_norm_rms_eps(1e-6)
    file.add_vocab_size(len(words))
    file.add_tokenizer_model("gpt2")
    file.add_tokenizer_pre("gpt-2")
    file.add_token_list(words)
    file.add_token_types([TokenType.NORMAL] * (len(words) - 1) + [TokenType.CONTROL])
    file.add_token_merges(["\u0120 t"])
    file.add_eos_token_id(words.index(END))
    file.add_chat_template(CHAT)
    weights = _draw(len(words), WIDTH, seed)
    weights["lm_head.weight"][words.index(END)] *= SOON
    for name, values in weights.items():
        file.add_tensor(_named_in_gguf(name), values)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    return path


def _named_in_gguf(name: str) -> str:
    for ours, theirs in GGUF_NAMES.items():
        name = name.replace(ours, theirs)
    return name


def _draw(vocabulary: int, intermediate: int, seed: int) -> dict[str, np.ndarray]:
    """Weights by their names in transformers."""
    drawn = np.random.default_rng(seed)
    return {
        name: np.ones(shape, np.float32)
        if len(shape) == 1
        else drawn.standard_normal(shape, np.float32) * np.float32(SCALE)
        for name, shape in _shapes(vocabulary, intermediate)
    }


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
