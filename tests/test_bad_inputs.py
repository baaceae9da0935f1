"""Bad arguments and search spaces, with what is said and the exit status: no traceback."""

import shutil
from pathlib import Path

import bad_input_samples as bad
import pytest
from bad_input_samples import DEEP, PIPE, Case, options, spoilt

STUDY = "--study new --space space.yaml --data data --features data/emb --devices cpu"
RUN = f"run {STUDY} --dry-run"
PREDICT = "predict --model model --data data --features data/emb --devices cpu --out p.csv"
REPORT = "report --study s"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{one}: &{one} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, one in zip("abcdefgh", "bcdefghi", strict=True)
)


def space(text: str) -> bad.Spoil:
    return bad.write("space.yaml", text)


def search(rest: str) -> bad.Spoil:
    return space("name: x\nsearch: {kind: greedy, stages: " + rest + "}\n")


def sampled(rest: str) -> bad.Spoil:
    return space("name: x\nsearch: {kind: optuna, trials: 3, " + rest + "}\n")


VALUES: list[Case] = [
    *options(
        RUN,
        {
            "--set lr=.inf": "error: --set lr=inf: lr is inf, but must be a finite number\n",
            "--set lr=-.inf": "lr is -inf, but must be a finite number",
            "--set lr=.nan": "lr is nan, but must be a finite number",
            "--set lr=1e400": "lr is inf, but must be a finite number",
            "--set lr=0": "lr is 0, but must be greater than 0",
            "--set lr=true": "lr is true, but must be a number",
            "--set lr=abc": "lr is 'abc', but must be a number",
            "--set epochs=1:30": "epochs is '1:30', but must be a whole number",
            "--set seeds=true": "seeds is true, but must be a number",
            "--set split.val_rows=true": "val_rows is true, but must be a number",
            "--classes none.txt": "error: --classes none.txt: there is no such file",
            "--set lr=[1]": "lr is [1], but must be a number",
            "--set lr=null": "lr is null, but must be a number",
            "--set lr=2020-01-01": "lr is 2020-01-01, but must be a number",
            "--set weight_decay=.inf": "weight_decay is inf, but must be a finite number",
            "--set weight_decay=.nan": "weight_decay is nan, but must be a finite number",
            "--set scale.width=.inf": "width is inf, but must be a finite number",
            "--set scale.epochs=.nan": "epochs is nan, but must be a finite number",
            "--set scale.epochs=1e300": "epochs is 1e+300, but must be less than or equal to 1000",
            "--set scale.batch=0": "batch is 0, but must be greater than or equal to 0.000001",
            "--set epochs=1e18": "epochs is 1e+18, but must be less than 2147483648",
            "--set epochs=1000000000000000000000": "epochs is 1000000000000000000000, but must be",
            "--set hidden=[-4]": "hidden is [-4], but must be greater than 0",
            "--set dropout=1.5": "dropout is 1.5, but must be less than 1",
            "--set fusion=[3]": "fusion is [3], but must be text",
            "--set search.kind=[1]": "kind is [1], but must be one of: greedy, optuna, promote",
            "--set search.stages=3": "stages is 3, but must be a list\n",
            "--set split.kind=[1]": "kind is [1], but must be one of: tail, stratified, ",
            "--set split.val_rows=100": "error: The tail split of 'data' is not possible:",
            "--set metric=[3]": "metric is [3], but must be text, in quotes if it",
            "--set lrr=1": "unknown key 'lrr'",
            "--set lr": "error: --set lr: must be key=value, such as dropout=0.6.\n",
            f"--set lr={'[' * 5000}": "the value is not YAML: it is nested too deeply",
            "--set budget.time_limit=.inf": "time_limit is inf, but ",
            "--set constraints.max_model_mb=.nan": "max_model_mb is nan, but must be a finite num",
            "--seeds 100000": "seeds is 100000, but must be less than or equal to 1000",
            "--trials 10000000000": "argument --trials: is 10000000000, but must be at most 1,000",
            "--workers 5000": "argument --workers: is 5000, but must be at most 4,096\n",
            "--timeout 1e308": "argument --timeout: is 1e308, but must be at most 1,000,000,000\n",
            "--time-limit 99999999h": "is 99999999h, but must be at most 1,000,000,000 seconds\n",
            "--set 'lr=!!int \"\"'": "the value is not YAML: a value isn't what its tag says",
            "--add lr": "error: --add lr: must be name=value,name=value with each name once",
            "--workers x": "argument --workers: 'x' is not a whole number\n",
            "--workers 0": "argument --workers: is 0, but must be above 0\n",
            "--timeout inf": "argument --timeout: is inf, but must be a finite number\n",
            "--timeout nan": "argument --timeout: is nan, but must be a finite number\n",
            "--memory-gb inf": "argument --memory-gb: is inf, but must be a finite number\n",
            "--time-limit x": "argument --time-limit: ",
            "--devices cuda:²": "error: --devices cuda:²: 'cuda:²' must be auto, cpu or cuda:N\n",
            "--devices cuda:99": "error: --devices cuda:99: 'cuda:99' is not here",
            "--precision x": "error: --precision is 'x', but must be one of: float32, tf32",
            "--pick x": "error: --pick x: must be best, smallest_tied or the number of a ",
            "--modalities x": "fusion is 'image', but must be one of: x, concat, sum, mixed",
            "--columns zz=1": "error: --columns: there is no kind 'zz'; the kinds are image",
            "--plugin nothing": "error: --plugin nothing: can't be imported: ModuleNotFoundError",
            "--features nothing": "--features nothing: has no name to choose it by; give it ",
            "--space spac.yaml": "--space spac.yaml: there is no such file (did you mean 'space.y",
            "--space gredy": "error: There is no search space 'gredy' (did you mean 'greedy'?)",
            "--trials 1e-1": "argument --trials: '1e-1' is not a whole number\n",
            "--studdy x": "unrecognized arguments: --studdy x (did you mean '--study'?)\n",
            "--captions frist": "'mean', 'first', 'each') (did you mean 'first'?)\n",
            "--data nothing": "'nothing' is not a folder, but must be one that holds train.csv",
        },
    ),
]

PLACES: list[Case] = [
    *options(
        f"run {STUDY}",
        {
            "--out space.yaml": "error: --out space.yaml is a file, but must be a folder\n",
            "--out space.yaml/x": "space.yaml' is a file, but must be a folder\n",
            "--out /proc/x": "error: --out /proc/x can't be written: ",
            f"--out {'x' * 300}": "x can't be written: File name too long\n",
            "--cache space.yaml": "error: --cache space.yaml is a file, but must be a folder\n",
            "--cache /proc/x": "error: --cache /proc/x can't be written: ",
            "--set hidden=[100000,100000] --set constraints.max_model_mb=null": (
                "error: hidden [100000, 100000] can't be trained here: weights, gradients and the "
            ),
            "--study ../x": "error: --study ../x: its results would go to runs/../x; give their",
            "--study /tmp/x": "error: --study /tmp/x: its results would go to /tmp/x; give their ",
            f"--study {'a' * 201}": "must have 1 to 200 printable characters, but 'aaaaaaaaaaaaaa",
            "--study ''": "must have 1 to 200 printable characters, but '' is empty.\n",
            "--study 'a\nb'": "printable characters, but 'a\\nb' has '\\n', which isn't one.\n",
            "--study '\udcff'": "printable characters, but '\\udcff' has '\\udcff', which isn't o",
            "--storage x": "error: --storage x: is no database URL; a file is given as sqlite:///x.\n",
            "--storage sqlite:///none/x.db": "error: --storage sqlite:///none/x.db: the folder ",
            "--storage mysql://a:secret@b/c": "error: --storage mysql://a:***@b/c: must be sqlite",
        },
    ),
    *options(
        REPORT,
        {
            "--out space.yaml/x": "space.yaml' is a file, but must be a folder\n",
            "--study none": "error: --study none: sqlite:///studies.db has no such study; it has",
            "--study '\x1b]0;a\x07'": "error: --study \\x1b]0;a\\x07: sqlite:///studies.db has no",
            "--study '\udcff'": "error: '\\udcff' has bytes that are no text in UTF-8, so it can't",
            "--storage sqlite:///no.db": "error: --storage sqlite:///no.db: there is no such file",
            "--storage postgresql://u:secret@localhost:port/x": "u:***@localhost:port/x: the port",
            "--storage grpc://localhost:x": "error: --storage grpc://localhost:***: the port, whi",
        },
    ),
    *options(
        PREDICT,
        {
            "--out data": "error: --out data is a folder, but must be a file\n",
            "--out data/test.csv": "--out data/test.csv is a file that is read here; give another",
            "--out data/emb/image.npy": "error: --out data/emb/image.npy is a file that is read he",
            "--out model/config.json": "error: --out model/config.json is a file that is read here",
            "--out studies.db": "--out studies.db is a database, which isn't replaced; give anot",
            "--probabilities ./p.csv": "error: --out and --probabilities are both p.csv, but must ",
            "--out data/train.csv/x": "data/train.csv is a file, but must be a folder\n",
            "--probabilities /proc/x/y": "error: --probabilities /proc/x can't be written: ",
            "--model none": "error: none is no model folder: config.json: No such file or direct",
            "--missing zz": "error: --missing is zz, but must be of several modalities that the ",
        },
    ),
    (
        f"{REPORT} --wait-for-store 0 --storage 'postgresql://h/x?sslpassword=secret&a=secret'",
        None,
        "error: --storage postgresql://h/x?sslpassword=***&a=***: can't be opened: ",
        6,
    ),
    (
        "proxy --storage grpc://localhost:1",
        None,
        "error: --storage grpc://localhost:1 is a proxy, but must be the database that is served, ",
    ),
    ("proxy --port x", None, "error: argument --port: 'x' is not a whole number\n"),
    ("proxy --port 99999", None, "error: argument --port: is 99999, but must be at most 65535\n"),
    (
        "proxy --host nowhere.invalid",
        None,
        "error: --host nowhere.invalid --port 13000: can't listen",
    ),
    ("runs list --cache space.yaml", None, "error: --cache space.yaml: there is no run store in"),
    ("check --cache none", None, "error: --cache none: there is no such folder.\n"),
    ("study delete none", None, "none: sqlite:///studies.db has no such study; it has: s."),
    ("replay --study s --trial 99", None, "error: --trial 99: the study has trials 0 to 1.\n"),
    ("worker --study s --device zz", None, "'zz' must be auto, cpu or cuda:N\n"),
    ("coco a.json b.json out", None, "'a.json' can't be read: No such file or directory\n"),
    (
        "coco a.json b.json out",
        bad.write("a.json", DEEP),
        "'a.json' is not JSON: it is nested too ",
    ),
    ("coco a.json b.json out", bad.pipe("a.json"), f"'a.json' can't be read: {PIPE}\n"),
    ("rnu", None, "error: unknown verb 'rnu' (did you mean 'run'?); verbs: run, worker, proxy, da"),
]

SPACES = spoilt(
    RUN,
    [
        (
            bad.write("space.yaml", b"name: caf\xe9"),
            "not YAML: it isn't UTF-8; save it as UTF-8.\n",
        ),
        (space(""), "space.yaml: a search space must be a mapping with name and search.\n"),
        (space("a: 1\n---\nb: 1\n"), "not YAML: line 2: expected a single document in the stream"),
        (
            space("? [a]\n: 1\n"),
            "not YAML: line 1: while constructing a mapping, found unhash",
        ),
        (space("name: x\nname: y\n"), "error: space.yaml: not YAML: line 2: name stands twice\n"),
        (space(BOMB), "error: space.yaml: not YAML: it has more than 20,000 values\n"),
        (space("a: &a [*a]\n"), "not YAML: an alias refers to what it is in\n"),
        (space(f"a: {DEEP}"), "error: space.yaml: not YAML: it is nested too deeply\n"),
        (
            space("!!python/object/apply:os.system [x]"),
            "not YAML: line 1: could not determine a constr",
        ),
        (bad.pipe("space.yaml"), "error: space.yaml: must be a file.\n"),
        (bad.folder("space.yaml"), "error: space.yaml: must be a file.\n"),
        (space("1: 2\nname: x\n"), "space.yaml:1: the key 1 must be a name\n"),
        (search("[]"), "stages is [], but "),
        (search("[3]"), "stages.0 is 3, but must be a mapping"),
        (search("[{name: '', params: {lr: [0.1]}}]"), "name is '', but "),
        (
            search("[{name: a, params: {lr: [0.1, .inf]}}]"),
            "lr is inf, but must be a finite number",
        ),
        (search("[{name: a, params: {1: [2]}}]"), "unknown parameter '1'; allowed: fusion, head,"),
        (search("[{name: a, params: 3}]"), "params is 3, but must be a mapping"),
        (sampled("sampler: 3, params: {lr: {low: 1, high: 2}}"), "sampler is 3, but "),
        (sampled("params: {lr: {low: 1, high: .inf}}"), "is inf, but must be a finite number"),
        (sampled("params: {lr: {low: .nan, high: 1}}"), "is nan, but must be a finite number"),
        (
            sampled("params: {epochs: {low: 1, high: 3, step: 0.5}}"),
            "step of epochs is 0.5, but must be a whole number, as epochs is one\n",
        ),
        (
            sampled("params: {lr: 3}"),
            "lr is 3, but must be a mapping, {choices: […]} or {low: …, high: …}\n",
        ),
        (sampled("params: {lr: {low: 1, high: 2, step: 1e-320}}"), "step is 9.99989e-321, which m"),
        (
            sampled("params: {epochs: {low: 1, high: 2147483646}}"),
            "epochs is 1 to 2.14748e+09, but must have 1,000,000 values at most; a step makes ",
        ),
        (
            space("name: x\nseeds: true\nsearch: {kind: greedy, stages: []}\n"),
            "seeds is true, but ",
        ),
        (space("name: x\nscale: {width: true}\n"), "width is true, but must be a number"),
        *(
            (sampled(f"params: {{lr: {{low: 0.1, high: 0.2}}}}, {component}"), message)
            for component, message in (
                ("pruner: {name: PercentilePruner}", "PercentilePruner must have percentile\n"),
                (
                    "pruner: {name: PercentilePruner, percentile: 101}",
                    "Percentile must be between 0 and 100 inclusive, but got percentile=101\n",
                ),
                (
                    "pruner: {name: HyperbandPruner, min_resource: -1}",
                    "min_resource is -1, but must be a whole number from 1 to 2,147,483,647\n",
                ),
                (
                    "pruner: {name: HyperbandPruner, reduction_factor: 1}",
                    "The value of `reduction_factor` is 1, but must be `reduction_factor >= 2`\n",
                ),
                (
                    "pruner: {name: HyperbandPruner, min_resource: 9, max_resource: 3}",
                    "max_resource must be at least min_resource\n",
                ),
                (
                    "pruner: {name: PatientPruner, patience: 2, wrapped: {name: PatientPruner}}",
                    "PatientPruner must have patience\n",
                ),
                ("pruner: {name: ThresholdPruner}", "Either lower or upper must be specified\n"),
                ("pruner: {name: ThresholdPruner, lower: x}", "lower is 'x', but must be a number"),
                (
                    "sampler: {name: TPESampler, gamma: 3}",
                    "gamma is 3, but must be left out: it is",
                ),
                ("sampler: {name: TPESampler, group: 3}", "group is 3, but must be true or false"),
                (
                    "sampler: {name: GPSampler, n_startup_trials: x}",
                    "n_startup_trials is 'x', but ",
                ),
                (
                    "sampler: {name: NSGAIISampler, population_size: 1}",
                    "`population_size` must be ",
                ),
            )
        ),
        (bad.write("data/hpo.yaml", b"encoder: caf\xe9\n"), "data/hpo.yaml: not YAML: it isn't UT"),
        (bad.write("data/hpo.yaml", "1: 2\n"), "unknown key '1'; allowed: encoder, set, columns"),
        (bad.write("data/hpo.yaml", "plugin: x.py\n"), "unknown key 'plugin'"),
        (bad.write("data/hpo.yaml", "encoder: 3\n"), "encoder is 3, but must be a name\n"),
        (bad.write("data/hpo.yaml", "encoder: [a]\n"), "encoder is ['a'], but must be a name\n"),
        (bad.write("data/hpo.yaml", "encoder: ''\n"), "encoder is '', but must be a name\n"),
        (bad.write("data/hpo.yaml", "set: 3\n"), "set is 3, but must be a mapping, such as scale."),
        (
            bad.write("data/hpo.yaml", "set: {1: 2}\n"),
            "set is {1: 2}, but must be a mapping, suc",
        ),
        (bad.write("data/hpo.yaml", "set: {lr: .inf}\n"), "hpo.yaml lr=inf: lr is inf, but must b"),
        (bad.write("data/hpo.yaml", "x: &x [*x]\n"), "not YAML: an alias refers to what it is in"),
        (bad.pipe("data/hpo.yaml"), "error: data/hpo.yaml: must be a file.\n"),
    ],
)


CASES = [*VALUES, *PLACES, *SPACES]


@pytest.mark.parametrize("case", CASES, ids=bad.names_of(CASES))
def test_one_sentence_and_an_exit_status(
    case: Case,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad.check(case, shutil.copytree(whole, tmp_path / "home"), monkeypatch, capsys)
