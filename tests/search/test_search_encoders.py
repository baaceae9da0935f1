"""Encoders in a search space: named by it, or chosen by the search of its own accord."""

from typing import Any

import pytest
from search_samples import GREEDY, SAMPLED, greedy_space, sampled_space, write

from hpo.errors import InputError
from hpo.models import AssembledModel, Config
from hpo.search import (
    Dimensions,
    FixedBoard,
    GreedySearch,
    Search,
    Space,
    encoders_of_space,
    load_space,
    make_strategy,
    space_for_sources,
)

BOTH = ("image", "text")
TWO = {"a": BOTH, "b": BOTH}


def encoders_opened(space: Space) -> list[str | None]:
    opening = make_strategy(space, BOTH).next(FixedBoard([]))
    return [task.config.encoder for task in opening.tasks if task.config is not None]


def test_without_sources_to_choose_from_a_space_stays_as_it_is() -> None:
    space = greedy_space({"name": "rate", "params": {"lr": [0.1, 0.2]}})
    assert space_for_sources(space, {}) == space
    assert space_for_sources(space, {"a": BOTH}) == space
    assert encoders_of_space(space) == ()


def test_a_greedy_search_chooses_after_the_fusion(tmp_path: Any) -> None:
    space = space_for_sources(load_space(write(tmp_path, GREEDY)), TWO)
    assert isinstance(space.search, GreedySearch)
    assert [stage.name for stage in space.search.stages] == ["fusion", "encoder", "loss"]
    assert space.search.stages[1].params == {"encoder": ("a", "b", "a+b")}
    assert encoders_opened(space) == ["a", "a"]  # the first one until there is a choice
    rates = greedy_space({"name": "rate", "params": {"lr": [0.1, 0.2]}})
    assert encoders_opened(space_for_sources(rates, TWO)) == ["a", "b", "a+b"]


def test_a_sampled_search_has_one_parameter_more(tmp_path: Any) -> None:
    space = space_for_sources(load_space(write(tmp_path, SAMPLED)), TWO)
    strategy = make_strategy(space, BOTH)
    assert list(strategy.distributions) == ["lr", "loss", "encoder"]
    assert strategy.draw({"lr": 0.01, "loss": "bce", "encoder": "a+b"}).encoder == "a+b"
    assert space.fixed.encoder == "a"


def test_a_modality_that_a_source_lacks_comes_from_the_first_that_has_it() -> None:
    space = sampled_space({"lr": {"low": 0.1, "high": 0.2}})
    sources = {"dino": ("image",), "clip": BOTH, "bert": ("text",)}
    chosen = space_for_sources(space, sources).search.values_of("encoder")
    assert chosen == ("image=dino,text=clip", "clip", "image=dino,text=bert", "dino+clip+bert")


@pytest.mark.parametrize("fixed", [{}, {"encoder": "b"}])
def test_what_a_space_names_is_what_is_chosen(fixed: dict[str, str]) -> None:
    choices = ["b", {"image": "a", "text": "b"}, "a+b"]
    space = sampled_space({"encoder": {"choices": choices}}, fixed)
    assert encoders_of_space(space) == ("b", "a")
    ready = space_for_sources(space, TWO)
    assert ready.search == space.search
    assert ready.fixed.encoder == "b"
    alone = greedy_space({"name": "rate", "params": {"lr": [0.1]}}, fixed={"encoder": "a"})
    assert space_for_sources(alone, TWO) == alone
    assert encoders_of_space(alone) == ("a",)


def test_choices_that_can_not_be_made_are_listed() -> None:
    space = sampled_space({"encoder": {"choices": ["a", "c", "d"]}})
    with pytest.raises(InputError) as caught:
        space_for_sources(space, {**TWO, "d": ("image",)})
    assert caught.value.problems == [
        "The encoder is 'c', but there are no embeddings called 'c'; there are: a, b, d.",
        "The encoder is 'd', but 'd' has no text embeddings; write for example 'image=d,text=a'.",
    ]
    with pytest.raises(InputError, match="have no name to choose them by"):
        space_for_sources(space, {})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("clop", "encoder is 'clop', but there are no embeddings called 'clop' (did you mean "
         "'clip'?); there are: clip, large"),
        ("clip+clip", "encoder is 'clip+clip', but must be sources named once each, and 'clip' is "
         "there twice"),
        ("3", "encoder is 3, but must be NAME, NAME+NAME for two side by side, or "
         "image=NAME,text=NAME"),
    ],
)  # fmt: skip
def test_mistakes_are_named_where_they_stand(tmp_path: Any, value: str, said: str) -> None:
    path = write(tmp_path, GREEDY.replace("[image, text]", f"[image, text], encoder: [{value}]"))
    with pytest.raises(InputError) as caught:
        load_space(path, sources={"clip": BOTH, "large": BOTH})
    assert caught.value.problems == [f"{path}:8: {said}"]


def test_the_size_of_a_model_follows_from_what_it_reads() -> None:
    widths = {"a": {"image": 6, "text": 4}, "b": {"image": 10, "text": 8}}
    dimensions = Dimensions(widths["a"], 3, widths)
    space = greedy_space(
        {"name": "e", "params": {"encoder": ["a", "b", "a+b", {"image": "b", "text": "a"}]}},
        fixed={"fusion": "concat", "hidden": [5], "feature_scaling": "none"},
        constraints={"max_model_mb": 0.0005},
    )
    strategy = make_strategy(space_for_sources(space, TWO), BOTH, dimensions)
    sizes = {}
    for encoder, read in (("a", 10), ("b", 18), ("a+b", 28), ("image=b,text=a", 14)):
        config = space.fixed.taken({"encoder": encoder})
        sizes[encoder] = strategy.sizes.of(config)
        chosen = dimensions.widths_of(config)
        assert sum(chosen.values()) == read
        assert sizes[encoder] == AssembledModel(config, chosen, 3).megabytes()
    assert strategy.sizes.of(space.fixed.taken({})) == sizes["a"]
    small = [encoder for encoder, size in sizes.items() if size <= 0.0005]
    assert small == ["a", "b", "image=b,text=a"]
    opened = strategy.next(FixedBoard([])).tasks
    assert [task.config.encoder for task in opened if task.config is not None] == small


def test_the_key_of_a_configuration_without_a_choice_stays() -> None:
    assert Config(fusion="concat", encoder=None).keyed().keys() == Config().keyed().keys()
    assert Config(encoder="a").key != Config().key
    assert Config(encoder={"text": "b", "image": "a"}) == Config(encoder="image=a, text=b")


def test_a_search_of_another_kind_says_that_it_can_not() -> None:
    space = greedy_space({"name": "rate", "params": {"lr": [0.1]}})
    with pytest.raises(InputError, match="kind greedy doesn't choose the encoder by itself; name"):
        Search.varying(space.search, "encoder", ("a", "b"))
