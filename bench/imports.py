"""What imported logs of other tools say, against what the server knows that they were made of.

Run: python bench/imports.py. Reads the logs of tests/imports; --quick is the same.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import mean
from typing import Any

from harness import Bench
from taskpace.importing.logs import Sample

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests import test_import, test_import_load


def main() -> None:
    bench = Bench("imports", __doc__, markdown=True)
    bench.say("## every request")
    bench.say(
        "| tool | question | seconds, log | last byte, server | first, log | first, server | outcome, log | server |"
    )
    bench.say("| --- | --- | ---: | ---: | ---: | ---: | --- | --- |")
    for module in (test_import, test_import_load):
        for tool, (path, truth_file) in module.NINE.items():
            samples = module.by_case(module.the_log(path).samples)
            _print(bench, tool, module.truths(truth_file), samples)
    bench.say("## means")
    bench.say("| tool, six requests | TTFT, tool | TTFT, log | TTFT, server | latency, log | latency, server |")
    bench.say("| --- | ---: | ---: | ---: | ---: | ---: |")
    for tool, (path, truth_file) in test_import_load.SIX.items():
        _print_six(bench, tool, test_import_load.truths(truth_file), test_import_load.the_log(path).samples)
    bench.finish()


def _print_six(bench: Bench, tool: str, truth: dict[str, dict[str, Any]], samples: tuple[Sample, ...]) -> None:
    """Means over the requests that did not fail; of the log's first tokens over those that are known."""
    ended = {case: each for case, each in test_import_load.by_case(samples).items() if each.error is None}
    means = [
        test_import_load.mean_ttft_s(tool),
        mean(each.moments[0].seconds for each in ended.values() if each.moments),
        mean(truth[case]["first_s"] for case in ended),
        mean(each.seconds or 0.0 for each in ended.values()),
        mean(truth[case]["last_s"] for case in ended),
    ]
    bench.say(f"| {tool} | {' | '.join(map(_written, means))} |")


def _print(bench: Bench, tool: str, truth: dict[str, dict[str, Any]], found: dict[str, Sample]) -> None:
    for case, known in truth.items():
        if case == "unknown":
            continue
        sample = found.get(case)
        did = known.get("failed") or known.get("finish", "")
        last, first = known["last_s"], known["first_s"] if known["streamed"] and "texts_ns" in known else None
        if sample is None:
            bench.say(f"| {tool} | {case} | no such question | {_written(last)} | – | {_written(first)} | – | {did} |")
            continue
        moment = sample.moments[0].seconds if sample.moments else None
        cells = [_written(sample.seconds), _written(last), _written(moment), _written(first)]
        outcome = sample.error_kind if sample.error is not None else sample.finish or "not said"
        bench.say(f"| {tool} | {case} | {' | '.join(cells)} | {outcome} | {did} |")


def _written(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
