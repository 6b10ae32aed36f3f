"""A bare ``model.generate`` loop over batches: what taskpace's overhead with transformers is measured against.

bench/overhead_transformers.py starts it with the model, the batches of prompts and the most tokens as JSON on standard
input; it prints, as JSON, the seconds that each batch takes, less a first one that is not timed, and beside each the
seconds of a loop of Python that does nothing. A step of a small model on a GPU is mostly Python, and the pace of a
shared core changes: these seconds show whether batches took long because Python was slow.
"""

from __future__ import annotations

import json
import sys
import time

from taskpace.engines.transformers.load import Options, import_libraries, load

LOOP = 200_000
"""Turns of the loop that does nothing: some 3 ms."""


def generate(model: str, batches: list[list[str]], max_tokens: int) -> list[tuple[float, float]]:
    """Seconds of each batch, and of the loop that does nothing after it."""
    torch, _ = import_libraries()
    loaded = load(model, Options(dtype="bfloat16"))
    tokenizer = loaded.tokenizer
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token

    def ask(batch: list[str]) -> float:
        begun = time.perf_counter()
        chats = [[{"role": "user", "content": prompt}] for prompt in batch]
        texts = [tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False) for chat in chats]
        inputs = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False).to(loaded.device)
        with torch.inference_mode():
            loaded.model.generate(**inputs, max_new_tokens=max_tokens, do_sample=False)
        return time.perf_counter() - begun

    ask(batches[0])
    return [(ask(batch), empty_loop()) for batch in batches]


def empty_loop() -> float:
    begun = time.perf_counter()
    for _ in range(LOOP):
        pass
    return time.perf_counter() - begun


if __name__ == "__main__":
    print(json.dumps(generate(*json.load(sys.stdin))))
