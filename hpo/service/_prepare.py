"""From a data folder to the bundle that workers train on, and to the study's definition."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hpo.data import load_dataset, make_demo, make_split
from hpo.errors import InputError, did_you_mean
from hpo.features import (
    DEFAULT_ENCODER,
    Bundle,
    ConsoleProgress,
    extract_features,
    import_features,
    known_images,
    save_bundle,
)
from hpo.search import Space

__all__ = ["DataOptions", "FolderDefaults", "folder_defaults", "prepare_bundle"]


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """Where the data comes from, as the command line says it.

    Attributes:
        data: A data folder, or ``demo``.
        features: A folder of embeddings that exist already; then no images are needed.
        encoder: Name of the encoder; None for the folder's or the program's default.
        cache: Folder of features, bundles and runs.
        device: Where to encode.
        skip_bad_images: Leave out rows whose image can't be read.
    """

    data: str
    features: Path | None
    encoder: str | None
    cache: Path
    device: str
    skip_bad_images: bool

    @property
    def folder(self) -> Path:
        """The data folder."""
        return self.cache / "demo" if self.data == "demo" else Path(self.data)


@dataclasses.dataclass(frozen=True)
class FolderDefaults:
    """What ``hpo.yaml`` in a data folder says; the command line goes before it.

    Attributes:
        encoder: The encoder, or None.
        settings: Overrides of the search space.
    """

    encoder: str | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def folder_defaults(options: DataOptions) -> FolderDefaults:
    """Read the defaults of a data folder, rendering the demo first if that is what it is.

    Raises:
        InputError: The file is no YAML mapping of ``encoder`` and ``set``.
    """
    if options.data == "demo":
        make_demo(options.folder)
    path = options.folder / "hpo.yaml"
    if not path.exists():
        return FolderDefaults()
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {error}") from None
    known = ["encoder", "set"]
    if not isinstance(raw, dict):
        raise InputError(f"{path}: must be a mapping of {' and '.join(known)}.")
    problems = [
        f"{path}: unknown key '{key}'{did_you_mean(key, known)}; allowed: {', '.join(known)}"
        for key in raw
        if key not in known
    ]
    settings = raw.get("set") or {}
    if not isinstance(settings, dict):
        problems.append(f"{path}: set must be a mapping, such as scale.width: 0.25")
    if problems:
        raise InputError(problems)
    return FolderDefaults(raw.get("encoder"), settings)


def prepare_bundle(
    options: DataOptions, defaults: FolderDefaults, space: Space
) -> tuple[Bundle, dict[str, Any]]:
    """Read and check the data, encode or import what is not stored yet, split, and store it all.

    Returns:
        The bundle, and what it was made of, for people: ``describe_data`` with the skipped rows.

    Raises:
        InputError: Everything that is wrong with the data, before any work starts.
    """
    store = options.cache
    if options.features is not None:
        dataset = load_dataset(options.folder, images="ignore")
        split = make_split(dataset, space.split, space.train_rows)
        test = dataset.test
        features = import_features(
            options.features,
            len(dataset.train),
            0 if test is None else len(test),
            store,
            ids=dataset.train.ids,
            test_ids=() if test is None else test.ids,
        )
    else:
        dataset = load_dataset(
            options.folder,
            known_good=known_images(store),
            skip_bad_images=options.skip_bad_images,
        )
        split = make_split(dataset, space.split, space.train_rows)
        encoder = options.encoder or defaults.encoder or DEFAULT_ENCODER
        with ConsoleProgress() as progress:
            features = extract_features(
                dataset, encoder, store, device=options.device, progress=progress
            )
    bundle = save_bundle(store, dataset, features, split)
    description = {
        "data": options.data,
        "encoder": features.info.encoder or str(options.features),
        "train_csv_sha256": dataset.fingerprint,
        "skipped": len(dataset.skipped),
    }
    return bundle, description
