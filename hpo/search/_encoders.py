"""Encoders in a search space: which it names, and what the search chooses where it names none."""

from hpo.errors import InputError
from hpo.features import Sources, check_encoder, parse_choice, union
from hpo.search._space import Space

__all__ = ["encoders_of_space", "space_for_sources"]


def encoders_of_space(space: Space) -> tuple[str, ...]:
    """Return the encoders that a space names, in the order in which it does."""
    choices = (parse_choice(encoder) for encoder in _named(space))
    return tuple(dict.fromkeys(name for choice in choices for name in choice.names))


def space_for_sources(space: Space, sources: Sources) -> Space:
    """Return a space as it is for data with these sources of embeddings.

    Where there are several and the space names none, the search chooses: among each by itself, with
    the first that has it for a modality that it lacks, and all side by side.

    Args:
        space: As it was read.
        sources: The modalities of each named source; empty where there is one without a name.

    Raises:
        InputError: The space names sources that there are not, or that lack a modality; all such
            choices are listed.
    """
    problems: list[str] = []
    for encoder in _named(space):
        try:
            check_encoder(encoder, sources)
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    if len(sources) < 2:
        return space
    search = space.search
    if not _named(space):
        search = search.varying("encoder", _choices(sources))
    if space.fixed.encoder is not None:
        return space
    (first, *_) = (encoder for encoder in search.values_of("encoder") if encoder is not None)
    fixed = space.fixed.updated({"encoder": first})
    return space.model_copy(update={"search": search, "fixed": fixed})


def _named(space: Space) -> tuple[str, ...]:
    given = (space.fixed.encoder, *space.search.values_of("encoder"))
    return tuple(dict.fromkeys(encoder for encoder in given if encoder is not None))


def _choices(sources: Sources) -> tuple[str, ...]:
    """Return each source by itself as far as it goes, and all side by side."""
    found = []
    for name, modalities in sources.items():
        lacking = [m for m in union(sources) if m not in modalities]
        if lacking:
            order = (name, *sources)
            chosen = {m: next(s for s in order if m in sources[s]) for m in union(sources)}
            found.append(str(parse_choice(chosen)))
        else:
            found.append(name)
    found.append("+".join(sources))
    return tuple(dict.fromkeys(found))
