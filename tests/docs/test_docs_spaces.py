"""The page of search spaces: its examples are spaces, and it names every key with its default."""

import re
from pathlib import Path
from typing import Any

import yaml
from docs_pages import REPO, blocks

import hpo
from hpo.data import SPLIT_KINDS
from hpo.models import CHOICES, field_names
from hpo.search import (
    SEARCHES,
    Choices,
    Component,
    DivergenceRule,
    OptunaSearch,
    Range,
    Space,
    Stage,
    load_space,
)
from hpo.search._constraints import Constraints
from hpo.search._registry import PRUNERS, SAMPLERS
from hpo.search._values import Scale
from hpo.training import METRICS


def test_every_space_of_the_page_is_one(nothing_registered: None) -> None:
    base = {
        "name": "base",
        "search": {"kind": "greedy", "stages": [{"name": "rate", "params": {"lr": [0.1, 0.01]}}]},
    }
    found = [
        block for block in blocks("docs/search-spaces.md", "yaml") if "set:\n" not in block.text
    ]
    assert len(found) > 5
    for block in found:
        space = load_space({**base, **yaml.safe_load(block.text)})
        assert isinstance(space, Space), block.place


def test_the_complete_example_is_what_it_says(tmp_path: Path) -> None:
    block = next(b for b in blocks("docs/search-spaces.md", "yaml") if "complete" in b.section)
    path = tmp_path / "mine.yaml"
    path.write_text(block.text)
    space = hpo.load_space(path)
    assert (space.name, space.seeds, space.constraints.max_model_mb) == ("mine", 3, 50)
    assert space.search.values_of("epochs") == (50, 100, 200)


def test_the_grid_of_own_parameters_has_four_candidates() -> None:
    from hpo.search import make_strategy

    block = next(b for b in blocks("docs/search-spaces.md", "yaml") if "focal.gamma: [1" in b.text)
    strategy: Any = make_strategy(
        load_space({"name": "x", **yaml.safe_load(block.text)}), ("image",)
    )
    (stage,) = strategy.stages(lambda candidate: None)
    assert [candidate.config.own("loss") for candidate in stage.candidates] == [
        {},
        {"gamma": 1},
        {"gamma": 2},
        {"gamma": 3},
    ]


def test_the_page_of_spaces_names_everything() -> None:
    text = (REPO / "docs" / "search-spaces.md").read_text()
    own = [
        f"{name}.{parameter}"
        for registry in CHOICES.values()
        for name in registry
        for parameter in registry[name].parameters
    ]
    choices = [name for registry in CHOICES.values() for name in registry]
    schema = [Space, Stage, Choices, Range, *(search for search, _ in SEARCHES.values())]
    keys = {key for model in schema for key in model.model_fields}
    keys |= {f"scale.{key}" for key in Scale.model_fields}
    keys |= {f"divergence.{key}" for key in DivergenceRule.model_fields}
    keys |= {key for split in SPLIT_KINDS.values() for key in split.model_fields}
    named = [*field_names(), *own, *choices, *keys, *PRUNERS, *SAMPLERS, *METRICS]
    missing = [name for name in named if not re.search(rf"\b{re.escape(name)}\b", text)]
    assert not missing


def test_the_defaults_of_the_page_are_those_of_the_code() -> None:
    text = (REPO / "docs" / "search-spaces.md").read_text()
    table = dict(re.findall(r"^\| `([\w.]+)` \| `([^`]*)` \|", text, re.MULTILINE))
    for field in field_names():
        shown = yaml.safe_load(table[field])
        default = hpo.Config.model_fields[field].default
        assert (tuple(shown) if isinstance(shown, list) else shown) == default, field
    for registry in CHOICES.values():
        for name in registry:
            for key, parameter in registry[name].parameters.items():
                assert yaml.safe_load(table[f"{name}.{key}"]) == parameter.default
    for key in ("metric", "seeds"):
        assert yaml.safe_load(table[key]) == Space.model_fields[key].default
    for key, info in Constraints.model_fields.items():
        assert yaml.safe_load(table[f"constraints.{key}"]) == info.default
    for key, info in DivergenceRule.model_fields.items():
        assert yaml.safe_load(table[f"divergence.{key}"]) == info.default
    for key in ("trials", "seed", "sampler", "pruner"):
        shown, default = yaml.safe_load(table[key]), OptunaSearch.model_fields[key].default
        assert shown == (default.model_dump() if isinstance(default, Component) else default)
