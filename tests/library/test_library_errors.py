"""What is wrong is said as the command line says it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from library_samples import CONFIG, SPACE, TAIL, array_data, arrays

import hpo
from hpo.report.__main__ import main as report
from hpo.run import main as run
from hpo.worker import main as worker


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a data folder and embeddings in it."""
    embeddings, labels = arrays()
    (tmp_path / "data").mkdir()
    rows = [
        f"{i}.jpg,{' '.join(map(str, np.flatnonzero(r) + 1)) or 1},x" for i, r in enumerate(labels)
    ]
    (tmp_path / "data" / "train.csv").write_text("\n".join(["ImageID,Labels,Caption", *rows, ""]))
    for name, array in embeddings.items():
        np.save(tmp_path / "data" / f"{name}.npy", array.astype(np.float32))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def message(action: Callable[[], object]) -> str:
    with pytest.raises(hpo.InputError) as caught:
        action()
    return f"error: {caught.value}\n"


@pytest.mark.parametrize(
    ("space", "settings", "said"),
    [
        ("greedi", {}, "There is no search space 'greedi' (did you mean 'greedy'?)"),
        ("greedy", {"split.val_rows": 1000}, "1000"),
    ],
)
def test_a_space_that_is_wrong(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    space: str,
    settings: dict[str, int],
    said: str,
) -> None:
    given = [f"--set={key}={value}" for key, value in settings.items()]
    command = ["--study", space, "--data", "data", "--features", "data", *given]
    assert run(command) == 2
    error = capsys.readouterr().err
    data = hpo.load_data("data", features="data")
    assert message(lambda: hpo.create_study(data, space, settings=settings)) == error
    assert said in error


def test_a_dictionary_is_checked_like_a_file(folder: Path) -> None:
    data = hpo.load_data("data", features="data")
    wrong = {**SPACE, "seeds": 0, "fixed": {"hiden": [8], "loss": "fokal"}}
    text = message(lambda: hpo.create_study(data, wrong))
    assert "'hiden' (did you mean 'hidden'?)" in text
    assert "(did you mean 'focal'?)" in text
    assert "seeds is 0, but must be greater than 0" in text


def test_a_study_that_is_another_one_or_not_there(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = hpo.load_data("data", features="data")
    space = {**SPACE, "split": TAIL}
    hpo.create_study(data, space)
    other = message(lambda: hpo.create_study(data, {**space, "seeds": 3}))
    assert "The study 'small' in sqlite:///studies.db is a different one:" in other
    assert "seeds: 2 there, 3 here" in other
    missing = message(lambda: hpo.load_study("smal"))
    for command in (worker, report):
        assert command(["--study", "smal"]) == 2
        assert capsys.readouterr().err == missing
    gone = message(lambda: hpo.load_study("small", "sqlite:///none.db"))
    assert report(["--study", "small", "--storage", "sqlite:///none.db"]) == 2
    assert capsys.readouterr().err == gone


def test_devices_and_arithmetic(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = hpo.load_data("data", features="data")
    study = hpo.create_study(data, {**SPACE, "split": TAIL})
    command = ["--study", "greedy", "--data", "data", "--features", "data"]
    assert run([*command, "--devices", "gpu"]) == 2
    error = capsys.readouterr().err
    assert message(lambda: study.optimize(devices="gpu")) == error
    assert message(lambda: hpo.train(data, CONFIG, device="gpu")) == error
    assert message(lambda: hpo.fit(data, CONFIG, device="gpu")) == error
    assert run([*command, "--precision", "bf61"]) == 2
    error = capsys.readouterr().err
    assert message(lambda: hpo.create_study(data, "greedy", precision="bf61")) == error
    assert message(lambda: hpo.train(data, CONFIG, precision="bf61")) == error


def test_numbers_that_are_none(tmp_path: Path) -> None:
    data = array_data(tmp_path / "cache")
    space = {**SPACE, "split": TAIL}
    storage = f"sqlite:///{tmp_path / 's.db'}"
    for name in ("threads", "checkpoint_every", "run_store_gb"):
        text = message(
            lambda name=name: hpo.create_study(data, space, storage=storage, **{name: 0})
        )
        assert f"{name} is 0, but must be " in text
    assert not (tmp_path / "s.db").exists()
    study = hpo.create_study(data, space, storage=storage)
    text = message(lambda: study.optimize(workers=0, timeout=-1, trials=0))
    assert text == (
        "error: workers is 0, but must be above 0.\ntimeout is -1, but must be above 0.\n"
        "trials is 0, but must be above 0.\n"
    )
    for action in (
        lambda: study.optimize(memory_gb=0),
        lambda: study.refit(memory_gb=0),
        lambda: hpo.train(data, CONFIG, memory_gb=0),
        lambda: hpo.fit(data, CONFIG, memory_gb=0),
    ):
        assert message(action) == "error: memory_gb is 0, but must be above 0.\n"


def test_train_says_what_it_can_not_do(tmp_path: Path) -> None:
    data = array_data(tmp_path / "cache")
    for action, said in (
        (lambda: hpo.train(data, CONFIG, seeds=0), "seeds is 0, but must be above 0"),
        (
            lambda: hpo.train(data, CONFIG, metric="micro_f2"),
            "There is no metric 'micro_f2' (did you mean 'micro_f1'?)",
        ),
        (lambda: hpo.train(data, hpo.Config(fusion="audio")), "The fusion is 'audio'"),
        (
            lambda: hpo.train(data, CONFIG, split={"kind": "tail", "val_rows": 0}),
            "{'kind': 'tail', 'val_rows': 600}",
        ),
        (lambda: hpo.train(data, CONFIG, split={"kind": "tail", "val_rows": 500}), "500"),
        (lambda: hpo.train(data, CONFIG, split={"kind": "column"}), "Split"),
    ):
        assert said in message(action)
    assert not (tmp_path / "cache" / "runs").exists()


def test_a_model_that_no_memory_holds(tmp_path: Path) -> None:
    data, huge = array_data(tmp_path), CONFIG.replace(hidden=[100_000, 100_000])
    for action in (lambda: hpo.train(data, huge, seeds=1), lambda: hpo.fit(data, huge)):
        assert "hidden [100000, 100000] can't be trained here" in message(action)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"space": 3}, "space is 3, but must be the name of a space, the path of a YAML file, a "),
        ({"data": "my-data"}, "data is 'my-data', but must be what hpo.load_data returns."),
        ({"settings": ["lr=3"]}, "settings is ['lr=3'], but must be a dictionary, such as "),
        ({"settings": {3: 4}}, "settings 3=4: unknown key '3'"),
        ({"storage": Path("a.db")}, "storage is a PosixPath, but must be a URL, such as 'sqlite:"),
        ({"name": 3}, "name is 3, but must be text."),
        ({"name": ""}, "The name of a study must have 1 to 200 printable characters, but ''"),
        ({"checkpoint_every": 1.5}, "checkpoint_every is 1.5, but must be a whole number above 0."),
        ({"checkpoint_every": "5"}, "checkpoint_every is '5', but must be a whole number above 0."),
        ({"run_store_gb": True}, "run_store_gb is True, but must be a number above 0."),
        ({"wait_for_store": "10m"}, "wait_for_store is '10m', but must be a number of seconds"),
    ],
)
def test_an_argument_of_another_kind_is_refused_before_anything_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, object], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    given: dict[str, object] = {"data": array_data(tmp_path / "cache"), "space": SPACE, **arguments}
    assert said in message(lambda: hpo.create_study(**given))  # type: ignore[arg-type]
    assert not Path("studies.db").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"workers": "2"}, "workers is '2', but must be a whole number above 0."),
        ({"workers": True}, "workers is True, but must be a whole number above 0."),
        ({"trials": True}, "trials is True, but must be a whole number above 0."),
        ({"trials": 1.5}, "trials is 1.5, but must be a whole number above 0."),
        ({"timeout": "10m"}, "timeout is '10m', but must be a number above 0."),
        ({"epochs": float("nan")}, "epochs is nan, but must be a whole number above 0."),
        ({"devices": ["cpu"]}, "devices is ['cpu'], but must be text, such as 'auto' or 'cuda:0,"),
        ({"plugins": "parts.py"}, "plugins is 'parts.py', but must be a list of modules or files."),
    ],
)
def test_a_number_of_optimize_is_one(
    tmp_path: Path, arguments: dict[str, object], said: str
) -> None:
    data = array_data(tmp_path / "cache")
    study = hpo.create_study(data, SPACE, storage=f"sqlite:///{tmp_path / 's.db'}")
    assert said in message(lambda: study.optimize(progress=False, **arguments))  # type: ignore[arg-type]


def test_a_split_of_train_is_refused_in_words(tmp_path: Path) -> None:
    data = array_data(tmp_path / "cache")
    for split, said in (
        ({"kind": "tial"}, "its kind must be one of tail, stratified, column, auto (did you mean"),
        ("tail", ": it must be a mapping."),
        ({"kind": "tail", "val_rows": "all"}, ": val_rows must be a whole number."),
    ):
        assert said in message(lambda split=split: hpo.train(data, CONFIG, split=split))  # type: ignore[misc]
    said = "config is a dict, but must be an hpo.Config."
    assert said in message(lambda: hpo.train(data, {"lr": 1}))  # type: ignore[arg-type]


def test_a_space_is_loaded_by_its_path_as_text(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("name: s\nsearch: {kind: optuna, params: {lr: {low: 1e-4, high: 1e-3}}}\n")
    assert hpo.load_space(str(path)) == hpo.load_space(path)
    assert message(lambda: hpo.load_space("no.yaml")) == (
        "error: no.yaml can't be read: No such file or directory.\n"
    )
