"""One thread for what tests compute themselves; a bundle, and runs that nothing happened to."""

from collections.abc import Callable, Iterator

import pytest
import torch
from training_runs import Undisturbed
from training_samples import make_bundle

from hpo.features import Bundle
from hpo.models import Config, all_registries


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def nothing_stays_registered() -> Iterator[None]:
    yield
    for registry in all_registries():
        for name in list(registry):
            registry.forget(name)


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    return make_bundle()


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, bundle: Bundle
) -> Callable[[Config], Undisturbed]:
    made: dict[Config, Undisturbed] = {}

    def get(config: Config) -> Undisturbed:
        if config not in made:
            made[config] = Undisturbed(tmp_path_factory.mktemp("undisturbed"), bundle, config)
        return made[config]

    return get
