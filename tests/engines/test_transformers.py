"""The engine ``transformers``: static batches are right, ends are the items' own, what does not fit is a result."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import types
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import tomli_w
from bench.tiny_model import make_tiny
from tests.in_process import InProcess

import taskpace
import taskpace.runner.events
from taskpace.api import Run
from taskpace.engines.base import EngineSpec, Generation, Message, Request, Sampling, Stamps
from taskpace.engines.transformers import load
from taskpace.engines.transformers.engine import TransformersEngine
from taskpace.engines.transformers.load import Options, read_options
from taskpace.errors import ContextOverflowError, ExperimentError, ModelError
from taskpace.experiment.experiment import load_experiment
from taskpace.experiment.prepare import prepare
from taskpace.models import resolve
from taskpace.runner.runner import run_plan
from taskpace.store.store import Store
from taskpace.tasks import load_items, load_task, render

pytestmark = [
    pytest.mark.real_model,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]

CONTEXT = 512
ONE_THREAD = {"dtype": "float32", "threads": 1}
"""Torch's threads wait for each other, and other tests run beside these."""
ENDS = [5, 17, 40, 77, 101, 150, 200]
"""Ends of sequence: so many that a random model meets one sooner or later."""
LIKE: dict[str, Any] = {"context": CONTEXT, "ends": ENDS, "chat": None}
"""How the tests want the tiny model."""


@pytest.fixture(scope="module")
def parsed_once() -> Iterator[None]:
    """One parse of each GGUF file for all tests."""
    with load._gguf_read_once():
        yield


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny"), **LIKE)


def request(prompt: str, *, max_tokens: int = 40, stop: tuple[str, ...] = (), temperature: float = 0.0) -> Request:
    return Request(
        messages=(Message("user", prompt),), max_tokens=max_tokens, stop=stop,
        sampling=Sampling(temperature=temperature), seed=7, trial_id=prompt,
    )  # fmt: skip


Asked = Callable[..., list[tuple[Stamps, Generation]]]


@pytest.fixture(scope="module")
def ask(tiny: Path) -> Asked:
    """Opens the tiny model once; asks requests in static batches of a size."""
    engine = TransformersEngine(
        EngineSpec(engine="transformers", model=str(tiny), options=ONE_THREAD | {"device": "cpu"}, slots=1)
    )
    with asyncio.Runner() as runner:
        runner.run(engine.open())

        def batches(requests: list[Request], size: int) -> list[tuple[Stamps, Generation]]:
            found = []
            for begin in range(0, len(requests), size):
                payloads = [engine.prepare(each) for each in requests[begin : begin + size]]
                stamps = [Stamps() for _ in payloads]
                runner.run(engine.generate_batch(payloads, stamps))
                found += [(each, engine.read(each)) for each in stamps]
            return found

        yield batches
        runner.run(engine.close())


PROMPTS = [
    "a",
    "Which?",
    "A longer question, so that padding is needed: " * 3,
    "é ü 漢字",
    "x " * 60,
    "Answer:",
    "zz",
    "?",
]


def tokens(stamps: Stamps) -> list[int]:
    return [event for _, event in stamps.arrivals if isinstance(event, int)]


@pytest.mark.parametrize("size", [2, 3, 8])
def test_each_item_of_a_batch_answers_as_it_would_alone(ask, size):
    """Greedy, float32: the same tokens, text, reason and counts as in a batch of one, whatever it stands beside."""
    requests = [request(prompt) for prompt in PROMPTS]
    alone, together = ask(requests, 1), ask(requests, size)
    assert len({len(tokens(stamps)) for stamps, _ in alone}) > 2  # they do end at different steps
    for (one, read_one), (other, read_other) in zip(alone, together, strict=True):
        assert tokens(one) == tokens(other)
        assert (read_one.text, read_one.finish_reason, read_one.usage) == (
            read_other.text, read_other.finish_reason, read_other.usage,
        )  # fmt: skip


def test_an_item_ends_at_its_own_end_of_sequence_and_padding_is_no_token(ask):
    """Tokens up to and with the first end of sequence, never more than asked for; prompts counted without padding."""
    for prompt, (stamps, generation) in zip(PROMPTS, ask([request(p) for p in PROMPTS], 8), strict=True):
        written = tokens(stamps)
        ends = [number for number, token in enumerate(written, 1) if token in ENDS]
        assert generation.usage.output_tokens == len(written) == (ends[0] if ends else 40)
        assert generation.finish_reason == ("stop" if ends else "length")
        assert generation.usage.prompt_tokens == len(prompt.rstrip().encode())
        times = [ns for ns, _ in stamps.arrivals]
        assert times == sorted(times)
        assert generation.finish_ns == times[-1]


def test_all_items_of_a_step_have_one_stamp(ask):
    """A step makes a token for every item that goes on, at one moment."""
    found = ask([request(prompt) for prompt in PROMPTS], 8)
    longest = max((stamps for stamps, _ in found), key=lambda stamps: len(stamps.arrivals))
    steps = [ns for ns, event in longest.arrivals if isinstance(event, int)]
    for stamps, _ in found:
        own = [ns for ns, event in stamps.arrivals if isinstance(event, int)]
        assert own == steps[: len(own)]


def test_marks_grow_to_the_whole_text(ask):
    """Bytes of text so far, only ever more, all of it at the last arrival; half a character is kept back."""
    for _, generation in ask([request(prompt) for prompt in PROMPTS], 4):
        sizes = [arrival.visible_bytes for arrival in generation.arrivals]
        assert sizes == sorted(set(sizes))
        assert (sizes[-1] if sizes else 0) == len(generation.text.encode("utf-8", "replace"))


def test_a_stop_text_ends_an_item_and_is_no_part_of_it(ask):
    """The text up to the stop text, in a batch too; the tokens that spelt it were made and are counted."""
    whole = max((read.text for _, read in ask([request(p) for p in PROMPTS], 8)), key=len)
    place = next(n for n in range(4, len(whole) - 1) if whole.find(whole[n]) == n)
    prompt = next(p for p in PROMPTS if ask([request(p)], 1)[0][1].text == whole)
    (stamps, cut), _ = ask([request(prompt, stop=(whole[place],)), request("other")], 2)
    assert cut.text == whole[:place]
    assert cut.finish_reason == "stop"
    assert cut.usage.output_tokens == len(tokens(stamps)) >= 1


def test_at_a_temperature_the_seed_decides(ask):
    """The same seed, the same text; another temperature draws otherwise."""
    hot = [request("a", temperature=1.5)]
    assert ask(hot, 1)[0][1].text == ask(hot, 1)[0][1].text
    assert ask(hot, 1)[0][1].text != ask([request("a")], 1)[0][1].text


def test_a_prompt_without_room_is_refused_before_the_clock(ask):
    """More tokens than the model has positions for: a context overflow that names both."""
    with pytest.raises(ContextOverflowError, match=f"room for {CONTEXT}"):
        ask([request("x" * (CONTEXT - 10))], 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"dtype": "float17"}, "float17"), ({"quantization": "2bit"}, "2bit"), ({"dtyp": "auto"}, "dtyp")],
)
def test_bad_options_name_the_key(options, words):
    """Before anything is loaded."""
    with pytest.raises(ExperimentError, match="options of engine transformers") as bad:
        read_options(options)
    assert words in str(bad.value)


def opened(model: str, **options: Any) -> None:
    engine = TransformersEngine(EngineSpec(engine="transformers", model=model, options=options, slots=1))
    asyncio.run(engine.open())


def test_a_device_that_is_not_here_is_one_line(tiny):
    """With what to write instead."""
    import torch

    if torch.cuda.is_available():
        opened(str(tiny), device="cuda")
        return
    with pytest.raises(ExperimentError, match='no cuda found here: write "auto" or "cpu"'):
        opened(str(tiny), device="cuda")


def test_a_model_that_is_not_there_is_one_line(tmp_path, monkeypatch):
    """An empty folder, and a hub name that cannot be reached: what to look at."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # the variable is read at import
    for model in (str(tmp_path), "nobody/nothing-of-the-kind"):
        with pytest.raises(ModelError) as bad:
            opened(model)
        assert "\n" not in str(bad.value)
        assert "cannot be loaded by transformers" in str(bad.value)
        # What the library says ends in a full stop, or is cut with an ellipsis; neither runs into the remedy.
        assert re.search(r"(…|[^.\s]): (see that|write a hub name)", str(bad.value))


class Hub(BaseHTTPRequestHandler):
    """A hub that has one model, which is gated."""

    def do_HEAD(self) -> None:
        gated = "/owner/gated/" in self.path
        self.send_response(401 if gated else 404)
        self.send_header("X-Error-Code", "GatedRepo" if gated else "RepoNotFound")
        self.send_header("X-Error-Message", "Access to model owner/gated is restricted." if gated else "Not found")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("model", "remedy"),
    [
        ("owner/gated", "ask for access on its page, then run `export HF_TOKEN=...`"),
        ("owner/none", "write a hub name (owner/model), a folder, a GGUF file or a name from `taskpace list models`"),
    ],
)
def test_a_gated_or_unknown_model_is_one_line_with_the_remedy(cli, tmp_path, monkeypatch, model, remedy):
    """Over real HTTP, from the command line, without a token."""
    monkeypatch.setitem(run_plan.__kwdefaults__, "launch", InProcess)
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as hub:
        Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        url = f"http://127.0.0.1:{hub.server_port}"
        for name, value in {  # what HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE are at import
            "ENDPOINT": url,
            "HUGGINGFACE_CO_URL_TEMPLATE": f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
            "HF_HUB_CACHE": str(tmp_path / "hub"),
            "HF_TOKEN_PATH": str(tmp_path / "no-token"),
            "HF_HUB_OFFLINE": False,
        }.items():
            monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
        done = cli(
            *("run", "-m", model, "--engine", "transformers", "-n", "2", "-t", "mmlu-letter", "-o", "x.db"),
            HF_TOKEN="",
        )
        hub.shutdown()
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "given up" in line]
    assert line.endswith(remedy)
    assert "Traceback" not in done.stderr


def test_a_precision_that_a_device_has_not_is_one_line(tiny, monkeypatch):
    """Bitsandbytes has no kernels for Apple's GPUs: said before anything is loaded."""
    import torch

    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(ExperimentError, match='key "quantization": bitsandbytes has none for mps: leave it out'):
        opened(str(tiny), device="mps", quantization="8bit")


def test_a_gguf_file_is_quantised_anew(tmp_path, monkeypatch, capfd, caplog, parsed_once):
    """Dequantised, then by bitsandbytes to 8 and to 4 bit: smaller, it answers, and nothing is left behind."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    model, found = str(resolve("smollm2-135m", Path()).path), []
    for quantization in ("8bit", "4bit"):
        loaded = load.load(model, Options(dtype="bfloat16", quantization=quantization, threads=1))
        ids = loaded.tokenizer("The capital of France is", return_tensors="pt")
        made = loaded.model.generate(**ids, max_new_tokens=4, do_sample=False)
        assert loaded.quantized_by == "bitsandbytes"
        assert "Paris" in loaded.tokenizer.decode(made[0])
        found.append(sum(parameter.nbytes for parameter in loaded.model.parameters()))
    eight, four = found
    assert four < eight < 0.75 * 2 * 134_515_008  # bytes of bfloat16
    assert not list(tmp_path.glob("taskpace-*"))  # torch may make a folder of its own
    assert "MatMul8bitLt" not in capfd.readouterr().err + caplog.text


def test_a_gguf_file_is_parsed_once_while_a_model_loads(monkeypatch):
    """Readers and tables of names are kept while a model and its tokenizer load, and no longer."""
    made = []
    fake = types.ModuleType("gguf")
    fake.GGUFReader = lambda path: made.append(path) or object()
    fake.get_tensor_name_map = lambda arch, layers: made.append((arch, layers)) or object()
    before = fake.GGUFReader, fake.get_tensor_name_map
    monkeypatch.setitem(sys.modules, "gguf", fake)
    with load._gguf_read_once():
        first = fake.GGUFReader("a")
        with load._gguf_read_once():
            assert fake.GGUFReader("a") is first
        assert fake.get_tensor_name_map("llama", 2) is fake.get_tensor_name_map("llama", 2)
    assert made == ["a", ("llama", 2)]
    assert (fake.GGUFReader, fake.get_tensor_name_map) == before


def experiment(tmp_path: Path, **changes: Any) -> Path:
    file = tmp_path / "x.toml"
    file.write_text(tomli_w.dumps({"tasks": ["mmlu-letter"], "items": 10, "max_tokens": 16, **changes}), "utf-8")
    return file


def run_here(file: Path) -> Run:
    """Carry an experiment out in this process, which has torch imported; a worker would import it again."""
    plan = prepare(load_experiment(file), file.parent)
    path = file.with_suffix(".db")
    with Store.create_or_continue(path, plan, "0") as store:
        run_plan(plan, store, launch=InProcess)
    return taskpace.open(path)


def test_a_run_in_static_batches_records_the_batch_s_time_and_each_item_s_end(tiny, tmp_path):
    """Ten items in batches of four: three batches; everybody's task time is the batch's, the finish one's own."""
    system = {"name": "tiny", "engine": "transformers", "model": str(tiny), "options": ONE_THREAD}
    file = experiment(tmp_path, scenarios=[{"batch": [1, 4]}], warmup=1, system=[system])
    run = run_here(file)
    frame = run.frame()
    assert frame["failure_kind"].null_count() == 20
    batches = [part for _, part in frame.filter(scenario="batch=4").group_by("dispatch_ns", maintain_order=True)]
    assert sorted(len(part) for part in batches) == [2, 4, 4]
    for part in batches:
        assert part["task_time_s"].n_unique() == 1
    ends = dict(run.store.query("SELECT trial_id, finish_ns - end_ns FROM turn")[1])
    assert all(left <= 0 for left in ends.values())
    assert any(left < 0 for left in ends.values())
    warm_ups = run.store.query("SELECT count(*) FROM record WHERE phase = 'warm-up'")[1][0][0]
    assert warm_ups == 1 + 4
    rows = {table.scenario: table.rows[0] for table in run.summary().tables}
    assert rows["batch=1"].batches is None
    assert rows["batch=4"].batches == 3
    assert "few-batches" in {finding.code for finding in rows["batch=4"].findings}
    texts = run.store.query(
        "SELECT trial.item_id, count(DISTINCT turn.text) FROM turn JOIN trial ON trial.id = turn.trial_id GROUP BY 1"
    )[1]
    assert {count for _, count in texts} == {1}


def test_items_can_be_put_in_order_of_length(tiny, tmp_path):
    """With ``batch_order = "length"`` the prompts of a cell are sent shortest first."""
    system = {"name": "tiny", "engine": "transformers", "model": str(tiny), "options": {"threads": 1}}
    file = experiment(tmp_path, scenarios=["batch=4"], batch_order="length", warmup=0, system=[system])
    frame = run_here(file).frame().sort("dispatch_ns")
    greatest = [part["prompt_bytes"].max() for _, part in frame.group_by("dispatch_ns", maintain_order=True)]
    assert greatest == sorted(greatest)


def test_what_does_not_fit_is_a_result_and_larger_batches_are_not_tried(tmp_path):
    """A real limit on memory: the batch that exceeds it is recorded with what was tried, smaller ones stand, the rest
    is recorded as not tried, and the next task goes on in the same worker.
    """
    model = make_tiny(tmp_path / "wide", intermediate=40_000, **LIKE)
    options = {"dtype": "float32", "threads": 1, "memory_limit_mb": 1400}
    system = {"name": "tiny", "engine": "transformers", "model": str(model), "options": options}
    scenarios = [{"batch": [1, 2, 8, 10]}]
    file = experiment(tmp_path, scenarios=scenarios, items=10, max_tokens=1, warmup=0, system=[system])
    said: list[object] = []
    frame = taskpace.run(file, tmp_path / "x.db", on_event=said.append).frame()
    assert not [event for event in said if isinstance(event, taskpace.runner.events.WorkerDied)]
    kinds = {
        scenario: set(part["failure_kind"].to_list())
        for (scenario,), part in frame.group_by("scenario", maintain_order=True)
    }
    assert kinds == {
        "batch=1": {None},
        "batch=2": {None},
        "batch=8": {"out-of-memory", "not-tried"},
        "batch=10": {"not-tried"},
    }
    failed = frame.filter(failure_kind="out-of-memory")
    assert len(failed) == 8
    assert "a batch of 8 with prompts of up to" in failed["failure_message"][0]
    assert frame.height == 40


def test_engines_without_static_batches_say_which_have_them():
    """Before anything runs."""
    one = taskpace.quick_experiment(
        models=("s",), engine="simulated", tasks=("mmlu-letter",), items=3, scenarios=("batch=2",)
    )
    with pytest.raises(ExperimentError, match=r'no static batches .*"transformers" has them'):
        prepare(one, Path())


ALIKE = (
    "Which?", "  two  spaces,\ta tab\nand lines\n\n", "3.14159 and 1,234,567", "Übergrößen, naïve façade",
    "火车又晚点了", "поезд опоздал", "\U0001f600 \U0001f469\u200d\U0001f4bb", "def f(x):\n    return {x: [1, 2]}",
)  # fmt: skip


def test_both_engines_count_the_same_prompts_alike(tmp_path, parsed_once):
    """The same GGUF weights through llama.cpp and through transformers: prompt tokens are the same, exactly, of two
    shipped prompts and of short ones in several scripts.
    """
    systems = [
        {"name": "llama.cpp", "model": "smollm2-135m", "options": {"context": 1024, "threads": 1}},
        {"name": "transformers", "engine": "transformers", "model": "smollm2-135m", "options": ONE_THREAD},
    ]
    task = load_task("mmlu-letter", tmp_path)
    prompts = [*ALIKE, *(render(task, item)[0] for item in load_items(task, tmp_path, 2, 0))]
    lines = "".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts)
    (tmp_path / "prompts.jsonl").write_text(lines, "utf-8")
    tasks = [{"prompts": "prompts.jsonl"}]
    file = experiment(tmp_path, tasks=tasks, items=10, max_tokens=1, warmup=0, system=systems)
    frame = run_here(file).frame()
    counts = {
        system: part.sort("item_id").select("item_id", "prompt_tokens").rows()
        for (system,), part in frame.group_by("system")
    }
    assert len(counts["transformers"]) == 10
    assert counts["llama.cpp"] == counts["transformers"]
    assert set(frame["token_source"]) == {"engine"}
