"""A trained model from Python: kept, loaded, and asked for labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpo.errors import InputError, did_you_mean
from hpo.launch import resolve_devices
from hpo.models import Config

if TYPE_CHECKING:
    import pandas as pd

    from hpo.training import TrainedModel

__all__ = ["Model", "load_model"]

T = TypeVar("T")
#: Embeddings by modality, float [rows, D], and how many rows lack each.
_Read = tuple[Mapping[str, NDArray[Any]], Mapping[str, int]]


class Model:
    """A classification head with everything that it takes to use it.

    ``Study.refit``, ``fit`` and ``load_model`` make one.

    Attributes:
        trained: Weights, configuration and class names, as the model folder has them.
        encoder: The encoder's name or place on this machine; None for where it was.
        cache: Folder of embeddings, for images and captions.
        device: Where to encode and predict.
    """

    def __init__(
        self,
        trained: "TrainedModel",
        *,
        encoder: str | None = None,
        cache: str | Path = ".hpo",
        device: str = "auto",
    ) -> None:
        self.trained = trained
        self.encoder = encoder
        self.cache = Path(cache)
        self.device = resolve_devices(device)[0]

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
        """Write the model folder and return it; ``load_model`` and ``hpo predict`` read it."""
        path = Path(folder)
        self.trained.save(path)
        return path

    def predict_proba(
        self,
        *,
        images: Sequence[str | Path | None] | None = None,
        captions: Sequence[str | None] | None = None,
        **embeddings: ArrayLike,
    ) -> "pd.DataFrame":
        """Return the probability of each class for each row.

        Give what the model reads: images and captions, which are encoded first, or embeddings by
        the name of their modality::

            model.predict_proba(images=["a.jpg"], captions=["a dog on a beach"])
            model.predict_proba(image=array_i, text=array_t)

        A row may lack one of several modalities: None as its image or caption, NaN as its
        embedding. A model that was trained with ``modality_dropout`` knows what to do with such
        rows; another one predicts them, and logs a warning.

        Args:
            images: Paths of image files.
            captions: Of the same rows.
            embeddings: Float [rows, D] for each modality that the model reads, made by the encoder
                whose embeddings it was trained on.

        Returns:
            A column for each class; the index is the images' paths, or counts from 0. Its
            ``attrs["lacking"]`` says how many rows lack each modality, where any does.

        Raises:
            InputError: Something that the model reads is missing or doesn't fit, or a row lacks
                all of it; all of it is listed.
        """
        import pandas as pd

        from hpo.training import open_device

        if embeddings and (images is not None or captions is not None):
            raise InputError("Give either images and captions or embeddings, not both.")
        images, captions = _none_for_missing(images), _none_for_missing(captions)
        read = self._checked(embeddings) if embeddings else self._encoded(images, captions)
        inputs, counts = read
        values = self.trained.probabilities(inputs, open_device(self.device))
        index = None
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
        **embeddings: ArrayLike,
    ) -> list[list[str]]:
        """Return the labels of each row: the classes whose probability is above their threshold.

        Args:
            images: See ``predict_proba``; likewise ``captions`` and ``embeddings``.
        """
        probabilities = self.predict_proba(images=images, captions=captions, **embeddings)
        given = probabilities.to_numpy() > np.asarray(self.trained.thresholds)
        return [[self.classes[int(k)] for k in np.flatnonzero(row)] for row in given]

    def _checked(self, embeddings: Mapping[str, ArrayLike]) -> _Read:
        """Return embeddings that the model can read, in its order, and what rows lack."""
        from hpo.features import fits_float16, rows_of_nan
        from hpo.results import count_lacking

        arrays = {name: np.asarray(array) for name, array in embeddings.items()}
        problems = [
            f"{name} embeddings are given, which the model doesn't read"
            f"{did_you_mean(name, self.modalities)}; it reads {', '.join(self.modalities)}"
            for name in arrays
            if name not in self.modalities
        ]
        for name in self.modalities:
            if name not in arrays:
                problems.append(
                    f"there are no {name} embeddings, but the model reads them; give rows of NaN "
                    "where there are none"
                )
                continue
            shape, width = arrays[name].shape, self.trained.widths[name]
            if len(shape) != 2 or shape[1] != width:
                problems.append(f"{name} has shape {list(shape)}, but must be [rows, {width}]")
            elif arrays[name].dtype.kind != "f":
                problems.append(f"{name} is {arrays[name].dtype}, but must be a float type")
            elif not fits_float16(arrays[name], may_lack=True):
                problems.append(f"{name} has NaN, infinity or values beyond ±65504 in it")
        counts = {name: len(arrays[name]) for name in self.modalities if name in arrays}
        if not problems and len(set(counts.values())) > 1:
            listed = ", ".join(f"{name} {count}" for name, count in counts.items())
            problems.append(f"the embeddings have different numbers of rows: {listed}")
        if problems:
            raise InputError(problems, "The model can't read these embeddings:")
        lacking = {name: rows_of_nan(arrays[name]) for name in self.modalities}
        counts = count_lacking(self.trained, lacking, "row {} of what was given".format)
        return {name: arrays[name] for name in self.modalities}, counts

    def _encoded(
        self, images: Sequence[str | Path | None] | None, captions: Sequence[str | None] | None
    ) -> _Read:
        """Encode what the model reads with the encoder that it was trained behind."""
        from hpo.data import Rows
        from hpo.features import ENCODED, extract_present
        from hpo.results import count_lacking, encoder_of

        count = len(images if images is not None else captions if captions is not None else ())
        rows = Rows(
            ids=tuple(map(str, images if images is not None else range(count))),
            captions=tuple("" if text is None else text for text in captions or [None] * count),
            images=None if images is None else tuple(Path(path or "") for path in images),
            table="what was given",
        )
        lists: dict[str, Sequence[object]] = {"images": images or (), "captions": captions or ()}
        given = {"images": images is not None, "captions": captions is not None}
        problems = [
            f"the model reads {name} embeddings, but no {ENCODED[name].reads} are given; give "
            "None where there is none"
            for name in self.modalities
            if name in ENCODED and not given[ENCODED[name].reads]
        ]
        if images is not None and captions is not None and len(images) != len(captions):
            problems.append(f"there are {len(images)} images, but {len(captions)} captions")
        if problems:
            raise InputError(problems, "The model can't predict from this input:")
        encoder = encoder_of(self.trained, "The model", self.encoder, self.cache)
        lacking = {
            name: np.array([one is None for one in lists[ENCODED[name].reads]], dtype=bool)
            for name in self.modalities
        }
        counts = count_lacking(self.trained, lacking, rows.place)
        widths = {name: self.trained.widths[name] for name in self.modalities}
        arrays, _ = extract_present(
            rows, encoder.name, self.cache, widths, lacking, device=self.device
        )
        return arrays, counts

    def __repr__(self) -> str:
        size = self.trained.module.megabytes()
        return (
            f"Model({len(self.classes)} classes, reads {', '.join(self.modalities)}, {size:.2f} MB)"
        )


def _none_for_missing(given: Sequence[T | None] | None) -> list[T | None] | None:
    """Return a column with None for all that pandas takes for missing."""
    import pandas as pd

    if given is None:
        return None
    missing = pd.isna(np.array([*given, None], dtype=object))
    return [None if gone else one for one, gone in zip(given, missing[:-1], strict=True)]


def load_model(
    folder: str | Path,
    *,
    encoder: str | None = None,
    cache: str | Path = ".hpo",
    device: str = "auto",
) -> Model:
    """Read a model folder.

    Args:
        folder: What ``Model.save`` wrote, or ``runs/NAME/model`` of ``hpo run``.
        encoder: Where the model's encoder is on this machine, if it isn't where it was.
        cache: Folder of embeddings, for images and captions.
        device: ``auto``, ``cpu`` or ``cuda:N``.

    Raises:
        InputError: It is no model folder, or it is damaged.
    """
    from hpo.training import TrainedModel

    return Model(TrainedModel.load(Path(folder)), encoder=encoder, cache=cache, device=device)
