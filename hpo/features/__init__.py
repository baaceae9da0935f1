"""Embeddings: encoders, the on-disk store, imported arrays, and the bundle that trains a head."""

from typing import TYPE_CHECKING

from hpo._lazy import exported_late
from hpo.features._choice import (
    EncoderChoice,
    Sources,
    check_choice,
    check_encoder,
    parse_choice,
    union,
)
from hpo.features._cost import ChoiceCost, EncoderCost, choice_cost
from hpo.features._modalities import ENCODED, in_order, reads_images

if TYPE_CHECKING:
    from hpo.features._arrays import as_float16, fits_float16
    from hpo.features._asked import asked_sources, named_values
    from hpo.features._bundle import Bundle, load_bundle, save_bundle
    from hpo.features._classes import PROMPT, class_embeddings
    from hpo.features._data import Data
    from hpo.features._data_options import DEMO_DATA, DataOptions, folder_defaults
    from hpo.features._encode import LateModel
    from hpo.features._encoder import DEFAULT_ENCODER, DEMO_ENCODER, Encoder, resolve_encoder
    from hpo.features._extract import extract_features
    from hpo.features._features import Counts, FeatureInfo, Features, load_features
    from hpo.features._folder_defaults import FolderDefaults, read_folder_defaults
    from hpo.features._formats import array_of
    from hpo.features._found import index_names
    from hpo.features._import import import_arrays, import_features
    from hpo.features._import_names import modality_names
    from hpo.features._load import load_data
    from hpo.features._long_captions import LONG_CAPTIONS, LongCaptions
    from hpo.features._partial import encode_present, rows_of_nan
    from hpo.features._parts import (
        SourcePart,
        arrays_beside,
        beside,
        parts_from_record,
        parts_record,
    )
    from hpo.features._progress import ConsoleProgress, Progress
    from hpo.features._read import read_embeddings
    from hpo.features._source import encodable, prepare_data, read_rows
    from hpo.features._thumbnail import thumbnail
else:
    __getattr__ = exported_late(
        __name__,
        {
            "_arrays": (
                "as_float16",
                "fits_float16",
            ),
            "_asked": (
                "asked_sources",
                "named_values",
            ),
            "_bundle": (
                "Bundle",
                "load_bundle",
                "save_bundle",
            ),
            "_classes": (
                "PROMPT",
                "class_embeddings",
            ),
            "_data": ("Data",),
            "_data_options": (
                "DEMO_DATA",
                "DataOptions",
                "folder_defaults",
            ),
            "_encode": ("LateModel",),
            "_encoder": (
                "DEFAULT_ENCODER",
                "DEMO_ENCODER",
                "Encoder",
                "resolve_encoder",
            ),
            "_extract": ("extract_features",),
            "_features": (
                "Counts",
                "FeatureInfo",
                "Features",
                "load_features",
            ),
            "_folder_defaults": (
                "FolderDefaults",
                "read_folder_defaults",
            ),
            "_formats": ("array_of",),
            "_found": ("index_names",),
            "_import": (
                "import_arrays",
                "import_features",
            ),
            "_import_names": ("modality_names",),
            "_load": ("load_data",),
            "_long_captions": (
                "LONG_CAPTIONS",
                "LongCaptions",
            ),
            "_partial": (
                "encode_present",
                "rows_of_nan",
            ),
            "_parts": (
                "SourcePart",
                "arrays_beside",
                "beside",
                "parts_from_record",
                "parts_record",
            ),
            "_progress": (
                "ConsoleProgress",
                "Progress",
            ),
            "_read": ("read_embeddings",),
            "_source": (
                "encodable",
                "prepare_data",
                "read_rows",
            ),
            "_thumbnail": ("thumbnail",),
        },
    )

__all__ = [
    "DEFAULT_ENCODER",
    "DEMO_DATA",
    "DEMO_ENCODER",
    "ENCODED",
    "LONG_CAPTIONS",
    "PROMPT",
    "Bundle",
    "ChoiceCost",
    "ConsoleProgress",
    "Counts",
    "Data",
    "DataOptions",
    "Encoder",
    "EncoderChoice",
    "EncoderCost",
    "FeatureInfo",
    "Features",
    "FolderDefaults",
    "LateModel",
    "LongCaptions",
    "Progress",
    "SourcePart",
    "Sources",
    "array_of",
    "arrays_beside",
    "as_float16",
    "asked_sources",
    "beside",
    "check_choice",
    "check_encoder",
    "choice_cost",
    "class_embeddings",
    "encodable",
    "encode_present",
    "extract_features",
    "fits_float16",
    "folder_defaults",
    "import_arrays",
    "import_features",
    "in_order",
    "index_names",
    "load_bundle",
    "load_data",
    "load_features",
    "modality_names",
    "named_values",
    "parse_choice",
    "parts_from_record",
    "parts_record",
    "prepare_data",
    "read_embeddings",
    "read_folder_defaults",
    "read_rows",
    "reads_images",
    "resolve_encoder",
    "rows_of_nan",
    "save_bundle",
    "thumbnail",
    "union",
]
