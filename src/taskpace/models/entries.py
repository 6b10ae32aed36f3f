"""The models that taskpace knows by name, read from the ``catalogue.toml`` next to this file."""

from __future__ import annotations

import functools
from typing import Annotated, Literal

import msgspec

from taskpace.models.reference import WheelReference, parse_reference

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class CatalogueEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model that can be fetched by its name.

    ``parts`` are ``pypi:`` references, joined in order into one file of ``size_bytes`` bytes whose SHA-256 is
    ``sha256``; ``file`` is the name that it gets.
    """

    name: Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9.-]*$")]
    description: str
    file: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    format: Literal["gguf"]
    licence: str
    licence_url: str
    size_bytes: Annotated[int, msgspec.Meta(gt=0)]
    sha256: Sha256
    parts: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]

    def wheels(self) -> tuple[WheelReference, ...]:
        """The parts, parsed."""
        return tuple(wheel for part in self.parts if isinstance(wheel := parse_reference(part), WheelReference))


class _Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: tuple[CatalogueEntry, ...]


def catalogue() -> tuple[CatalogueEntry, ...]:
    """Every model that can be fetched by name, in the catalogue's order."""
    return _load()


@functools.cache
def _load() -> tuple[CatalogueEntry, ...]:
    from importlib.resources import files  # slow to import, and most commands fetch nothing

    text = files("taskpace.models").joinpath("catalogue.toml").read_bytes()
    return msgspec.toml.decode(text, type=_Catalogue).model


def find_entry(name: str) -> CatalogueEntry | None:
    """The entry of that name, or None."""
    return next((entry for entry in catalogue() if entry.name == name), None)


def known_sha256(wheel: WheelReference) -> str | None:
    """The checksum of a file in a wheel, if the catalogue has that very file as a whole model."""
    wanted = (wheel.canonical_package, wheel.version, wheel.member)
    for entry in catalogue():
        parts = [(part.canonical_package, part.version, part.member) for part in entry.wheels()]
        if parts == [wanted]:
            return entry.sha256
    return None
