"""Bad files, with what is said of them and the exit status: never a traceback."""

import json
import shutil
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import bad_input_samples as bad
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from bad_input_samples import DEEP, PIPE, Case, spoilt

IMPORT = "features --data data --features data/emb"
CHECK = "data check data --features data/emb"
PREDICT = "predict --model model --data data --features data/emb --devices cpu --out p.csv"
REPORT = "report --study s"
EMB = "data/emb/image.npy"
_SHAPE = "{'descr': '<f2', 'fortran_order': False, 'shape': %s, }"


def instead(suffix: str, write: Callable[[Path], None]) -> bad.Spoil:
    """Replace the embeddings of images by a file of another format."""

    def spoil(home: Path) -> None:
        for name in ("image", "image_test"):
            (home / f"data/emb/{name}.npy").unlink()
        write(home / f"data/emb/image.{suffix}")

    return spoil


def archived(path: Path, content: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("image.npy", content)


def npy(rows: int, content: bytes) -> bytes:
    line = (_SHAPE % f"({rows}, 6)").encode()
    line += b" " * (63 - (len(line) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(line)) + line + content


def says_too_much(path: Path) -> None:
    archived(path, npy(10**13, bytes(100)))


def cut_inside(path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez_compressed(path, image=rng.normal(size=(60, 6)))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def twice(path: Path) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")
        for _ in range(2):
            archive.writestr("image.npy", npy(60, bytes(720)))


def two_columns(path: Path) -> None:
    column = pyarrow.array([[1.0] * 6] * 60)
    pyarrow.parquet.write_table(pyarrow.Table.from_arrays([column] * 2, ["image"] * 2), path)


EMBEDDINGS = spoilt(
    IMPORT,
    [
        (bad.write(EMB, b""), "image.npy can't be read: it is empty\n"),
        (bad.write(EMB, b"rubbish"), "image.npy can't be read: it is none of .npy, .npz, .safete"),
        (bad.archive(EMB), "image.npy has an array 'a' that holds Python objects, which could run"),
        (bad.header(EMB, _SHAPE % "(-1, 6)"), "has a header that says shape [-1, 6], which no ar"),
        (bad.header(EMB, _SHAPE % "(60, 10**20)"), "image.npy can't be read: its header is dam"),
        (bad.header(EMB, _SHAPE % f"(60, {10**20})"), "image.npy is cut off: it has 720 bytes of"),
        (bad.header(EMB, "(" * 5000), "image.npy can't be read: its header is damaged\n"),
        (bad.header(EMB, "{'descr': [1], 'shape': (60, 6)}"), "its header is damaged\n"),
        (bad.array(EMB, np.ones(60)), "image.npy has shape [60], but must be [rows, width]\n"),
        (
            bad.array(EMB, np.ones((60, 2, 3))),
            "image.npy has shape [60, 2, 3], but must be [rows, width]\n",
        ),
        (bad.array(EMB, np.ones((60, 0))), "image.npy is 0 wide, but must be at least 1\n"),
        (bad.array(EMB, np.ones((61, 6))), "image.npy has 61 rows, but train.csv has 60\n"),
        (bad.array(EMB, np.full((60, 6), np.nan)), "image.npy has NaN or infinity in rows 0,"),
        (bad.array(EMB, np.full((60, 6), np.inf)), "image.npy has NaN or infinity in rows 0,"),
        (bad.array(EMB, np.full((60, 6), "a")), "image.npy must hold one array of embeddings, but"),
        (bad.array(EMB, np.full((60, 6), 1j)), "image.npy is complex128, but must be float16, fl"),
        (bad.array(EMB, [[object()] * 6] * 60), "image.npy holds Python objects, which could run"),
        (
            bad.array("data/emb/image_test.npy", np.ones((10, 7))),
            "image_test.npy is 7 wide, but image.npy is 6",
        ),
        (instead("npz", says_too_much), "image.npz has an array 'image' that memory can't hold\n"),
        (instead("npz", cut_inside), "image.npz has a damaged array 'image'\n"),
        (instead("npz", twice), "image.npz is damaged: it has two arrays of one name\n"),
        (instead("parquet", two_columns), "can't be read as Parquet: it has two columns of one na"),
        (bad.write("data/emb/ids.csv", "x" * 200_000), "ids.csv can't be read as a table: field l"),
        (bad.pipe(EMB), "image.npy is there, but is no regular file\n"),
        (bad.folder(EMB), "image.npy is there, but is no regular file\n"),
        (bad.pipe("data/emb/audio.npy"), "audio.npy is there, but is no regular file\n"),
        (
            bad.pipe("data/emb/ids.txt"),
            "can't be used:\n  ids.txt is there, but is no regular file\n",
        ),
        (bad.write("data/emb/ids.json", DEEP), "ids.json is not JSON\n"),
        (bad.write("data/emb/ids.txt", "a\nb\n"), "ids.txt names 2 rows, but the image embeddings"),
        (bad.write("data/emb/ids.txt", b"\xff\xfe"), "ids.txt is not UTF-8; save it as UTF-8\n"),
        (
            bad.write("data/emb/metadata.parquet", b"PAR1xx"),
            "metadata.parquet can't be read as Parq",
        ),
    ],
)

TRAIN = "data/train.csv"
ROWS = json.dumps([{"ImageID": f"{n}\ud800.jpg", "Labels": "a", "Caption": "x"} for n in range(60)])
TABLES: list[Case] = [
    *spoilt(
        CHECK,
        [
            (bad.write(TRAIN, b""), "train.csv is empty, but must have a header and rows\n"),
            (bad.write(TRAIN, "ImageID,Labels,Caption\n"), "train.csv has a header but no rows\n"),
            (bad.write(TRAIN, b"ImageID,Labels,Caption\na\xff,1,x\n"), "is not UTF-8; save it as"),
            (bad.write(TRAIN, "ImageID,Labels,Caption\na,1\n"), "line 2: 2 fields, but the header"),
            (
                bad.write(TRAIN, "ImageID,Caption\na,b\n"),
                "train.csv has no column of labels; say which",
            ),
            (bad.swap(TRAIN, "\n1.jpg", "\n0.jpg"), "ImageID '0.jpg' is on"),
            (bad.pipe("data/test.csv"), "test.csv is there, but is no regular file\n"),
            (bad.pipe(TRAIN), "train.csv is there, but is no regular file\n"),
            (bad.folder(TRAIN), "train.csv is there, but is no regular file\n"),
            (
                bad.instead(TRAIN, "data/train.json", DEEP),
                "train.json is not JSON: it is nested too",
            ),
            (bad.instead(TRAIN, "data/train.json", "{"), "train.json is not JSON: "),
            (
                bad.instead(TRAIN, "data/train.json", "[1, 2]"),
                "row 0: 1 is no object, but each row",
            ),
            (
                bad.instead(TRAIN, "data/train.json", "[" + "9" * 5000 + "]"),
                "train.json is not JSON",
            ),
            (
                bad.instead(TRAIN, "data/train.json", ROWS),
                "has half of a character, which can't be",
            ),
            (
                bad.instead(TRAIN, "data/train.jsonl", '{"a":' * 99_999),
                "line 1: not JSON: it is nes",
            ),
            (
                bad.instead(TRAIN, "data/train.parquet", b"PAR1xPAR1"),
                "train.parquet can't be read: ",
            ),
        ],
    ),
    *spoilt(
        "data check data",
        [
            (
                bad.swap(TRAIN, "\n0.jpg", f"\n{'x' * 300}.jpg"),
                "xxx.jpg' is not in data/, images/ o",
            ),
            (
                bad.swap(TRAIN, "\n0.jpg", "\n../../etc/passwd"),
                "must be a file's path inside the dat",
            ),
            (
                bad.swap(TRAIN, "\n0.jpg", "\n/etc/passwd"),
                "must be a file's path inside the data fol",
            ),
        ],
    ),
]

CONFIG = "model/config.json"
WEIGHTS = "model/model.safetensors"
NO_MODEL = "error: model is no model folder: "
MODELS = spoilt(
    PREDICT,
    [
        (bad.write(CONFIG, "3"), f"{NO_MODEL}config.json must hold an object\n"),
        (bad.write(CONFIG, DEEP), f"{NO_MODEL}it is nested too deeply\n"),
        (bad.write(CONFIG, b"\xff"), f"{NO_MODEL}'utf-8' codec can't decode"),
        (bad.pipe(CONFIG), f"{NO_MODEL}config.json: {PIPE}\n"),
        (bad.folder(CONFIG), f"{NO_MODEL}config.json: Is a directory\n"),
        (bad.pipe(WEIGHTS), f"{NO_MODEL}model.safetensors: {PIPE}\n"),
        (bad.write(WEIGHTS, b"rubbish"), "error: The model model is damaged: model.safetensors is"),
        (bad.not_finite, "weights heads.image.head.0.bias hold values that are no numbers\n"),
        (bad.model("format", 9), "error: The model model has format 9, but this version reads 1 a"),
        (bad.model("format", [1]), "error: The model model has format [1], but this version read"),
        (bad.model("classes", 3), f"{NO_MODEL}classes must be a list of different names\n"),
        (bad.model("classes", [1, 2, 3]), f"{NO_MODEL}classes must be a list of different names\n"),
        (bad.model("classes", ["a", "a", "b"]), "classes must be a list of different names\n"),
        (bad.model("thresholds", "x"), "thresholds must be a number from 0 to 1 for each class\n"),
        (bad.model("thresholds", [float("nan")] * 3), "thresholds must be a number from 0 to 1 fo"),
        (
            bad.model("thresholds", [0.5]),
            "thresholds must be a number from 0 to 1 for each class\n",
        ),
        (bad.model("widths", [1]), f"{NO_MODEL}widths must have the width of each modality\n"),
        (bad.model("widths", {"image": -1}), "the width of image is -1, but must be a number abov"),
        (bad.model("widths", {"image": 10**15}), "The weights in model don't fit its config: "),
        (bad.model("config", 3), NO_MODEL),
        (bad.model("config", "head", "zz"), "The model model can't be used: There is no head 'zz'"),
        (bad.model("config", "head", [3]), NO_MODEL),
        (bad.model("config", "hidden", [-3]), f"{NO_MODEL}1 validation error for Config"),
        (bad.model("config", "lr", float("nan")), f"{NO_MODEL}1 validation error for Config"),
        (bad.model("features", 3), NO_MODEL),
        (bad.model("features", {}), f"{NO_MODEL}'source' is missing\n"),
        (bad.model("members", [3]), NO_MODEL),
        (bad.model("plugins", [3]), NO_MODEL),
        (
            bad.model("calibration", {"method": "platt", "slopes": [float("nan")], "offsets": [0]}),
            f"{NO_MODEL}the slopes of the calibration must be a number for each class\n",
        ),
    ],
)

STORE = "error: The storage is damaged: "
DAMAGED = "error: The study's definition in the storage is damaged: "
STORED: list[Case] = [
    *spoilt(
        REPORT,
        [
            (
                bad.definition("'{}'"),
                f"{DAMAGED}'space' is missing. Restore the database from a ba",
            ),
            (bad.definition("'[1]'"), f"{STORE}the definition of the study 's' isn't what was w"),
            (bad.definition("'x'"), f"{STORE}the definition of the study 's' isn't what was wri"),
            (
                bad.definition("json_set(definition, '$.space', 3)"),
                f"{DAMAGED}space is no search s",
            ),
            (
                bad.definition("json_remove(definition, '$.dataset')"),
                f"{DAMAGED}dataset is missing",
            ),
            *(
                (
                    bad.definition(f"json_set(definition, '$.{name}', {value})"),
                    f"{DAMAGED}{name} can't be what hpo wrote",
                )
                for name, value in (
                    ("modalities", "3"),
                    ("metrics", "5"),
                    ("precision", "'fp8'"),
                    ("cache", "json('[1]')"),
                    ("bundle_key", "'../../../etc'"),
                    ("train_rows", "1e300"),
                    ("threads", "-1"),
                    ("checkpoint_every", "0"),
                    ("dataset", "json('[1]')"),
                    ("widths", """json('{"image": "x"}')"""),
                    ("sources", "3"),
                    ("plugins", """json('[{"kind": 1, "name": 2, "module": 3, "sha256": 4}]')"""),
                )
            ),
            (
                bad.definition("json_set(definition, '$.format', 99)"),
                "error: The study was made by a newer version of hpo: its definition has format 99",
            ),
            (
                bad.definition("json_set(definition, '$.later', 3)"),
                "error: The study was made by a newer version of hpo: its definition has later, w",
            ),
            (
                bad.definition("json_set(definition, '$.space.later', 3)"),
                "search space has something that this version of hpo doesn't know, at later. A n",
            ),
            (
                bad.stored("UPDATE hpo_tasks SET config = 'x'"),
                f"{STORE}the configuration of a task ",
            ),
            (bad.stored("UPDATE hpo_tasks SET outcome = '{}'"), f"{STORE}what it has of task "),
            (
                bad.stored(
                    "UPDATE hpo_tasks SET outcome = "
                    "json_set(json_remove(outcome, '$.crc32'), '$.value', 'x')"
                ),
                f"{STORE}what it has of task ",
            ),
            (
                bad.stored(f"UPDATE trial_user_attributes SET value_json = '{DEEP}'"),
                "what it holds is damaged (it is nested too deeply). Waiting won't help: mend the",
            ),
            (bad.stored("UPDATE hpo_tasks SET state = 'zz'"), f"{STORE}what it has of task "),
            (
                bad.stored("UPDATE hpo_version SET version_num = '9999'"),
                "tables hpo_* have version 9999, and this version of hpo knows them up to ",
            ),
            (
                bad.stored("UPDATE alembic_version SET version_num = 'v9.9.a'"),
                "are newer than those of Optuna",
            ),
            (
                bad.stored("UPDATE trials SET state = 'COMPLEUE'"),
                "what it holds is damaged ('COMPLEUE' is not among the defined enum values",
            ),
            (
                bad.stored("UPDATE trial_values SET value = value + 1"),
                f"{STORE}what it has of trial 0 isn't what was written. Restore it from a backup",
            ),
            (bad.write("studies.db", b"rubbish" * 100), "error: --storage sqlite:///studies.db: "),
            (bad.pipe("studies.db"), "error: --storage sqlite:///studies.db: "),
            (
                bad.folder("studies.db"),
                "error: --storage sqlite:///studies.db: is a folder, but mus",
            ),
        ],
    ),
    ("runs check", bad.runs(DEEP), "", 1),
    ("runs list", bad.runs("[1]"), "", 0),
    ("runs list", bad.runs('{"inputs": [1], "seed": "x"}'), "", 0),
]

#: Nothing that is lacking is waited for.
RUN = "run --study s --space space.yaml --data data --features data/emb --devices cpu"
VERBS = ("status --study s", REPORT, "worker --study s", "study list", "study retry s", RUN)
UNFIT = "error: The store can't do what hpo asks of it: no such "
LACKING: list[Case] = [
    *((verb, bad.stored("DROP TABLE hpo_tasks"), f"{UNFIT}table: hpo_tasks.") for verb in VERBS),
    *((verb, bad.stored("DROP TABLE hpo_studies"), f"{UNFIT}table: hpo_stu") for verb in VERBS),
    *(
        (verb, bad.stored("ALTER TABLE hpo_tasks DROP COLUMN outcome"), f"{UNFIT}column: ")
        for verb in VERBS
        if verb not in ("study list", "study retry s")
    ),
    (RUN, bad.stored("DROP TABLE studies"), "error: The store refuses: rows that belong together"),
]


CASES = [*EMBEDDINGS, *TABLES, *MODELS, *STORED, *LACKING]


@pytest.mark.parametrize("case", CASES, ids=bad.names_of(CASES))
def test_one_sentence_and_an_exit_status(
    case: Case,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad.check(case, shutil.copytree(whole, tmp_path / "home"), monkeypatch, capsys)


def test_what_unpacks_to_more_than_the_memory_is_left_packed(
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("hpo.features._formats.available_memory", lambda: 500)
    spoil = instead("npz", lambda path: archived(path, npy(60, bytes(720))))
    said = "image.npz has 848 bytes when it is unpacked, and 500 bytes of memory are free; save "
    home = shutil.copytree(whole, tmp_path / "home")
    bad.check((IMPORT, spoil, said), home, monkeypatch, capsys)
