"""Nothing that a test registers outlives it."""

from collections.abc import Iterator

import pytest

from hpo.models import all_registries


@pytest.fixture(autouse=True)
def nothing_stays_registered() -> Iterator[None]:
    yield
    for registry in all_registries():
        for name in list(registry):
            registry.forget(name)
