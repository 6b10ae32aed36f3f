"""Joules: the counters, the windows, what a summary makes of them."""

from __future__ import annotations

import csv
import io
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pynvml
import pytest
from hypothesis import given, strategies as st

from taskpace.analysis.stats.estimates import UNKNOWN, Estimate
from taskpace.analysis.table.energy import find_energy
from taskpace.engines.base import EngineSpec, Sampling
from taskpace.machine import energy
from taskpace.machine.energy import Found, Meter, find
from taskpace.report.charts import panels, styled
from taskpace.report.files.csv_table import summary_csv
from taskpace.report.files.markdown import summary_markdown
from taskpace.report.words.energy import energy_lines
from taskpace.telemetry import ClientMetrics, Reading, Window
from taskpace.worker import worker
from taskpace.worker.messages import CellEnded, Dispatched, Finished, FromWorker, Job, Open, RunCell
from taskpace.worker.worker import Worker

RANGE_UJ = 1_000_000


def package(root: Path, folder: str = "intel-rapl:0", name: str = "package-0", energy_uj: int = 0) -> Path:
    """A powercap folder as Linux shows it."""
    made = root / "sys/class/powercap" / folder
    made.mkdir(parents=True)
    for file, text in (("name", name), ("energy_uj", energy_uj), ("max_energy_range_uj", RANGE_UJ)):
        (made / file).write_text(f"{text}\n")
    return made


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(energy, "_gpus", lambda: ([], "GPU: none here"))


def test_whole_packages_count_and_their_parts_do_not(tmp_path, no_gpu):
    """Of a powercap tree packages are read; cores, memory, the platform and the second view of a package are not."""
    for folder, name in (
        ("intel-rapl:0", "package-0"),
        ("intel-rapl:0:0", "core"),
        ("intel-rapl:0:1", "dram"),
        ("intel-rapl:1", "package-1"),
        ("intel-rapl:2", "psys"),
        ("intel-rapl-mmio:0", "package-0"),
    ):
        package(tmp_path, folder, name)
    found = find(tmp_path)
    assert [counter.name for counter in found.counters] == ["CPU package-0", "CPU package-1"]
    assert found.missing == ("GPU: none here",)


@given(steps=st.lists(st.integers(0, RANGE_UJ - 1), max_size=40))
def test_a_counter_that_begins_anew_loses_nothing(steps):
    """Whatever is spent between two readings, up to the counter's range, is in the sum, however often it wraps."""
    with tempfile.TemporaryDirectory() as folder:
        file = package(Path(folder), energy_uj=RANGE_UJ // 2) / "energy_uj"
        (counter,), _ = energy._packages(Path(folder) / "sys/class/powercap")
        begun = counter.read_j()
        total = RANGE_UJ // 2
        for step in steps:
            total += step
            file.write_text(str(total % RANGE_UJ))
            counter.read_j()
        assert counter.read_j() - begun == pytest.approx(sum(steps) / 1e6, abs=1e-9)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_counter_for_root_alone_names_the_remedy(open_folder, no_gpu):
    """Linux lets root alone read RAPL by default: the reason says what to run."""
    (package(open_folder) / "energy_uj").chmod(0o400 if os.geteuid() == 0 else 0)
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        found = find(open_folder)
    finally:
        os.seteuid(before)
    assert not found.counters
    assert "sudo chmod a+r" in found.missing[1]


def test_a_machine_without_counters_says_so_twice(tmp_path, monkeypatch):
    """Without a powercap tree and without nvidia-ml-py each kind of counter has its reason, and nothing is raised."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
    found = find(tmp_path)
    assert not found.counters
    assert "(extra energy): `taskpace doctor`" in found.missing[0]
    assert "RAPL" in found.missing[1]


_NVML_BITS = {
    "SwPowerCap": 0x4,
    "HwSlowdown": 0x8,
    "SwThermalSlowdown": 0x20,
    "HwThermalSlowdown": 0x40,
    "HwPowerBrakeSlowdown": 0x80,
}


def fake_nvml(recordings: dict[str, list[tuple[int, int, int]]]) -> ModuleType:
    """nvidia-ml-py on recordings by identifier: (millijoules, degrees, reasons) at each reading of the energy."""
    nvml = ModuleType("pynvml")
    failure = type("NVMLError", (Exception,), {})
    now = dict.fromkeys(recordings, (0, 0, 0))

    def total_energy(handle: str) -> int:
        recording = recordings[handle]
        if not recording:
            raise failure("Not Supported")
        now[handle] = recording.pop(0) if len(recording) > 1 else recording[0]
        return now[handle][0]

    functions = {
        "Init": lambda: None,
        "DeviceGetCount": lambda: len(recordings),
        "DeviceGetHandleByIndex": lambda number: list(recordings)[number],
        "DeviceGetUUID": lambda handle: handle,
        "DeviceGetName": lambda _handle: b"NVIDIA Test",
        "DeviceGetTotalEnergyConsumption": total_energy,
        "DeviceGetTemperature": lambda handle, _kind: now[handle][1],
        "DeviceGetCurrentClocksThrottleReasons": lambda handle: now[handle][2],
    }
    for name, function in functions.items():
        setattr(nvml, f"nvml{name}", function)
    for name, bit in _NVML_BITS.items():
        setattr(nvml, f"nvmlClocksThrottleReason{name}", bit)
    vars(nvml).update(NVML_TEMPERATURE_GPU=0, NVMLError=failure)
    return nvml


def test_the_fake_has_what_the_library_has():
    """Every name that the fake replaces is one of nvidia-ml-py's, the reasons with the same bits."""
    fake = {name: value for name, value in vars(fake_nvml({})).items() if name.lower().startswith("nvml")}
    assert fake.keys() <= vars(pynvml).keys()
    assert {name: bit for name, bit in fake.items() if "Reason" in name and isinstance(bit, int)} == {
        f"nvmlClocksThrottleReason{name}": getattr(pynvml, f"nvmlClocksThrottleReason{name}") for name in _NVML_BITS
    }


def test_a_recorded_gpu_is_read_as_recorded(monkeypatch, tmp_path):
    """Joules are the total's difference, heat the greatest seen, reasons those that the workload did not choose."""
    recording = [(5000, 40, 0), (5000, 50, 0x1), (9000, 81, 0x4 | 0x40)]
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml({"GPU-a": recording}))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    found = find(tmp_path)
    meter = Meter(Found(found.counters, ()), now_s=iter([0.0, 2.0]).__next__)
    meter.begin()
    (spent,) = meter.end()
    assert found.counters[0].name == "GPU 0: NVIDIA Test"
    assert (spent.joules, spent.seconds, spent.temperature_max_c) == (4.0, 2.0, 81.0)
    assert spent.throttling == ("power limit", "heat (hardware)")


@pytest.mark.parametrize(
    ("said", "names"),
    [(None, [0, 1, 2]), ("1", [1]), ("2,0", [2, 0]), ("GPU-b", [1]), ("0,-1,1", [0]), ("", []), ("7", [])],
)
def test_the_gpus_are_those_that_cuda_may_use(monkeypatch, tmp_path, said, names):
    """CUDA_VISIBLE_DEVICES chooses by number or identifier, in order, and what follows a wrong one is hidden."""
    every = {f"GPU-{letter}": [(1, 1, 0)] for letter in "abc"}
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(every))
    if said is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", said)
    assert [counter.name for counter in find(tmp_path).counters] == [f"GPU {name}: NVIDIA Test" for name in names]


def test_a_card_without_the_counter_is_a_reason(monkeypatch, tmp_path):
    """A card from before Volta has no total energy: null with the reason, not zero."""
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml({"GPU-a": []}))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    found = find(tmp_path)
    assert not found.counters
    assert "Volta" in found.missing[0]


class Steady:
    """A counter of so many watts."""

    name, covers = "CPU package-0", "CPU package"

    def __init__(self, watts: float = 30.0, *, lasts: int = 10**9, heat: Any = None) -> None:
        self.watts, self.left, self.heat = watts, lasts, heat

    def read_j(self) -> float:
        self.left -= 1
        if self.left < 0:
            raise OSError("gone")
        return self.watts * time.perf_counter()

    def temperature_c(self) -> float | None:
        if isinstance(self.heat, Exception):
            raise self.heat
        return self.heat

    def throttling(self) -> tuple[str, ...]:
        return ()


def test_a_counter_that_fails_in_a_window_gives_a_reason_and_no_joules():
    """One failed reading loses that window for that counter; a thermometer that fails loses nothing."""
    meter = Meter(Found((Steady(lasts=3), Steady(heat=RuntimeError("x"))), ("GPU: none",)))
    windows = []
    for _ in range(3):
        meter.begin()
        windows.append(meter.end())
    window = meter.window(5, *windows)
    assert [reading.joules > 0 for reading in window.readings] == [True]
    assert window.readings[0].temperature_max_c is None
    assert window.missing[0] == "GPU: none"
    assert "could not be read" in window.missing[1]


class Listener:
    """The run's end of a worker in this process."""

    def __init__(self) -> None:
        self.heard: list[FromWorker] = []

    def send(self, message: FromWorker, _urgent: bool) -> None:
        self.heard.append(message)

    def send_now(self, message: FromWorker) -> None:
        self.heard.append(message)

    def wait_stored(self, _records: int) -> None:
        pass

    def stopping(self) -> bool:
        return False


def cell(monkeypatch, counters: tuple[Any, ...], *, asked: bool = True, time_: str = "real") -> ClientMetrics:
    """What a worker says of a cell of a warm-up and four trials."""
    monkeypatch.setattr(worker, "find", lambda: Found(counters, () if counters else ("no counter here",)))
    monkeypatch.setattr(energy, "IDLE_S", 0.05)
    run = Listener()
    spec = EngineSpec(engine="simulated", model="m", options={"token_time": 0.01, "time": time_}, slots=1)
    working = Worker(run)
    assert working.open(Open(spec=spec))
    jobs = [
        Job(
            trial_id=f"t{number}",
            attempt=1,
            phase="measured" if number else "warm-up",
            system_prompt=None,
            prompts=("x",),
            max_tokens=8,
            stop=(),
            sampling=Sampling(),
            seed=0,
        )
        for number in range(5)
    ]
    working.run_cell(RunCell(concurrency=1, one_at_a_time=True, timeout_s=60, energy=asked, jobs=jobs))
    working.close()
    assert sum(isinstance(said, Finished) for said in run.heard) == sum(isinstance(s, Dispatched) for s in run.heard)
    return next(said.client for said in run.heard if isinstance(said, CellEnded))


def test_a_cells_window_is_that_of_its_measured_trials(monkeypatch):
    """On a counter of steady 30 watts joules are 30 times the seconds, idle power is 30 watts, and warm-ups are out."""
    window = cell(monkeypatch, (Steady(30.0, heat=55.0),)).energy
    (reading,) = window.readings
    assert window.trials == 4
    assert reading.joules == pytest.approx(30 * window.seconds, rel=0.02)
    assert window.seconds >= 4 * 0.01
    assert reading.idle_before_w == pytest.approx(30, rel=0.02)
    assert reading.idle_after_w == pytest.approx(30, rel=0.02)
    assert reading.temperature_max_c == 55.0


def test_energy_that_nobody_asked_for_is_null(monkeypatch):
    """Without `energy = true` there is no window; asked for and not available, the window says why."""
    assert cell(monkeypatch, (Steady(),), asked=False).energy is None
    assert cell(monkeypatch, ()).energy.missing == ("no counter here",)
    assert cell(monkeypatch, (Steady(),), time_="virtual").energy.missing == (
        "time is virtual, and nothing is computed",
    )


def reading(joules: float, idle_w: float | None = 10.0, **changes: Any) -> Reading:
    values = {"name": "CPU package-0", "covers": "CPU package", "temperature_max_c": None, "throttling": ()} | changes
    return Reading(joules=joules, idle_before_w=idle_w, idle_after_w=idle_w, **values)


def test_joules_by_task_and_by_correct_answer():
    """Gross is what was counted, net is less idle power times time; by correct answer with the accuracy's interval."""
    windows = [
        Window(trials=10, seconds=2.0, readings=(reading(100.0), reading(50.0, 5.0, name="GPU 0: x", covers="GPU"))),
        Window(trials=10, seconds=3.0, readings=(reading(200.0), reading(50.0, 5.0, name="GPU 0: x", covers="GPU"))),
    ]
    found, missing = find_energy(windows, 20, Estimate(0.5, 0.25, 0.8), alone=True)
    assert missing is None
    assert (found.gross_j, found.net_j) == (400.0, 400.0 - 5 * 15)
    assert found.covers == ("CPU package", "GPU")
    assert found.kind == "measured"
    assert (found.gross_per_task_j, found.net_per_task_j) == (20.0, 16.25)
    assert found.gross_per_correct_j == Estimate(40.0, 25.0, 80.0)
    assert found.net_per_correct_j == Estimate(32.5, 16.25 / 0.8, 65.0)
    assert find_energy(windows, 20, UNKNOWN, alone=False)[0].kind == "allocated"
    assert find_energy(windows, 20, UNKNOWN, alone=False)[0].gross_per_correct_j == UNKNOWN


@pytest.mark.parametrize(
    ("windows", "why"),
    [
        ([Window(trials=4, seconds=1.0, readings=(reading(1.0),))], "4 of 5 trials"),
        ([Window(trials=0, seconds=0.0, missing=("GPU: none", "CPU package: none"))], "GPU: none; CPU package: none"),
        (
            [
                Window(trials=4, seconds=1.0, readings=(reading(1.0),)),
                Window(trials=1, seconds=1.0, readings=(reading(1.0, name="CPU package-1"),)),
            ],
            "different counters",
        ),
    ],
)
def test_joules_of_a_part_are_not_those_of_the_whole(windows, why):
    """What was not counted throughout is null, and the reason says what was."""
    found, missing = find_energy(windows, 5, UNKNOWN, alone=True)
    assert found is None
    assert why in missing


def segment(window: Window | None) -> ClientMetrics:
    lags = dict.fromkeys(("loop_lag_median_ns", "loop_lag_p99_ns", "loop_lag_max_ns", "steal_ticks", "cpu_ticks"))
    return ClientMetrics(
        **lags, lag_samples=0, client_cpu_ns=0, wall_ns=1, peak_rss_bytes=None, throttled_ns=None, energy=window
    )


def test_the_reports_show_joules_where_there_are_some(trials_of, summary_of):
    """Table, sentence, chart and legend name joules, what they cover and how; without any none of them does."""
    window = Window(trials=40, seconds=40.0, readings=(reading(800.0),), missing=("GPU: none that NVML can see",))
    summary = summary_of(trials_of("a", outcome=["correct", "wrong"] * 20), segments=(segment(window),))
    text = summary_markdown(summary)
    assert "a: 20 J a task (10 net of idle), 40" in text
    assert "CPU package, measured, 20 W on average" in text
    assert "energy, not counted: GPU: none that NVML can see" in text
    (panel,) = panels(summary, "energy")
    assert panel.rows[0][1:3] == ("20", "10")
    styled(panel.picture).to_dict(validate=True)
    (against,) = panels(summary, "energy-time")
    assert against.rows[0][-1] == "yes"
    assert against.rows[0][2].startswith("40 J (")
    (cells,) = csv.DictReader(io.StringIO(summary_csv(summary)))
    assert (cells["energy_covers"], cells["energy_gross_per_task_j"]) == ("CPU package", "20.0")
    assert float(cells["energy_gross_per_correct_j_low"]) < 40 == float(cells["energy_gross_per_correct_j"])
    without = summary_of(trials_of("a"))
    assert not energy_lines(without.tables[0])
    assert not panels(without, "energy")
    assert not panels(without, "energy-time")
    assert "J/task" not in summary_markdown(without)


def test_a_gpu_that_held_back_for_heat_is_invalid_and_a_power_limit_is_not(trials_of, summary_of):
    """Heat makes a machine that drifts; the power limit is how a card runs at full load."""
    for throttling, codes in (
        (("power limit",), []),
        (("power limit", "heat (driver)"), ["gpu-throttled"]),
    ):
        window = Window(trials=40, seconds=40.0, readings=(reading(800.0, throttling=throttling),))
        (row,) = summary_of(trials_of("a"), segments=(segment(window),)).tables[0].rows
        assert [reason.code for reason in row.reasons] == codes


@pytest.mark.slow
def test_the_flag_asks_and_the_summary_answers(cli):
    """`--energy` with a model that takes no energy ends with the reason in the summary and nothing invented."""
    done = cli("run", "-m", "s", "--engine", "simulated", "-n", "12", "-t", "mmlu-letter", "--energy", "-o", "r.db")
    assert done.returncode == 0, done.stderr
    said = " ".join(cli("summary", "r.db", "--full").stdout.split())
    assert (
        "s: no energy: time is virtual, and nothing is computed" in said
        or "J a task" in said
        or "no energy: GPU" in said
    )
