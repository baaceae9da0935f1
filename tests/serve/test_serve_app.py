"""What is asked over HTTP, and what is answered: probabilities as ``predict_proba`` gives them."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from serve_samples import CLASSES, picture, write_model

import hpo
from hpo.models import AssembledModel
from hpo.serve._app import make_app
from hpo.serve._queue import Rows
from hpo.serve._rows import Reader
from hpo.training import TrainedModel

CAPTIONS = ["a dog", "two cats on a red sofa", "x"]
LOCAL = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def client_of(model: hpo.Model, **options: Any) -> TestClient:
    reader = Reader(model)
    rows = Rows(reader.answer, most=16, wait_s=0.005, waiting=300)
    options = {"most_bytes": 2_000_000, "local": True, **options}
    return TestClient(make_app(reader, rows, **options), base_url=LOCAL)


@pytest.fixture(scope="module")
def model(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> hpo.Model:
    folder = write_model(tmp_path_factory.mktemp("model"), cache)
    return hpo.load_model(folder, cache=cache)


@pytest.fixture(scope="module")
def client(model: hpo.Model) -> Iterator[TestClient]:
    with client_of(model) as client:
        yield client


def form(images: list[Any], captions: list[str] | None) -> dict[str, Any]:
    files = [("image", ("a", image) if isinstance(image, bytes) else image) for image in images]
    return {"files": files, "data": {} if captions is None else {"caption": captions}}


def probabilities(answer: Any) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    return np.array(
        [[row["probabilities"][name] for name in CLASSES] for row in answer.json()["rows"]]
    )


@pytest.fixture(scope="module")
def expected(
    model: hpo.Model, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[bytes], np.ndarray, list[list[str]]]:
    """Pictures, and what the model says of them with the captions."""
    folder = tmp_path_factory.mktemp("pictures")
    pictures = [picture(n) for n in range(3)]
    paths = [folder / f"{n}.png" for n in range(3)]
    for path, content in zip(paths, pictures, strict=True):
        path.write_bytes(content)
    given = {"images": paths, "captions": CAPTIONS}
    return pictures, model.predict_proba(**given).to_numpy(), model.predict(**given)


def test_pictures_and_captions(client: TestClient, expected: Any) -> None:
    pictures, values, labels = expected
    answer = client.post("/predict", **form(pictures, CAPTIONS))
    np.testing.assert_allclose(probabilities(answer), values, atol=1e-4, rtol=0)
    assert [row["labels"] for row in answer.json()["rows"]] == labels
    assert "lacking" not in answer.json()["rows"][0]


def test_embeddings_within_1e_5(client: TestClient, model: hpo.Model) -> None:
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=(40, 64)).astype(np.float32) for name in ("image", "text")}
    given: dict[str, Any] = {name: array.tolist() for name, array in arrays.items()}
    given["text"][3], arrays["text"][3] = None, np.nan
    answer = client.post("/predict", json=given)
    expected = model.predict_proba(**arrays).to_numpy()
    np.testing.assert_allclose(probabilities(answer), expected, atol=1e-5, rtol=0)
    assert answer.json()["rows"][3]["lacking"] == ["text"]


def test_rows_that_lack_one_of_both(client: TestClient, expected: Any, model: hpo.Model) -> None:
    pictures, *_ = expected
    captions = ["", *CAPTIONS[1:]]
    images = [pictures[0], ("", b""), pictures[2]]
    answer = client.post("/predict", **form(images, captions))
    assert [row.get("lacking") for row in answer.json()["rows"]] == [["text"], ["image"], None]
    (alone,) = client.post("/predict", **form([("", b"")], ["two cats on a red sofa"])).json()[
        "rows"
    ]
    assert alone["probabilities"] == pytest.approx(
        answer.json()["rows"][1]["probabilities"], abs=1e-5
    )


def test_many_at_once_get_their_own(client: TestClient, expected: Any) -> None:
    pictures, values, _ = expected

    def ask(n: int) -> np.ndarray:
        return probabilities(client.post("/predict", **form([pictures[n % 3]], [CAPTIONS[n % 3]])))

    with ThreadPoolExecutor(16) as pool:
        for n, found in enumerate(pool.map(ask, range(64))):
            np.testing.assert_allclose(found[0], values[n % 3], atol=1e-4, rtol=0)


PNG = picture()
REFUSED = {
    "a URL": (
        {"data": {"image": "http://example.org/a.png", "caption": "x"}, "files": {"o": b""}},
        "Image is the text 'http://example.org/a.png', but must be a file; nothing is fetched from "
        "a URL",
    ),
    "a format that isn't listed": (
        form([picture(format="PCX")], ["x"]),
        "The image of row 0 is not an image that Pillow can read",
    ),
    "an SVG": (
        form([b"<svg xmlns='http://www.w3.org/2000/svg'/>"], ["x"]),
        "The image of row 0 is",
    ),
    "a damaged picture": (form([PNG[:300]], ["x"]), "The image of row 0 can't be decoded"),
    "no caption": (
        form([PNG], None),
        "This model reads image and caption, but there is no caption; send an empty one for a row "
        "that lacks it",
    ),
    "no row": (
        {"data": {"caption": ["", ""]}, "files": [("image", ("", b""))] * 2},
        "Row 0 has neither, but must have some of image and caption",
    ),
    "different numbers": (
        form([PNG, PNG], ["x"]),
        "Image is there 2 times and caption 1 times, but both must be as often as there are rows",
    ),
    "an unknown field": (
        {"files": {"picture": PNG}},
        "There is a field 'picture', but fields must be image (a file) and caption (a text)",
    ),
    "no form": (
        {"content": b"x", "headers": {"content-type": "text/plain"}},
        "The request must be multipart/form-data or application/json",
    ),
    "no JSON": (
        {"content": b"[" * 100_000, "headers": {"content-type": "application/json"}},
        "The request's JSON can't be read",
    ),
    "half a character": (
        {"content": b'{"\\ud800": 1}', "headers": {"content-type": "application/json"}},
        "\\ud800",
    ),
    "a list": ({"json": [1]}, "The JSON must be an object of embeddings: "),
    "words": (
        {"json": {"image": [["a"] * 64], "text": [["1"] * 64]}},
        "Image must be a list of rows, each a list of numbers, or null for a row that lacks it",
    ),
    "ragged rows": ({"json": {"image": [[1.0], [1.0, 2.0]]}}, "Image must be a list of rows"),
    "a wrong width": ({"json": {"image": [[1.0]], "text": [[1.0] * 64]}}, "image has shape [1, 1]"),
    "too large numbers": (
        {"json": {"image": [[1e30] * 64], "text": [[1.0] * 64]}},
        "image has NaN, infinity or values beyond",
    ),
    "nothing at all": (
        {"json": {"image": [None], "text": [None]}},
        "Row 0 lacks all that the model reads",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_refuses(client: TestClient, name: str) -> None:
    request, said = REFUSED[name]
    answer = client.post("/predict", **request)
    assert 400 <= answer.status_code < 500
    assert said in answer.json()["error"]


def test_too_many_bytes_rows_and_pixels(client: TestClient) -> None:
    answer = client.post("/predict", **form([b"\0" * 2_100_000], ["x"]))
    assert (answer.status_code, answer.json()["error"]) == (413, "The request has more than 2 MB")
    many = client.post("/predict", **form([b"x"] * 257, ["x"] * 257))
    assert many.status_code == 400 and "Too many f" in many.json()["error"]
    bomb = client.post("/predict", **form([huge_png()], ["x"]))
    assert bomb.status_code == 400
    assert "pixels" in bomb.json()["error"]


def huge_png() -> bytes:
    """A file of a few bytes that says it has 900 million pixels."""
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_too_many_that_wait(model: hpo.Model) -> None:
    reader, held = Reader(model), threading.Event()

    def answer(asked: Any) -> Any:
        held.wait(20)
        return reader.answer(asked)

    rows = Rows(answer, most=1, wait_s=0.001, waiting=1)
    (row,) = reader.given([PNG], ["x"])
    rows.ask([row])
    while rows.waiting:
        time.sleep(0.01)
    rows.ask([row])
    with TestClient(make_app(reader, rows, most_bytes=10**6, local=True), base_url=LOCAL) as client:
        found = [client.post("/predict", **form([PNG] * n, ["x"] * n)) for n in (1, 2)]
    held.set()
    assert [(answer.status_code, answer.json()["error"]) for answer in found] == [
        (503, "Too many rows are waiting; ask again in a few seconds"),
        (413, "The request has 2 rows, but must have 1 at most"),
    ]


def test_what_nobody_foresaw_is_said_and_the_next_request_is_answered(model: hpo.Model) -> None:
    reader = Reader(model)
    calls: list[int] = []

    def answer(asked: Any) -> Any:
        calls.append(len(asked))
        if len(calls) == 1:
            raise RuntimeError("out of memory")
        return reader.answer(asked)

    rows = Rows(answer, most=1, wait_s=0.001, waiting=10)
    app = make_app(reader, rows, most_bytes=10**6, local=True)
    with TestClient(app, base_url=LOCAL, raise_server_exceptions=False) as client:
        first, second = (client.post("/predict", **form([PNG], ["x"])) for _ in range(2))
    assert (first.status_code, first.json()["error"]) == (
        500,
        "The server met with something unforeseen: RuntimeError",
    )
    assert second.status_code == 200


def test_only_under_the_names_of_this_machine(client: TestClient, model: hpo.Model) -> None:
    for host in ("127.0.0.1:8000", "localhost:1", "localhost", "[::1]:80", "[::1]"):
        assert client.get("/health", headers={"host": host}).status_code == 200
    for host in ("127.0.0.1:8000, evil.example", "[::1]:evil", ":80", ""):
        assert client.get("/health", headers={"host": host}).status_code == 403
    answer = client.get("/health", headers={"host": "evil.example"})
    assert answer.status_code == 403
    assert answer.json()["error"].endswith("not evil.example")
    with client_of(model, local=False) as elsewhere:
        assert elsewhere.get("/health", headers={"host": "evil.example"}).status_code == 200


@pytest.mark.parametrize(
    ("fusion", "wants", "other"), [("image", "image", "caption"), ("text", "caption", "image")]
)
def test_a_model_that_reads_one_of_both(
    fusion: str, wants: str, other: str, cache: Path, tmp_path: Path
) -> None:
    with client_of(hpo.load_model(write_model(tmp_path, cache, fusion), cache=cache)) as client:
        assert client.get("/health").json()["fields"] == [wants]
        parts = {"image": {"files": {"image": PNG}}, "caption": {"data": {"caption": "a dog"}}}
        if fusion == "text":
            parts["caption"]["files"] = {}
            request: dict[str, Any] = {"files": [("caption", (None, "a dog"))]}
        else:
            request = parts["image"]
        assert probabilities(client.post("/predict", **request)).shape == (1, 3)
        both = client.post("/predict", **form([PNG], ["a dog"]))
        assert both.json()["error"] == f"There is {other}, but this model reads {wants} only"


def test_a_model_of_imported_embeddings(cache: Path, tmp_path: Path) -> None:
    with client_of(hpo.load_model(write_model(tmp_path, cache, imported=True))) as client:
        answer = client.post("/predict", **form([PNG], ["x"]))
        assert answer.json()["error"] == (
            "This model was trained on imported embeddings, so it reads embeddings only, as JSON"
        )
        rows = {"image": [[0.5] * 64], "text": [[0.5] * 64]}
        assert probabilities(client.post("/predict", json=rows)).shape == (1, 3)


def test_json_that_says_more_than_is_read(cache: Path, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", cache, imported=True)
    with client_of(hpo.load_model(folder, cache=cache)) as client:
        header = {"content-type": "application/json"}
        answer = client.post("/predict", content=b'{"image": [], "image": [[1]]}', headers=header)
        assert answer.status_code == 400
        said = "The request's JSON can't be read: an object has the key 'image' twice"
        assert answer.json()["error"] == said
        error = client.post("/predict", json={"rows": [{"image": [1]}]}).json()["error"]
        assert "rows embeddings are given, which the model doesn't read" in error
        assert "give a null where there are none" in error


def test_other_places_and_methods(client: TestClient) -> None:
    for method, place, status in (("GET", "/predict", 405), ("POST", "/predictions", 404)):
        answer = client.request(method, place)
        assert answer.status_code == status
        assert answer.json() == {
            "error": f"{method} {place} isn't answered here, but POST /predict, GET /health and "
            "GET / are"
        }


def test_several_encoders_side_by_side(
    model: hpo.Model, expected: Any, tmp_path: Path, cache: Path
) -> None:
    info = dict(model.trained.features)
    parts = {
        "image": [{"name": name, "width": 64, **info} for name in ("one", "two")],
        "text": [{"name": "one", "width": 64, **info}],
    }
    config = model.config.replace(feature_scaling="auto")
    widths = {"image": 128, "text": 64}
    module = AssembledModel(config, widths, len(CLASSES), {"image": [64, 64], "text": [64]})
    trained = TrainedModel(
        module, config, widths, CLASSES, (0.5,) * 3, {"source": "several", "parts": parts}, {}
    )
    both = hpo.Model(trained, cache=cache)
    paths = [tmp_path / f"{n}.png" for n in range(3)]
    for path, content in zip(paths, expected[0], strict=True):
        path.write_bytes(content)
    with client_of(both) as client:
        answer = client.post("/predict", **form(expected[0], CAPTIONS))
        values = both.predict_proba(images=paths, captions=CAPTIONS).to_numpy()
        np.testing.assert_allclose(probabilities(answer), values, atol=1e-4, rtol=0)
        rng = np.random.default_rng(0)
        image = {name: rng.normal(size=(2, 64)).astype(np.float32) for name in ("one", "two")}
        text = rng.normal(size=(2, 64)).astype(np.float32)
        sent = {"image": {k: x.tolist() for k, x in image.items()}, "text": text.tolist()}
        found = probabilities(client.post("/predict", json=sent))
        values = both.predict_proba(image=image, text=text).to_numpy()
        np.testing.assert_allclose(found, values, atol=1e-5, rtol=0)
        half = {"one": sent["image"]["one"], "two": [None, None]}
        lacks = client.post("/predict", json={**sent, "image": half})
        assert lacks.json()["error"] == (
            "Row 0 lacks some of the image embeddings, but must have all of them or none"
        )
        one = client.post("/predict", json={**sent, "image": text.tolist()})
        assert "the model reads image embeddings of several sources" in one.json()["error"]


def test_health_and_page(client: TestClient) -> None:
    assert client.get("/health").json() == {
        "status": "ok",
        "fields": ["image", "caption"],
        "embeddings": {"image": 64, "text": 64},
        "classes": list(CLASSES),
        "waiting": 0,
    }
    page = client.get("/")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert "http" not in page.text  # nothing from elsewhere
    assert client.get("/docs").status_code == 404
