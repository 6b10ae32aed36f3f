"""Turns as plain text, for a model without a chat template."""

from __future__ import annotations

from collections.abc import Sequence

from taskpace.engines.base import Message


def render_plain(messages: Sequence[Message]) -> str:
    """Turns as plain text, for a model that knows no roles.

    One turn without a system prompt is the prompt as it stands: the model goes on where the text ends, as in any plain
    completion. A system prompt is a paragraph before it; an earlier answer stands right after its question, as it was
    generated, and ends its paragraph. White space at the end of what the system and the user say is dropped.
    """
    parts = []
    for message in messages:
        if message.role == "user":
            parts.append(message.content.rstrip())
        else:
            parts.append(message.content.rstrip() + "\n\n")
    return "".join(parts)
