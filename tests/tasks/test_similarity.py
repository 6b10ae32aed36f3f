"""The scorer ``similarity``, with an embedding model that is made on the spot and checked by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from huggingface_hub import constants
from model2vec import StaticModel
from tokenizers import Tokenizer, models, pre_tokenizers

import taskpace
from taskpace.errors import TaskError
from taskpace.experiment.plan import make_plan
from taskpace.experiment.prepare import prepare
from taskpace.tasks import Task, load_items, load_task, script
from taskpace.tasks.scorers import SCORERS
from taskpace.tasks.scorers.similarity import similarity

WORDS = ("[UNK]", "the", "sea", "ocean", "is", "big", "small", "not")
VECTORS = np.random.default_rng(0).normal(size=(len(WORDS), 6)).astype(np.float32)
VECTORS[0] = 0


def save_model(folder: Path, vectors: np.ndarray = VECTORS) -> Path:
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    StaticModel(vectors, tokenizer).save_pretrained(folder)
    return folder


def by_hand(text: str, reference: str) -> float:
    """Mean of the words' vectors, unknown ones left out, and the cosine of the two means."""
    one, other = (
        np.mean([VECTORS[WORDS.index(word)].astype(np.float64) for word in each.split()], axis=0)
        for each in (text, reference)
    )
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))


@pytest.fixture
def make_task(tmp_path: Path) -> Callable[..., Path]:
    """Writes a task file with two items and the scorer; ``options``: as in TOML."""

    def build(options: str, folder: Path = tmp_path) -> Path:
        folder.mkdir(exist_ok=True)
        rows = [{"prompt": "?", "references": "the sea is big"}, {"prompt": "!", "references": ["small", "not big"]}]
        (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
        (folder / "t.toml").write_text(
            'name = "t"\nversion = 1\ndescription = "d"\nmax_tokens = 99\nscorer = "similarity"\n'
            f'turns = [{{ prompt = "{{{{ prompt }}}}" }}]\ndata = {{ source = "rows.jsonl" }}\noptions = {options}\n'
        )
        return folder / "t.toml"

    return build


def load(path: Path) -> Task:
    return load_task(str(path), Path())


def test_it_is_the_cosine_of_two_means(tmp_path):
    """As computed by hand, best of several references, clipped at 0; the same text has 1, unknown words 0."""
    folder = str(save_model(tmp_path / "m"))
    text = "the ocean is big"
    for reference in ("the sea is big", "small", "not the sea", "is not small"):
        hand = by_hand(text, reference)
        assert similarity(text, [reference], folder) == pytest.approx(max(0.0, hand), abs=1e-6)
    both = [by_hand(text, each) for each in ("small", "the sea is big")]
    assert similarity(text, ["small", "the sea is big"], folder) == pytest.approx(max(0.0, *both), abs=1e-6)
    assert any(by_hand(word, other) < 0 for word in WORDS[1:] for other in WORDS[1:])
    assert all(0 <= similarity(word, [other], folder) <= 1 for word in WORDS[1:] for other in WORDS[1:])
    assert similarity(text, [text], folder) == pytest.approx(1.0, abs=1e-6)
    assert similarity("qwerty", [text], folder) == 0.0


def test_a_pass_mark_decides(tmp_path, make_task):
    """At the mark a text is correct, below it wrong, no text is unparsed; right and wrong scripts are what they say."""
    save_model(tmp_path / "m")
    task = load(make_task('{ model = "m", least = 0.99 }'))
    scorer, (item, _) = SCORERS["similarity"], load_items(task, Path(), None, 0)
    options = msgspec.convert(task.options, scorer.options)
    right, wrong = script(task, item)
    judged = [scorer.grade(text, None, item.fields, options) for text in (right, wrong, " ")]
    assert [each.outcome for each in judged] == ["correct", "wrong", "unparsed"]
    assert [each.score for each in judged] == [pytest.approx(1.0, abs=1e-6), 0.0, None]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            '{ model = "none", least = 0.5 }',
            'key "options.model": embedding model "none" not found: give a folder',
        ),
        ('{ model = "nobody/nothing", least = 0.5 }', "hf download"),
        ('{ model = "m", least = 1.5 }', "least"),
        ("{ least = 0.5 }", "model"),
    ],
)
def test_what_is_missing_is_said_when_the_task_is_read(tmp_path, make_task, options, says, monkeypatch):
    """No model, a hub name that is not in the cache, no mark: one line that names the file, before anything is run."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    save_model(tmp_path / "m")
    with pytest.raises(TaskError) as caught:
        load(make_task(options))
    assert says in str(caught.value)
    assert "t.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_in_the_hub_cache_is_found_by_its_name(tmp_path, make_task, monkeypatch):
    """A hub name that was fetched before is a folder of the cache; nothing is asked of the network."""
    cache = tmp_path / "cache" / "models--somebody--tiny"
    save_model(cache / "snapshots" / ("a" * 40))
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    task = load(make_task('{ model = "somebody/tiny", least = 0.5 }'))
    assert Path(task.options["model"]).samefile(cache / "snapshots" / ("a" * 40))


def test_where_the_model_lies_is_no_part_of_a_trial(tmp_path, make_task, simulated):
    """Two folders with the same model give the same ids, another model gives others; and a run is scored by it."""
    plans = []
    for name, vectors in (("one", VECTORS), ("two", VECTORS), ("other", VECTORS + 1)):
        path = make_task('{ model = "m", least = 0.9 }', tmp_path / name)
        save_model(tmp_path / name / "m", vectors)
        experiment = simulated({"length": 0}, tasks=(str(path),), items=2)
        plan = prepare(msgspec.structs.replace(experiment, name=name), Path())
        plans.append(make_plan(plan.experiment, plan.systems, plan.tasks))
    one, two, other = ([cell.id for cell in plan.cells] for plan in plans)
    assert one == two != other
    with taskpace.run(plans[0].experiment, tmp_path / "x.db") as run:
        frame = run.frame()
    assert frame["outcome"].to_list() == ["correct", "correct"]
    assert frame["score"].to_list() == pytest.approx([1.0, 1.0], abs=1e-6)
