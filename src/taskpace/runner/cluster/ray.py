"""The cluster that Ray is: the one module that knows Ray.

A node of a run is an actor, on a machine of its own by hard node affinity: two nodes on one machine would take each
other's processor. Ray reserves what the experiment asks for, and waits until it is free.
Source: https://docs.ray.io/en/latest/ray-core/scheduling/index.html, for Ray 2.60.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from taskpace.errors import ExperimentError, MissingExtraError
from taskpace.runner.cluster.protocol import Link, Member, NodeLostError
from taskpace.text.safe_text import one_line
from taskpace.version import __version__

_REACH_S = 5.0
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""What begins a connection to a head, whose protocol is gRPC, without settings. Source: RFC 9113, section 3.4."""
_PORT = 6379
"""Of a cluster's head, unless it was started with another."""
_OPTIONS = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}
"""What an actor's options call the resources that Ray knows by itself."""
_LIST_S = 2.0
"""How long the driver waits for the list of machines, while it hears no node."""
_AGAIN_S = 0.5
"""After which a head that did not answer is asked again."""
_HEAD_TIMEOUT, _HEAD_S = "RAY_gcs_rpc_server_reconnect_timeout_s", 86_400
"""Ray's variable for how long a process lives on without the head, and a day in place of its minute: to go on, driver
and nodes need each other alone. Source: https://docs.ray.io/en/latest/cluster/kubernetes/user-guides/kuberay-gcs-ft.html
"""
_MOST_LETTERS = 300
_NOISE = re.compile(
    r"^The actor [0-9a-f]+ is unavailable: |Node Id: [0-9a-f]+ | rpc_code: \d+"
    r"|[. ]*The task may or may not have been executed on the actor\."
    r"|Owner (Id: [0-9a-f]+|Ip address: \S+|worker exit type: \w+) |Worker exit detail: "
)


@contextlib.contextmanager
def connect(address: str, resources: Mapping[str, float]) -> Iterator[RayCluster]:
    """Be a driver of a cluster.

    Args:
        address: ``HOST:PORT`` of its head; ``auto``: the cluster that this machine is a part of.
        resources: that each node of the run reserves, by the names that Ray has for them.

    Raises:
        TaskpaceError: Ray is not installed, or there is no cluster, or it is of another version.
    """
    # Ray reads it once, in this process.
    os.environ.setdefault(_HEAD_TIMEOUT, str(_HEAD_S))
    try:
        import ray
    except ModuleNotFoundError:
        raise MissingExtraError("--ray", "ray", "ray") from None
    _check_reachable(address)
    # It prints what the machines' own logs say when one is lost, in the middle of what this program prints.
    ray._private.worker.listen_error_messages = lambda *_: None  # noqa: SLF001 - there is no other way
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, namespace="taskpace")
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as exc:
        raise _no_cluster(address, str(exc)) from None
    try:
        yield RayCluster(resources)
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Ray itself waits for minutes for what is not there, and without end for a port that is something else's."""
    if address == "auto":
        return
    host, colon, port = address.rpartition(":")
    if "//" in address or not colon or not port.isdecimal():
        raise ExperimentError(
            f'--ray "{one_line(address, 80)}": write HOST:PORT of the head, such as 10.0.0.1:{_PORT}, or leave the '
            "address out on a machine of the cluster"
        )
    try:
        with socket.create_connection((host, int(port)), _REACH_S) as connection:
            if os.environ.get("RAY_USE_TLS", "0") == "0" and not _is_grpc(connection):
                raise _no_cluster(address, "another program has this port")
    except (OSError, OverflowError) as exc:
        raise _no_cluster(address, str(exc)) from None


def _is_grpc(connection: socket.socket) -> bool:
    """Whether the other end begins as HTTP/2 servers must, with a SETTINGS frame: its type is the fourth byte."""
    connection.sendall(_PREFACE)
    with connection.makefile("rb") as answer:
        head = answer.read(4)
    return len(head) == 4 and head[3] == 4


def _no_cluster(address: str, why: str) -> ExperimentError:
    where = "this machine is part of no Ray cluster" if address == "auto" else f"there is no Ray cluster at {address}"
    return ExperimentError(
        f"--ray: {where} ({one_line(why, _MOST_LETTERS)}): run `ray start --head --port={_PORT}` on one machine, and "
        f"`ray start --address=HEAD:{_PORT}` on the others"
    )


class RayCluster:
    """``protocol.Cluster``, once this process is connected."""

    def __init__(self, resources: Mapping[str, float]) -> None:
        import ray

        self._ray = ray
        self._resources = {"CPU": 1.0} | dict(resources)
        self._bounded = "CPU" in resources
        """Whether somebody has said how many processors a node has."""
        self._pending: dict[Any, _Actor] = {}
        self._listing = Listing(self._machines)

    def members(self) -> list[Member]:
        """The machines that are alive and have what a node reserves, whether it is free now or not."""
        return [
            Member(node["NodeID"], node["NodeManagerAddress"])
            for node in self._listing.get()
            if node["Alive"]
            and all(node["Resources"].get(name, 0.0) >= least for name, least in self._resources.items())
        ]

    def listed(self) -> bool:
        """See ``protocol.Cluster``."""
        return self._listing.listed()

    def _machines(self) -> list[dict[str, Any]] | None:
        """What Ray knows of them; null: the head does not answer.

        It is first asked for something else, by a client that says what is wrong: ``nodes`` ends this process, and what
        it says is a stack, where the head that answers in the end is another than the one that did not.
        """
        head = self._ray._private.worker.global_worker.gcs_client  # noqa: SLF001 - there is no other way
        try:
            head.check_alive([], timeout=_LIST_S)
        except self._ray.exceptions.AuthenticationError:
            raise ExperimentError(
                "--ray: the head of the cluster was started again and knows none of its nodes: run `ray stop` and `ray "
                "start` on the other machines, so that they join it; the same command continues"
            ) from None
        except self._ray.exceptions.RpcError:
            return None
        found: list[dict[str, Any]] = self._ray.nodes()
        return found

    def start(self, member: Member, setup: bytes) -> Link:
        """Start an actor there; what goes wrong shows in its answer."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        options = {_OPTIONS[name]: value for name, value in self._resources.items() if name in _OPTIONS}
        custom = {name: value for name, value in self._resources.items() if name not in _OPTIONS}
        actor = self._ray.remote(_actor_class()).options(
            **options,
            resources=custom,
            max_restarts=0,
            runtime_env={"env_vars": {_HEAD_TIMEOUT: os.environ[_HEAD_TIMEOUT]}},
            scheduling_strategy=NodeAffinitySchedulingStrategy(member.id, soft=False),
        )
        return _Actor(self, actor.remote(setup, __version__, bounded=self._bounded))

    def answers(self, timeout_s: float) -> list[tuple[Link, bytes | NodeLostError]]:
        """See ``protocol.Cluster``."""
        if not self._pending:
            time.sleep(timeout_s)
            return []
        pending = list(self._pending)
        # The first, and then all that are there.
        found, _ = self._ray.wait(pending, num_returns=1, timeout=timeout_s)
        if found:
            found, _ = self._ray.wait(pending, num_returns=len(pending), timeout=0)
        return [(self._pending.pop(reference), self._answer(reference)) for reference in found]

    def _answer(self, reference: Any) -> bytes | NodeLostError:
        try:
            answer: bytes = self._ray.get(reference)
        except self._ray.exceptions.RayError as exc:
            return NodeLostError(_in_one_line(exc))
        return answer

    def ask(self, actor: _Actor, data: bytes) -> None:
        """Begin an exchange."""
        self._pending[actor.handle.exchange.remote(data)] = actor

    def end(self, actor: _Actor) -> None:
        """End an actor, and with it the workers, which end when their pipes do."""
        self._pending = {reference: each for reference, each in self._pending.items() if each is not actor}
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._ray.kill(actor.handle)


class Listing:
    """What machines there are, asked in a thread: a head that does not answer holds up whoever asks.

    Meanwhile nodes, which the driver reaches without it, go on.

    Args:
        nodes: asks for them; null: there was no answer, and they are to be asked for again.
    """

    def __init__(self, nodes: Callable[[], list[dict[str, Any]] | None]) -> None:
        self._nodes = nodes
        self._found = nodes() or []
        self._answer: queue.SimpleQueue[list[dict[str, Any]] | Exception] | None = None
        """Of the question under way; null: there is none."""

    def get(self) -> list[dict[str, Any]]:
        """The machines; as they were last known, if that takes too long."""
        if self._answer is None:
            self._answer = queue.SimpleQueue()
            threading.Thread(target=self._ask, args=(self._answer,), name="taskpace-machines", daemon=True).start()
            self._take(_LIST_S)
        else:
            self._take(0.0)
        return self._found

    def listed(self) -> bool:
        """Whether there is no question without an answer."""
        self._take(0.0)
        return self._answer is None

    def _take(self, timeout_s: float) -> None:
        if self._answer is None:
            return
        try:
            answer = self._answer.get(timeout=timeout_s)
        except queue.Empty:
            return
        self._answer = None
        if isinstance(answer, Exception):
            raise answer
        self._found = answer

    def _ask(self, answer: queue.SimpleQueue[list[dict[str, Any]] | Exception]) -> None:
        try:
            while (found := self._nodes()) is None:
                time.sleep(_AGAIN_S)
            answer.put(found)
        except Exception as exc:  # noqa: BLE001 - whoever asked has it raised
            answer.put(exc)


class _Actor:
    """``protocol.Link``."""

    def __init__(self, cluster: RayCluster, handle: Any) -> None:
        self._cluster = cluster
        self.handle = handle

    def ask(self, data: bytes) -> None:
        self._cluster.ask(self, data)

    def end(self) -> None:
        self._cluster.end(self)


def _actor_class() -> type:
    """The actor's class. Defined here, it travels by value: the node may have another taskpace, or none."""

    class Actor:
        def __init__(self, setup: bytes, version: str, *, bounded: bool) -> None:
            self._problem, self._node = "", None
            try:
                from taskpace.version import __version__ as there
            except ModuleNotFoundError:
                there = ""
            if there != version:
                have = f"is {there}" if there else "is not installed"
                self._problem = (
                    f"taskpace {have} there, and {version} here: run `pip install .` there, in a clone of {version}"
                )
                return
            import os
            from functools import partial

            from taskpace.runner.cluster.node import Node
            from taskpace.runner.worker_process import WorkerProcess

            # As it is now: Ray sets some of it again for each call.
            environment = dict(os.environ)
            if not bounded:
                # Ray's own bound of one thread, which would make engines in this process slower than they are.
                environment.pop("OMP_NUM_THREADS", None)
            self._node = Node(setup, partial(WorkerProcess, environment))

        def exchange(self, data: bytes) -> bytes:
            if self._node is not None:
                return self._node.exchange(data)
            import msgspec

            return msgspec.msgpack.encode([{"type": "Unfit", "problem": self._problem}])

    return Actor


def _in_one_line(exc: Exception) -> str:
    """What Ray says of an actor that is gone, without its number, its advice and its traceback."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith(("class_name", "actor_id", "pid", "namespace", "ip"))]
    return one_line(_NOISE.sub("", " ".join(kept)), _MOST_LETTERS)
