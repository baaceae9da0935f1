"""What people bring, with two real data sets: each capability once, and what came of it.

    python -m benchmarks.real_data
    python -m benchmarks.real_data --sets movies

The tables are written in other layouts and read back, the embeddings are shuffled and put in order
by what lies beside them, and a small study (three trials of 1,000 rows, 5 epochs) is run, moved,
stopped, added to and deleted. Printed is a table with a line for each; a line that isn't as it must
be says FAILED, and the exit status is 1 then.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

import hpo
from benchmarks._arena_data import SHARED
from benchmarks._recipe import SETS
from hpo.data import Dataset, ReadOptions, load_dataset

SPACE = """
name: small
seeds: 1
floor: false
train_rows: 1000
fixed: {hidden: [64], epochs: 5, batch_size: 250}
search:
  kind: optuna
  trials: 3
  params: {lr: {choices: [1e-3, 3e-3]}, dropout: {low: 0.2, high: 0.8}}
"""
RUN = "--study small --space small.yaml --data data --features emb --workers 1 --devices cpu"


class Bench:
    """One data set, as it is and in a folder to work in."""

    def __init__(self, name: str, folder: Path) -> None:
        self.source = SHARED / "datasets" / name
        self.folder = folder
        self.data = load_dataset(self.source, images="ignore")
        self.arrays = {p.stem: np.load(p) for p in (self.source / "features").glob("*.npy")}
        self.order = np.random.default_rng(0).permutation(len(self.data.train))

    @property
    def frame(self) -> pd.DataFrame:
        """The labelled rows."""
        rows, data = self.data.train, self.data
        labels = [[data.classes[k] for k in np.flatnonzero(row)] for row in data.labels]
        return pd.DataFrame({"ImageID": rows.ids, "Caption": rows.captions, "Labels": labels})

    def hpo(self, command: str, where: str = "work") -> tuple[int, str]:
        """Run a command; return its exit status and what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "hpo", *command.split()],
            cwd=self.folder / where,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr


def main() -> int:
    """Go through all of it; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    found: dict[str, list[str]] = {}
    for name in arguments.sets:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(name, Path(folder))
            for what, step in [*LAYOUTS.items(), *EMBEDDINGS.items(), *COMMANDS.items()]:
                try:
                    outcome = step(bench)
                except Exception as error:
                    outcome = f"FAILED: {type(error).__name__}: {str(error).splitlines()[:1]}"
                found.setdefault(what, []).append(outcome)
                print(f"{name}: {what}: {outcome}", flush=True)
    print(f"\n| what | {' | '.join(arguments.sets)} |\n| --- |{' --- |' * len(arguments.sets)}")
    for what, outcomes in found.items():
        print(f"| {what} | {' | '.join(outcomes)} |")
    return int(any("FAILED" in one for outcomes in found.values() for one in outcomes))


def _layout(write: Callable[[pd.DataFrame, Path], object]) -> Callable[[Bench], str]:
    """Return a step that writes the rows in a layout, and reads the same from it."""

    def step(bench: Bench) -> str:
        folder = Path(tempfile.mkdtemp(dir=bench.folder))
        write(bench.frame, folder)
        found = load_dataset(folder, images="ignore")
        _same(found, bench.data)
        return f"{len(found.train):,} rows, equal"

    return step


def _same(found: Dataset, wanted: Dataset) -> None:
    assert found.train.ids == wanted.train.ids and found.train.captions == wanted.train.captions
    assert sorted(found.classes) == sorted(wanted.classes)
    order = [found.classes.index(name) for name in wanted.classes]
    assert np.array_equal(found.labels[:, order], wanted.labels)
    assert not any(note.doubtful for note in found.notes)


def _texts(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(Labels=[";".join([*row, ""]) for row in frame["Labels"]])


def _one_hot(frame: pd.DataFrame) -> pd.DataFrame:
    names = sorted({name for row in frame["Labels"] for name in row})
    bits = {name: [int(name in row) for row in frame["Labels"]] for name in names}
    return pd.DataFrame({"file": frame["ImageID"], "text": frame["Caption"], **bits})


def _as_text(frame: pd.DataFrame, spell: Callable[[list[str]], str]) -> pd.DataFrame:
    return frame.assign(Labels=[spell(row) for row in frame["Labels"]])


def _shards(frame: pd.DataFrame, folder: Path) -> None:
    (folder / "data").mkdir()
    half = len(frame) // 2
    for number, rows in enumerate((slice(0, half), slice(half, None))):
        frame.iloc[rows].to_parquet(folder / "data" / f"train-0000{number}-of-00002.parquet")


LAYOUTS: dict[str, Callable[[Bench], str]] = {
    "CSV by pandas, `;`": _layout(
        lambda f, d: _texts(f).to_csv(d / "train.csv", sep=";", index=False)
    ),
    "CSV, lists as text": _layout(
        lambda f, d: _as_text(f, str).to_csv(d / "train.csv", index=False)
    ),
    "CSV, numpy's arrays as text": _layout(
        lambda f, d: _as_text(f, lambda row: str(np.array(row))).to_csv(d / "train.csv")
    ),
    "one-hot TSV": _layout(lambda f, d: _one_hot(f).to_csv(d / "x.tsv", sep="\t", index=False)),
    "JSON": _layout(lambda f, d: f.to_json(d / "train.json", orient="records")),
    "JSON lines": _layout(lambda f, d: f.to_json(d / "train.jsonl", orient="records", lines=True)),
    "Parquet": _layout(lambda f, d: f.to_parquet(d / "train.parquet")),
    "one-hot Parquet": _layout(lambda f, d: _one_hot(f).to_parquet(d / "train.parquet")),
    "Parquet shards": _layout(_shards),
}


def _embeddings(
    write: Callable[[Path, NDArray[np.float16], list[str]], object],
) -> Callable[[Bench], str]:
    """Return a step that writes shuffled image embeddings with their names, and reads them."""

    def step(bench: Bench) -> str:
        folder = Path(tempfile.mkdtemp(dir=bench.folder))
        names = [bench.data.train.ids[row] for row in bench.order]
        write(folder, bench.arrays["image"][bench.order], names)
        data = hpo.load_data(
            bench.source, features=folder, cache=folder / "cache", skip_test=True, progress=False
        )
        assert np.array_equal(data.features.train["image"], bench.arrays["image"])
        assert not any("trust" in str(note) for note in data.notes)
        return "in order, equal to the bit"

    return step


def _clip_retrieval(folder: Path, array: NDArray[np.float16], names: list[str]) -> None:
    for place in ("img_emb", "metadata"):
        (folder / place).mkdir()
    for number, rows in enumerate(np.array_split(np.arange(len(array)), 3)):
        np.save(folder / "img_emb" / f"img_emb_{number}.npy", array[rows])
        paths = [f"/data/{names[row]}" for row in rows]
        path = folder / "metadata" / f"metadata_{number}.parquet"
        pd.DataFrame({"image_path": paths}).to_parquet(path)


def _npy_and_ids(folder: Path, array: NDArray[np.float16], names: list[str]) -> None:
    np.save(folder / "image.npy", array)
    (folder / "ids.txt").write_text("\n".join(names))


EMBEDDINGS: dict[str, Callable[[Bench], str]] = {
    "`.npy` and `ids.txt`": _embeddings(_npy_and_ids),
    "`.npz`": _embeddings(lambda d, x, ids: np.savez(d / "image.npz", x=x, ids=np.array(ids))),
    "`.pt`": _embeddings(
        lambda d, x, ids: torch.save({"x": torch.tensor(x), "ids": ids}, d / "image.pt")
    ),
    "safetensors": _embeddings(
        lambda d, x, ids: save_file({"x": x}, d / "image.safetensors", {"ids": json.dumps(ids)})
    ),
    "Parquet with ids": _embeddings(
        lambda d, x, ids: pd.DataFrame({"id": ids, "image": list(x.astype(np.float32))}).to_parquet(
            d / "embeddings.parquet"
        )
    ),
    "clip-retrieval's folder": _embeddings(_clip_retrieval),
}


def _prepared(bench: Bench) -> str:
    work = bench.folder / "work"
    work.mkdir()
    shutil.copytree(bench.source / "features", work / "emb")
    (work / "data").mkdir()
    for name in ("train.csv", "test.csv"):
        shutil.copy(bench.source / name, work / "data")
    (work / "small.yaml").write_text(SPACE)
    code, text = bench.hpo("data check data --features emb")
    assert code == 0
    return text.splitlines()[-1]


def _line(text: str, part: str) -> str:
    return next(line.strip() for line in text.splitlines() if part in line)


def _dry(options: str, part: str) -> Callable[[Bench], str]:
    def step(bench: Bench) -> str:
        code, text = bench.hpo(f"run {RUN} --dry-run {options}")
        assert code == 0, text
        return _line(text, part)

    return step


def _refused(options: str, part: str) -> Callable[[Bench], str]:
    def step(bench: Bench) -> str:
        code, text = bench.hpo(f"run {RUN} {options}")
        assert code == 2 and "Traceback" not in text, text
        return f"exit 2: {_line(text, part)[:90]} …"

    return step


def _run(options: str = "", where: str = "work") -> Callable[[Bench], str]:
    def step(bench: Bench) -> str:
        code, text = bench.hpo(f"run {RUN} {options}", where)
        assert code == 0, text
        assert (bench.folder / where / "runs/small/predictions.csv").exists()
        study = optuna.load_study(
            study_name="small", storage=f"sqlite:///{bench.folder / where}/studies.db"
        )
        ended = sum(trial.state.is_finished() for trial in study.trials)
        return f"{ended} trials, micro-F1 {study.best_value:.2f}"

    return step


def _moved(bench: Bench) -> str:
    (bench.folder / "work").rename(bench.folder / "moved")
    return _run("--trials 4", "moved")(bench)


def _enqueued(bench: Bench) -> str:
    url = f"sqlite:///{bench.folder}/moved/studies.db"
    optuna.load_study(study_name="small", storage=url).enqueue_trial({"dropout": 0.25, "lr": 0.003})
    outcome = _run("--trials 5", "moved")(bench)
    study = optuna.load_study(study_name="small", storage=url)
    assert {"dropout": 0.25, "lr": 0.003} in [trial.params for trial in study.trials]
    return outcome


def _deleted(bench: Bench) -> str:
    url = f"sqlite:///{bench.folder}/moved/studies.db"
    optuna.delete_study(study_name="small", storage=url)
    return _run("", "moved")(bench)


def _limited(bench: Bench) -> str:
    shutil.rmtree(bench.folder / "moved" / "runs")
    options = "--set epochs=50 --trials 10000 --time-limit 60s --storage sqlite:///limited.db"
    code, text = bench.hpo(f"run {RUN} {options} --cache other", "moved")
    assert (bench.folder / "moved/runs/small/predictions.csv").exists() == (code == 0), text
    return f"exit {code}: {_line(text, 'ended by')[:90]} …"


def _scored(bench: Bench) -> str:
    """Give the last labelled rows as a test table with labels."""
    folder = bench.folder / "labelled"
    (folder / "data").mkdir(parents=True)
    frame, count = _texts(bench.frame), len(bench.data.train) - 1000
    frame.iloc[:count].to_csv(folder / "data" / "train.csv", index=False)
    frame.iloc[count:].to_csv(folder / "data" / "test.csv", index=False)
    (folder / "emb").mkdir()
    for name in ("image", "text"):
        np.save(folder / "emb" / f"{name}.npy", bench.arrays[name][:count])
        np.save(folder / "emb" / f"{name}_test.npy", bench.arrays[name][count:])
    (folder / "small.yaml").write_text(SPACE)
    code, text = bench.hpo(f"run {RUN}", "labelled")
    assert code == 0, text
    metrics = json.loads((folder / "runs/small/metrics.json").read_text())
    return f"1,000 untouched rows: micro-F1 {metrics['test']['micro_f1']['value']:.2f}"


def _captions(bench: Bench) -> str:
    folder = Path(tempfile.mkdtemp(dir=bench.folder))
    frame = bench.frame
    frame["Caption"] = [[text, f"again, {text}"] for text in frame["Caption"]]
    frame.to_json(folder / "train.jsonl", orient="records", lines=True)
    counts = []
    for rule in ("mean", "first", "each"):
        read = ReadOptions(captions=rule)
        counts.append(f"{rule} {len(load_dataset(folder, images='ignore', options=read).train):,}")
    return f"rows: {', '.join(counts)}"


def _predicted(bench: Bench) -> str:
    code, text = bench.hpo("predict --model runs/small/model --data data --features emb", "moved")
    assert code == 0, text
    return _line(text, "predicted")


COMMANDS: dict[str, Callable[[Bench], str]] = {
    "`hpo data check`": _prepared,
    "`hpo run --dry-run`, split `auto`": _dry("", "rows to train"),
    "… `--set split.min_rows_per_class=300 --set split.rare_classes=drop`": _dry(
        "--set split.min_rows_per_class=300 --set split.rare_classes=drop", "left out"
    ),
    "… `--set split.kind=stratified`": _dry("--set split.kind=stratified", "rows to train"),
    "`--strict` without names beside the arrays": _refused("--strict", "trust"),
    "`--classes` that lack some": _refused("--classes 1,Drama", "not among the classes"),
    "a misspelt option of the space": _refused("--set dropuot=0.1", "dropuot"),
    "`hpo run`, `1e-3` in a list": _run(),
    "`hpo run --trials 4`, the folder renamed": _moved,
    "`enqueue_trial`, then `hpo run --trials 5`": _enqueued,
    "`optuna.delete_study`, then `hpo run`": _deleted,
    "`hpo predict --data`": _predicted,
    "`hpo run --time-limit 60s --trials 10000`": _limited,
    "labelled rows in `test.csv`": _scored,
    "two captions a picture, `--captions`": _captions,
}


if __name__ == "__main__":
    sys.exit(main())
