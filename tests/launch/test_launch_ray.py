"""Workers in a Ray cluster of two nodes on this machine, one of which is killed."""

import contextlib
import dataclasses
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

# Read when Ray is imported: no usage statistics, and all addresses on the loopback interface.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
ray = pytest.importorskip("ray")

from ray.cluster_utils import Cluster  # noqa: E402

from hpo.data import Split  # noqa: E402
from hpo.errors import InputError  # noqa: E402
from hpo.features import Bundle, FeatureInfo, Features  # noqa: E402
from hpo.launch import RayWorkers, ThreadWorker, connect_ray  # noqa: E402
from hpo.launch._ray import in_memory  # noqa: E402
from hpo.search import TaskState, load_space  # noqa: E402
from hpo.study import Definition, StoredStudy  # noqa: E402
from hpo.worker import WorkerSettings  # noqa: E402

pytestmark = pytest.mark.slow

ROWS, TRAIN = 2000, 1600
SETTINGS = WorkerSettings(heartbeat=0.2, grace=2.0)
SPACE = """
name: tiny
metric: micro_f1
seeds: 1
split: {kind: tail, val_rows: 400}
fixed: {head: mlp, hidden: [192], fusion: image, loss: bce, activation: gelu, dropout: 0.5,
        optimizer: adam, lr: 0.003, batch_size: 2000, epochs: 120}
search:
  kind: greedy
  stages:
    - {name: fusion, params: {fusion: [image, text, sum]}}
    - {name: loss, params: {loss: [bce, asl], lr: [0.003, 0.03]}}
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head, to which this process connects, and one node more; one CPU each."""
    made = Cluster(
        initialize_head=True,
        head_node_args={
            **NODE,
            "include_dashboard": False,
            # A dead node is noticed in two seconds instead of half a minute.
            "_system_config": {
                "health_check_initial_delay_ms": 0,
                "health_check_period_ms": 500,
                "health_check_failure_threshold": 3,
            },
        },
    )
    made.add_node(**NODE)
    yield made
    for node in [*made.worker_nodes, made.head_node]:
        kill_node(made, node)


NODE = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "object_store_memory": 80 * 2**20}


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    rng = np.random.default_rng(0)
    labels = (rng.random((ROWS, 5)) < [0.7, 0.3, 0.2, 0.1, 0.1]).astype(np.uint8)
    arrays = {
        name: (labels @ rng.normal(size=(5, width)) + 2 * rng.normal(size=(ROWS, width))).astype(
            np.float16
        )
        for name, width in {"image": 96, "text": 64}.items()
    }
    info = FeatureInfo("import", "", "", "", {name: a.shape[1] for name, a in arrays.items()})
    return Bundle(
        key="tiny",
        features=Features("tiny", arrays, {name: a[:0] for name, a in arrays.items()}, info),
        labels=labels,
        classes=tuple("abcde"),
        ids=tuple(f"{row}.jpg" for row in range(ROWS)),
        test_ids=(),
        split=Split(train=np.arange(TRAIN), val=np.arange(TRAIN, ROWS)),
        dataset_fingerprint="f" * 64,
    )


def make_study(url: str, name: str, folder: Path) -> StoredStudy:
    folder.mkdir()
    (folder / "tiny.yaml").write_text(SPACE)
    definition = Definition(
        space=load_space(folder / "tiny.yaml"),
        cache=str(folder / "cache"),
        bundle_key="tiny",
        modalities=("image", "text"),
        train_rows=TRAIN,
        threads=1,
        checkpoint_every=10,
        run_store_gb=1.0,
        dataset={},
    )
    study = StoredStudy.create(url, name, definition)
    assert not study.open_next()
    return study


def cache_of(study: StoredStudy) -> Path:
    return Path(study.definition.cache)


def train_undisturbed(study: StoredStudy, bundle: Bundle) -> None:
    """One local worker, in a thread of this process."""
    worker = ThreadWorker(study, SETTINGS, bundle)
    while worker.watch():
        time.sleep(0.05)


def results(study: StoredStudy) -> tuple[Any, Any]:
    """Tables and outcomes, without what tells attempts apart: trial numbers, epochs, latencies."""
    tasks = study.tasks()
    tables = [
        (table.name, [dataclasses.replace(row, trial=None, latency_ms=None) for row in table.rows])
        for table in study.tables(tasks)
    ]
    outcomes = [
        dataclasses.replace(task.outcome, epochs_trained=0, latency_ms=None)
        for task in tasks
        if task.outcome
    ]
    return tables, outcomes


def parent_of(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def raylet_of(node: Any) -> int:
    return int(node.all_processes["raylet"][0].process.pid)


def kill_node(cluster: Cluster, node: Any) -> list[int]:
    """End a node as a power cut does; return the processes that its raylet had started."""
    raylet = raylet_of(node)
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    started = [pid for pid in pids if parent_of(pid) == raylet]
    cluster.remove_node(node, allow_graceful=False)
    for pid in started:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return started


def worker_under(study: StoredStudy, node: Any) -> int | None:
    """Return the process of a node, known by its parent, that holds a task and got ahead."""
    for task in study.tasks():
        if task.state is TaskState.CLAIMED and task.progress and task.owner:
            pid = int(task.owner.rpartition(":")[2])
            if parent_of(pid) == raylet_of(node):
                return pid
    return None


def frozen_worker(study: StoredStudy, node: Any, postgres: Any) -> int | None:
    """Stop the worker of a node in the middle of a task, holding no lock of the database."""
    pid = worker_under(study, node)
    if pid is None:
        return None
    os.kill(pid, signal.SIGSTOP)
    busy = postgres.server.psql(
        "SELECT 'busy' FROM pg_stat_activity WHERE xact_start < now() AND pid <> pg_backend_pid();"
    )
    if worker_under(study, node) == pid and "busy" not in busy:
        return pid
    os.kill(pid, signal.SIGCONT)
    return None


def wait_for(what: Callable[[], Any], watched: RayWorkers, seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert watched.watch()
        found = what()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s; workers: {watched.exit_codes}")


def test_a_killed_node_and_a_slow_worker_change_nothing(
    cluster: Cluster, postgres: Any, bundle: Bundle, tmp_path: Path
) -> None:
    alone = make_study(f"sqlite:///{tmp_path / 'alone.db'}", "alone", tmp_path / "alone")
    train_undisturbed(alone, bundle)
    url = postgres.new_url()
    shared = make_study(url, "shared", tmp_path / "shared")
    plan = connect_ray(cluster.address, url)
    assert (plan.workers, plan.nodes, plan.device) == (2, 2, "cpu")
    workers = RayWorkers("shared", plan, SETTINGS, bundle, cache_of(shared))
    second = next(iter(cluster.worker_nodes))
    try:
        # One worker sleeps until Ray has started the other one again on a new node; in that time
        # its task is taken from it, and it can't write when it comes back.
        slow = wait_for(lambda: frozen_worker(shared, cluster.head_node, postgres), workers)
        doomed = wait_for(lambda: worker_under(shared, second), workers)
        assert doomed in kill_node(cluster, second)
        third = cluster.add_node(**NODE)
        wait_for(lambda: worker_under(shared, third), workers)
        os.kill(slow, signal.SIGCONT)
        while workers.watch():
            time.sleep(0.05)
        assert workers.exit_codes == [0, 0]
    finally:
        workers.stop()
    assert shared.open_next()
    assert results(shared) == results(alone)
    states = [trial.state.name for trial in shared.optuna.get_trials(deepcopy=False)]
    assert states.count("COMPLETE") == 6
    assert set(states) == {"COMPLETE", "FAIL"}  # those that were taken over


def test_stop_checkpoints_and_hands_back(
    cluster: Cluster, postgres: Any, bundle: Bundle, tmp_path: Path
) -> None:
    url = postgres.new_url()
    study = make_study(url, "stopped", tmp_path / "stopped")
    workers = RayWorkers(
        "stopped", connect_ray(cluster.address, url), SETTINGS, bundle, cache_of(study)
    )
    try:
        wait_for(lambda: sum(bool(task.progress) for task in study.tasks()) == 2, workers)
    finally:
        workers.stop()
    assert workers.exit_codes == [3, 3]
    assert not workers.watch()
    assert {task.state for task in study.tasks()} == {TaskState.OPEN}
    assert [t.state.name for t in study.optuna.get_trials(deepcopy=False)] == ["WAITING"] * 2
    assert len(list(study.definition.run_store.rglob("*.state.safetensors"))) >= 2


def test_workers_without_a_place_are_not_waited_for(
    cluster: Cluster, postgres: Any, bundle: Bundle, tmp_path: Path
) -> None:
    url = postgres.new_url()
    study = make_study(url, "crowded", tmp_path / "crowded")
    study.ledger.limit("crowded", 1e-6, None)  # its time is over before it begins
    workers = RayWorkers(
        "crowded", connect_ray(cluster.address, url, workers=3), SETTINGS, bundle, cache_of(study)
    )
    try:
        while workers.watch():
            time.sleep(0.05)
        assert set(workers.exit_codes) == {3, None}
    finally:
        workers.stop()


def test_arrays_are_mapped_not_copied(cluster: Cluster, bundle: Bundle, tmp_path: Path) -> None:
    array = bundle.features.train["image"]
    np.save(tmp_path / "image.npy", array)
    mapped = np.load(tmp_path / "image.npy", mmap_mode="r")
    features = dataclasses.replace(bundle.features, train={"image": mapped})
    connect_ray(cluster.address, "postgresql://host/db")
    try:
        reference = ray.put(in_memory(dataclasses.replace(bundle, features=features)))
        first, second = ray.get(reference), ray.get(reference)
        got = first.features.train["image"]
        assert got.tobytes() == array.tobytes()
        assert not got.flags.writeable and not got.flags.owndata
        assert np.shares_memory(got, second.features.train["image"])
        assert np.shares_memory(first.labels, second.labels)
    finally:
        ray.shutdown()


def test_sqlite_is_refused_for_two_nodes(cluster: Cluster) -> None:
    message = (
        r"--storage sqlite:///studies\.db: must be postgresql or grpc, since the Ray cluster has "
        r"2 nodes and SQLite serves one machine\."
    )
    with pytest.raises(InputError, match=message):
        connect_ray(cluster.address, "sqlite:///studies.db")
    assert not ray.is_initialized()
