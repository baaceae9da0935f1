"""The proxy: what travels, what is refused, and a process that is left as it was."""

import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from queue_samples import OUTCOME, claim, config, proxy, tasks_of, unknown_optuna
from sqlalchemy.exc import OperationalError

from hpo import proxy as command
from hpo.errors import InputError
from hpo.models import Config
from hpo.queue import Ledger, StudyRow, open_ledger, open_storage
from hpo.queue._wire import METHOD, from_bytes, to_bytes
from hpo.search import NewTask, Progress, Task, TaskState
from hpo.trials import (
    NewTrial,
    StoreUnfitError,
    TrialEnd,
    damage,
    lasting_reason,
    open_study,
)

grpc = pytest.importorskip("grpc")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with proxy(f"sqlite:///{tmp_path_factory.mktemp('store') / 'store.db'}") as served:
        yield served


@pytest.fixture
def channel(url: str) -> Iterator[Any]:
    with grpc.insecure_channel(url.removeprefix("grpc://")) as opened:
        yield opened.unary_unary(METHOD)


TRAVELLERS = [
    None,
    {"a": [1, {"b": None}], "c": 2.5},
    [[1, 2.0], [2, float("inf")]],
    Config(hidden=(8, 4), loss="focal", **{"focal.gamma": 2.0}),
    TaskState.PAUSED,
    Progress(1, 2, 50.0, 3),
    OUTCOME,
    NewTask(4, 1, config(3), ("a", "b")),
    Task(4, 1, "key", config(3), ("a",), TaskState.DONE, "me", 2, 0.5, 1, 7, None, OUTCOME, "x"),
    StudyRow({"space": [1, [2]]}, None, 3),
    NewTrial(1, {"lr": (0.1, "{}")}, {"task": 0, "scores": [1.0]}),
    TrialEnd(1, ((1, 2.0), (2, 3.0)), {"scores": [1.0]}, (2.0, 0.5)),
    {TaskState.OPEN: 1, TaskState.DONE: 0},
    {3: (Progress(1, 2, 50.0), Progress(2, 2, 60.0))},
]


@pytest.mark.parametrize("value", TRAVELLERS, ids=lambda value: type(value).__name__)
def test_what_travels_arrives_as_it_was(value: Any) -> None:
    arrived = from_bytes(to_bytes(value))
    if isinstance(value, NewTrial):
        assert arrived == NewTrial(1, {"lr": [0.1, "{}"]}, value.attributes)  # type: ignore[dict-item]
    else:
        assert arrived == value


def test_every_call_of_the_contract_can_be_called(url: str) -> None:
    from hpo.queue._remote import RemoteLedger

    assert RemoteLedger.__mro__[1] is Ledger
    assert not RemoteLedger.__abstractmethods__


@pytest.mark.parametrize("name", ["close", "_write", "__init__", "no_such_call"])
def test_nothing_else_can_be_called(channel: Any, name: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel(to_bytes([name]))
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert caught.value.details() == f"The ledger has no call {name!r}."


@pytest.mark.parametrize(
    "request_", [b"", b"{", b"\xff", json.dumps(["claim", {"__type__": "Popen"}]).encode()]
)
def test_garbage_harms_nobody(channel: Any, url: str, request_: bytes) -> None:
    with pytest.raises(grpc.RpcError):
        channel(request_)
    ledger = open_ledger(url)
    assert isinstance(ledger.studies(), list)
    ledger.close()


def test_what_is_as_usual_stays_at_home() -> None:
    """So that a version without the newest fields goes on where nobody makes use of them."""
    assert json.loads(to_bytes(StudyRow({}, None, 3))) == {
        "__type__": "StudyRow",
        "definition": {},
        "seconds_left": None,
        "max_tasks": 3,
    }


def test_an_answer_of_another_version(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {"__type__": "StudyRow", "definition": {}, "seconds_left": None, "max_tasks": 3}
    monkeypatch.setattr(
        "hpo.queue._server.to_bytes", lambda row: json.dumps({**answer, "mood": 1}).encode()
    )
    ledger = open_ledger(url)
    with pytest.raises(StoreUnfitError) as caught:
        ledger.study("any")
    assert str(caught.value) == (
        f"The proxy at {url.removeprefix('grpc://')} is of another version of hpo (a StudyRow has "
        "other fields here: StudyRow.__init__() got an unexpected keyword argument 'mood'). Run "
        "the same version wherever this study is worked on."
    )
    ledger.close()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            ["claim", {"__type__": "Progress", "mood": 1}],
            "The call can't be read: a Progress has other fields here: Progress.__init__() got an "
            "unexpected keyword argument 'mood'",
        ),
        (
            ["claim", {"__type__": "Config", "values": {"mood": 1}}],
            "The call can't be read: a Config has other values here: mood",
        ),
        (
            ["studies", 1],
            "The ledger's call 'studies' is another one here: too many positional arguments",
        ),
    ],
)
def test_a_call_of_another_version(channel: Any, call: list[Any], said: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel(json.dumps(call).encode())
    assert caught.value.details().startswith(said)
    reason = lasting_reason(caught.value)
    assert reason is not None and reason.startswith("the proxy is of another version of hpo (The ")


def test_a_database_that_is_away_is_what_the_client_waits_for(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hpo.queue import SqlLedger
    from hpo.trials import passing_reason

    def away(self: SqlLedger) -> list[str]:
        raise OperationalError("SELECT 1", {}, Exception("server closed the connection"))

    monkeypatch.setattr(SqlLedger, "studies", away)
    ledger = open_ledger(url)
    with pytest.raises(grpc.RpcError) as caught:
        ledger.studies()
    assert passing_reason(caught.value) == (
        "The store can't be reached (the database: server closed the connection)"
    )
    ledger.close()


def test_a_missing_column_behind_the_proxy_is_not_waited_for(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hpo.queue import Patience, SqlLedger, StoreUnfitError

    def broken(self: SqlLedger) -> list[str]:
        raise OperationalError("SELECT 1", {}, Exception("no such column: hpo_tasks.pauses"))

    monkeypatch.setattr(SqlLedger, "studies", broken)
    ledger = open_ledger(url)
    with pytest.raises(StoreUnfitError) as caught:
        Patience()(ledger.studies)
    assert str(caught.value) == (
        "The store can't do what hpo asks of it: the database: no such column: hpo_tasks.pauses. "
        "Waiting won't help: mend the storage (its tables, the rights of its user), or use another "
        "--storage."
    )
    ledger.close()


def test_damage_behind_the_proxy_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from hpo.queue import Patience, SqlLedger, StoreUnfitError

    def broken(self: SqlLedger) -> list[str]:
        raise damage("a row")

    monkeypatch.setattr(SqlLedger, "studies", broken)
    ledger = open_ledger(url)
    said = "hpo asks of it: The storage is damaged: a row isn't what was written. Restore it from "
    with pytest.raises(StoreUnfitError, match=said):
        Patience()(ledger.studies)
    ledger.close()


def test_a_proxy_that_hangs_is_waited_for(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As one does that was stopped: it takes calls, and answers none."""
    from hpo.queue import Patience, SqlLedger, _remote

    studies, answered = SqlLedger.studies, threading.Event()

    def slow(self: SqlLedger) -> list[str]:
        if not answered.is_set():
            answered.wait(20)
        return studies(self)

    monkeypatch.setattr(SqlLedger, "studies", slow)
    monkeypatch.setattr(_remote, "_TIMEOUT_S", 0.3)
    ledger = open_ledger(url)
    waker = threading.Timer(1.0, answered.set)
    waker.start()
    with caplog.at_level(logging.WARNING, "hpo"):
        assert isinstance(Patience()(ledger.studies), list)
    waker.join()
    said = [record.getMessage() for record in caplog.records]
    assert said[0].startswith("The store can't be reached (the proxy doesn't answer); it is waited")
    assert said[-1].startswith("Going on after ")
    ledger.close()


def test_optuna_s_calls_to_a_proxy_that_hangs_end(free_port: int) -> None:
    from hpo.trials import passing_reason, storage_client

    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", free_port))
        deaf.listen()
        client = storage_client("127.0.0.1", free_port, 0.3, 0.3)
        with pytest.raises(grpc.RpcError) as caught:
            client.get_all_studies()
        with pytest.raises(grpc.RpcError):
            client.get_all_trials(1)
        client.close()
    assert passing_reason(caught.value) is not None


def test_a_proxy_that_isn_t_there_is_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from optuna.storages import GrpcStorageProxy

    def wait_server_ready(self: GrpcStorageProxy, timeout: int | None = None) -> None:
        raise ConnectionError

    monkeypatch.setattr(GrpcStorageProxy, "wait_server_ready", wait_server_ready)
    with pytest.raises(InputError) as caught:
        open_storage("grpc://127.0.0.1:9")
    assert str(caught.value) == "--storage grpc://127.0.0.1:9: no proxy answers there."


def test_a_proxy_works_without_optuna_s_private_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its public server runs inside then, and all calls come through one port."""
    monkeypatch.setattr("hpo.trials._server._optunas_own", lambda *_: None)
    with unknown_optuna(), proxy(f"sqlite:///{tmp_path / 'store.db'}") as url:
        source = open_study(open_storage(url), "s")
        trial = source.storage.create_new_trial(source.id)
        source.storage.set_trial_user_attr(trial, "a", [1])
        (stored,) = source.study.get_trials()
        assert stored.user_attrs == {"a": [1]}
        with pytest.raises(KeyError):
            source.storage.get_study_id_from_name("unknown")
        ledger = open_ledger(url)
        assert not ledger.writes_trials
        ledger.define("s", {})
        assert ledger.open_tasks("s", tasks_of(2)) == 2
        assert claim(ledger, "s").position == 0
        ledger.close()


def test_the_command_serves_until_it_is_told_to_stop_and_leaves_the_handlers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], free_port: int
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    url = f"sqlite:///{tmp_path / 'store.db'}"

    def stop() -> None:
        end = time.monotonic() + 30
        while signal.getsignal(signal.SIGTERM) is before and time.monotonic() < end:
            time.sleep(0.02)
        ledger = open_ledger(f"grpc://127.0.0.1:{free_port}")
        found.append(ledger.studies())
        ledger.close()
        os.kill(os.getpid(), signal.SIGTERM)

    found: list[list[str]] = []
    thread = threading.Thread(target=stop)
    thread.start()
    assert command.main(["--storage", url, "--port", str(free_port)]) == 0
    thread.join()
    assert found == [[]]
    assert signal.getsignal(signal.SIGTERM) is before
    assert capsys.readouterr().out == f"serving {url} at grpc://127.0.0.1:{free_port}\n"


def test_a_port_has_one_proxy(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two of them would each get some of the calls, and write into each other's studies."""
    port = url.rpartition(":")[2]
    other = f"sqlite:///{tmp_path / 'other.db'}"
    assert command.main(["--storage", other, "--port", port]) == 2
    assert capsys.readouterr().err == (
        f"error: --host 127.0.0.1 --port {port}: can't listen there: Address already in use\n"
    )
    with pytest.raises(SystemExit):
        command.main(["--storage", other, "--port", "70000"])
    assert "argument --port: is 70000, but must be at most 65535" in capsys.readouterr().err


def test_more_tasks_than_a_message_holds(url: str) -> None:
    ledger = open_ledger(url)
    ledger.define("many", {})
    wide = [NewTask(n, 0, Config(hidden=(n + 1,) * 200), (f"run {n}",)) for n in range(6000)]
    assert len(to_bytes(["open_tasks", "many", wide])) > 4 * 2**20
    assert ledger.open_tasks("many", wide) == 6000
    assert ledger.open_tasks("many", wide) == 0
    assert sum(ledger.counts("many").values()) == 6000
    ledger.close()
