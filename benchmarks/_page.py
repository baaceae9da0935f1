"""The recorded results as a page of tables."""

from typing import Any

from benchmarks._result import Result

__all__ = ["page"]

_TITLES = {
    "epoch": "The epoch",
    "small_batches": "Small batches",
    "greedy": "Epochs of the greedy study",
    "store": "The store",
    "workers": "Workers",
    "features": "Features",
    "startup": "Start-up",
    "scaling": "Scaling",
}


def page(record: dict[str, Any]) -> str:
    """Return Markdown: which targets are met, then a table for each measurement."""
    sections = {
        name: [Result.from_json(raw) for raw in record["sections"][name]["results"]]
        for name in _TITLES
        if name in record["sections"]
    }
    results = [result for found in sections.values() for result in found]
    missed = [result for result in results if result.met is False]
    wanted = [result for result in results if result.met is not None]
    machine, versions = record["machine"], record["versions"]
    lines = [
        "# Measurements",
        "",
        "Written by `make bench`, which is `python -m benchmarks`. Every figure is a ratio to a "
        "baseline that was measured in the same run, in turn with it (A B A B), as the median of "
        "the rounds, or of as many as the notes say.",
        "",
        f"- Machine: {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, {machine['system']}. The load stands with each measurement: "
        "how many processes wanted the cores when it began.",
        "- Versions: " + ", ".join(f"{name} {text}" for name, text in versions.items()) + ".",
        f"- Targets: {len(wanted) - len(missed)} of {len(wanted)} are met.",
        "",
    ]
    if missed:
        lines += ["Not met:", ""]
        lines += [
            f"- {result.name}: {_number(result.ratio)}, should be {result.sense} "
            f"{_number(result.target)}"
            for result in missed
        ]
        lines.append("")
    for name, found in sections.items():
        section = record["sections"][name]
        lines += [f"## {_TITLES[name]}", ""]
        lines += [f"`{section['command']}`, load {section['load']:g}.", ""]
        lines += ["| | ratio | target | | ours | baseline | unit | against |"]
        lines += ["| --- | ---: | ---: | --- | ---: | ---: | --- | --- |"]
        lines += [_row(result) for result in found]
        notes = {result.note: None for result in found if result.note}
        lines += ["", *(f"- {_notes_for(found, note)}: {note}" for note in notes), ""]
    return "\n".join(lines).rstrip() + "\n"


def _row(result: Result) -> str:
    verdict = {True: "met", False: "**missed**", None: ""}[result.met]
    target = "" if result.target is None else f"{_sign(result)} {_number(result.target)}"
    cells = [
        _short(result.name),
        _number(result.ratio),
        target,
        verdict,
        _number(result.ours),
        _number(result.baseline),
        result.unit,
        result.against,
    ]
    return f"| {' | '.join(cells)} |"


def _notes_for(results: list[Result], note: str) -> str:
    names = [_short(result.name) for result in results if result.note == note]
    return "all" if len(names) == len(results) and len(names) > 1 else "; ".join(names)


def _short(name: str) -> str:
    return name.partition(": ")[2]


def _sign(result: Result) -> str:
    return "≥" if result.sense == "at least" else "≤"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"
