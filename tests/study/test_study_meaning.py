"""Studies made before a value changed its meaning, or a field its default."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from study_samples import unpack

import hpo
from hpo import replay, worker
from hpo.errors import InputError
from hpo.features import Data

SPACE: dict[str, Any] = {
    "name": "mine",
    "seeds": 1,
    "split": {"kind": "tail", "val_rows": 20},
    "fixed": {"hidden": [4], "epochs": 2},
    "search": {
        "kind": "optuna",
        "trials": 2,
        "sampler": {"name": "RandomSampler"},
        "params": {"feature_scaling": {"choices": ["none", "l2"]}},
    },
}
WHY = (
    "The study 'mine' was made when feature_scaling l2 brought embeddings to a norm of 1; it now "
    "brings them to √width, so its trials can't be compared with new ones. Begin a new study "
    "under another name (--study NAME --space FILE)."
)


@pytest.fixture
def data(tmp_path: Path) -> Data:
    store = unpack(tmp_path / "store")
    return hpo.load_data(
        store / "data", features=store / "data" / "embeddings", cache=tmp_path / "cache"
    )


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'mine.db'}"


def make_older(folder: Path, **fixed: object) -> None:
    """Let the stored definition be as the version before this one would have written it."""
    engine = create_engine(url(folder))
    with engine.begin() as connection:
        stored = json.loads(connection.execute(text("SELECT definition FROM hpo_studies")).scalar())
        del stored["crc32"]
        assert stored.pop("format") == 2
        stored["space"]["fixed"] |= fixed
        for field in ("input_dropout", "modality_dropout", "class_weight", "oversample"):
            del stored["space"]["fixed"][field]
        connection.execute(
            text("UPDATE hpo_studies SET definition = :d"), {"d": json.dumps(stored)}
        )
    engine.dispose()


def test_a_study_that_names_l2_is_not_gone_on_with(
    data: Data, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = hpo.create_study(data, SPACE, storage=url(tmp_path))
    assert study.optimize(workers=1, trials=1, progress=False)
    study.stored.ledger.close()
    make_older(tmp_path, feature_scaling="none")
    with pytest.raises(InputError) as caught:
        hpo.create_study(data, SPACE, storage=url(tmp_path))
    assert str(caught.value) == WHY
    where = ["--study", "mine", "--storage", url(tmp_path)]
    for command in (worker.main, lambda args: replay.main([*args, "--trial", "0"])):
        assert command(where) == 2
        assert capsys.readouterr().err == f"error: {WHY}\n"
    # It can still be looked at, and a new one begun.
    old = hpo.load_study("mine", url(tmp_path))
    assert len(old.leaderboard()) == 1
    for go_on in (lambda: old.optimize(workers=1, progress=False), old.refit):
        with pytest.raises(InputError) as caught:
            go_on()
        assert str(caught.value) == WHY
    assert hpo.create_study(data, SPACE, name="again", storage=url(tmp_path)).name == "again"


def test_a_study_without_l2_goes_on_with_the_default_of_its_time(
    data: Data, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    space = json.loads(json.dumps(SPACE).replace('"feature_scaling"', '"loss"'))
    space["search"]["params"]["loss"]["choices"] = ["bce", "focal"]
    hpo.create_study(data, space, storage=url(tmp_path)).stored.ledger.close()
    make_older(tmp_path, feature_scaling="none")
    with caplog.at_level(logging.WARNING):
        study = hpo.create_study(data, space, storage=url(tmp_path))
    assert caplog.messages == [
        "The study 'mine' was made when feature_scaling was none unless the space said something "
        "else, and goes on with that."
    ]
    assert study.optimize(workers=1, progress=False)
    scalings = {task.config.feature_scaling for task in study.stored.tasks() if task.config}
    assert scalings == {"none"}
    other = {**space, "fixed": {**space["fixed"], "feature_scaling": "standard"}}
    with pytest.raises(InputError, match=r"fixed\.feature_scaling: 'none' there, 'standard' here"):
        hpo.create_study(data, other, storage=url(tmp_path))


def test_a_study_of_today_keeps_to_what_it_says(data: Data, tmp_path: Path) -> None:
    assert hpo.create_study(data, SPACE, storage=url(tmp_path)).optimize(
        workers=1, trials=1, progress=False
    )
    other = {**SPACE, "fixed": {**SPACE["fixed"], "feature_scaling": "none"}}
    with pytest.raises(InputError, match=r"fixed\.feature_scaling: 'auto' there, 'none' here"):
        hpo.create_study(data, other, storage=url(tmp_path))
