"""What the value of ``encoder`` says, and what is wrong with it."""

from typing import Any

import pytest

from hpo.errors import InputError
from hpo.features import check_choice, check_encoder, parse_choice, union

SOURCES = {"clip": ("image", "text"), "large": ("image", "text"), "dino": ("image",)}


@pytest.mark.parametrize(
    ("value", "text", "names", "chosen"),
    [
        ("clip", "clip", ("clip",), {"image": ("clip",), "text": ("clip",)}),
        (
            " clip + large",
            "clip+large",
            ("clip", "large"),
            {"image": ("clip", "large"), "text": ("clip", "large")},
        ),
        (
            "text=large, image=clip",
            "image=clip,text=large",
            ("clip", "large"),
            {"image": ("clip",), "text": ("large",)},
        ),
        (
            {"image": "clip+dino", "text": "clip"},
            "image=clip+dino,text=clip",
            ("clip", "dino"),
            {"image": ("clip", "dino"), "text": ("clip",)},
        ),
        # a source that is named for all counts for what it has
        (
            "clip+dino",
            "clip+dino",
            ("clip", "dino"),
            {"image": ("clip", "dino"), "text": ("clip",)},
        ),
    ],
)
def test_all_forms(
    value: Any, text: str, names: tuple[str, ...], chosen: dict[str, tuple[str, ...]]
) -> None:
    choice = parse_choice(value)
    assert str(choice) == text
    assert parse_choice(str(choice)) == choice
    assert choice.names == names
    assert choice.among(SOURCES) == chosen
    assert check_choice(text, SOURCES) == ""


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "must be NAME, NAME"),
        ("clip,large", "must be NAME, NAME"),
        ("clip++large", "must be NAME, NAME"),
        ("image=", "must be NAME, NAME"),
        ("image=clip,image=large", "each modality once"),
        ({}, "each modality once"),
        ("clip+clip", "must be sources named once each, and 'clip' is there twice"),
        (3, "must be NAME, NAME"),
    ],
)
def test_what_is_no_choice(value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_choice(value)


@pytest.mark.parametrize(
    ("encoder", "said"),
    [
        ("clop", "there are no embeddings called 'clop' (did you mean 'clip'?); there are: clip, "
         "large, dino"),
        ("clip+clop", "there are no embeddings called 'clop' (did you mean 'clip'?); there are: "
         "clip, large, dino"),
        ("dino", "'dino' has no text embeddings; write for example 'image=dino,text=clip'"),
        ("image=large", "'image=large' has no text embeddings; write for example "
         "'image=large,text=large'"),
        ("image=clip,text=dino", "'dino' has no text embeddings; it has image"),
        ("imgae=clip,text=clip", "there is no modality 'imgae' (did you mean 'image'?); there are: "
         "image, text"),
    ],
)  # fmt: skip
def test_what_there_is_not(encoder: str, said: str) -> None:
    assert check_choice(encoder, SOURCES) == said
    with pytest.raises(InputError) as caught:
        check_encoder(encoder, SOURCES)
    assert str(caught.value) == f"The encoder is '{encoder}', but {said}."


def test_without_a_choice_it_is_the_first_source() -> None:
    assert check_choice(None, SOURCES) == ""
    assert union(SOURCES) == ("image", "text")
    with pytest.raises(InputError, match="The encoder is not given, but 'dino' has no text emb"):
        check_encoder(None, {"dino": ("image",), "clip": ("image", "text")})


def test_embeddings_without_a_name_can_not_be_chosen() -> None:
    check_encoder(None, {})
    with pytest.raises(InputError, match=r"have no name to choose them by; give them one: --feat"):
        check_encoder("clip", {})
