"""One answer from the claims of a whole text, sentence by sentence, or none where they contradict each other.

Ranks, the surest first: what is marked or called final; what is stated; what stands alone; what is merely mentioned.
The surest rank that a text has decides. Within it all claims must agree, unless the writer says that they changed their
mind in between; a claim that is called final needs no such word. What is denied after it was claimed is claimed no
more.
"""

from __future__ import annotations

from typing import NamedTuple

Value = str | None
"""Of a claim; null: several, or nothing that can be read."""


class Said(NamedTuple):
    """What the claims of one series come to."""

    value: Value
    final: bool


class Ledger(NamedTuple):
    """What has been claimed so far."""

    stated: Said | None = None
    changed: bool = False
    """Whether the writer has changed their mind since the last statement."""
    alone: Said | None = None
    mentioned: Said | None = None
    denied: frozenset[str] = frozenset()

    def change(self) -> Ledger:
        """The writer changes their mind."""
        return self._replace(changed=True)

    def state(self, value: Value, *, final: bool = False) -> Ledger:
        """A value is stated as the answer; null: one that cannot be read, or several."""
        before = self.stated
        alone = None if self.alone is None else self.alone.value
        if before is None and not self.changed and not final and alone not in {None, value, *self.denied}:
            # Whoever began with another one and does not take it back has given two.
            said = Said(None, final=False)
        elif before is None or self.changed or (final and not before.final):
            said = Said(value, final)
        elif before.value == value:
            said = Said(value, before.final or final)
        else:
            said = Said(None, before.final or final)
        return self._replace(stated=said, changed=False, denied=self.denied - {value} if value else self.denied)

    def forget_alone(self) -> Ledger:
        """What stood alone was the beginning of a list."""
        return self._replace(alone=None)

    def stand_alone(self, value: Value) -> Ledger:
        """A sentence says a value and nothing else."""
        before = self.alone
        agrees = before is None or before.value == value or self.changed
        return self._replace(alone=Said(value if agrees else None, final=False))

    def mention(self, value: Value) -> Ledger:
        """A value is mentioned."""
        before = self.mentioned
        return self._replace(mentioned=Said(value if before is None or before.value == value else None, final=False))

    def deny(self, value: str) -> Ledger:
        """A value is said not to be the answer."""
        return self._replace(denied=self.denied | {value})

    def answer(self) -> Value:
        """The answer by all that was claimed."""
        for said in (self.stated, self.alone, self.mentioned):
            if said is not None:
                return None if said.value in self.denied else said.value
        return None
