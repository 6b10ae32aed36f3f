"""A node's load generators: workers that the driver has there, each behind a number."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from taskpace.runner.cluster.messages import ForGenerator, GeneratorLost, OfGenerator, Said
from taskpace.runner.worker_process import WorkerDiedError, WorkerHandle
from taskpace.worker.messages import ToWorker

_POLL_S = 0.005


class Generators:
    """Those that a node has.

    Args:
        launch: starts one.
        say: takes what the driver is to hear.
    """

    def __init__(self, launch: Callable[[], WorkerHandle], say: Callable[[Said], None]) -> None:
        self._launch = launch
        self._say = say
        self._there: dict[int, _Generator] = {}

    def take(self, given: ForGenerator) -> None:
        """Pass a message on; to one that is not there yet it is started for that."""
        if given.message is None:
            if (ended := self._there.pop(given.generator, None)) is not None:
                ended.messages.put(None)
            return
        if given.generator not in self._there:
            self._there[given.generator] = _Generator(given.generator, self._launch, self._say)
        self._there[given.generator].messages.put(given.message)

    def end(self) -> None:
        """End all of them, and wait until they have ended."""
        for generator in self._there.values():
            generator.messages.put(None)
        for generator in self._there.values():
            generator.thread.join()
        self._there.clear()


class _Generator:
    """One, in a thread of its own: others' messages and the driver's exchanges never wait for it."""

    def __init__(self, number: int, launch: Callable[[], WorkerHandle], say: Callable[[Said], None]) -> None:
        self.messages: queue.SimpleQueue[ToWorker | None] = queue.SimpleQueue()
        """To the worker; null: end it."""
        self._number = number
        self._launch = launch
        self._say = say
        self.thread = threading.Thread(target=self._run, name=f"taskpace-generator-{number}", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        worker: WorkerHandle | None = None
        try:
            worker = self._launch()
            while self._pass_on(worker):
                for said in worker.receive(_POLL_S):
                    self._say(OfGenerator(self._number, said))
        except WorkerDiedError as death:
            self._say(GeneratorLost(self._number, str(death)))
        except Exception as exc:  # noqa: BLE001 - the driver must hear of it, else it would wait for this one
            self._say(GeneratorLost(self._number, f"{type(exc).__name__}: {exc}"))
        finally:
            if worker is not None:
                worker.end()

    def _pass_on(self, worker: WorkerHandle) -> bool:
        """Send what has come; false: it is to end."""
        while not self.messages.empty():
            message = self.messages.get()
            if message is None:
                return False
            worker.send(message)
        return True
