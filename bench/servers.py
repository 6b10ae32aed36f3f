"""The same model in process, behind llama.cpp's own HTTP server and behind vLLM: who finishes tasks first?

Run: python bench/servers.py [ITEMS]; needs `python bench/peers.py` for vLLM. taskpace starts both servers itself.
SmolLM2-135M: 4-bit in llama.cpp (in process and over HTTP), the same weights dequantised to bfloat16 in vLLM. One at a
time and eight in flight, three tasks. Leaves runs/servers.db and prints its tables as Markdown.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import tomli_w

from pairs import machine_line
from peers import ENVIRONMENT, HOME, TOKENIZER
from taskpace import models

ITEMS = 40
ROOT = Path(__file__).parents[1]


def experiment(items: int) -> dict[str, object]:
    gguf = models.resolve("smollm2-135m", Path()).path
    llama = f"{sys.executable} {ROOT / 'bench' / 'llama_server.py'} {{model}} {{port}} 8"
    vllm = (
        f"{HOME / 'vllm' / 'bin' / 'vllm'} serve {{model}} --host {{host}} --port {{port}} --dtype bfloat16 "
        "--max-model-len 1024 --no-enable-prefix-caching"
    )
    return {
        "name": "servers",
        "items": items,
        "scenarios": ["single", "concurrency=8"],
        "system": [
            {"name": "in process", "model": "smollm2-135m", "options": {"context": 1024, "threads": 2}},
            {"name": "llama.cpp server", "engine": "openai", "model": gguf,
             "options": {"server": llama, "body": {"cache_prompt": False}}},
            {"name": "vLLM", "engine": "openai", "model": str(TOKENIZER), "options": {"server": vllm}},
        ],
    }  # fmt: skip


def main() -> None:
    os.environ.update(ENVIRONMENT)
    file, run = ROOT / "runs" / "servers.toml", ROOT / "runs" / "servers.db"
    file.parent.mkdir(exist_ok=True)
    file.write_text(tomli_w.dumps(experiment(int(sys.argv[1]) if len(sys.argv) > 1 else ITEMS)), "utf-8")
    taskpace = [sys.executable, "-m", "taskpace"]
    subprocess.run([*taskpace, "run", file, "-o", run], check=True, stdout=subprocess.DEVNULL)
    print(f"servers: {machine_line()}\n", flush=True)
    subprocess.run([*taskpace, "summary", run, "--format", "markdown"], check=True)


if __name__ == "__main__":
    main()
