"""A bare ``model.generate`` loop over batches: what taskpace's overhead with transformers is measured against.

bench/overhead_transformers.py starts it with the model, the batches of prompts and the most tokens as JSON on standard
input; it prints the seconds that the batches take, less a first one that is not timed.
"""

from __future__ import annotations

import json
import sys
import time

from taskpace.engines.transformers.load import Options, import_libraries, load


def generate(model: str, batches: list[list[str]], max_tokens: int) -> float:
    """Seconds for all batches."""
    torch, _ = import_libraries()
    loaded = load(model, Options(dtype="bfloat16"))
    tokenizer = loaded.tokenizer
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token

    def ask(batch: list[str]) -> None:
        chats = [[{"role": "user", "content": prompt}] for prompt in batch]
        texts = [tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False) for chat in chats]
        inputs = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False).to(loaded.device)
        with torch.inference_mode():
            loaded.model.generate(**inputs, max_new_tokens=max_tokens, do_sample=False)

    ask(batches[0])
    begun = time.perf_counter()
    for batch in batches:
        ask(batch)
    return time.perf_counter() - begun


if __name__ == "__main__":
    print(generate(*json.load(sys.stdin)))
