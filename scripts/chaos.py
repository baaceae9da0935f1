"""Kill workers with -9 at random, and compare the study with one that a single worker ran in peace.

    python scripts/chaos.py --minutes 5
    python scripts/chaos.py --minutes 5 --storage postgresql+psycopg://user:password@host/name
    python scripts/chaos.py --minutes 5 --kind promote

Rounds follow each other until the time is over. In each, several workers run a small study, and
every few seconds one of them is killed and replaced. No trial may then be left running or waiting,
and no configuration may have two results. Tables and curves of a greedy study must equal the
undisturbed ones to the last bit. Who is promoted depends on who comes first; so in a study that
promotes each curve and value must equal that of its own configuration, trained alone. The
test-suite runs one short round of each on SQLite and on PostgreSQL.
"""

import argparse
import dataclasses
import math
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
from optuna.trial import TrialState

from hpo import worker
from hpo.data import Dataset, Rows, Split
from hpo.features import Bundle, import_features, load_bundle, save_bundle
from hpo.models import Config
from hpo.search import Decision, Progress, Space, TaskState, Verdict, run_trial
from hpo.study import Definition, StoredStudy
from hpo.training import RunStore, Trainer, open_device
from hpo.trials import redact

__all__ = [
    "Crew",
    "Outcome",
    "chaos",
    "create_study",
    "differences_from_alone",
    "greedy_space",
    "make_bundle",
    "outcome_of",
    "promote_space",
    "undisturbed",
    "violations",
]

HEARTBEAT_S = 0.2
GRACE_S = 1.5
_WIDTHS = {"image": 16, "text": 12}
# Workers are forked from a process that has everything imported: a start takes milliseconds, so
# that they are killed at their work rather than in their imports.
_processes = multiprocessing.get_context("forkserver")
# torch imports its compiler when the first optimizer is made.
_processes.set_forkserver_preload(
    ["hpo.worker._worker", "hpo.launch", "hpo.study", "hpo.report", "torch._dynamo"]
)


def make_bundle(cache: Path, rows: int = 300, classes: int = 5) -> Bundle:
    """Store a bundle of random embeddings that tell the labels with some noise."""
    rng = np.random.default_rng(0)
    labels = (rng.random((rows, classes)) < np.linspace(0.7, 0.1, classes)).astype(np.uint8)
    embeddings = cache / "embeddings"
    embeddings.mkdir(parents=True, exist_ok=True)
    for name, width in _WIDTHS.items():
        directions = rng.normal(size=(classes, width))
        array = labels @ directions + 2 * rng.normal(size=(rows, width))
        np.save(embeddings / f"{name}.npy", array.astype(np.float16))
    ids = tuple(f"{row}.jpg" for row in range(rows))
    dataset = Dataset(
        root=embeddings,
        train=Rows(ids, ("",) * rows, None),
        test=None,
        classes=tuple("abcdefghij"[:classes]),
        labels=labels,
        split_column=None,
        fingerprint="0" * 64,
    )
    train = rows * 4 // 5
    split = Split(train=np.arange(train), val=np.arange(train, rows))
    return save_bundle(cache, dataset, import_features(embeddings, rows, 0, cache), split)


def greedy_space(length: int = 60, seeds: int = 2) -> Space:
    """Return a greedy space with shared runs, two-step fusions, averages and diverging runs.

    Args:
        length: Epochs of an ordinary configuration.
        seeds: Runs of each.
    """
    stages = [
        {"name": "fusion", "params": {"fusion": ["image", "text", "sum", "concat"]}},
        {
            "name": "loss",
            "fixed": {"epochs": length * 3 // 2},
            "params": {"loss": ["bce", "focal", "asl"]},
        },
        {
            "name": "batch size × learning rate",
            "params": {"batch_size": [60, 1000], "lr": [0.01, 0.03, 30.0]},
        },
        {"name": "epochs", "params": {"epochs": [length // 2, length, 2 * length]}},
        {"name": "averaging", "params": {"ema_decay": [None, 0.9]}},
    ]
    return Space.model_validate(
        {
            "name": "chaos",
            "seeds": seeds,
            "fixed": {"hidden": [16], "batch_size": 60, "lr": 0.01, "epochs": length},
            "search": {"kind": "greedy", "stages": stages},
            "divergence": {"patience": max(5, length // 4)},
        }
    )


def promote_space(length: int = 18, seeds: int = 2, trials: int = 13, **search: Any) -> Space:
    """Return a space that promotes, with shared runs, dropout of inputs and diverging runs.

    Args:
        length: Epochs of a configuration that goes all the way.
        seeds: Runs of each finalist.
        trials: How many are begun.
        search: Further keys of the search.
    """
    return Space.model_validate(
        {
            "name": "chaos",
            "seeds": seeds,
            "fixed": {
                **{"fusion": "mixed_joint", "hidden": [16], "batch_size": 60, "lr": 0.01},
                **{"epochs": length, "input_dropout": 0.1, "modality_dropout": 0.1},
            },
            "search": {
                **{"kind": "promote", "trials": trials, "finalists": 3},
                "first_rung": max(1, length // 9),
                "sampler": {"name": "TPESampler", "multivariate": True, "n_startup_trials": 4},
                "params": {
                    "fusion": {"choices": ["image", "sum", "gated", "mixed_joint"]},
                    "lr": {"low": 0.001, "high": 1e9, "log": True},
                    "ema_decay": {"choices": [None, 0.9]},
                },
                **search,
            },
            "divergence": {"patience": max(5, length // 4)},
        }
    )


def create_study(
    url: str,
    name: str,
    space: Space,
    cache: Path,
    *,
    checkpoint_every: int = 10,
    bundle: Bundle | None = None,
) -> StoredStudy:
    """Create a study of ``space`` with its bundle and run store below ``cache``."""
    bundle = bundle or make_bundle(cache)
    definition = Definition(
        space=space,
        cache=str(cache),
        bundle_key=bundle.key,
        modalities=tuple(bundle.features.train),
        train_rows=len(bundle.split["train"]),
        threads=1,
        checkpoint_every=checkpoint_every,
        dataset={"data": "random"},
    )
    return StoredStudy.create(url, name, definition)


class Crew:
    """Worker processes of one study.

    Args:
        study: The study.
        log: Where their standard output and error go.
        arguments: Further arguments of ``hpo.worker``.
    """

    def __init__(self, study: StoredStudy, log: Path, arguments: Sequence[str] = ()) -> None:
        self._arguments = [
            *("--study", study.name, "--storage", study.url, "--device", "cpu"),
            *("--heartbeat", str(HEARTBEAT_S), "--grace", str(GRACE_S), *arguments),
        ]
        self.log = log
        self.processes: list[BaseProcess] = []

    def start(self, count: int = 1) -> list[BaseProcess]:
        """Start so many workers more."""
        started: list[BaseProcess] = []
        for _ in range(count):
            process = _processes.Process(target=_work, args=(self._arguments, str(self.log)))
            process.start()
            started.append(process)
        self.processes += started
        return started

    def signal(self, process: BaseProcess, number: int) -> None:
        """Send a signal to a worker."""
        assert process.pid is not None
        os.kill(process.pid, number)

    def wait(self, seconds: float) -> list[int | None]:
        """Wait for all workers to leave; return the exit codes, None for who is still there."""
        end = time.monotonic() + seconds
        for process in self.processes:
            process.join(max(0.0, end - time.monotonic()))
        return [process.exitcode for process in self.processes]

    def end(self) -> None:
        """Kill whoever is left."""
        for process in self.processes:
            process.kill()
            process.join()


@contextmanager
def crew_of(study: StoredStudy, log: Path, *arguments: str) -> Iterator[Crew]:
    """Give a crew whose workers are killed at the end."""
    crew = Crew(study, log, arguments)
    try:
        yield crew
    finally:
        crew.end()


def _work(arguments: Sequence[str], log: str) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.exit(worker.main(arguments))


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a finished study says, without what may differ: numbers of trials, and who did what.

    Attributes:
        tables: Stage, parameters, value, standard deviation, whether it won, note.
        curves: The reported value of each step, by configuration.
    """

    tables: tuple[tuple[Any, ...], ...]
    curves: dict[str, dict[int, float]]


def outcome_of(study: StoredStudy) -> Outcome:
    """Read the outcome from the store."""
    tables = tuple(
        (table.name, row.label, row.value, row.std, row.winner, row.note)
        for table in study.tables()
        for row in table.rows
    )
    ended = study.optuna.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    curves = {str(trial.user_attrs["config"]): trial.intermediate_values for trial in ended}
    return Outcome(tables, curves)


def violations(study: StoredStudy, reference: Outcome | None = None) -> list[str]:
    """Return what is wrong with a study that should be complete.

    Args:
        study: The study.
        reference: The undisturbed outcome to compare with; None to leave that out.
    """
    tasks = study.tasks()
    found = [f"task {t.position} is {t.state.value}" for t in tasks if not t.state.ended]
    trials = study.optuna.get_trials()
    found += [
        f"trial {trial.number} is {trial.state.name}"
        for trial in trials
        if not trial.state.is_finished()
    ]
    ended = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    counts = Counter(str(trial.user_attrs["config"]) for trial in ended)
    found += [f"{n} results of {config}" for config, n in counts.items() if n > 1]
    numbers = {trial.number for trial in ended}
    found += [
        f"task {task.position} is done, but its trial {task.trial} isn't"
        for task in tasks
        if task.state is TaskState.DONE and task.trial not in numbers
    ]
    if reference is not None:
        outcome = outcome_of(study)
        if outcome.tables != reference.tables:
            rows = zip(outcome.tables, reference.tables, strict=False)
            first = next((pair for pair in rows if pair[0] != pair[1]), ("shorter", "or longer"))
            found.append(f"the tables differ: {first[0]}, but undisturbed {first[1]}")
        found += [
            f"the curve of {config} is not the undisturbed one"
            for config, curve in reference.curves.items()
            if outcome.curves.get(config) != curve
        ]
    return found


def differences_from_alone(study: StoredStudy, folder: Path) -> list[str]:
    """Return which finished trials differ from their configuration, trained alone and from nothing.

    Args:
        study: The study.
        folder: For the run store of what is trained here.
    """
    trainer = Trainer(
        load_bundle(study.definition.bundle),
        open_device("cpu", study.definition.arithmetic),
        RunStore(folder),
        metrics=study.definition.metrics,
        scored=study.space.scored_epochs(),
    )
    found = []
    for trial in study.optuna.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED)):
        last, curve = max(trial.intermediate_values), {}

        def on_step(progress: Progress, last: int = last, curve: Any = curve) -> Verdict:
            curve[progress.step] = progress.value
            ends = progress.step == last < progress.steps
            return Verdict(Decision.PRUNE if ends else Decision.CONTINUE)

        config = Config.from_stored(trial.user_attrs["config"])
        outcome = run_trial(trainer, study.space, config, on_step=on_step)
        assert outcome is not None  # nothing pauses it
        if _with_gaps(curve) != _with_gaps(trial.intermediate_values):
            found.append(f"the curve of trial {trial.number} is not that of its configuration")
        if list(outcome.scores) != trial.user_attrs["scores"] or outcome.value != trial.value:
            found.append(f"the scores of trial {trial.number} are not those of its configuration")
    return found


def _with_gaps(curve: Mapping[int, float]) -> dict[int, float | None]:
    """Return a curve with None for what is no number, so that equal curves compare as equal."""
    return {step: value if math.isfinite(value) else None for step, value in curve.items()}


def undisturbed(study: StoredStudy, log: Path, seconds: float = 300.0) -> Outcome:
    """Let a single worker run a study to its end, and return the outcome.

    Raises:
        RuntimeError: It didn't get there.
    """
    with crew_of(study, log) as crew:
        crew.start()
        codes = crew.wait(seconds)
    if codes != [0]:
        raise RuntimeError(f"The undisturbed worker ended with {codes}:\n{log.read_text()}")
    return outcome_of(study)


def chaos(
    study: StoredStudy,
    log: Path,
    rng: random.Random,
    *,
    workers: int,
    every: float,
    seconds: float,
    say: Callable[[str], None] = lambda text: None,
    done: int = 0,
) -> int:
    """Run a study while workers are killed with -9 and replaced.

    Args:
        study: The study.
        log: For the output of the workers.
        rng: Says when, and who.
        workers: How many there are at any time.
        every: Seconds between kills on average; they are 0.5 to 1.5 times as long. After each kill
            a twentieth is added, so that the study ends however loaded the machine is.
        seconds: How long until the study is given up.
        say: Told of each kill.
        done: Exit code of workers that find nothing more to do; 3 where a limit ends the study.

    Returns:
        How many were killed at their work.

    Raises:
        RuntimeError: The study was not complete in time, or a worker ended with an error.
    """
    start = time.monotonic()
    killed = 0
    with crew_of(study, log) as crew:
        alive = crew.start(workers)
        next_kill = start + every * rng.uniform(0.5, 1.5)
        while time.monotonic() < start + seconds:
            time.sleep(0.02)
            ended = [process for process in alive if process.exitcode is not None]
            if any(process.exitcode == done for process in ended):
                crew.processes = alive
                codes = crew.wait(10 * GRACE_S)
                if any(code != done for code in codes):
                    break
                return killed
            if ended:
                break
            if time.monotonic() >= next_kill:
                victim = alive.pop(rng.randrange(len(alive)))
                victim.kill()
                victim.join()
                if victim.exitcode == done:  # it was done before the signal came
                    alive.append(victim)
                    continue
                killed += 1
                say(f"{time.monotonic() - start:7.1f} s  killed worker {victim.pid}")
                alive += crew.start()
                every *= 1.05
                next_kill = time.monotonic() + every * rng.uniform(0.5, 1.5)
        codes = [process.exitcode for process in alive]
    raise RuntimeError(
        f"After {time.monotonic() - start:.0f} s and {killed} kills the study is not complete; "
        f"exit codes {codes}:\n{log.read_text()}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run rounds of chaos until the time is over; return 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--storage", metavar="URL", help="default: SQLite in a temporary folder")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--every", type=float, default=1.5, help="mean seconds between kills")
    parser.add_argument("--length", type=int, default=300, help="epochs of a configuration")
    parser.add_argument("--kind", choices=("greedy", "promote"), default="greedy")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    rng = random.Random(arguments.seed)
    greedy = arguments.kind == "greedy"
    space = (greedy_space if greedy else promote_space)(arguments.length)
    reference = None
    failed = rounds = kills = 0
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        folder = Path(name)
        url = arguments.storage or f"sqlite:///{folder / 'chaos.db'}"
        print(f"storage {redact(url)}, {arguments.workers} workers", flush=True)
        began = time.monotonic()
        if greedy:
            calm = create_study(f"sqlite:///{folder / 'calm.db'}", "calm", space, folder / "calm")
            reference = undisturbed(calm, folder / "calm.log")
            print(f"undisturbed: {time.monotonic() - began:.1f} s", flush=True)
        end = time.monotonic() + 60 * arguments.minutes
        while rounds == 0 or time.monotonic() < end:
            rounds += 1
            began = time.monotonic()
            log = folder / f"{rounds}.log"
            # The run store is new as well: nothing is there that an earlier round trained.
            study = create_study(
                url, f"chaos-{os.getpid()}-{rounds}", space, folder / f"cache-{rounds}"
            )
            try:
                killed = chaos(
                    study,
                    log,
                    rng,
                    workers=arguments.workers,
                    every=arguments.every,
                    seconds=600.0,
                    say=lambda text: print(text, flush=True),
                )
                kills += killed
                found = violations(study, reference)
                if not greedy:
                    found += differences_from_alone(study, folder / f"alone-{rounds}")
            except RuntimeError as error:
                found = [str(error)]
            failed += bool(found)
            seconds = time.monotonic() - began
            print(f"round {rounds}: {'FAIL' if found else 'PASS'} in {seconds:.1f} s", flush=True)
            for text in found:
                print(f"  {text}", flush=True)
    print(f"{'FAIL' if failed else 'PASS'}: {rounds} rounds, {kills} workers killed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
