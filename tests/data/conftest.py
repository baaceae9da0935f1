"""Small data folders for the tests of ``hpo.data``."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

MakeFolder = Callable[..., Path]


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Return a function that writes train.csv, perhaps test.csv, and images into a folder."""

    def make(
        train: str | bytes | None,
        test: str | bytes | None = None,
        images: tuple[str, ...] = (),
        where: str = "data",
    ) -> Path:
        for name, content in (("train.csv", train), ("test.csv", test)):
            if content is not None:
                data = content if isinstance(content, bytes) else content.encode()
                (tmp_path / name).write_bytes(data)
        for index, name in enumerate(images):
            path = tmp_path / where / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.radial_gradient("L").rotate(10 * index).convert("RGB").save(path)
        return tmp_path

    return make
