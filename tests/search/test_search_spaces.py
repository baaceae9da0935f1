"""Search-space files: those of the repository load, and settings and scale reach every place."""

from pathlib import Path

import pytest
import yaml
from search_samples import GREEDY, SAMPLED, write

from hpo.data import AutoSplit, TailSplit
from hpo.errors import InputError
from hpo.search import GreedySearch, OptunaSearch, load_space, parse_setting

SPACES = sorted((Path(__file__).resolve().parents[2] / "search_spaces").glob("*.yaml"))


def test_there_are_search_spaces() -> None:
    assert {path.stem for path in SPACES} >= {"greedy", "tpe"}


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_every_search_space_of_the_repository_loads(path: Path) -> None:
    space = load_space(path)
    assert space.name.replace(" ", "_") == path.stem
    assert type(space).from_stored(space.model_dump(mode="json")) == space
    assert space.scaled() == space


def test_a_space_is_found_by_its_name_or_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_space("best") == load_space(SPACES[0].with_name("best.yaml"))
    write(tmp_path, GREEDY).rename("mine")
    assert load_space("mine") == load_space(Path("mine"))
    with pytest.raises(InputError, match=r"no search space 'bst' \(did you mean 'best'\?\)"):
        load_space("bst")


def test_the_kinds_are_told_apart(tmp_path: Path) -> None:
    greedy = load_space(write(tmp_path, GREEDY))
    assert isinstance(greedy.search, GreedySearch)
    assert greedy.fixed.hidden == (64,)
    assert greedy.search.stages[1].fixed == {"epochs": 20}
    sampled = load_space(write(tmp_path, SAMPLED))
    assert isinstance(sampled.search, OptunaSearch)
    assert sampled.search.sampler.arguments == {"multivariate": True}
    assert (greedy.search.trials_wanted, sampled.search.trials_wanted) == (None, 5)


def test_settings_override_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, GREEDY + "split: {kind: tail, val_rows: 10}\n")
    space = load_space(
        path,
        [("dropout", 0.6, "--set"), ("split.val_rows", 50, "--set"), ("seeds", 4, "--seeds")],
    )
    assert (space.fixed.dropout, space.seeds) == (0.6, 4)
    assert space.split == TailSplit(kind="tail", val_rows=50)


def test_settings_are_parsed_as_yaml() -> None:
    assert parse_setting("hidden=[2048, 512]") == ("hidden", [2048, 512])
    assert parse_setting("ema_decay=null") == ("ema_decay", None)
    assert parse_setting("lr=1.0e-3") == ("lr", 0.001)


@pytest.mark.parametrize("text", ["dropout", "=0.5", ""])
def test_a_setting_needs_a_key_and_a_value(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_setting(text)
    assert str(caught.value) == f"--set {text}: must be key=value, such as dropout=0.6."


def test_scale_reaches_every_place(tmp_path: Path) -> None:
    raw = yaml.safe_load(GREEDY)
    raw["scale"] = {"width": 0.1, "epochs": 0.25, "batch": 0.01}
    raw["fixed"] = {"hidden": [2048, 64, 8], "epochs": 200, "batch_size": 25000}
    raw["search"]["stages"] = [
        {
            "name": "a",
            "fixed": {"epochs": 300},
            "params": {"hidden": [[2048], [50]], "batch_size": [10000, 30], "epochs": [100, 2]},
        }
    ]
    raw["search"]["pruner"] = {
        "name": "PatientPruner",
        "patience": 40,
        "min_delta": 0.5,
        "wrapped": {"name": "MedianPruner", "n_warmup_steps": 20, "interval_steps": 8},
    }
    raw["divergence"] = {"patience": 100}
    space = load_space(write(tmp_path, yaml.safe_dump(raw))).scaled()
    assert isinstance(space.search, GreedySearch)
    assert (space.fixed.hidden, space.fixed.epochs) == ((204, 6, 2), 50)
    assert space.fixed.batch_size == 250
    (stage,) = space.search.stages
    assert stage.fixed == {"epochs": 75}
    assert stage.params == {
        "hidden": ((204,), (4,)),
        "batch_size": (100, 1),
        "epochs": (25, 1),
    }
    assert space.search.pruner.arguments == {
        "patience": 10,
        "min_delta": 0.5,
        "wrapped": {"name": "MedianPruner", "n_warmup_steps": 5, "interval_steps": 2},
    }
    assert space.divergence.patience == 25
    assert space.scaled() == space  # once and for all


def test_scale_reaches_a_sampled_space(tmp_path: Path) -> None:
    raw = yaml.safe_load(SAMPLED)
    raw["scale"] = {"width": 0.5, "epochs": 0.1, "batch": 0.5}
    raw["search"]["params"] = {
        "hidden": {"choices": [[10], [6, 3]]},
        "epochs": {"low": 10, "high": 300},
        "batch_size": {"choices": [25000, 100]},
        "lr": {"low": 0.1, "high": 1.0},
    }
    search = load_space(write(tmp_path, yaml.safe_dump(raw))).scaled().search
    assert isinstance(search, OptunaSearch)
    domains = {field: domain.model_dump() for field, domain in search.params.items()}
    assert domains["hidden"]["choices"] == ((4,), (4, 2))
    assert (domains["epochs"]["low"], domains["epochs"]["high"]) == (1, 30)
    assert domains["batch_size"]["choices"] == (12500, 50)
    assert (domains["lr"]["low"], domains["lr"]["high"]) == (0.1, 1.0)
    assert search.pruner.arguments == {"min_resource": 2}


def test_capped_batches_are_the_full_batch(tmp_path: Path) -> None:
    raw = yaml.safe_load(GREEDY)
    raw["search"]["stages"][0]["params"] = {"batch_size": [25000, 100]}
    space = load_space(write(tmp_path, yaml.safe_dump(raw))).capped(240)
    assert isinstance(space.search, GreedySearch)
    assert space.fixed.batch_size == 240
    assert space.search.stages[0].params == {"batch_size": (240, 100)}
    raw = yaml.safe_load(SAMPLED)
    raw["search"]["params"] = {"batch_size": {"low": 16, "high": 1024, "log": True}}
    search = load_space(write(tmp_path, yaml.safe_dump(raw))).capped(240).search
    assert isinstance(search, OptunaSearch)
    domain = search.params["batch_size"].model_dump()
    assert (domain["low"], domain["high"], domain["log"]) == (16, 240, True)


def test_batches_are_halved_until_an_epoch_has_enough_steps(tmp_path: Path) -> None:
    raw = {**yaml.safe_load(SAMPLED), "min_steps": 10, "fixed": {"batch_size": 500}}
    raw["search"]["params"] = {"batch_size": {"choices": [1000, 500, 50]}}
    read = load_space(write(tmp_path, yaml.safe_dump(raw)))
    found = {
        rows: (space.fixed.batch_size, *space.search.values_of("batch_size"))
        for rows in (5000, 4500, 3407, 300, 40, 9)
        if (space := read.capped(rows))
    }
    assert found == {
        5000: (500, 500, 500, 50),
        4500: (250, 250, 250, 50),
        3407: (250, 250, 250, 50),
        300: (31, 31, 31, 25),
        40: (16, 16, 16, 16),
        9: (9, 9, 9, 9),
    }
    assert read.capped(300).capped(300) == read.capped(300)
    (note,) = read.notes(300)
    assert note == (
        "batches are halved, 50 to 25 and 500 to 31 and 1,000 to 31 rows, since an epoch of 300 "
        "training rows is to have 10 steps; min_steps=null takes them as they are"
    )
    assert not read.notes(20_000)
    raw["search"]["params"] = {"batch_size": {"low": 16, "high": 1024, "log": True}}
    search = load_space(write(tmp_path, yaml.safe_dump(raw))).capped(3407).search
    assert isinstance(search, OptunaSearch)
    domain = search.params["batch_size"].model_dump()
    assert (domain["low"], domain["high"], domain["log"]) == (16, 256, True)
    raw["min_steps"] = None
    assert load_space(write(tmp_path, yaml.safe_dump(raw))).capped(3407).fixed.batch_size == 500


def test_a_setting_changes_a_part_of_what_the_file_leaves_out(tmp_path: Path) -> None:
    space = load_space(write(tmp_path, GREEDY), [("split.val_rows", 50, "--set")])
    assert space.split == AutoSplit(kind="auto", val_rows=50)
