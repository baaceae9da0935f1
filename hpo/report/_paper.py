"""The paper's tables and figures: which part of a study is which, and what would cover the rest.

The paper varies one thing after the other with all else equal, so its tables are the stages of a
greedy search. A stage is told by what it varies, whatever it is called.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hpo.models import field_names, neutral
from hpo.report._sections import ResultTable, Section
from hpo.search import GreedySearch, StageTable, Task
from hpo.study import StoredStudy

__all__ = [
    "FIGURES",
    "Place",
    "best_pipeline",
    "place_of",
    "starting_values",
    "uncovered",
    "varied",
]

#: Tables and figures by what a stage varies; the paper's sections 4.2 and 4.3.
_STAGES: Mapping[frozenset[str], tuple[tuple[int, ...], tuple[int, ...]]] = {
    frozenset({"head"}): ((2,), (6,)),
    frozenset({"fusion"}): ((3,), (7, 8)),
    frozenset({"loss"}): ((4,), ()),
    frozenset({"hidden"}): ((6,), ()),
    frozenset({"batch_size", "lr"}): ((7,), (9,)),
    frozenset({"epochs"}): ((8,), ()),
    frozenset({"activation"}): ((9,), ()),
    frozenset({"dropout"}): ((10,), (10,)),
    frozenset({"dropout", "activation"}): ((10,), (10,)),
}
_START, _RANGES, _ABLATION, _PIPELINE = 1, 5, 11, 12
_TABLES = {
    1: "the values to start from",
    2: "classification heads",
    3: "fusion methods",
    4: "losses",
    5: "what is tuned, and over what range",
    6: "layer structures",
    7: "batch sizes and learning rates",
    8: "numbers of epochs",
    9: "activation functions",
    10: "dropout rates",
    11: "dropout against none",
    12: "the best pipeline",
}
#: What the paper's figures of results show.
FIGURES = {
    6: "the validation loss of the heads",
    7: "the scores of the fusion methods",
    8: "the scores of the fusion methods from close by",
    9: "the validation loss by batch size and learning rate",
    10: "the training loss by dropout rate",
}
#: So many missing ones are said with what they are about.
_FEW = 4
#: Table 1: what every method starts from.
_PAPER_START = {
    "lr": 0.001,
    "activation": "gelu",
    "optimizer": "adam",
    "dropout": 0.5,
    "epochs": 200,
}
#: Table 12, and the layers from section 4.5.
_PAPER_BEST = {
    "head": "mlp",
    "hidden": (2048, 512),
    "activation": "gelu",
    "dropout": 0.6,
    "fusion": "sum",
    "loss": "bce",
    "epochs": 300,
    "lr": 0.001,
    "batch_size": 30000,
}


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a stage is in the paper.

    Attributes:
        tables: Numbers of the tables that it is.
        figures: Numbers of the figures that its curves are.
    """

    tables: tuple[int, ...]
    figures: tuple[int, ...]

    def __str__(self) -> str:
        word = "Table" if len(self.tables) == 1 else "Tables"
        return f"the paper's {word} {' and '.join(map(str, self.tables))}"


def place_of(table: StageTable) -> Place | None:
    """Return where a table is in the paper; None if it isn't there, or compares nothing alone."""
    if table.selected:
        return None
    fields = {name for row in table.rows for name in row.params}
    return _place(fields, [row.params.get("dropout") for row in table.rows])


def starting_values(study: StoredStudy) -> Section | None:
    """Return Table 1, of a search that starts from fixed values."""
    if not isinstance(study.space.search, GreedySearch):
        return None
    values = {name: study.space.fixed.value_of(name) for name in _PAPER_START}
    table = _settings(
        "The values to start from", "start", values, _PAPER_START if _cites_paper(study) else {}
    )
    return Section(table.name, table, aside=str(Place((_START,), ())))


def varied(study: StoredStudy) -> Section:
    """Return Table 5: what the study varies, where it starts, and over what range."""
    starts = isinstance(study.space.search, GreedySearch)
    head = ("parameter", *(["start"] if starts else []), "range")
    rows = tuple(
        (
            name,
            *([_shown(study.space.fixed.value_of(name))] if starts else []),
            _range(domain),
        )
        for name, domain in study.strategy.distributions.items()
    )
    table = ResultTable("What is tuned", head, rows, words=head[1:], key="ranges")
    return Section(table.name, table, aside=str(Place((_RANGES,), ())))


def best_pipeline(study: StoredStudy, best: Task | None) -> Section | None:
    """Return Table 12 once there is a best configuration, and what it has beyond the paper's.

    Args:
        study: The study.
        best: Its winner; None before it is decided.
    """
    if best is None or best.config is None:
        return None
    beyond = [
        name
        for name in field_names()
        if name not in _PAPER_BEST and getattr(best.config, name) != neutral(name)
    ]
    values = {name: getattr(best.config, name) for name in (*_PAPER_BEST, *beyond)}
    values |= dict(best.config.options)
    table = _settings(
        "The best configuration", "best", values, _PAPER_BEST if _cites_paper(study) else {}
    )
    return Section(table.name, table, aside=str(Place((_PIPELINE,), ())))


def uncovered(study: StoredStudy, tables: Sequence[StageTable], best: Task | None) -> list[str]:
    """Return which of the paper's tables and figures a study has nothing for, and what would.

    Args:
        study: The study.
        tables: Those of its stages.
        best: Its winner; None before it is decided.
    """
    here, ahead = _places(tables), _ahead(study, tables)
    greedy = isinstance(study.space.search, GreedySearch)
    here = Place(
        (
            *here.tables,
            _RANGES,
            *([_START] if greedy else []),
            *([] if best is None else [_PIPELINE]),
        ),
        here.figures,
    )
    later = _less(Place((*ahead.tables, _PIPELINE), ahead.figures), here)
    never = _less(Place(tuple(_TABLES), tuple(FIGURES)), here, later)
    ablation = _less(Place((_ABLATION,), ()), here, later)
    lines = [f"Still to come in this study: {_listed(later)}."] if _listed(later) else []
    for command, missing in (("greedy", _less(never, ablation)), ("ablation", ablation)):
        if _listed(missing):
            lines.append(
                f"Not in this study: {_listed(missing)}. A study that has it: hpo run --study "
                f"{command} --data …"
            )
    return lines


def _places(tables: Sequence[StageTable]) -> Place:
    found = [place for place in map(place_of, tables) if place is not None]
    return Place(
        tuple(number for place in found for number in place.tables),
        tuple(number for place in found for number in place.figures),
    )


def _ahead(study: StoredStudy, tables: Sequence[StageTable]) -> Place:
    """Return what the stages that a greedy study hasn't come to will be."""
    search = study.space.search
    stages = search.stages[len(tables) :] if isinstance(search, GreedySearch) else ()
    found = [_place(stage.params, stage.params.get("dropout", ())) for stage in stages]
    there = [place for place in found if place is not None]
    return Place(
        tuple(number for place in there for number in place.tables),
        tuple(number for place in there for number in place.figures),
    )


def _place(fields: Iterable[str], rates: Iterable[Any]) -> Place | None:
    found = _STAGES.get(frozenset(name for name in fields if "." not in name))
    if found is None:
        return None
    tables, figures = found
    distinct = set(rates)
    if 0 in distinct and len(distinct) > 1:
        # one rate and none is the ablation alone; a grid that has 0 as well is both tables
        tables = (_ABLATION,) if len(distinct) == 2 else (*tables, _ABLATION)
    return Place(tables, figures)


def _less(place: Place, *others: Place) -> Place:
    return Place(
        tuple(n for n in place.tables if all(n not in other.tables for other in others)),
        tuple(n for n in place.figures if all(n not in other.figures for other in others)),
    )


def _listed(place: Place) -> str:
    """Return numbers in words; a few of them with what they are about."""
    few = len(place.tables) + len(place.figures) <= _FEW
    parts = []
    for word, numbers, about in (
        ("Table", place.tables, _TABLES),
        ("Figure", place.figures, FIGURES),
    ):
        if few:
            parts += [f"{word} {number} ({about[number]})" for number in sorted(numbers)]
        elif numbers:
            parts.append(f"{word}{'s' if len(numbers) > 1 else ''} {_spans(sorted(numbers))}")
    return ", ".join(parts)


def _spans(numbers: Sequence[int]) -> str:
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][-1] == number - 1:
            spans[-1].append(number)
        else:
            spans.append([number])
    return ", ".join(_span(s) for s in spans)


def _span(numbers: Sequence[int]) -> str:
    if len(numbers) < 3:
        return ", ".join(map(str, numbers))
    return f"{numbers[0]} to {numbers[-1]}"


def _cites_paper(study: StoredStudy) -> bool:
    reference = study.space.reference
    return study.cites and reference is not None and reference.name == "paper"


def _settings(
    name: str, key: str, values: Mapping[str, Any], paper: Mapping[str, Any]
) -> ResultTable:
    """Return a table of values, beside the paper's where these are for the same data."""
    head = ("parameter", "value", *(["paper"] if paper else []))
    rows = tuple(
        (field, _shown(value), *([_shown(paper.get(field, ""))] if paper else []))
        for field, value in values.items()
    )
    return ResultTable(name, head, rows, words=head[1:], key=key)


def _range(domain: BaseDistribution) -> str:
    if isinstance(domain, CategoricalDistribution):
        choices = list(domain.choices)
        if all(isinstance(c, int | float) and not isinstance(c, bool) for c in choices):
            choices.sort(key=lambda choice: float(choice or 0))
        return ", ".join(map(_shown, choices))
    assert isinstance(domain, FloatDistribution | IntDistribution)
    log = ", logarithmic" if domain.log else ""
    return f"{_shown(domain.low)} to {_shown(domain.high)}{log}"


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "-".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
