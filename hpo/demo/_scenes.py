"""Scenes of the demo: which objects are there, which the picture shows, which the caption names.

A scene's labels are what is *there*. The picture may hide an object (outside the frame, or behind
clutter), the caption may leave it out or call it something vague, and now and then it names
something that is only on a poster. So a classifier has to weigh both, as with real captions.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hpo.demo._drawing import Placed, draw
from hpo.demo._kinds import SETTINGS

__all__ = ["CLASS_NAMES", "DEMO_RECIPE", "Recipe", "Scene", "make_scene"]


# Rates at which objects are put into a scene before empty scenes are drawn again. As in the
# COMP5329 set: one class on three quarters of the rows, the rarest on well under one percent.
_RATES = {
    "person": 0.6,
    "car": 0.125,
    "chair": 0.098,
    "dog": 0.08,
    "bottle": 0.067,
    "boat": 0.058,
    "bird": 0.049,
    "cat": 0.045,
    "bicycle": 0.04,
    "umbrella": 0.036,
    "bus": 0.031,
    "ball": 0.027,
    "horse": 0.022,
    "kite": 0.018,
    "clock": 0.014,
    "train": 0.0115,
    "zebra": 0.009,
    "giraffe": 0.0053,
}
CLASS_NAMES = tuple(_RATES)
_ELSEWHERE = 0.25  # an object's odds in a setting where it isn't common, against one where it is

_PHRASES: dict[str, tuple[str, ...]] = {
    "person": ("a man", "a woman", "a boy", "a girl", "some people", "two men", "a person"),
    "car": ("a car", "a parked car", "a taxi", "two cars", "a sedan"),
    "chair": ("a chair", "a wooden seat", "some chairs", "a stool"),
    "dog": ("a dog", "a puppy", "two dogs", "a small hound"),
    "bottle": ("a bottle", "a wine bottle", "some bottles", "a flask"),
    "boat": ("a boat", "a sailboat", "a small ship", "a yacht"),
    "bird": ("a bird", "a parrot", "two birds", "a gull"),
    "cat": ("a cat", "a kitten", "a tabby", "two cats"),
    "bicycle": ("a bicycle", "a bike", "someone's bike", "two bicycles"),
    "umbrella": ("an umbrella", "a parasol", "an open umbrella"),
    "bus": ("a bus", "a city bus", "a coach"),
    "ball": ("a ball", "a basketball", "a bouncing ball"),
    "horse": ("a horse", "a brown pony", "two horses", "a stallion"),
    "kite": ("a kite", "a flying kite", "two kites"),
    "clock": ("a clock", "a round clock", "a large watch"),
    "train": ("a train", "a locomotive", "a passenger train"),
    "zebra": ("a zebra", "two zebras", "a striped zebra"),
    "giraffe": ("a giraffe", "a tall giraffe", "two giraffes"),
}
_VAGUE: dict[str, tuple[str, ...]] = {
    "a vehicle": ("car", "bus", "train", "boat", "bicycle"),
    "an animal": ("dog", "cat", "horse", "bird", "zebra", "giraffe"),
    "an object": ("chair", "bottle", "umbrella", "ball", "kite", "clock"),
    "a scene": ("person",),
}
_VAGUE_PHRASE = {name: phrase for phrase, names in _VAGUE.items() for name in names}
_PLACES: dict[str, tuple[str, ...]] = {
    "street": ("on a street", "in the city", "at an intersection", "downtown"),
    "home": ("in a room", "at home", "in the kitchen", "indoors"),
    "field": ("in a field", "on the grass", "in a park", "in the open"),
    "shore": ("by the sea", "at the beach", "near the water", "on the shore"),
}
_OPENERS = ("", "", "a photo of ", "there is ", "this picture shows ", "a close view of ", "here, ")
_JOINERS = (" and ", ", ", " next to ", " near ", " with ", " behind ", " in front of ")
_CLOSERS = ("", "", "", " on a sunny day", " in the afternoon", ", seen from above", ", all alone")
_EMPTY = ("a quiet view", "not much going on", "a plain picture", "just another day")


@dataclass(frozen=True)
class Recipe:
    """How scenes are made.

    Attributes:
        rates: Each class's chance of being put into a scene, averaged over the settings.
        hidden: Chance that the picture doesn't show an object: half of these are left out of the
            frame, half are behind clutter.
        unnamed: Chance that the caption leaves an object out.
        vague: Chance that a named object is only called an animal, a vehicle, an object.
        poster: Chance that a caption names something that isn't there.
    """

    rates: tuple[float, ...] = tuple(_RATES.values())
    hidden: float = 0.18
    unnamed: float = 0.35
    vague: float = 0.1
    poster: float = 0.08


DEMO_RECIPE = Recipe()


@dataclass(frozen=True)
class Scene:
    """One row of the demo.

    Attributes:
        labels: What is there, in the order of `CLASS_NAMES`; never empty.
        shown: The labels that the picture shows in full.
        occluded: The labels that are drawn, but stand behind clutter.
        named: The labels that the caption names by one of their own words.
        caption: One line of text, without quotes.
        pixels: RGB levels 0..255, [64, 64, 3].
    """

    labels: tuple[str, ...]
    shown: tuple[str, ...]
    occluded: tuple[str, ...]
    named: tuple[str, ...]
    caption: str
    pixels: NDArray[np.uint8]


def make_scene(rng: np.random.Generator, recipe: Recipe = DEMO_RECIPE) -> Scene:
    """Return the scene that ``rng`` and ``recipe`` determine."""
    shares = np.cumsum([setting.share for setting in SETTINGS.values()])
    setting = list(SETTINGS)[int(np.searchsorted(shares, rng.random() * shares[-1]))]
    labels: tuple[str, ...] = ()
    while not labels:
        there = rng.random(len(CLASS_NAMES)) < _chances(recipe.rates)[setting]
        labels = tuple(name for name, is_there in zip(CLASS_NAMES, there, strict=True) if is_there)
    fates = rng.random(len(labels)) / recipe.hidden
    shown = tuple(name for name, fate in zip(labels, fates, strict=True) if fate >= 1)
    occluded = tuple(name for name, fate in zip(labels, fates, strict=True) if 0.5 <= fate < 1)
    placed = [Placed(name, False) for name in shown for _ in range(1 + (rng.random() < 0.3))]
    placed += [Placed(name, True) for name in occluded]
    pixels = draw(setting, [placed[i] for i in rng.permutation(len(placed))], rng)
    named, caption = _caption(setting, labels, recipe, rng)
    return Scene(labels, shown, occluded, named, caption, pixels)


def _caption(
    setting: str, labels: tuple[str, ...], recipe: Recipe, rng: np.random.Generator
) -> tuple[tuple[str, ...], str]:
    """Return the labels that the caption names, and the caption."""
    mentioned = [name for name in labels if rng.random() >= recipe.unnamed]
    vague = {name for name in mentioned if rng.random() < recipe.vague}
    phrases = [
        _VAGUE_PHRASE[name] if name in vague else _pick(_PHRASES[name], rng) for name in mentioned
    ]
    phrases = [phrases[i] for i in rng.permutation(len(phrases))]
    text = phrases[0] if phrases else _pick(_EMPTY, rng)
    for phrase in phrases[1:]:
        text += _pick(_JOINERS, rng) + phrase
    if rng.random() < recipe.poster:
        text += f" and a poster of {_pick(_PHRASES[_pick(CLASS_NAMES, rng)], rng)}"
    if rng.random() < 0.6:
        text += f" {_pick(_PLACES[setting], rng)}"
    text = _pick(_OPENERS, rng) + text + _pick(_CLOSERS, rng)
    named = tuple(name for name in mentioned if name not in vague)
    return named, text[0].upper() + text[1:] + "."


def _pick(choices: tuple[str, ...], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]


@cache
def _chances(rates: tuple[float, ...]) -> dict[str, NDArray[np.float64]]:
    """Return, for each setting, each class's chance; their average over settings is ``rates``."""
    odds = np.ones((len(SETTINGS), len(CLASS_NAMES)))
    for column, name in enumerate(CLASS_NAMES):
        common = [name in setting.common for setting in SETTINGS.values()]
        if any(common):
            odds[:, column] = np.where(common, 1.0, _ELSEWHERE)
    shares = np.array([setting.share for setting in SETTINGS.values()])
    chances = np.minimum(odds * np.array(rates) / (shares / shares.sum() @ odds), 1.0)
    return dict(zip(SETTINGS, chances, strict=True))
