"""What the bare clients send. A module of its own, so that they import nothing that only who watches them needs."""

from __future__ import annotations


def request_body(model: str, number: int) -> dict[str, object]:
    """The request of that number, as taskpace sends it."""
    return {
        "model": model,
        "messages": [{"role": "user", "content": f"Say {number}."}],
        "max_tokens": 64,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
