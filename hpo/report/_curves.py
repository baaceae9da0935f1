"""The curves of a study's trials: the metric from Optuna, the loss from the run store."""

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from hpo.models import Config, is_two_step
from hpo.search import StageTable, format_score
from hpo.study import StoredStudy
from hpo.training import EpochRecord, metric_label

__all__ = ["Curve", "CurveReader", "StageCurves"]

#: Trials of a sampled study that are drawn behind the best ones.
_MOST_OTHERS = 300


@dataclasses.dataclass(frozen=True)
class Curve:
    """One candidate's course.

    Attributes:
        label: As in the table.
        params: The values that tell it from the others; empty in a sampled study.
        result: Its final value, or why there is none.
        winner: Whether it is the best of the table.
        final: The final value in percent; None without a result.
        metric: Metric in percent at each step, mean over seeds; gaps are left out.
        loss: Validation loss at each step, mean over seeds; empty if it isn't stored here.
        switch: The step after which a two-step fusion trains its meta-classifier, else None.
        train_loss: Training loss at each step, mean over seeds; empty if it isn't stored here.
        spread: The metric of the worst and of the best seed at each step, likewise; empty with one
            seed.
    """

    label: str
    params: Mapping[str, Any]
    result: str
    winner: bool
    final: float | None
    metric: Mapping[int, float]
    loss: Mapping[int, float]
    switch: int | None
    train_loss: Mapping[int, float] = dataclasses.field(default_factory=dict)
    spread: Mapping[int, tuple[float, float]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class StageCurves:
    """The curves of one table.

    Attributes:
        name: Of the stage.
        metric: Its name, with its unit.
        curves: One for each candidate that was begun, in the table's order.
        others: Metric curves of further trials, without labels.
        losses: Names of the losses that the candidates are trained with.
    """

    name: str
    metric: str
    curves: tuple[Curve, ...]
    others: tuple[Mapping[int, float], ...]
    losses: tuple[str, ...]


class CurveReader:
    """Reads the curves of a study; each run is read once.

    Args:
        study: The study.
        trials: All its trials in Optuna.
    """

    def __init__(self, study: StoredStudy, trials: Sequence[FrozenTrial]) -> None:
        from hpo.training import RunStore  # PyTorch takes a second, see hpo/_lazy.py

        self._study = study
        self._trials = {trial.number: trial for trial in trials}
        self._store = RunStore(study.definition.run_store)
        self._records: dict[str, tuple[EpochRecord, ...]] = {}
        self._means: dict[tuple[int, str], dict[int, float]] = {}

    def read(self, table: StageTable) -> StageCurves:
        """Return the curves of a table of the study."""
        curves = []
        configs = []
        for row in table.rows:
            trial = None if row.trial is None else self._trials.get(row.trial)
            if trial is None:
                continue
            config = Config.from_stored(trial.user_attrs["config"])
            configs.append(config)
            label = f"trial {trial.number}" if table.selected else row.label
            curves.append(
                Curve(
                    label=label,
                    params={} if table.selected else row.params,
                    result=_result(trial, row.value, row.std),
                    winner=row.winner,
                    final=row.value,
                    metric=metric_curve(trial),
                    loss=self._mean(trial, "val_loss"),
                    switch=config.epochs if is_two_step(config.fusion) else None,
                    train_loss=self._mean(trial, "train_loss"),
                    spread=self._spread(trial),
                )
            )
        shown = {row.trial for row in table.rows}
        others = (
            [metric_curve(t) for number, t in self._trials.items() if number not in shown]
            if table.selected
            else []
        )
        return StageCurves(
            table.name,
            metric_label(self._study.space.metric),
            tuple(curves),
            tuple(curve for curve in others if curve)[-_MOST_OTHERS:],
            tuple(dict.fromkeys(config.loss for config in configs)),
        )

    def _mean(self, trial: FrozenTrial, column: str) -> dict[int, float]:
        """Return a column of a trial at each step, mean over seeds, as far as it is stored."""
        key = trial.number, column
        if key not in self._means:
            self._means[key] = {
                step: mean
                for step, values in self.by_seed(trial, column).items()
                if math.isfinite(mean := statistics.fmean(values))
            }
        return self._means[key]

    def _spread(self, trial: FrozenTrial) -> dict[int, tuple[float, float]]:
        """Return the metric of the worst and of the best seed at each step."""
        return {
            step: (min(values), max(values))
            for step, values in self.by_seed(trial, self._study.space.metric).items()
            if len(values) > 1 and all(map(math.isfinite, values))
        }

    def by_seed(self, trial: FrozenTrial, column: str) -> dict[int, list[float]]:
        """Return a column of a finished trial's curves at each step, a value for each seed.

        Args:
            trial: As it was read.
            column: ``val_loss``, ``train_loss`` or a metric.

        Returns:
            As far as the run store has all seeds; values that weren't computed are NaN.
        """
        config = Config.from_stored(trial.user_attrs["config"])
        steps = max(trial.intermediate_values, default=0)
        return self._by_seed(trial.user_attrs.get("runs", []), config, steps, column)

    def mean_curve(
        self, runs: Sequence[Sequence[str]], config: Mapping[str, Any], steps: int, column: str
    ) -> dict[int, float]:
        """Return a column at each epoch, mean over seeds, where it was computed.

        Args:
            runs: The addresses of a trial's runs, for each seed.
            config: Its configuration, as it is stored.
            steps: How far it went.
            column: See ``by_seed``.
        """
        found = self._by_seed(runs, Config.from_stored(config), steps, column)
        means = {step: statistics.fmean(values) for step, values in found.items()}
        return {step: mean for step, mean in means.items() if math.isfinite(mean)}

    def _by_seed(
        self, runs: Sequence[Sequence[str]], config: Config, steps: int, column: str
    ) -> dict[int, list[float]]:
        seeds = [self._seed_column(one, config, steps, column) for one in runs]
        length = min((len(seed) for seed in seeds), default=0)
        return {step + 1: [seed[step] for seed in seeds] for step in range(length)}

    def _seed_column(
        self, runs: Sequence[str], config: Config, steps: int, column: str
    ) -> list[float]:
        """Follow ``ModelRun``: the better head's records, then those of the meta-classifier."""
        histories = [self._history(address) for address in runs]
        if not is_two_step(config.fusion):
            return [record[column] for record in histories[0][:steps]]
        *heads, meta = histories
        # Runs are shared: a head may have gone on for a longer trial.
        together = min([len(head) for head in heads] + [config.epochs])
        best = [
            max((head[epoch] for head in heads), key=lambda record: record["micro_f1"])
            for epoch in range(together)
        ]
        later = meta if together == config.epochs else ()
        return [record[column] for record in (*best, *later)][:steps]

    def _history(self, address: str) -> tuple[EpochRecord, ...]:
        if address not in self._records:
            self._records[address] = self._store.history(address).records
        return self._records[address]


def metric_curve(trial: FrozenTrial) -> dict[int, float]:
    """Return the intermediate values by step, without gaps."""
    values = trial.intermediate_values
    return {step: values[step] for step in sorted(values) if math.isfinite(values[step])}


def _result(trial: FrozenTrial, value: float | None, std: float | None) -> str:
    if value is not None:
        reason = str(trial.user_attrs.get("pruned", ""))
        ended = ", diverged" if reason.startswith("diverged") else ", pruned" if reason else ""
        return f"{format_score(value, std)}{ended}"
    if trial.state is TrialState.PRUNED:  # it broke a constraint
        return "not trained"
    return "failed" if trial.state is TrialState.FAIL else "running"
