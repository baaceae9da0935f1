"""Everybody is told everything, and who fails is left out."""

import json
import logging
import math

import pytest

from hpo.events import Best, Encoding, EncodingWatch, Event, Stream, Waiting


def test_all_are_told_in_order() -> None:
    heard: list[tuple[str, Event]] = []
    stream = Stream(lambda event: heard.append(("first", event)))
    stream(Waiting("away"))
    stream.add(lambda event: heard.append(("second", event)))
    stream(Waiting(None))
    assert heard == [
        ("first", Waiting("away")),
        ("first", Waiting(None)),
        ("second", Waiting(None)),
    ]


def test_who_fails_is_left_out_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Event] = []

    def fail(event: Event) -> None:
        raise OSError("no space")

    stream = Stream(fail, heard.append)
    with caplog.at_level(logging.WARNING, "hpo"):
        stream(Waiting("away"))
        stream(Waiting(None))
    assert heard == [Waiting("away"), Waiting(None)]
    assert [record.getMessage() for record in caplog.records] == [
        "What shows the progress failed and is left out (OSError: no space); the study goes on."
    ]


def test_ctrl_c_is_no_failure_of_a_listener() -> None:
    def interrupt(event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Stream(interrupt)(Waiting(None))


def test_what_is_no_number_is_none_for_machines() -> None:
    event = Best(3, {"hidden": (8, 4)}, math.nan, None, low=math.inf)
    assert json.loads(json.dumps(event.to_json(), allow_nan=False)) == {
        **{"trial": 3, "params": {"hidden": [8, 4]}, "value": None, "std": None},
        **{"step": None, "low": None, "high": None, "epochs": 0},
    }


def test_items_that_were_there_before_are_no_part_of_the_rate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[Event] = []
    now = iter([10.0, 12.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    watch = EncodingWatch(heard.append)
    watch("encoding images", 100, 300)
    watch("encoding images", 150, 300)
    assert heard == [
        Encoding("encoding images", 100, 300, None),
        Encoding("encoding images", 150, 300, 25.0),
    ]
