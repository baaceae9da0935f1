"""Where the examples of the pages run."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs_pages import TINY

from hpo.models import all_registries
from hpo.search import SEARCHES


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the examples name: data, embeddings, small spaces with our names."""
    import numpy as np
    import pandas as pd

    from hpo.demo import make_demo
    from hpo.features import resolve_encoder

    folder = tmp_path_factory.mktemp("docs")
    demo = make_demo(folder / ".hpo" / "demo")
    data = folder / "my-data"
    (data / "images").mkdir(parents=True)
    for name, rows in (("train", 240), ("test", 20)):
        frame = pd.read_csv(demo / f"{name}.csv").head(rows)
        frame.to_csv(data / f"{name}.csv", index=False)
        for image in frame["ImageID"]:
            shutil.copy(demo / "images" / image, data / "images" / image)
    train = pd.read_csv(data / "train.csv")
    pd.DataFrame(
        {
            "path": [f"my-data/images/{name}" for name in train["ImageID"]],
            "caption": train["Caption"],
            "labels": train["Labels"],
        }
    ).to_csv(folder / "photos.csv", index=False)
    shutil.copy(data / "images" / "0.jpg", folder / "a.jpg")
    encoder = resolve_encoder("demo", folder / ".hpo").weights.parent
    shutil.copytree(encoder, folder / "small-clip")
    (folder / "my-embeddings").mkdir()
    (folder / "other-embeddings").mkdir()
    rng = np.random.default_rng(0)
    for name, rows in (("", 240), ("_test", 20)):
        for modality, width in (("image", 16), ("text", 12)):
            array = rng.normal(size=(rows, width)).astype(np.float32)
            np.save(folder / "my-embeddings" / f"{modality}{name}.npy", array)
            if modality == "image":
                np.save(folder / "other-embeddings" / f"{modality}{name}.npy", array[:, :8])
    (folder / "search_spaces").mkdir()
    for name in ("best", "greedy", "tpe"):
        (folder / "search_spaces" / f"{name}.yaml").write_text(TINY)
    return folder


@pytest.fixture
def nothing_registered() -> Iterator[None]:
    """Forget afterwards what an example registered."""
    searches = dict(SEARCHES)
    yield
    for registry in all_registries():
        for name in [name for name in registry if registry[name].origin is not None]:
            registry.forget(name)
    SEARCHES.clear()
    SEARCHES.update(searches)
