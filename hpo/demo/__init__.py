"""The demo: a rendered data folder, so that a first study needs neither data nor a network."""

from hpo.demo._folder import (
    DEMO_DEFAULTS,
    DEMO_TEST_ROWS,
    DEMO_TRAIN_ROWS,
    demo_scene,
    make_demo,
)

__all__ = ["DEMO_DEFAULTS", "DEMO_TEST_ROWS", "DEMO_TRAIN_ROWS", "demo_scene", "make_demo"]
