"""A study: its definition, its queue in the ledger, and its face in Optuna's storage."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from hpo.errors import InputError, did_you_mean
from hpo.models import Config
from hpo.search import (
    Candidate,
    GreedySearch,
    GreedyStage,
    OptunaSearch,
    Space,
    distributions_of,
    greedy_stages,
    make_pruner,
)
from hpo.service._ledger import Ledger
from hpo.service._open import open_ledger, open_storage
from hpo.service._tables import NewTask, Task
from hpo.service._url import check_exists, redact
from hpo.training import Arithmetic, Numerics, plan_model

__all__ = ["Definition", "Study", "finished_trial", "head_runs"]


@dataclasses.dataclass(frozen=True)
class Definition:
    """What a study is; whoever joins it works by this and by nothing else.

    Attributes:
        space: The search space, scaled.
        cache: Folder of features, bundles and runs, as the machine that made the study sees it.
        bundle_key: Names the features, labels and split in it.
        modalities: Those the features have.
        train_rows: Rows of the training part.
        threads: Threads of a worker on a CPU.
        checkpoint_every: Epochs between resumable states.
        dataset: What the data was, for people: folder, encoder, SHA-256 of train.csv.
        run_store_gb: Limit of the run store in 10⁹ bytes.
        precision: Of training steps; see ``Arithmetic``.
        compiler: Of training steps; see ``Arithmetic``.
    """

    space: Space
    cache: str
    bundle_key: str
    modalities: tuple[str, ...]
    train_rows: int
    threads: int
    checkpoint_every: int
    dataset: dict[str, Any]
    run_store_gb: float = 20.0
    precision: str = "float32"
    compiler: str = "off"

    @property
    def bundle(self) -> Path:
        """Folder of the features, labels and split."""
        return Path(self.cache) / "bundles" / self.bundle_key

    @property
    def run_store(self) -> Path:
        """Folder of the run store."""
        return Path(self.cache) / "runs"

    @property
    def arithmetic(self) -> Arithmetic:
        """How workers compute."""
        return Arithmetic(self.threads, self.precision, self.compiler)

    @property
    def searched(self) -> tuple[str, ...]:
        """The parameters that the space searches over, in its order."""
        return tuple(distributions_of(self.space))

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**fields, "space": self.space.model_dump(mode="json")}

    @staticmethod
    def from_json(raw: dict[str, Any]) -> "Definition":
        """Return the definition that ``to_json`` wrote."""
        space = Space.from_json(raw["space"])
        return Definition(**{**raw, "space": space, "modalities": tuple(raw["modalities"])})

    def differences(self, other: "Definition") -> list[str]:
        """Return what decides the results and is different in ``other``, in words."""
        found = []
        if self.bundle_key != other.bundle_key:
            found.append(f"data: {self.dataset} there, {other.dataset} here")
        mine, theirs = self.space.model_dump(mode="json"), other.space.model_dump(mode="json")
        found += [
            f"{place}: {a!r} there, {b!r} here" for place, a, b in _different((), mine, theirs)
        ]
        for name in ("threads", "precision", "compiler"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                found.append(f"{name}: {mine} there, {theirs} here")
        return found


class Study:
    """A study as one process sees it.

    Args:
        url: The storage URL.
        name: The study's name.
        definition: As it is stored.
        ledger: The queue.
    """

    def __init__(self, url: str, name: str, definition: Definition, ledger: Ledger) -> None:
        self.url = url
        self.name = name
        self.definition = definition
        self.ledger = ledger
        self._storage: BaseStorage | None = None
        self._optuna: optuna.Study | None = None

    @staticmethod
    def create(url: str, name: str, definition: Definition) -> "Study":
        """Create the study, or open it if it exists and is the same.

        Raises:
            InputError: The storage is no good, or has a study of this name that is another one.
        """
        # The parameters that trials show are then among the choices that Optuna knows.
        space = definition.space.capped(definition.train_rows)
        definition = dataclasses.replace(definition, space=space)
        ledger = open_ledger(url)
        stored = Definition.from_json(ledger.define(name, definition.to_json()))
        differences = stored.differences(definition)
        # More trials of a sampled study go on with it.
        differences = [text for text in differences if not text.startswith("search.trials:")]
        if differences:
            raise InputError(
                [
                    *differences,
                    "Give the new one another name (--study NAME --space FILE), or another "
                    "--storage.",
                ],
                title=f"The study '{name}' in {redact(url)} is a different one:",
            )
        study = Study(url, name, stored, ledger)
        study.describe()
        return study

    @staticmethod
    def join(url: str, name: str) -> "Study":
        """Open a study that exists.

        Raises:
            InputError: The storage is no good, or has no such study.
        """
        check_exists(url)
        ledger = open_ledger(url)
        row = ledger.study(name)
        if row is None:
            names = ledger.studies()
            known = f"it has: {', '.join(names)}" if names else "it has none"
            raise InputError(
                f"--study {name}: {redact(url)} has no such study"
                f"{did_you_mean(name, names)}; {known}."
            )
        return Study(url, name, Definition.from_json(row.definition), ledger)

    @property
    def space(self) -> Space:
        """The search space, scaled."""
        return self.definition.space

    @property
    def storage(self) -> BaseStorage:
        """Optuna's storage, opened when first needed."""
        if self._storage is None:
            self._storage = open_storage(self.url)
        return self._storage

    @property
    def optuna(self) -> optuna.Study:
        """The study in Optuna, made when first needed."""
        if self._optuna is None:
            longest = max(self.space.lengths()) * 2
            self._optuna = optuna.create_study(
                storage=self.storage,
                study_name=self.name,
                direction="maximize",
                load_if_exists=True,
                pruner=make_pruner(self.space.search.pruner, longest),
            )
        return self._optuna

    def describe(self) -> None:
        """Put what a reader of the dashboard wants to know on the Optuna study."""
        study = self.optuna
        if "space" not in study.user_attrs:
            study.set_user_attr("space", self.space.name)
            study.set_user_attr("metric", self.space.metric)
            study.set_user_attr("seeds", self.space.seeds)
            study.set_user_attr("data", self.definition.dataset)
            study.set_metric_names([f"{self.space.metric} (%)"])

    def normalise(self, config: Config) -> Config:
        """Return the configuration with a batch size of at most the training rows."""
        batch_size = min(config.batch_size, self.definition.train_rows)
        return config.model_copy(update={"batch_size": batch_size})

    def stages(self, tasks: list[Task]) -> list[GreedyStage]:
        """Return the stages of a greedy study that are decided, and the next one."""
        by_key = {task.config_key: task for task in tasks}

        def score(candidate: Candidate) -> float | None:
            task = by_key.get(candidate.key)
            if task is None or task.state not in ("done", "failed"):
                return None
            return math.nan if task.outcome is None else float(task.outcome["value"])

        return greedy_stages(self.space, score, self.normalise, self.definition.modalities)

    def open_next(self) -> bool:
        """Open whatever can be opened; return True if the study is complete.

        Raises:
            NoCandidateError: All candidates of a stage failed.
        """
        if isinstance(self.space.search, GreedySearch):
            tasks = self.ledger.tasks(self.name)
            stages = self.stages(tasks)
            known = {task.config_key for task in tasks}
            last = stages[-1]
            new = [
                NewTask(
                    # Room for 1,000 candidates a stage keeps positions in the order of stages.
                    position=last.index * 1000 + place,
                    stage=last.index,
                    config_key=candidate.key,
                    config=candidate.config.model_dump(mode="json"),
                    runs=head_runs(candidate.config),
                )
                for place, candidate in enumerate(last.candidates)
                if candidate.key not in known
            ]
            self.ledger.open_tasks(self.name, new)
            return len(stages) == len(self.space.search.stages) and last.winner is not None
        assert isinstance(self.space.search, OptunaSearch)
        wanted = self.trials_wanted()
        counts = self.ledger.counts(self.name)
        there = sum(counts.values())
        self.ledger.open_tasks(
            self.name, [NewTask(position, 0) for position in range(there, wanted)]
        )
        ended = counts.get("done", 0) + counts.get("failed", 0)
        # More than are wanted may be there, left from a run that wanted more; they stay open.
        return there >= wanted and ended >= wanted

    def trials_wanted(self) -> int:
        """Return how many trials a sampled study is to have."""
        assert isinstance(self.space.search, OptunaSearch)
        row = self.ledger.study(self.name)
        limit = None if row is None else row.max_tasks
        return self.space.search.trials if limit is None else limit

    def best(self, tasks: list[Task]) -> Task | None:
        """Return the task whose configuration is to be refitted; None while it isn't decided."""
        if isinstance(self.space.search, GreedySearch):
            stages = self.stages(tasks)
            winner = stages[-1].winner
            if len(stages) < len(self.space.search.stages) or winner is None:
                return None
            return next(task for task in tasks if task.config_key == winner.key)
        finished = [task for task in tasks if task.outcome is not None]
        return max(
            finished, key=lambda task: (task.outcome or {})["value"], default=None
        )  # the first of equal ones

    def params(self, config: Config) -> dict[str, Any]:
        """Return the parameters that a trial of this configuration shows."""
        return {field: getattr(config, field) for field in self.definition.searched}


def finished_trial(study: Study, number: int) -> FrozenTrial:
    """Return a finished trial of a study by its number.

    Raises:
        InputError: There is none, or it has no result.
    """
    trials = study.optuna.get_trials(deepcopy=False)
    if not 0 <= number < len(trials):
        raise InputError(f"--trial {number}: the study has trials 0 to {len(trials) - 1}.")
    trial = trials[number]
    if "scores" not in trial.user_attrs:
        raise InputError(f"--trial {number}: has no result; its state is {trial.state.name}.")
    return trial


def head_runs(config: Config) -> tuple[str, ...]:
    """Return keys of the head runs of a configuration, equal where the runs would be."""
    anywhere = Numerics("", 0, 0, "")
    heads, _ = plan_model(config, bundle="", rows="", seed=0, numerics=anywhere)
    return tuple(head.address for head in heads)


def _different(place: tuple[str, ...], a: Any, b: Any) -> list[tuple[str, Any, Any]]:
    if isinstance(a, dict) and isinstance(b, dict):
        return [
            found
            for key in sorted(a.keys() | b.keys())
            for found in _different((*place, key), a.get(key), b.get(key))
        ]
    return [] if a == b else [(".".join(place), a, b)]
