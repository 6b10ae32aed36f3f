"""Which trials were cut: of their full time, and of what they would have written, only a lower bound is known."""

from __future__ import annotations

from taskpace.records import Outcome

CUT_OFF: tuple[Outcome, ...] = ("truncated", "timeout")
"""The token limit or the time limit ended the answer."""
CUT: tuple[Outcome, ...] = (*CUT_OFF, "error")
"""The same and those that failed: each took what was recorded, or longer; a crashed worker's trial 0 s or longer."""
