"""Versions are noted, and nothing fails where hpo runs from its folder alone."""

import optuna

from hpo._versions import package_version


def test_a_package_and_what_is_not_installed() -> None:
    assert package_version("optuna") == optuna.__version__
    assert package_version("hpo-from-a-folder") == "from source"
