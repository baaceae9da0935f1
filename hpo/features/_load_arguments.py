"""Which arguments of ``load_data`` go together."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo._kinds import check_kinds
from hpo.errors import InputError

__all__ = ["check_arguments", "check_listed", "check_others", "is_several"]


def check_arguments(
    source: object,
    features: object,
    encoder: object,
    labels: object,
    ids: object,
    test: object,
    columns: object,
    captions: object,
    *,
    skip_test: bool,
) -> None:
    """Refuse arguments of the wrong kind or that don't go together, all at once."""
    problems = []
    is_folder, is_frame = isinstance(source, str | Path), _is_frame(source)
    if not (is_folder or is_frame or source is None):
        problems.append(
            f"source is of type {type(source).__name__}, but must be a folder, 'demo', a "
            "DataFrame or None"
        )
    if not (features is None or isinstance(features, str | Path | Mapping)):
        problems.append(
            f"features is of type {type(features).__name__}, but must be a folder or a mapping of "
            "names to arrays"
        )
    if isinstance(features, Mapping):
        problems += [
            f"features has the key {name!r}, but must have names of modalities, such as 'image'"
            for name in features
            if not isinstance(name, str)
        ]
    several = is_several(features)
    problems += _source_problems(features, test) if several else []
    if not isinstance(encoder, str) and encoder is not None:
        problems += _encoder_problems(encoder)
    if not (test is None or isinstance(test, Mapping) or _is_frame(test)):
        problems.append(
            f"test is of type {type(test).__name__}, but must be a DataFrame or a mapping of "
            "names to arrays"
        )
    problems += [
        f"columns is of type {type(columns).__name__}, but must be a mapping such as "
        "{'labels': 'tags'}"
        for _ in range(columns is not None and not isinstance(columns, Mapping))
    ]
    problems += _label_problems(labels, ids)
    if source is None:
        if labels is None:
            problems.append("there is neither a source nor labels, but must be one of them")
        if not isinstance(features, Mapping):
            problems.append("labels without a source need features, a mapping of names to arrays")
        if several and encoder is not None:
            problems.append(
                "there is nothing to encode without a source, so encoder can't be given"
            )
    else:
        problems += [
            f"{name} can't go with a source, which has its own"
            for name, value in (("labels", labels), ("ids", ids))
            if value is not None
        ]
    if features is not None and encoder is not None and not several:
        problems.append("features are embeddings that exist already, so they can't go with encoder")
    if isinstance(test, Mapping) and not isinstance(features, Mapping):
        problems.append("test has arrays, so features must have arrays too")
    if _is_frame(test) and (not is_frame or isinstance(features, Mapping)):
        problems.append(
            "test is a DataFrame, which can't go with "
            + ("arrays as features; give arrays" if is_frame or source is None else "a folder")
        )
    if source is None:
        problems += [
            f"{name} is about a table, so it needs a folder or a DataFrame as source"
            for name, value in (("columns", columns), ("captions", captions))
            if value is not None
        ]
    if skip_test and (test is not None or not is_folder):
        problems.append(
            "skip_test leaves the rows to predict of a data folder alone, so it needs one, and no "
            "test"
        )
    if captions not in (None, "mean", "first", "each"):
        problems.append(f"captions is {captions!r}, but must be 'mean', 'first' or 'each'")
    if problems:
        raise InputError(problems, "These arguments don't make data:")


def _label_problems(labels: object, ids: object) -> list[str]:
    """Say what is wrong with labels and names that are no list of what each row has."""
    problems = []
    if isinstance(labels, Mapping):
        problems.append(
            "labels is a mapping, but must have one entry a row, in order; give "
            "labels=list(given.values()) and ids=list(given)"
        )
    if isinstance(labels, str | bytes | set | frozenset):
        problems.append(
            f"labels is of type {type(labels).__name__}, but must have one entry a row, in order"
        )
    if isinstance(ids, str | bytes | Mapping | set | frozenset):
        problems.append(
            f"ids is of type {type(ids).__name__}, but must be a list with a name for each row"
        )
    return problems


def check_listed(values: object, called: str) -> None:
    """Refuse what is given in the place of a list of names, but has no order or is one text.

    Raises:
        InputError: It is that.
    """
    if isinstance(values, str | bytes | set | frozenset | Mapping):
        raise InputError(
            f"{called} is of type {type(values).__name__}, but must be a list of names, in order"
        )


def check_others(cache: object, device: object, progress: object, **flags: object) -> None:
    """Refuse the other arguments if they are of another kind; all problems are listed.

    Args:
        cache: A folder.
        device: Its name.
        progress: Whether it is shown, or a function.
        flags: Those that are True or False, by name; any text would count as True.

    Raises:
        InputError: Some are.
    """
    shown = bool(progress) if callable(progress) else progress
    check_kinds(
        **{name: (value, (bool,), "True or False") for name, value in flags.items()},
        cache=(cache, (str, Path), "the path of a folder"),
        device=(device, (str,), "'auto', 'cpu' or 'cuda:N'"),
        progress=(shown, (bool,), "True, False or a function"),
    )


def _source_problems(features: Any, test: object) -> list[str]:
    """Say what is wrong with embeddings that are several sources by name."""
    problems = [
        f"features['{name}'] is of type {type(value).__name__}, but must be a folder or a mapping "
        "of modalities to arrays, as the other sources are"
        for name, value in features.items()
        if not isinstance(value, str | Path | Mapping)
    ]
    problems += [
        f"features['{name}'] has a vector for each name of a row, but must be an array or a "
        f"DataFrame: pd.DataFrame.from_dict(features['{name}'], orient='index')"
        for name, value in features.items()
        if isinstance(value, Mapping) and value and all(map(_is_vector, value.values()))
    ]
    if isinstance(test, Mapping):
        problems += [
            f"test['{name}'] must be a mapping of modalities to arrays, for a source of features "
            "that is one, too"
            for name, value in test.items()
            if not isinstance(value, Mapping) or not isinstance(features.get(name), Mapping)
        ]
    return problems


def _is_vector(value: object) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and isinstance(value[0], int | float)
    return getattr(value, "ndim", None) == 1


def _encoder_problems(encoder: Any) -> list[str]:
    """Say what is wrong with several encoders."""
    if not isinstance(encoder, Sequence | Mapping):
        kind = type(encoder).__name__
        return [f"encoder is of type {kind}, but must be a name, a list or a mapping of names"]
    if not encoder:
        return ["encoder is empty, but must name one at least"]
    values = encoder.values() if isinstance(encoder, Mapping) else encoder
    problems = [
        f"encoder has {value!r} in it, but must have names of encoders"
        for value in values
        if not isinstance(value, str)
    ]
    if not isinstance(encoder, Mapping):
        twice = sorted({name for name in encoder if list(encoder).count(name) > 1})
        problems += [f"encoder has '{name}' twice, but must have it once" for name in twice]
    return problems


def _is_frame(value: object) -> bool:
    # A DataFrame can't come from a pandas that nobody imported, and importing it takes a second.
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame)


def is_several(features: object) -> bool:
    """Say whether embeddings are several sources by name, rather than arrays by modality."""
    return isinstance(features, Mapping) and any(
        isinstance(value, str | Path | Mapping) for value in features.values()
    )
