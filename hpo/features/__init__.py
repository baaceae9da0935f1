"""Embeddings: encoders, the on-disk store, imported arrays, and the bundle that trains a head."""

from hpo.features._bundle import Bundle, load_bundle, save_bundle
from hpo.features._encoder import DEFAULT_ENCODER, DEMO_ENCODER, Encoder, resolve_encoder
from hpo.features._extract import extract_features
from hpo.features._features import Counts, FeatureInfo, Features, load_features
from hpo.features._hashes import known_images
from hpo.features._import import import_features
from hpo.features._progress import ConsoleProgress, Progress
from hpo.features._read import read_embeddings

__all__ = [
    "DEFAULT_ENCODER",
    "DEMO_ENCODER",
    "Bundle",
    "ConsoleProgress",
    "Counts",
    "Encoder",
    "FeatureInfo",
    "Features",
    "Progress",
    "extract_features",
    "import_features",
    "known_images",
    "load_bundle",
    "load_features",
    "read_embeddings",
    "resolve_encoder",
    "save_bundle",
]
