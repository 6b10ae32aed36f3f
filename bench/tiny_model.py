"""A model that loads in a moment: a random Llama of two layers whose tokens are bytes, saved as a folder.

``python bench/tiny_model.py FOLDER`` makes one and prints the folder. Quick forms of benchmarks and tests use it.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers
        from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate([*alphabet, "<pad>", "<end>"])}
    bytewise = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bytewise, pad_token="<pad>", eos_token="<end>")
    tokenizer.chat_template = chat
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=64, intermediate_size=intermediate, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=context, initializer_range=0.4,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    end_ids = [vocabulary["<end>"]] if ends is None else list(ends)
    model.generation_config = GenerationConfig(eos_token_id=end_ids, pad_token_id=vocabulary["<pad>"])
    model.save_pretrained(folder)
    return folder


if __name__ == "__main__":
    print(make_tiny(Path(sys.argv[1])))
