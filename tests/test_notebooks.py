"""The notebooks of examples/ run from top to bottom in a fresh clone, and show what they show there.

Run as a program (`python -m tests.test_notebooks`) it fills their outputs in.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import altair as alt
import pytest
import vl_convert

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def outputs(notebook: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """What each code cell prints, and what its last expression is, as Jupyter keeps it."""
    names: dict[str, Any] = {"__name__": "__main__"}
    found = []
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        *statements, last = ast.parse("".join(cell["source"])).body
        printed, value = io.StringIO(), None
        with contextlib.redirect_stdout(printed):
            if isinstance(last, ast.Expr):
                exec(compile(ast.Module(statements, []), "<cell>", "exec"), names)  # noqa: S102 - this repository's
                value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)  # noqa: S307 - likewise
            else:
                exec(compile(ast.Module([*statements, last], []), "<cell>", "exec"), names)  # noqa: S102 - likewise
        found.append(_kept(printed.getvalue(), value))
    return found


def _kept(printed: str, value: Any) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    if printed:
        kept.append({"output_type": "stream", "name": "stdout", "text": printed.splitlines(keepends=True)})
    if value is not None:
        shown = {"text/html": value._repr_html_()} if hasattr(value, "_repr_html_") else {"text/plain": repr(value)}
        if isinstance(value, alt.TopLevelMixin):
            shown = {"image/svg+xml": _svg(value)}
        data = {kind: text.splitlines(keepends=True) for kind, text in shown.items()}
        kept.append({"output_type": "execute_result", "execution_count": None, "metadata": {}, "data": data})
    return kept


def _svg(chart: Any) -> str:
    """A chart as a picture, which every viewer shows; Jupyter itself draws it by altair."""
    return str(vl_convert.vegalite_to_svg(json.dumps(chart.to_dict(validate=False))))


def told(kept: list[dict[str, Any]]) -> str:
    """The words of an output, without what differs between two machines."""
    text = "".join(
        "".join(part.get("text", [])) + "".join(map("".join, part.get("data", {}).values())) for part in kept
    )
    return re.sub(r"\s+", " ", re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL))


def executed(path: Path, folder: Path) -> list[list[dict[str, Any]]]:
    """In a copy of the folder, with nothing beside it."""
    clone = Path(shutil.copytree(ROOT / "examples", folder / "examples"))
    before = Path.cwd()
    os.chdir(clone)
    try:
        return outputs(json.loads(path.read_text("utf-8")))
    finally:
        os.chdir(before)


def test_there_are_two():
    """A first look, and an analysis of one's own."""
    assert [path.stem for path in NOTEBOOKS] == ["first-look", "own-analysis"]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_shows_what_it_computes(path, tmp_path):
    """Each cell runs, and what stands below it is what it gives; pictures are not compared."""
    now = executed(path, tmp_path)
    cells = [cell for cell in json.loads(path.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
    for cell, kept in zip(cells, now, strict=True):
        assert told(cell["outputs"]) == told(kept), "".join(cell["source"])
    assert all(cell["outputs"] or "=" in "".join(cell["source"]) for cell in cells)


def main() -> None:
    import tempfile

    for path in NOTEBOOKS:
        notebook = json.loads(path.read_text("utf-8"))
        with tempfile.TemporaryDirectory() as folder:
            found = iter(executed(path, Path(folder)))
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                cell["outputs"] = next(found)
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
