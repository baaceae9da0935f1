"""A trained model from Python: kept, loaded, and asked for labels."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpo._kinds import check_kinds
from hpo._writable import check_file, check_folder
from hpo.errors import InputError
from hpo.files import regular
from hpo.launch import resolve_devices
from hpo.library._checks import warn_of
from hpo.library._embeddings import checked_embeddings
from hpo.models import Config

if TYPE_CHECKING:
    import pandas as pd

    from hpo.data import Rows
    from hpo.notes import Note
    from hpo.training import TrainedModel

__all__ = ["Model", "load_model"]

_NAMED = 5
#: Embeddings by modality, float [rows, D], how many rows lack each, and what names the rows.
_Read = tuple[Mapping[str, NDArray[Any]], Mapping[str, int], list[str] | None]


class Model:
    """A classification head with everything that it takes to use it.

    ``Study.refit``, ``fit`` and ``load_model`` make one.

    Attributes:
        trained: Weights, configuration and class names, as the model folder has them.
        encoder: The encoder's name or place on this machine, or those of several by the names
            that they had; None for where they were.
        cache: Folder of embeddings, for images and captions.
        device: Where to encode and predict.

    ``card`` is what its folder says of it to people.
    """

    def __init__(
        self,
        trained: "TrainedModel",
        *,
        encoder: str | Mapping[str, str] | None = None,
        cache: str | Path = ".hpo",
        device: str = "auto",
        card: str | None = None,
    ) -> None:
        self.trained = trained
        self._card = card
        self.encoder = encoder
        self.cache = Path(cache)
        self.device = resolve_devices(device)[0]

    @property
    def card(self) -> str:
        """The model card, in Markdown with a header that Hugging Face Hub reads."""
        from hpo.results import model_card

        return model_card(self.trained) if self._card is None else self._card

    @property
    def config(self) -> Config:
        """The configuration that it was trained with."""
        return self.trained.config

    @property
    def classes(self) -> tuple[str, ...]:
        """The label names, in the order of the columns of ``predict_proba``."""
        return self.trained.classes

    @property
    def modalities(self) -> tuple[str, ...]:
        """The embeddings that it reads."""
        return self.trained.modalities

    def save(self, folder: str | Path) -> Path:
        """Write the model folder and return it; ``load_model`` and ``hpo predict`` read it.

        Its ``README.md`` is the model card. What one in the folder says of the licence is kept.
        """
        from hpo.results import write_card

        check_kinds(folder=(folder, (str, Path), "the path of a folder"))
        path = Path(folder)
        check_folder(path, "folder")
        self.trained.save(path)
        write_card(path, self.card)
        return path

    def export(self, file: str | Path, *, format: str = "onnx", with_encoder: bool = False) -> Path:
        """Write the model as one ONNX file, which other programs can compute, and return it.

        Its inputs are the embeddings, named as the modalities, float32 [rows, D]; a row of NaN
        stands for what a row lacks. Its output is ``probabilities``, float32 [rows, K], as
        ``predict_proba`` gives them. Classes, thresholds and encoder are in its metadata.

        Args:
            file: Its name.
            format: ``onnx``.
            with_encoder: Whether the encoders of images and captions are in the file, so that it
                takes ``pixels``, float32 [rows, 3, H, W], and ``tokens``, int64 [rows, context].

        Raises:
            InputError: The extra ``onnx`` isn't installed, there is no encoder, or a part of the
                model can't be exported; nothing is written.
        """
        from hpo.export import encoders_inside, export_onnx
        from hpo.results import values_by_source

        if format != "onnx":
            raise InputError(f"format is {format!r}, but must be 'onnx'")
        check_kinds(file=(file, (str, Path), "the path of a file"))
        check_file(Path(file), "file")
        encoders = {}
        if with_encoder:
            places = values_by_source(self.encoder, self.trained, "encoder", "{'NAME': …}")
            encoders = encoders_inside(self.trained, "The model", places, self.cache)
        export_onnx(self.trained, Path(file), encoders)
        return Path(file)

    def predict_proba(
        self,
        *,
        images: Sequence[str | Path | None] | None = None,
        captions: Sequence[str | None] | None = None,
        **embeddings: ArrayLike | Mapping[str, ArrayLike],
    ) -> "pd.DataFrame":
        """Return the probability of each class for each row.

        Give what the model reads: images and captions, which are encoded first, or embeddings by
        the name of their modality:

            model.predict_proba(images=["a.jpg"], captions=["a dog on a beach"])
            model.predict_proba(image=array_i, text=array_t)

        A model that reads several encoders side by side takes the embeddings of each by its name:
        ``image={"A": array_a, "B": array_b}``.

        A row may lack one of several modalities: None as its image or caption, NaN as its
        embedding. A model that was trained with ``modality_dropout`` knows what to do with such
        rows; another one predicts them, and logs a warning.

        Args:
            images: Paths of image files.
            captions: Of the same rows.
            embeddings: Float [rows, D] for each modality that the model reads, made by the encoder
                whose embeddings it was trained on. Beside images and captions they can only be
                those of encoders that the model reads as well.

        Returns:
            A column for each class; the index is the images' paths, or that of a DataFrame of
            embeddings which names its rows (others are put in its order), or counts from 0. Its
            ``attrs["lacking"]`` says how many rows lack each modality, where any does.

        Raises:
            InputError: Something that the model reads is missing or doesn't fit, or a row lacks
                all of it; all of it is listed.
        """
        import pandas as pd

        from hpo.results import length_notes
        from hpo.training import open_device

        images, captions = _listed(images, "images"), _listed(captions, "captions")
        embeddings = {name: given for name, given in embeddings.items() if given is not None}
        inputs, counts, rows = self._read(images, captions, embeddings)
        warn_of(length_notes(self.trained, inputs))
        values = self.trained.probabilities(inputs, open_device(self.device))
        index = None if rows is None else pd.Index(rows)
        if images is not None:
            names = [None if path is None else str(path) for path in images]
            index = pd.Index(names, name="image")
        frame = pd.DataFrame(values, index=index, columns=list(self.classes))
        frame.attrs["lacking"] = dict(counts)
        return frame

    def predict(
        self,
        *,
        images: Sequence[str | Path | None] | None = None,
        captions: Sequence[str | None] | None = None,
        **embeddings: ArrayLike | Mapping[str, ArrayLike],
    ) -> list[list[str]]:
        """Return the labels of each row: the classes whose probability is above their threshold.

        Args:
            images: See ``predict_proba``; likewise ``captions`` and ``embeddings``.
        """
        probabilities = self.predict_proba(images=images, captions=captions, **embeddings)
        given = probabilities.to_numpy() > np.asarray(self.trained.thresholds)
        return [[self.classes[int(k)] for k in np.flatnonzero(row)] for row in given]

    def _read(
        self,
        images: Sequence[str | Path | None] | None,
        captions: Sequence[str | None] | None,
        embeddings: Mapping[str, Any],
    ) -> _Read:
        """Return what the model reads, encoded or given, and how many rows lack each modality."""
        from hpo.features import encode_present, rows_of_nan
        from hpo.results import (
            count_lacking,
            encoders_of,
            inputs_of,
            lacking_of,
            long_caption_rules,
            values_by_source,
        )

        encodes = images is not None or captions is not None
        if embeddings and encodes and self.trained.features["source"] != "several":
            raise InputError("Give either images and captions or embeddings, not both.")
        given, rows_named = checked_embeddings(self.trained, embeddings, all_of_them=not encodes)
        absent = {s: {m: rows_of_nan(x) for m, x in those.items()} for s, those in given.items()}
        if embeddings and not encodes:
            place = "row {} of what was given".format
            counts = count_lacking(self.trained, lacking_of(self.trained, absent, place), place)
            return inputs_of(self.trained, given), counts, rows_named
        rows, widths, without = self._to_encode(images, captions, given)
        places = values_by_source(self.encoder, self.trained, "encoder", "{'NAME': …}")
        encoders = encoders_of(self.trained, "The model", places, self.cache, without=given)
        lacking = lacking_of(self.trained, absent | without, rows.place)
        counts = count_lacking(self.trained, lacking, rows.place)
        notes: list[Note] = []
        encoded, _ = encode_present(
            rows,
            {source: encoder.name for source, encoder in encoders.items()},
            self.cache,
            widths,
            lacking,
            long_caption_rules(self.trained),
            notes,
            {},
            device=self.device,
        )
        warn_of(dict.fromkeys(notes))
        return inputs_of(self.trained, {**given, **encoded}), counts, rows_named

    def _to_encode(
        self,
        images: Sequence[str | Path | None] | None,
        captions: Sequence[str | None] | None,
        given: Mapping[str, Mapping[str, NDArray[Any]]],
    ) -> "tuple[Rows, dict[str, dict[str, int]], dict[str, dict[str, NDArray[np.bool_]]]]":
        """Return the rows to encode, and for each source that isn't given its widths and lacks.

        Args:
            images: Paths, or None where there is none.
            captions: Likewise.
            given: Embeddings that are there, by source and modality.
        """
        from hpo.data import Rows
        from hpo.features import ENCODED
        from hpo.results import source_widths

        widths = {s: those for s, those in source_widths(self.trained).items() if s not in given}
        names = tuple(dict.fromkeys(name for those in widths.values() for name in those))
        count = len(images if images is not None else captions if captions is not None else ())
        rows = Rows(
            ids=tuple(map(str, images if images is not None else range(count))),
            captions=tuple("" if text is None else text for text in captions or [None] * count),
            images=None if images is None else tuple(Path(path or "") for path in images),
            table="what was given",
        )
        lists: dict[str, Sequence[object]] = {"images": images or (), "captions": captions or ()}
        there = {"images": images is not None, "captions": captions is not None}
        problems = [
            f"the model reads {name} embeddings, but no {ENCODED[name].reads} are given; give "
            "None where there is none"
            for name in names
            if name in ENCODED and not there[ENCODED[name].reads]
        ]
        if images is not None and captions is not None and len(images) != len(captions):
            problems.append(f"there are {len(images)} images, but {len(captions)} captions")
        lengths = {len(array) for those in given.values() for array in those.values()} | {count}
        if len(lengths) > 1:
            listed = ", ".join(map(str, sorted(lengths)))
            problems.append(f"the images, captions and embeddings have {listed} rows")
        if problems:
            raise InputError(problems, "The model can't predict from this input:")
        lacking = {
            name: np.array([one is None for one in lists[ENCODED[name].reads]], dtype=bool)
            for name in names
            if name in ENCODED
        }
        absent = {s: {n: lacking[n] for n in those if n in lacking} for s, those in widths.items()}
        return rows, widths, absent

    def __repr__(self) -> str:
        size = self.trained.module.megabytes()
        return (
            f"Model({len(self.classes)} classes, reads {', '.join(self.modalities)}, {size:.2f} MB)"
        )


def _listed(given: Any, called: str) -> list[Any] | None:
    """Return images or captions as a list, with None for all that pandas takes for missing.

    Raises:
        InputError: It is no list of paths or texts.
    """
    import pandas as pd

    if given is None:
        return None
    kinds, what = ((str, Path), "paths") if called == "images" else ((str,), "texts")
    if isinstance(given, str | bytes | Path | Mapping | set | frozenset) or not isinstance(
        given, Iterable
    ):
        said = repr(given) if isinstance(given, str | Path) else f"of type {type(given).__name__}"
        raise InputError(f"{called} is {said}, but must be a list of {what}")
    values = list(given)
    missing = pd.isna(np.array([*values, None], dtype=object)[:-1])
    listed = [None if gone else one for one, gone in zip(values, missing, strict=True)]
    problems = [
        f"{called}[{place}] is of type {type(one).__name__}, but {called} must have {what}, "
        "or None where there is none"
        for place, one in enumerate(listed)
        if one is not None and not isinstance(one, kinds)
    ]
    if problems:
        raise InputError(problems[:_NAMED])
    return listed


def load_model(
    folder: str | Path,
    *,
    encoder: str | Mapping[str, str] | None = None,
    cache: str | Path = ".hpo",
    device: str = "auto",
) -> Model:
    """Read a model folder.

    Args:
        folder: What ``Model.save`` wrote, or ``runs/NAME/model`` of ``hpo run``.
        encoder: Where the model's encoder is on this machine, if it isn't where it was; for several
            a mapping by their names.
        cache: Folder of embeddings, for images and captions.
        device: ``auto``, ``cpu`` or ``cuda:N``.

    Raises:
        InputError: It is no model folder, or it is damaged.
    """
    from hpo.results import CARD, values_by_source
    from hpo.training import TrainedModel

    check_kinds(
        folder=(folder, (str, Path), "the path of a folder"),
        encoder=(encoder, (str, Mapping, type(None)), "a name, a path, or a mapping of them"),
        cache=(cache, (str, Path), "the path of a folder"),
        device=(device, (str,), "'auto', 'cpu' or 'cuda:N'"),
    )
    path = Path(folder)
    trained = TrainedModel.load(path)
    infos = [part.info for parts in trained.parts.values() for part in parts]
    if encoder and all(info.source != "open_clip" for info in infos):
        raise InputError(
            f"encoder is {encoder!r}, but the model {folder} was trained on imported embeddings, "
            "so it reads embeddings only; leave encoder out"
        )
    values_by_source(encoder, trained, "encoder", "{'NAME': …}")
    try:
        card = regular(path / CARD).read_text(encoding="utf-8")
    except (OSError, ValueError):  # earlier versions wrote none
        card = None
    return Model(trained, encoder=encoder, cache=cache, device=device, card=card)
