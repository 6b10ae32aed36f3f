"""What imported logs say against what the server knows that they were made of: ``python -m bench.imports``."""

from __future__ import annotations

from statistics import mean
from typing import Any

from tests import test_import, test_import_load

from taskpace.importing.logs import Sample


def main() -> None:
    print("| tool | question | seconds, log | last byte, server | first, log | first, server | outcome, log | server |")
    print("| --- | --- | ---: | ---: | ---: | ---: | --- | --- |")
    for module in (test_import, test_import_load):
        for tool, (path, truth_file) in module.NINE.items():
            _print(tool, module.truths(truth_file), module.by_case(module.the_log(path).samples))

    print("\n| tool, six requests | TTFT, tool | TTFT, log | TTFT, server | latency, log | latency, server |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for tool, (path, truth_file) in test_import_load.SIX.items():
        _print_six(tool, test_import_load.truths(truth_file), test_import_load.the_log(path).samples)


def _print_six(tool: str, truth: dict[str, dict[str, Any]], samples: tuple[Sample, ...]) -> None:
    """Means over the requests that did not fail; of the log's first tokens over those that are known."""
    ended = {case: each for case, each in test_import_load.by_case(samples).items() if each.error is None}
    means = [
        test_import_load.mean_ttft_s(tool),
        mean(each.moments[0].seconds for each in ended.values() if each.moments),
        mean(truth[case]["first_s"] for case in ended),
        mean(each.seconds or 0.0 for each in ended.values()),
        mean(truth[case]["last_s"] for case in ended),
    ]
    print(f"| {tool} | {' | '.join(map(_written, means))} |")


def _print(tool: str, truth: dict[str, dict[str, Any]], found: dict[str, Sample]) -> None:
    for case, known in truth.items():
        if case == "unknown":
            continue
        sample = found.get(case)
        did = known.get("failed") or known.get("finish", "")
        last, first = known["last_s"], known["first_s"] if known["streamed"] and "texts_ns" in known else None
        if sample is None:
            print(f"| {tool} | {case} | no such question | {_written(last)} | – | {_written(first)} | – | {did} |")
            continue
        moment = sample.moments[0].seconds if sample.moments else None
        cells = [_written(sample.seconds), _written(last), _written(moment), _written(first)]
        outcome = sample.error_kind if sample.error is not None else sample.finish or "not said"
        print(f"| {tool} | {case} | {' | '.join(cells)} | {outcome} | {did} |")


def _written(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
