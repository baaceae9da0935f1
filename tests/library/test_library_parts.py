"""Parts that were registered in this process: used, limited to it, and repeatable."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from library_samples import SPACE, TAIL, array_data, arrays

import hpo
from hpo.models import HEADS, LOSSES
from hpo.training import METRICS


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    @hpo.register_loss("half")
    def half(logits: torch.Tensor, targets: torch.Tensor, *, factor: float = 0.5) -> torch.Tensor:
        return factor * ((logits.sigmoid() - targets) ** 2).sum()

    @hpo.register_head("plain")
    def plain(width, hidden, classes, *, activation, dropout, generator):  # type: ignore[no-untyped-def]
        # PyTorch's own first weights, for which `generator` is not asked
        return torch.nn.Linear(width, classes)

    @hpo.register_metric("right", unit="%")
    def right(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return 100 * ((logits > 0) == (targets > 0)).float().mean()

    yield
    for registry, name in ((LOSSES, "half"), (HEADS, "plain"), (METRICS, "right")):
        registry.forget(name)


CONFIG = hpo.Config(fusion="concat", lr=0.05, epochs=8)


def own_space() -> dict[str, object]:
    return {
        **SPACE,
        "name": "own",
        "metric": "right",
        "split": TAIL,
        "fixed": {"hidden": [8], "lr": 0.05, "epochs": 5, "head": "plain"},
        "search": {
            "kind": "greedy",
            "stages": [
                {"name": "loss", "params": {"loss": ["half", "bce"]}},
                {"name": "factor", "params": {"half.factor": [0.5, 2.0]}},
            ],
        },
    }


def test_they_train_and_score(tmp_path: Path) -> None:
    data = array_data(tmp_path / "cache")
    config = hpo.Config.model_validate(
        {**CONFIG.model_dump(), "head": "plain", "loss": "half", "half.factor": 2.0}
    )
    run = hpo.train(data, config, seeds=2, metric="right", split=TAIL)
    assert run.curve.columns[-1] == "right"
    assert run.score == run.curve["right"].iloc[-1] > 50
    other = hpo.train(data, config.replace(**{"half.factor": 1.0}), seeds=2, split=TAIL)
    assert other.curve["train_loss"].iloc[0] < run.curve["train_loss"].iloc[0]


def test_a_head_that_ignores_the_generator_is_repeatable(tmp_path: Path) -> None:
    config = CONFIG.replace(head="plain")
    torch.manual_seed(1)
    first = hpo.train(array_data(tmp_path / "a"), config, seeds=2, split=TAIL)
    torch.manual_seed(2)
    again = hpo.train(array_data(tmp_path / "b"), config, seeds=2, split=TAIL)
    assert first.scores == again.scores
    assert first.curve.equals(again.curve)
    assert not first.curves[0].equals(first.curves[1])  # the seeds differ


def test_a_study_in_this_process_has_them(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 's.db'}"
    study = hpo.create_study(array_data(tmp_path / "cache"), own_space(), storage=storage)
    assert study.optimize(workers=1, progress=False)
    board = study.leaderboard()
    assert study.best_value == board["score"].max() > 50
    assert {"loss", "half.factor"} <= set(board.columns)
    assert study.optuna.metric_names == ["right (%)"]
    model = study.refit()
    model.save(tmp_path / "model")
    embeddings, _ = arrays()
    given = {name: embeddings[name] for name in model.modalities}
    assert hpo.load_model(tmp_path / "model").predict(**given) == model.predict(**given)
    HEADS.forget("plain")
    with pytest.raises(hpo.InputError, match="the head 'plain' of the module test_library_par"):
        hpo.load_model(tmp_path / "model")
    hpo.register_head("plain")(lambda width, hidden, classes, **_: torch.nn.Linear(width, classes))


def test_worker_processes_would_lack_them(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 's.db'}"
    study = hpo.create_study(array_data(tmp_path / "cache"), own_space(), storage=storage)
    for workers in (2, None):
        with pytest.raises(hpo.InputError) as caught:
            study.optimize(workers=workers, progress=False)
        assert str(caught.value) == (
            "Worker processes don't have what was registered here: metric 'right', head 'plain', "
            "loss 'half'. Put it into a module and pass plugins=['test_library_parts'], or use "
            "workers=1, which works in this process."
        )
    assert all(task.token == 0 for task in study.stored.tasks())


def test_a_study_needs_the_metrics_that_it_was_made_with(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 's.db'}"
    data = array_data(tmp_path / "cache")
    hpo.create_study(data, own_space(), storage=storage)
    METRICS.forget("right")
    with pytest.raises(hpo.InputError, match="metric is 'right', but must be one of"):
        hpo.create_study(data, own_space(), storage=storage)
    with pytest.raises(hpo.InputError, match="the metric 'right' of the module test_library_parts"):
        hpo.load_study("own", storage)
    hpo.register_metric("right", unit="%")(lambda logits, targets: 0.0)  # of this file, as before
    hpo.load_study("own", storage)
