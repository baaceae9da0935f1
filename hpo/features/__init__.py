"""Embeddings: encoders, the on-disk store, imported arrays, and the bundle that trains a head."""

from hpo.features._arrays import as_float16, fits_float16
from hpo.features._bundle import Bundle, load_bundle, save_bundle
from hpo.features._classes import PROMPT, class_embeddings
from hpo.features._data import Data
from hpo.features._encoder import DEFAULT_ENCODER, DEMO_ENCODER, Encoder, resolve_encoder
from hpo.features._extract import extract_features
from hpo.features._features import Counts, FeatureInfo, Features, load_features
from hpo.features._import import import_arrays, import_features
from hpo.features._import_names import modality_names
from hpo.features._load import load_data
from hpo.features._modalities import ENCODED, in_order, reads_images
from hpo.features._partial import extract_present, rows_of_nan
from hpo.features._progress import ConsoleProgress, Progress
from hpo.features._read import read_embeddings
from hpo.features._source import (
    DEMO_DATA,
    DataOptions,
    FolderDefaults,
    folder_defaults,
    prepare_data,
)

__all__ = [
    "DEFAULT_ENCODER",
    "DEMO_DATA",
    "DEMO_ENCODER",
    "ENCODED",
    "PROMPT",
    "Bundle",
    "ConsoleProgress",
    "Counts",
    "Data",
    "DataOptions",
    "Encoder",
    "FeatureInfo",
    "Features",
    "FolderDefaults",
    "Progress",
    "as_float16",
    "class_embeddings",
    "extract_features",
    "extract_present",
    "fits_float16",
    "folder_defaults",
    "import_arrays",
    "import_features",
    "in_order",
    "load_bundle",
    "load_data",
    "load_features",
    "modality_names",
    "prepare_data",
    "read_embeddings",
    "reads_images",
    "resolve_encoder",
    "rows_of_nan",
    "save_bundle",
]
