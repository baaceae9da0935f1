"""Where data comes from and how it is read, as a user says it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.features._choice import Sources
from hpo.features._folder_defaults import FolderDefaults, read_folder_defaults
from hpo.features._import_names import modality_names
from hpo.features._long_captions import LongCaptions
from hpo.features._modalities import ENCODED, in_order

if TYPE_CHECKING:
    from hpo.data import CaptionRule, LabelsAs, ReadOptions

__all__ = ["DEMO_DATA", "DataOptions", "folder_defaults"]

_PICTURES = "pictures"  # in the cache: images that stand in a table themselves
DEMO_DATA = "demo"
"""What stands for the demo instead of a data folder."""


@dataclass(frozen=True)
class DataOptions:
    """Where the data comes from, as the command line says it.

    Attributes:
        data: A data folder, or ``demo``.
        features: A folder of embeddings that exist already, or several by name; without an encoder
            no images are needed then.
        encoder: Name of the encoder, or several by name; None for the folder's or the program's
            default, or for none where there are features.
        cache: Folder of features, bundles and runs.
        device: Where to encode: ``cpu``, ``cuda:0``, or ``auto`` for CUDA if there is any.
        skip_bad_images: Leave out rows whose image is missing or damaged, or that embeddings which
            exist already haven't got.
        modalities: Which modalities to take; None for all that are there.
        strict: Refuse data that isn't read without doubt, see ``hpo/notes.py``.
        columns: Which columns of the tables are what, see ``hpo.data.ReadOptions``.
        captions: What several captions of a picture mean, see there.
        reads: The modalities that are read at most, if that is known; rows may lack others.
        labels_as: How to read the labels, where their owner says it.
        long_captions: What is done to captions that are longer than the encoder's context; None
            for ``truncate``.
        skip_test: Leave rows to predict alone.
    """

    data: str | Path
    features: Path | Mapping[str, Path] | None
    encoder: str | Mapping[str, str] | None
    cache: Path
    device: str
    skip_bad_images: bool
    modalities: tuple[str, ...] | None = None
    strict: bool = False
    columns: Mapping[str, Any] = field(default_factory=dict)
    captions: "CaptionRule | None" = None
    reads: tuple[str, ...] | None = None
    labels_as: "LabelsAs | None" = None
    long_captions: LongCaptions | None = None
    skip_test: bool = False

    @property
    def folder(self) -> Path:
        """The data folder."""
        return self.cache / DEMO_DATA if self.data == DEMO_DATA else Path(self.data)

    @property
    def reading(self) -> "ReadOptions":
        """How the tables are read."""
        from hpo.data import ReadOptions

        known = self.modalities or self.reads or tuple(ENCODED)
        needed = {ENCODED[name].reads for name in known if name in ENCODED}
        return ReadOptions(
            self.columns,
            self.captions,
            unpack=self.cache / _PICTURES,
            optional=tuple(one.reads for one in ENCODED.values() if one.reads not in needed),
            encodes=self.encodes,
            skip_test=self.skip_test,
        )

    @property
    def are_named(self) -> bool:
        """Whether the embeddings have names, to choose them by."""
        return isinstance(self.features, Mapping) or isinstance(self.encoder, Mapping)

    @property
    def encodes(self) -> bool:
        """Whether anything has to be encoded that isn't stored yet."""
        return self.features is None or self.encoder is not None

    def with_encoders(self, names: Sequence[str]) -> "DataOptions":
        """Return the options for a search space that names encoders.

        Those are what is encoded, unless it is said otherwise here.

        Args:
            names: The encoders; without any the options stay as they are.
        """
        if not names or self.features is not None or isinstance(self.encoder, Mapping):
            return self
        asked = names if self.encoder is None else [self.encoder]
        return replace(self, encoder={name: name for name in asked})

    def with_defaults(self, defaults: FolderDefaults) -> "DataOptions":
        """Return the options with what the data folder says where they say nothing.

        The encoder is left to ``prepare_data``, since a search space may name some.
        """
        from hpo.data import LabelsAs

        said, theirs = self.labels_as or LabelsAs(), defaults.labels_as or LabelsAs()
        labels_as = LabelsAs(
            theirs.way if said.way == LabelsAs().way else said.way,
            theirs.classes if said.classes is None else said.classes,
            said.no_label or theirs.no_label,
        )
        return replace(
            self,
            modalities=defaults.modalities if self.modalities is None else self.modalities,
            columns={**defaults.columns, **self.columns},
            captions=self.captions or defaults.captions,
            labels_as=labels_as,
            long_captions=self.long_captions or (defaults.long_captions if self.encodes else None),
        )

    def sources(self) -> Sources:
        """Return the modalities that each named source will have, before anything is read.

        Raises:
            InputError: A folder of embeddings isn't there, or a file's name can't be a modality's.
        """
        there: dict[str, Sequence[str]] = {}
        if isinstance(self.features, Mapping):
            there |= {name: modality_names(folder) for name, folder in self.features.items()}
        if isinstance(self.encoder, Mapping):
            there |= dict.fromkeys(self.encoder, tuple(ENCODED))
        if self.modalities is None:
            return there
        return {name: in_order(set(has) & set(self.modalities)) for name, has in there.items()}


def folder_defaults(options: DataOptions) -> FolderDefaults:
    """Read the defaults of a data folder, rendering the demo first if that is what it is.

    Raises:
        InputError: ``hpo.yaml`` isn't as ``read_folder_defaults`` says.
    """
    if options.data == DEMO_DATA:
        from hpo.demo import make_demo

        make_demo(options.folder)
    return read_folder_defaults(options.folder)
