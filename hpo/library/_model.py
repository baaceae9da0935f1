"""A trained model from Python: kept, loaded, and asked for labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpo.errors import InputError
from hpo.launch import resolve_devices
from hpo.library._embeddings import checked_embeddings
from hpo.models import Config

if TYPE_CHECKING:
    import pandas as pd

    from hpo.training import TrainedModel

__all__ = ["Model", "load_model"]


class Model:
    """A classification head with everything that it takes to use it.

    ``Study.refit``, ``fit`` and ``load_model`` make one.

    Attributes:
        trained: Weights, configuration and class names, as the model folder has them.
        encoder: The encoder's name or place on this machine, or those of several by the names
            that they had; None for where they were.
        cache: Folder of embeddings, for images and captions.
        device: Where to encode and predict.
    """

    def __init__(
        self,
        trained: "TrainedModel",
        *,
        encoder: str | Mapping[str, str] | None = None,
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
        images: Sequence[str | Path] | None = None,
        captions: Sequence[str] | None = None,
        **embeddings: ArrayLike | Mapping[str, ArrayLike],
    ) -> "pd.DataFrame":
        """Return the probability of each class for each row.

        Give what the model reads: images and captions, which are encoded first, or embeddings by
        the name of their modality::

            model.predict_proba(images=["a.jpg"], captions=["a dog on a beach"])
            model.predict_proba(image=array_i, text=array_t)

        A model that reads several encoders side by side takes the embeddings of each by its name:
        ``image={"A": array_a, "B": array_b}``.

        Args:
            images: Paths of image files.
            captions: Of the same rows.
            embeddings: Float [rows, D] for each modality that the model reads, made by the encoder
                whose embeddings it was trained on. Beside images and captions they can only be
                those of encoders that the model reads as well.

        Returns:
            A column for each class; the index is the images' paths, or counts from 0.

        Raises:
            InputError: Something that the model reads is missing or doesn't fit; all of it is
                listed.
        """
        import pandas as pd

        from hpo.training import open_device

        inputs = self._inputs(images, captions, embeddings)
        values = self.trained.probabilities(inputs, open_device(self.device))
        index = None if images is None else pd.Index([str(path) for path in images], name="image")
        return pd.DataFrame(values, index=index, columns=list(self.classes))

    def predict(
        self,
        *,
        images: Sequence[str | Path] | None = None,
        captions: Sequence[str] | None = None,
        **embeddings: ArrayLike | Mapping[str, ArrayLike],
    ) -> list[list[str]]:
        """Return the labels of each row: the classes whose probability is above their threshold.

        Args:
            images: See ``predict_proba``; likewise ``captions`` and ``embeddings``.
        """
        probabilities = self.predict_proba(images=images, captions=captions, **embeddings)
        given = probabilities.to_numpy() > np.asarray(self.trained.thresholds)
        return [[self.classes[int(k)] for k in np.flatnonzero(row)] for row in given]

    def _inputs(
        self,
        images: Sequence[str | Path] | None,
        captions: Sequence[str] | None,
        embeddings: Mapping[str, Any],
    ) -> Mapping[str, NDArray[Any]]:
        """Return what the model reads, encoded or given."""
        from hpo.results import inputs_of

        encodes = images is not None or captions is not None
        if embeddings and encodes and self.trained.features["source"] != "several":
            raise InputError("Give either images and captions or embeddings, not both.")
        given = checked_embeddings(self.trained, embeddings, all_of_them=not encodes)
        if not embeddings or encodes:
            rows = {len(array) for those in given.values() for array in those.values()}
            encoded = self._encoded(images, captions, given)
            rows |= {len(array) for those in encoded.values() for array in those.values()}
            if len(rows) > 1:
                listed = ", ".join(map(str, sorted(rows)))
                raise InputError(f"The images, captions and embeddings have {listed} rows.")
            given = {
                source: {**given.get(source, {}), **encoded.get(source, {})}
                for source in (*given, *encoded)
            }
        return inputs_of(self.trained, given)

    def _encoded(
        self,
        images: Sequence[str | Path] | None,
        captions: Sequence[str] | None,
        given: Mapping[str, Mapping[str, NDArray[Any]]],
    ) -> dict[str, Mapping[str, NDArray[Any]]]:
        """Encode what the model reads with the encoders that it was trained behind.

        Args:
            images: See ``predict_proba``; likewise ``captions``.
            given: Embeddings that are there, by source; nothing of those sources is encoded.
        """
        from hpo.data import Rows
        from hpo.features import ENCODED, Encoding, encode_all
        from hpo.results import encoders_of, source_widths, values_by_source

        reads = {s: tuple(those) for s, those in source_widths(self.trained).items()}
        reads = {source: names for source, names in reads.items() if source not in given}
        count = len(images if images is not None else captions if captions is not None else ())
        rows = Rows(
            ids=tuple(map(str, images if images is not None else range(count))),
            captions=tuple(captions) if captions is not None else ("",) * count,
            images=None if images is None else tuple(Path(path) for path in images),
            table="what was given",
        )
        there = {"images": images is not None, "captions": captions is not None}
        problems = [
            f"the model reads {name} embeddings, but no {ENCODED[name].reads} are given"
            for name in dict.fromkeys(name for names in reads.values() for name in names)
            if name in ENCODED and not there[ENCODED[name].reads]
        ]
        if images is not None and captions is not None and len(images) != len(captions):
            problems.append(f"there are {len(images)} images, but {len(captions)} captions")
        if problems:
            raise InputError(problems, "The model can't predict from this input:")
        places = values_by_source(self.encoder, self.trained, "encoder", "{'NAME': …}")
        encoders = encoders_of(self.trained, "The model", places, self.cache, without=given)
        found, _ = encode_all(
            {"train": rows},
            {source: encoder.name for source, encoder in encoders.items()},
            reads,
            Encoding(self.cache, self.device, skip_bad_images=False, progress=None),
        )
        return {source: features.train for source, features in found.items()}

    def __repr__(self) -> str:
        size = self.trained.module.megabytes()
        return (
            f"Model({len(self.classes)} classes, reads {', '.join(self.modalities)}, {size:.2f} MB)"
        )


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
    from hpo.training import TrainedModel

    return Model(TrainedModel.load(Path(folder)), encoder=encoder, cache=cache, device=device)
