"""What the value of ``encoder`` says: which source of embeddings each modality is read from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hpo.errors import InputError, did_you_mean
from hpo.features._modalities import in_order

__all__ = [
    "EncoderChoice",
    "Sources",
    "check_choice",
    "check_encoder",
    "parse_choice",
    "source_name_fault",
    "union",
]

#: The modalities that each source has, by the source's name.
Sources = Mapping[str, Sequence[str]]

_FORMS = "NAME, NAME+NAME for two side by side, or image=NAME,text=NAME"
_SEPARATORS = frozenset("+,=")


@dataclass(frozen=True)
class EncoderChoice:
    """A choice among named sources of embeddings.

    Attributes:
        everywhere: The sources of every modality, side by side; empty if it says one by one.
        by_modality: The sources of each modality that it names, if it says them one by one.
    """

    everywhere: tuple[str, ...]
    by_modality: tuple[tuple[str, tuple[str, ...]], ...]

    def __str__(self) -> str:
        if self.everywhere:
            return "+".join(self.everywhere)
        return ",".join(f"{name}={'+'.join(names)}" for name, names in self.by_modality)

    @property
    def names(self) -> tuple[str, ...]:
        """All sources, each once, in the order in which they are named."""
        named = [self.everywhere, *(names for _, names in self.by_modality)]
        return tuple(dict.fromkeys(name for names in named for name in names))

    def of(self, modality: str) -> tuple[str, ...]:
        """Return the sources named for a modality; none if the choice leaves it out."""
        return self.everywhere or dict(self.by_modality).get(modality, ())

    def among(self, sources: Sources) -> dict[str, tuple[str, ...]]:
        """Return the sources that each modality is read from.

        A source that is named for all modalities counts for those that it has.

        Args:
            sources: Those that there are; the choice was checked against them.
        """
        return {
            modality: tuple(name for name in self.of(modality) if modality in sources[name])
            for modality in union(sources)
        }


def parse_choice(value: object) -> EncoderChoice:
    """Read a choice: its text, or a mapping of modalities to texts.

    Args:
        value: ``A``, ``A+B``, ``image=A,text=B`` or ``{"image": "A", "text": "B"}``.

    Raises:
        ValueError: It is none of these, or names something twice.
    """
    if isinstance(value, Mapping):
        parts = [(str(modality), str(names)) for modality, names in value.items()]
    elif isinstance(value, str) and "=" in value:
        split = [part.partition("=") for part in value.split(",")]
        parts = [(modality.strip(), names) for modality, _, names in split]
    elif isinstance(value, str):
        return EncoderChoice(_names(value, value), ())
    else:
        raise ValueError(f"must be {_FORMS}")
    by_modality = {modality: _names(names, value) for modality, names in parts if modality}
    if len(by_modality) < len(parts) or not parts:
        raise ValueError(f"must be {_FORMS}, each modality once")
    ordered = ((modality, by_modality[modality]) for modality in in_order(by_modality))
    return EncoderChoice((), tuple(ordered))


def _names(text: str, value: object) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split("+"))
    if any(source_name_fault(name) for name in names):
        raise ValueError(f"must be {_FORMS}")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"must be sources named once each, and '{twice[0]}' is there twice")
    return names


def source_name_fault(name: str) -> str:
    """Say why a source of embeddings can't have this name, or return an empty text."""
    if name and not _SEPARATORS & set(name) and not any(letter.isspace() for letter in name):
        return ""
    return f"'{name}' can't name a source of embeddings, as a name has no '+', ',', '=' or blanks"


def union(sources: Sources) -> tuple[str, ...]:
    """Return the modalities that any of the sources has, in order."""
    return in_order(name for modalities in sources.values() for name in modalities)


def check_choice(encoder: str | None, sources: Sources) -> str:
    """Say what is wrong with a choice among these sources, or return an empty text.

    Args:
        encoder: As a configuration has it; None for the first source.
        sources: Those that there are, at least one.
    """
    choice = parse_choice(next(iter(sources)) if encoder is None else encoder)
    listed = ", ".join(sources)
    for name in choice.names:
        if name not in sources:
            hint = did_you_mean(name, list(sources))
            return f"there are no embeddings called '{name}'{hint}; there are: {listed}"
    modalities = union(sources)
    for modality, names in choice.by_modality:
        if modality not in modalities:
            hint = did_you_mean(modality, modalities)
            return f"there is no modality '{modality}'{hint}; there are: {', '.join(modalities)}"
        for name in names:
            if modality not in sources[name]:
                has = ", ".join(sources[name])
                return f"'{name}' has no {modality} embeddings; it has {has}"
    lacking = [name for name, names in choice.among(sources).items() if not names]
    if lacking:
        way = ",".join(f"{m}={_one_with(m, choice, sources)}" for m in modalities)
        return f"'{choice}' has no {lacking[0]} embeddings; write for example '{way}'"
    return ""


def _one_with(modality: str, choice: EncoderChoice, sources: Sources) -> str:
    """Return a source that has a modality, one that the choice names if any does."""
    return next(name for name in (*choice.names, *sources) if modality in sources[name])


def check_encoder(encoder: str | None, sources: Sources) -> None:
    """Check a configuration's choice of sources.

    Args:
        encoder: As a configuration has it; None for the first source.
        sources: Those that there are; empty where there is one without a name.

    Raises:
        InputError: It can't be made among these sources.
    """
    if not sources:
        if encoder is not None:
            raise InputError(
                f"The encoder is '{encoder}', but these embeddings have no name to choose them by; "
                "give them one: --features NAME=DIR, or from Python features={'NAME': …} or "
                "encoder=['MODEL/PRETRAINED']."
            )
        return
    fault = check_choice(encoder, sources)
    if fault:
        shown = "not given" if encoder is None else f"'{encoder}'"
        raise InputError(f"The encoder is {shown}, but {fault}.")
