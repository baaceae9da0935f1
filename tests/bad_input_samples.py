"""A folder with everything that commands read, small and whole, and ways to spoil it."""

import csv
import json
import os
import shlex
import sqlite3
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hpo
import hpo._run_crew
from hpo.__main__ import main

Spoil = Callable[[Path], object]
#: A command, what is spoilt before, what is said, and the exit status if it isn't 2.
Case = tuple[str, Spoil | None, str] | tuple[str, Spoil | None, str, int]
DEEP = "[" * 100_000
PIPE = "it is a named pipe, but must be a regular file"

CLASSES = ("cat", "dog", "fish")
SPACE = """\
name: tiny
seeds: 1
split: {kind: tail, val_rows: 15}
floor: false
fixed: {head: mlp, hidden: [4], fusion: image, lr: 0.01, batch_size: 16, epochs: 2}
search:
  kind: greedy
  stages:
    - {name: rate, params: {lr: [0.01, 0.02]}}
"""


def make_home(folder: Path) -> None:
    """Write a data folder with embeddings, and what a finished study of it has left there.

    The working folder must be that folder.
    """
    rng = np.random.default_rng(0)
    rows, test = 60, 10
    labels = rng.random((rows + test, 3)) < [0.6, 0.4, 0.3]
    labels[:3] = np.eye(3, dtype=bool)
    (folder / "data" / "emb").mkdir(parents=True)
    for name, width in (("image", 6), ("text", 4)):
        values = labels @ rng.normal(size=(3, width)) + rng.normal(size=(rows + test, width))
        np.save(folder / f"data/emb/{name}.npy", values[:rows].astype(np.float16))
        np.save(folder / f"data/emb/{name}_test.npy", values[rows:].astype(np.float16))
    with (folder / "data/train.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ImageID", "Labels", "Caption"])
        for row in range(rows):
            given = " ".join(CLASSES[k] for k in np.flatnonzero(labels[row]))
            writer.writerow([f"{row}.jpg", given, f"caption {row}"])
    with (folder / "data/test.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ImageID", "Caption"])
        writer.writerows([f"t{row}.jpg", f"test {row}"] for row in range(test))
    (folder / "space.yaml").write_text(SPACE)
    data = hpo.load_data("data", features="data/emb", cache=".hpo", progress=False)
    study = hpo.create_study(data, "space.yaml", name="s", storage="sqlite:///studies.db")
    assert study.optimize(workers=1, devices="cpu", progress=False)
    study.refit(device="cpu").save("model")


def write(path: str, content: str | bytes) -> Spoil:
    """Put something else into a file."""

    def spoil(home: Path) -> None:
        data = content.encode() if isinstance(content, str) else content
        (home / path).write_bytes(data)

    return spoil


def swap(path: str, old: str, new: str) -> Spoil:
    """Change a piece of a text file."""

    def spoil(home: Path) -> None:
        text = (home / path).read_text()
        assert old in text
        (home / path).write_text(text.replace(old, new))

    return spoil


def instead(old: str, new: str, content: str | bytes) -> Spoil:
    """Replace a file by one of another name."""

    def spoil(home: Path) -> None:
        (home / old).unlink()
        write(new, content)(home)

    return spoil


def pipe(path: str) -> Spoil:
    """Put a named pipe where a file was."""

    def spoil(home: Path) -> None:
        (home / path).unlink(missing_ok=True)
        os.mkfifo(home / path)

    return spoil


def folder(path: str) -> Spoil:
    """Put a folder where a file was."""

    def spoil(home: Path) -> None:
        (home / path).unlink(missing_ok=True)
        (home / path).mkdir()

    return spoil


def array(path: str, values: Any) -> Spoil:
    """Write another array."""
    return lambda home: np.save(home / path, np.asarray(values), allow_pickle=True)


def header(path: str, text: str) -> Spoil:
    """Write an array's file with any header, and 720 bytes."""
    line = text.encode()
    line += b" " * (63 - (len(line) + 10) % 64) + b"\n"
    return write(path, b"\x93NUMPY\x01\x00" + struct.pack("<H", len(line)) + line + bytes(720))


def archive(path: str) -> Spoil:
    """Write an archive of objects under the name of an array."""

    def spoil(home: Path) -> None:
        np.savez(home / "x.npz", a=np.array([object()]))
        (home / "x.npz").rename(home / path)

    return spoil


def model(*place_and_value: Any) -> Spoil:
    """Change a value of the model's config, as a hand would: no checksum goes with it."""
    *place, last, value = place_and_value

    def spoil(home: Path) -> None:
        path = home / "model/config.json"
        raw = json.loads(path.read_text())
        del raw["checksum"], raw["sha256"]
        inner = raw
        for key in place:
            inner = inner[key]
        inner[last] = value
        path.write_text(json.dumps(raw))

    return spoil


def not_finite(home: Path) -> None:
    """Put a NaN into the model's weights."""
    from safetensors.numpy import load_file, save_file

    path = home / "model/model.safetensors"
    weights = load_file(path)
    name = next(name for name, value in weights.items() if value.dtype.kind == "f")
    weights[name] = weights[name].copy()
    weights[name].flat[0] = np.nan
    save_file(weights, path)
    model("format", 1)(home)


def runs(content: str) -> Spoil:
    """Put something else into each run.json."""

    def spoil(home: Path) -> None:
        for path in (home / ".hpo/runs").glob("*/run.json"):
            path.write_text(content)

    return spoil


def stored(statement: str) -> Spoil:
    """Change the database."""

    def spoil(home: Path) -> None:
        connection = sqlite3.connect(home / "studies.db")
        connection.execute(statement)
        connection.commit()
        connection.close()

    return spoil


def definition(change: str) -> Spoil:
    """Change the stored definition of the study, by an expression of SQLite's.

    No checksum goes with it, as in those of earlier versions.
    """
    plain = change.replace("definition", "json_remove(definition, '$.crc32')")
    return stored(f"UPDATE hpo_studies SET definition = {plain}")


def options(command: str, said: dict[str, str]) -> Iterator[Case]:
    """Yield a case for each option, added to a command."""
    for option, message in said.items():
        yield f"{command} {option}", None, message


def spoilt(command: str, said: list[tuple[Spoil, str]]) -> Iterator[Case]:
    """Yield a case for each way to spoil what a command reads."""
    for spoil, message in said:
        yield command, spoil, message


def names_of(cases: list[Case]) -> list[str]:
    """Return what the cases are called in a report of tests."""
    return [f"{number} {case[0][:60]}" for number, case in enumerate(cases)]


class _NoWorkers:
    """Stands for the worker processes, which bad input makes no use of."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def stop(self) -> None:
        """There is nothing to stop."""


def check(
    case: Case,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Run a command in a folder of its own, and see that one sentence is all that comes of it."""
    command, spoil, said, *status = case
    monkeypatch.chdir(home)
    monkeypatch.setattr(hpo._run_crew, "Workers", _NoWorkers)
    if spoil is not None:
        spoil(home)
    try:
        ended: Any = main(shlex.split(command))
    except SystemExit as error:  # of argparse, as ever
        ended = error.code
    printed = capsys.readouterr().err
    assert ended == (status[0] if status else 2), printed
    assert said in printed, printed
    assert "Traceback" not in printed and "unforeseen" not in printed and "secret" not in printed
    assert not list(home.glob("runs/*")) and not (home / "p.csv").exists()
