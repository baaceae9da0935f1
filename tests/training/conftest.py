"""One thread, since its number is part of a run's address and of its last bits."""

from collections.abc import Iterator

import pytest
import torch
from training_samples import make_bundle

from hpo.features import Bundle


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    return make_bundle()
