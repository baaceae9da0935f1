"""Lines of JSON for machines."""

import io
import json
from typing import Any

import pytest
from watch_samples import begun, ended, in_progress

from hpo.events import Encoding, Finished, Stopped, Totals, TrialProgress
from hpo.watch import JsonLines


class Clock:
    """Time as the test wants it."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("hpo.watch._json_lines.time.monotonic", clock)
    return clock


def lines(file: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.getvalue().splitlines()]


def test_each_event_is_an_object_in_a_line_of_its_own() -> None:
    file = io.StringIO()
    write = JsonLines(file)
    for event in [*in_progress(), Finished(0)]:
        write(event)
    found = lines(file)
    assert [one["event"] for one in found] == [
        *("study_begun", "plan", "stage_begun", "trial_ended", "best", "stage_begun"),
        *("trial_begun", "trial_progress", "trial_begun", "decision", "progress", "finished"),
    ]
    assert {one["study"] for one in found} == {"small"}
    assert all(one["time"].endswith("+00:00") for one in found)
    plan = found[1]
    assert plan["configurations"] == 4 and plan["stages"][1]["epochs_to_train"] == 20
    assert found[3] | {"time": ""} == {
        **{"event": "trial_ended", "time": "", "study": "small", "trial": 0, "position": 0},
        **{"stage": "fusion", "params": {"fusion": "image", "lr": 0.01}, "state": "done"},
        **{"value": 61.25, "std": 0.5, "metrics": {}, "steps": 20, "epochs_trained": 20},
        **{"reason": None, "earlier": False, "config": {}, "runs": []},
    }


def test_what_comes_all_the_time_is_written_now_and_then(clock: Clock) -> None:
    file = io.StringIO()
    write = JsonLines(file)
    for step in range(100):
        clock.now += 0.5
        write(TrialProgress(1, step, 100, 50.0, None))
        write(Totals(0, 0, 0, 4, step, None, step / 2, None))
    kinds = [one["event"] for one in lines(file)]
    assert (kinds.count("trial_progress"), kinds.count("progress")) == (50, 10)


def test_two_trials_are_not_in_each_others_way(clock: Clock) -> None:
    file = io.StringIO()
    write = JsonLines(file)
    write(TrialProgress(1, 5, 100, 50.0, None))
    write(TrialProgress(2, 5, 100, 50.0, None))
    assert [one["trial"] for one in lines(file)] == [1, 2]


def test_the_last_of_an_encoding_and_of_a_study_is_written(clock: Clock) -> None:
    file = io.StringIO()
    write = JsonLines(file)
    write(Encoding("encoding images", 1, 9))
    write(Encoding("encoding images", 5, 9, 4.0))
    write(Encoding("encoding images", 9, 9, 4.0))
    assert [(one["done"], one["study"]) for one in lines(file)] == [(1, None), (9, None)]
    write(Totals(0, 0, 0, 4, 0, None, 0.0, None))
    write(Totals(4, 0, 0, 4, 80, None, 1.0, None))
    write(Stopped(True, None))
    assert [one.get("ended") for one in lines(file)[2:]] == [0, 4, None]


def test_a_stream_that_lacks_characters_gets_them_by_their_code() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    write = JsonLines(file)
    for event in [*begun("größe τ"), ended(0, 1.0)]:
        write(event)
    assert json.loads(raw.getvalue().splitlines()[0])["study"] == "größe τ"
