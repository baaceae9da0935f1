"""What the live view shows, at every width."""

import io

import pytest
from rich.console import Console
from watch_samples import begun, in_progress

from hpo.events import Best, Event, Stopped, Totals, TrialBegun, Waiting
from hpo.watch import Picture, View


def drawn(events: list[Event], width: int = 120, height: int = 30) -> list[str]:
    """The lines of the view."""
    picture = Picture()
    for event in events:
        picture(event)
    file = io.StringIO()
    console = Console(file=file, width=width, height=height, force_terminal=True, no_color=True)
    console.print(View(picture))
    text = "".join(part.split("m", 1)[-1] for part in f"m{file.getvalue()}".split("\x1b["))
    return [line.rstrip() for line in text.splitlines()]


def test_stage_and_trials_with_their_bars_and_what_was_decided() -> None:
    head, every, stage, first, second, best, decision = drawn(in_progress())
    assert head == "small · 0:00:00 · about 2 min left · 13.5 epochs/s · 27 epochs trained"
    assert every.startswith("configurations  ━") and every.endswith("1 of 4")
    assert stage.startswith("rate   ") and stage.endswith("0 of 2          stage 2 of 2")
    assert first.startswith("trial 1         ━")
    assert first.endswith("epoch 7/20  60.500  3.2/s  lr 0.01")
    assert second.startswith("trial 2   ") and second.endswith("begins          lr 0.1")
    assert best == "best so far 61.250 ± 0.500, trial 0: fusion image, lr 0.01"
    assert decision.endswith(
        "  stage fusion: fusion image wins: 61.250, 1.250 ahead of fusion concat"
    )


def test_a_bar_is_as_long_as_what_is_done() -> None:
    first = drawn(in_progress())[3]
    assert first.count("━") == 32 * 7 // 20


def test_the_interval_is_shown_once_it_is_known() -> None:
    known = [*in_progress(), Best(0, {"lr": 0.01}, 61.25, 0.5, low=60.0, high=62.5)]
    assert "best so far 61.250 (60.00 to 62.50), trial 0: lr 0.01" in drawn(known)


def test_before_a_trial_is_whole_the_best_is_said_to_be_on_its_way() -> None:
    early = [*begun(), Best(3, {"lr": 0.01}, 61.25, None, step=5)]
    assert "best so far 61.250 at epoch 5, trial 3: lr 0.01" in drawn(early)


def test_a_study_without_a_result() -> None:
    lines = drawn([*begun(), Totals(0, 0, 0, 4, 0, None, 0.0, None)])
    assert lines[0] == "small · 0:00:00 · 0 epochs trained"
    assert "no result yet" in lines


def test_what_is_waited_for_is_said_until_it_is_there() -> None:
    away = [*in_progress(), Waiting("the database doesn't answer")]
    assert "waiting for the store: the database doesn't answer" in drawn(away)
    assert not any("waiting" in line for line in drawn([*away, Waiting(None)]))


def test_a_complete_study_is_scored() -> None:
    lines = drawn([*in_progress(), Stopped(True, None)])
    assert lines[0] == "small · 0:00:00 · 27 epochs trained · scoring the best"
    assert any(line.startswith("best 61.250") for line in lines)
    assert not any(line.startswith("trial") for line in lines)


def test_names_are_no_markup() -> None:
    lines = drawn([*begun("[red]x[/red]"), Totals(0, 0, 0, 4, 0, None, 0.0, None)])
    assert lines[0].startswith("[red]x[/red] · ")


@pytest.mark.parametrize("width", [*range(1, 30), 40, 59, 60, 80, 99, 100, 250])
def test_no_line_is_longer_than_the_terminal(width: int) -> None:
    lines = drawn(in_progress(), width)
    assert all(len(line) <= width for line in lines)
    assert 5 <= len(lines) <= 9


@pytest.mark.parametrize("height", range(1, 30))
def test_it_is_no_higher_than_the_terminal(height: int) -> None:
    many: list[Event] = [
        TrialBegun(number, number, "rate", {"lr": 0.1}, "vm") for number in range(3, 60)
    ]
    lines = drawn([*in_progress(), *many], 100, height)
    assert len(lines) <= max(height, 7)
    if height >= 10:
        assert any(line.startswith("and ") and "more in progress" in line for line in lines)
