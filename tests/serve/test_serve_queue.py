"""Rows of several requests in one batch; nobody waits in vain."""

import threading
import time
from collections.abc import Sequence

import pytest

from hpo.serve._queue import BusyError, Rows


def test_rows_are_answered_together_and_each_gets_its_own() -> None:
    sizes: list[int] = []
    held = threading.Event()

    def answer(rows: Sequence[int]) -> list[int]:
        held.wait(60)
        sizes.append(len(rows))
        return [2 * row for row in rows]

    rows = Rows(answer, most=4, wait_s=0.01, waiting=100)
    first = rows.ask([0])
    time.sleep(0.1)  # it is in the thread's hands
    others = [rows.ask([n, n + 100]) for n in range(1, 6)]
    assert rows.waiting == 10
    held.set()
    assert [future.result(60) for future in first] == [0]
    for n, futures in enumerate(others, start=1):
        assert [future.result(60) for future in futures] == [2 * n, 2 * n + 200]
    assert sizes == [1, 4, 4, 2]
    rows.close()


def test_a_batch_waits_for_others() -> None:
    sizes: list[int] = []

    def answer(rows: Sequence[int]) -> list[int]:
        sizes.append(len(rows))
        return list(rows)

    rows = Rows(answer, most=8, wait_s=300.0, waiting=100)
    futures = [future for n in range(8) for future in rows.ask([n])]
    # a full batch waits no longer
    assert [future.result(60) for future in futures] == list(range(8))
    assert sizes == [8]
    rows.close()


def test_an_error_is_told_and_the_next_batch_is_answered() -> None:
    def answer(rows: Sequence[int]) -> list[float]:
        return [1 / row for row in rows]

    rows = Rows(answer, most=1, wait_s=0.001, waiting=100)
    bad, good = rows.ask([0, 2])
    with pytest.raises(ZeroDivisionError):
        bad.result(60)
    assert good.result(60) == 0.5
    rows.close()


def test_too_many_are_refused_as_a_whole() -> None:
    held = threading.Event()

    def answer(rows: Sequence[int]) -> Sequence[int]:
        held.wait(60)
        return rows

    rows = Rows(answer, most=2, wait_s=0.001, waiting=3)
    (first,) = rows.ask([1])
    time.sleep(0.1)
    futures = rows.ask([2, 3])
    with pytest.raises(BusyError):
        rows.ask([4, 5])
    assert rows.waiting == 2
    held.set()
    assert [future.result(60) for future in (first, *futures)] == [1, 2, 3]
    rows.close()


def test_who_gave_up_holds_nobody_up_and_closing_answers_the_rest() -> None:
    held = threading.Event()

    def answer(rows: Sequence[int]) -> Sequence[int]:
        held.wait(60)
        return rows

    rows = Rows(answer, most=1, wait_s=0.001, waiting=10)
    futures = rows.ask([1, 2, 3])
    assert futures[1].cancel()
    held.set()
    rows.close()
    assert (futures[0].result(0), futures[2].result(0)) == (1, 3)
