"""Files from the Hugging Face hub, through ``huggingface_hub`` and into its own cache."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

from taskpace.errors import MissingExtraError, ModelError
from taskpace.models.cache import Progress, disk_full
from taskpace.models.reference import HubReference
from taskpace.text.safe_text import one_line


def fetch_from_hub(reference: HubReference, on_progress: Progress, *, fetch: bool) -> Path:
    """The local path of a file on the hub, downloaded if need be.

    A token is taken from the environment (``HF_TOKEN``) and from nowhere else.

    Raises ModelError, or MissingExtraError without ``huggingface_hub``.
    """
    try:
        from huggingface_hub import errors, hf_hub_download
    except ImportError:
        raise MissingExtraError(f"model {reference}", "huggingface_hub", "hub") from None

    where, token = f"model {reference}", os.environ.get("HF_TOKEN")
    try:
        return Path(
            hf_hub_download(
                reference.repository,
                reference.file,
                revision=reference.revision,
                token=token or False,
                local_files_only=not fetch,
                tqdm_class=_progress_class(reference.file.rpartition("/")[2], on_progress),
            )
        )
    except errors.GatedRepoError as error:
        raise ModelError(f"{where}: the repository is gated: accept its terms on its page and set HF_TOKEN") from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            f"{where}: there is no such repository, or it is private: check the name, or set HF_TOKEN"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(f"{where}: the repository has no revision {reference.revision or 'main'!r}") from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        if not fetch:
            raise ModelError(
                f"{where}: it is not here and fetching is off: run `taskpace models pull {shlex.quote(str(reference))}`"
            ) from error
        raise ModelError(
            f"{where}: the hub could not be reached: check the network and HF_HUB_OFFLINE, or give a file's path"
        ) from error
    except errors.EntryNotFoundError as error:
        raise ModelError(
            f"{where}: the repository has no file {reference.file!r}: look at its list of files"
        ) from error
    except Exception as error:
        # The library lets through whatever its HTTP client, its own validation or the disk raises.
        if "No space left on device" in str(error):
            raise disk_full(where, "in the hub's own cache (HF_HOME)") from error
        reason = one_line(str(error)) or type(error).__name__
        raise ModelError(f"{where}: {_without(token, reason)}") from error


def is_in_hub_cache(reference: HubReference) -> bool:
    """Whether the hub's own cache has the file; False without ``huggingface_hub``."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return False
    found = try_to_load_from_cache(reference.repository, reference.file, revision=reference.revision)
    return isinstance(found, str)


def _without(secret: str | None, text: str) -> str:
    return text.replace(secret, "***") if secret else text


def _progress_class(name: str, on_progress: Progress) -> Any:
    """A progress bar that draws nothing and reports what it is told."""
    from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]  # documented, not in its __all__

    class Reporter(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call]  # tqdm's own
            self._done_bytes = int(kwargs.get("initial") or 0)

        def update(self, n: float | None = 1) -> None:
            self._done_bytes += int(n or 0)
            on_progress(f"{name}: downloading", self._done_bytes, int(self.total) if self.total else None)

    return Reporter
