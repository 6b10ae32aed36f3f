"""The plainest client on aiohttp: a closed loop, a stamp per event, every event parsed, nothing kept but times.

Run by bench/http_capacity.py and bench/http_fidelity.py: peer_aiohttp.py LOOP URL MODEL COUNT IN_FLIGHT OUTPUT, where
LOOP is asyncio or uvloop.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import aiohttp
import uvloop

from peer_request import request_body


async def main(url: str, model: str, count: int, concurrency: int) -> list[tuple[float, float]]:
    numbers = iter(range(count))
    times: list[tuple[float, float]] = []

    async def slot(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            text = []
            first = last = 0.0
            body = request_body(model, number)
            begun = time.perf_counter()
            async with session.post(f"{url}/v1/chat/completions", json=body) as response:
                async for line in response.content:
                    now = time.perf_counter()
                    if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
                        continue
                    choices = json.loads(line[6:])["choices"]
                    if choices and (piece := choices[0]["delta"].get("content")):
                        text.append(piece)
                        first, last = first or now, now
            times.append((first - begun, last - begun))
            assert text

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(slot(session) for _ in range(concurrency)))
    return times


if __name__ == "__main__":
    run = uvloop.run if sys.argv[1] == "uvloop" else asyncio.run
    found = run(main(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))
    Path(sys.argv[6]).write_text(json.dumps(found), "utf-8")
