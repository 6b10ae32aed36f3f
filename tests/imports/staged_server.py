"""A server whose answers and times are known, to make logs of other tools against.

    PYTHONPATH=. python -m tests.imports.staged_server truth.jsonl

prints its address and writes a line for each request that it gets: the question, what was done, and when
(``time.monotonic_ns`` and ``time.time_ns``). Each part of a stream comes at a time of its own, so that a log shows
what a tool takes for the first token and for the end: the role alone (``role``), reasoning, visible text, the reason
why the answer ended (``finish``), the counts (``usage``), and the end of the stream (``done``).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from tests.endpoint import DONE, END, Asked, Endpoint, Writer, chunk, event, fixed, head, usage

QUESTIONS = Path(__file__).with_name("staged.jsonl")
ROLE_S, FINISH_S, USAGE_S, DONE_S = 0.1, 0.08, 0.1, 0.12
"""From the request to the role; from the last text to the reason; from there to the counts; from there to the end."""


def cases() -> list[dict[str, Any]]:
    return [json.loads(line) for line in QUESTIONS.read_text().splitlines()]


class Known:
    """What the server does for each question, and the truth about it."""

    def __init__(self, truth: Path) -> None:
        self._truth, self._seen = truth, {}

    async def __call__(self, asked: Asked, writer: Writer, number: int) -> None:
        now = {"at_ns": time.monotonic_ns(), "unix_ns": time.time_ns()}
        prompt = _prompt(asked.body)
        case = next((one for one in cases() if one["question"] in prompt), None)
        name = case["case"] if case else "unknown"
        tries = self._seen[name] = self._seen.get(name, 0) + 1
        found: dict[str, Any] = {
            "number": number,
            "case": name,
            "try": tries,
            **now,
            "streamed": bool(asked.body.get("stream")),
        }
        found["limit"] = asked.body.get("max_completion_tokens") or asked.body.get("max_tokens")
        try:
            if case is None:
                await _whole_or_stream(asked, writer, {"text": "Hello there.", "first_s": 0.15, "each_s": 0.01}, found)
            elif case["does"] == "refuse" or (case["does"] == "refuse once" and tries == 1):
                await asyncio.sleep(0.2)
                writer.write(fixed("500 Internal Server Error", b'{"error": {"message": "out of memory"}}'))
                found["failed"] = "500"
            else:
                await _whole_or_stream(asked, writer, case, found)
        except ConnectionError:
            found["failed"] = "the client left"
        finally:
            found["ended_ns"] = time.monotonic_ns()
            with self._truth.open("a") as file:
                file.write(json.dumps(found) + "\n")


async def _whole_or_stream(asked: Asked, writer: Writer, case: dict[str, Any], found: dict[str, Any]) -> None:
    """The answer of a case, at its times."""
    text, thought = _words(case["text"]), _words(case.get("thought", ""))
    limit = found["limit"] or 10**6
    kept = (thought + text)[:limit] if case.get("does") != "loop" else (thought + text * 1000)[:limit]
    finish = "length" if len(kept) < len(thought + text) or case.get("does") == "loop" else "stop"
    counts = {"completion_tokens_details": {"reasoning_tokens": min(len(thought), limit)}}
    prompt_tokens = len(_prompt(asked.body).split())
    found |= {"output_tokens": len(kept), "prompt_tokens": prompt_tokens, "finish": finish}
    chat = "messages" in asked.body
    if not asked.body.get("stream"):
        await asyncio.sleep(case["first_s"] + case["each_s"] * (len(kept) - 1))
        message = {"role": "assistant", "content": "".join(kept[len(thought) :])}
        total = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": len(kept),
            "total_tokens": prompt_tokens + len(kept),
        }
        choices = [{"index": 0, "message": message, "finish_reason": finish}]
        body = {"id": "x", "object": "chat.completion", "created": 0, "model": "known", "choices": choices}
        body["usage"] = {**total, **counts}
        writer.write(fixed("200 OK", json.dumps(body).encode()))
        return
    more: dict[str, Any] = {"id": f"known-{found['number']}", "created": 0, "model": "known"}
    start = asyncio.get_running_loop().time()
    writer.write(head())
    if chat:
        await asyncio.sleep(ROLE_S)
        await _put(writer, event(role="assistant", content="", **more), found, "role_ns")
    for position, word in enumerate(kept):
        await asyncio.sleep(
            max(0.0, start + case["first_s"] + position * case["each_s"] - asyncio.get_running_loop().time())
        )
        hidden = position < len(thought)
        one = event(reasoning_content=word, **more) if hidden else event(word, **more)
        await _put(writer, one if chat else _plain(one), found, "thoughts_ns" if hidden else "texts_ns", many=True)
        if case.get("does") == "drop" and position == 4:
            found["failed"] = "dropped"
            writer.transport.abort()
            return
        if case.get("does") == "hang" and position == 4:
            for _ in range(160):
                await asyncio.sleep(0.05)
                if writer.transport.is_closing():
                    raise ConnectionError
            found["failed"] = "hung"
            writer.transport.abort()
            return
    await asyncio.sleep(FINISH_S)
    await _put(
        writer, event(finish=finish, **more) if chat else _plain(event("", finish=finish, **more)), found, "finish_ns"
    )
    await asyncio.sleep(USAGE_S)
    await _put(writer, usage(len(kept), prompt_tokens, **counts), found, "usage_ns")
    await asyncio.sleep(DONE_S)
    writer.write(chunk(DONE))
    writer.write(END)
    await writer.drain()
    found["done_ns"] = time.monotonic_ns()


async def _put(writer: Writer, data: bytes, found: dict[str, Any], name: str, *, many: bool = False) -> None:
    if many:
        found.setdefault(name, []).append(time.monotonic_ns())
    else:
        found[name] = time.monotonic_ns()
    writer.write(chunk(data))
    await writer.drain()


def _plain(data: bytes) -> bytes:
    """The same event as one of the completions without a chat."""
    body = json.loads(data.removeprefix(b"data: "))
    choice = body["choices"][0]
    choice["text"] = choice.pop("delta").get("content") or ""
    return b"data: " + json.dumps({**body, "object": "text_completion"}).encode() + b"\n\n"


def _words(text: str) -> list[str]:
    """A token is a word with the blank before it."""
    return [word if i == 0 else " " + word for i, word in enumerate(text.split(" "))] if text else []


def _prompt(body: dict[str, Any]) -> str:
    if "prompt" in body:
        return str(body["prompt"])
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def main() -> None:
    with Endpoint(Known(Path(sys.argv[1])), models=["known"]) as endpoint:
        print(endpoint.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
