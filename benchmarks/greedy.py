"""Epochs that the greedy study asks for and epochs that are trained, planned and real."""

import argparse
import tempfile
from pathlib import Path

from benchmarks._result import Result, main
from benchmarks._studies import ROOT, command, paper_study
from hpo.search import GreedyStrategy
from hpo.study import StoredStudy
from hpo.training import Numerics, plan_model

__all__ = ["run"]

_LENGTH = 0.05
_SEEDS = 2


def run(arguments: argparse.Namespace) -> list[Result]:
    """Plan the paper's study, and run a short one on the demo."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan = paper_study(f"sqlite:///{folder / 'plan.db'}").plan()
        url = f"sqlite:///{folder / 'demo.db'}"
        command(
            [
                "hpo.run",
                "--study=greedy",
                f"--space={ROOT / 'search_spaces' / 'greedy.yaml'}",
                "--data=demo",
                f"--storage={url}",
                f"--set=scale.epochs={_LENGTH}",
                f"--seeds={_SEEDS}",
                "--no-refit",
            ],
            folder,
        )
        asked, trained, meta = _epochs(StoredStudy.join(url, "greedy"))
    return [
        Result(
            "greedy: epochs trained of the paper's study, planned",
            plan.trained / plan.asked,
            plan.trained,
            plan.asked,
            "epochs a seed",
            "the epochs asked for",
            6_100 / 9_000,
            "at most",
            note="meta-classifiers aside; all heads of a configuration count once",
        ),
        Result(
            "greedy: epochs trained of a real study",
            trained / asked,
            trained,
            asked,
            "epochs of runs",
            "the epochs of the same study with nothing shared",
            6_100 / 9_000,
            "at most",
            note=f"demo data, lengths times {_LENGTH:g}, {_SEEDS} seeds; each head counts by "
            f"itself, {meta} epochs of meta-classifiers are among both",
        ),
    ]


def _epochs(study: StoredStudy) -> tuple[int, int, int]:
    """Return the epochs of all runs if nothing is shared, those trained, and the meta ones."""
    strategy = study.strategy
    assert isinstance(strategy, GreedyStrategy)
    scores = {task.key: task.outcome.value for task in study.tasks() if task.outcome is not None}
    anywhere = Numerics("", 0, 0, "")
    asked = meta_epochs = 0
    for stage in strategy.stages(lambda candidate: scores.get(candidate.key)):
        for candidate in stage.candidates:
            heads, meta = plan_model(
                candidate.config,
                study.definition.modalities,
                bundle="",
                rows="",
                seed=0,
                numerics=anywhere,
            )
            asked += candidate.config.epochs * (len(heads) + (meta is not None))
            meta_epochs += candidate.config.epochs * (meta is not None)
    trained = sum(
        trial.user_attrs["epochs_trained"] for trial in study.optuna.get_trials(deepcopy=False)
    )
    return asked * study.space.seeds, trained, meta_epochs * study.space.seeds


if __name__ == "__main__":
    main(run, __doc__)
