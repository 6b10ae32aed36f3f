"""What imported logs say against what the server knows that they were made of: ``python -m bench.imports``."""

from __future__ import annotations

from tests.test_import import NINE, by_case, the_log, truths


def main() -> None:
    print("| tool | question | seconds, log | last byte, server | first, log | first, server | outcome, log | server |")
    print("| --- | --- | ---: | ---: | ---: | ---: | --- | --- |")
    for tool, (path, truth_file) in NINE.items():
        truth = truths(truth_file)
        found = by_case(the_log(path).samples)
        for case, known in truth.items():
            if case == "unknown":
                continue
            sample = found.get(case)
            did = known.get("failed") or known.get("finish", "")
            last = known["last_s"]
            first = known["first_s"] if known["streamed"] and "texts_ns" in known else None
            if sample is None:
                print(f"| {tool} | {case} | not in the log | {last:.3f} | – | {_written(first)} | missing | {did} |")
                continue
            moment = sample.moments[0].seconds if sample.moments else None
            cells = [_written(sample.seconds), f"{last:.3f}", _written(moment), _written(first)]
            outcome = sample.error_kind if sample.error is not None else sample.finish or "not said"
            print(f"| {tool} | {case} | {' | '.join(cells)} | {outcome} | {did} |")


def _written(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
