"""The model folder: weights and everything needed to rebuild and use them, without pickle."""

import dataclasses
import functools
import hashlib
import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save

from hpo.errors import InputError
from hpo.features import SourcePart, as_float16, parts_from_record
from hpo.files import IrregularError, atomic_write, content_key, read_again, regular, write_json
from hpo.json_files import read_json
from hpo.models import (
    CHOICES,
    AssembledModel,
    Config,
    EnsembleModel,
    PluginUse,
    check_fusion,
    load_weights,
    modalities_read,
    plugins_of_config,
)
from hpo.training._calibration import Calibration
from hpo.training._device import Device
from hpo.training._side_by_side import side_by_side

__all__ = ["Member", "TrainedModel", "widths_read"]

_log = logging.getLogger(__name__)
_FORMAT = 1
#: Of a model with several members, or with corrected probabilities: earlier versions, which can't
#: read the one and would leave out the other, refuse it.
_LATER_FORMAT = 2
_ROWS_AT_ONCE = 4096


@dataclasses.dataclass(frozen=True)
class Member:
    """One of the models that a model averages.

    Attributes:
        config: Its configuration.
        weight: Its share of the mean probability.
        seed: It was trained with.
        trial: Number of the trial that it comes from; None for one that no trial has tried.
    """

    config: Config
    weight: float
    seed: int
    trial: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {**dataclasses.asdict(self), "config": self.config.model_dump(mode="json")}


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """A trained model and what it was trained for.

    Attributes:
        module: Raw embeddings to logits.
        config: The configuration; of an ensemble that of the study's winner.
        widths: Embedding width of each modality it reads.
        classes: Label names.
        thresholds: Probability above which each label is predicted.
        features: Where its embeddings came from (encoder, weights, preprocessing), as
            ``parts_record`` has it.
        origin: Study, trial, seed, rows: for people.
        members: What the module averages; empty for a single model.
        calibration: What corrects its probabilities; None for nothing.
    """

    module: AssembledModel | EnsembleModel
    config: Config
    widths: Mapping[str, int]
    classes: tuple[str, ...]
    thresholds: tuple[float, ...]
    features: Mapping[str, Any]
    origin: Mapping[str, Any]
    members: tuple[Member, ...] = ()
    calibration: Calibration | None = None

    def calibrated(self, calibration: Calibration | None) -> "TrainedModel":
        """Return the model with its probabilities corrected, which gives the same labels.

        Args:
            calibration: None leaves the model as it is; it must not be corrected already.
        """
        assert self.calibration is None
        if calibration is None:
            return self
        moved = calibration.moved(self.thresholds)
        return dataclasses.replace(self, calibration=calibration, thresholds=moved)

    def plain(self) -> "TrainedModel":
        """Return the model as it was trained: with thresholds of 0.5 and nothing corrected."""
        half = (0.5,) * len(self.classes)
        return dataclasses.replace(self, thresholds=half, calibration=None)

    def save(self, folder: Path) -> None:
        """Write ``model.safetensors`` and ``config.json``, the latter last."""
        state = {name: x.contiguous().cpu() for name, x in self.module.state_dict().items()}
        weights = save(state)
        with atomic_write(folder / "model.safetensors") as file:
            file.write(weights)
        configs = [self.config, *(member.config for member in self.members)]
        plugins = dict.fromkeys(p for config in configs for p in plugins_of_config(config))
        about = {
            "format": _LATER_FORMAT if self.members or self.calibration else _FORMAT,
            "config": self.config.model_dump(mode="json"),
            "plugins": [dataclasses.asdict(plugin) for plugin in plugins],
            "widths": dict(self.widths),
            "classes": list(self.classes),
            "thresholds": list(self.thresholds),
            "features": dict(self.features),
            "origin": dict(self.origin),
        }
        if self.members:
            about["members"] = [member.to_json() for member in self.members]
        if self.calibration is not None:
            about["calibration"] = self.calibration.to_json()
        about["sha256"] = hashlib.sha256(weights).hexdigest()
        write_json(folder / "config.json", {**about, "checksum": content_key(about)})

    @staticmethod
    def load(folder: Path) -> "TrainedModel":
        """Read a model folder.

        Raises:
            InputError: It isn't one, it is damaged, or a part of a user's own is not here.
            OSError: It can't be read, so that nothing is known of it.
        """
        return read_again(lambda: TrainedModel._load(folder))

    @staticmethod
    def _load(folder: Path) -> "TrainedModel":
        try:
            raw = read_json(folder / "config.json")
            if not isinstance(raw, dict):
                raise ValueError("config.json must hold an object")
            checksum = raw.pop("checksum", None)
            if raw["format"] not in (_FORMAT, _LATER_FORMAT):
                raise InputError(
                    f"The model {folder} has format {raw['format']}, but this version reads "
                    f"{_FORMAT} and {_LATER_FORMAT}."
                )
            if checksum is not None and checksum != content_key(raw):
                raise InputError(_damaged(folder, "config.json"))
            modalities = _checked_modalities(raw["widths"])
            classes, thresholds = _checked_outputs(raw)
            try:
                _check_plugins(folder, [PluginUse(**use) for use in raw.get("plugins", ())])
                config = _checked_config(raw["config"], modalities)
                members = tuple(_member(one, modalities) for one in raw.get("members", ()))
            except InputError as error:
                raise InputError(f"The model {folder} can't be used: {error}") from None
            parts = parts_from_record(raw["features"], raw["widths"])
            beside = {name: [part.width for part in those] for name, those in parts.items()}
            module = _build(config, members, raw["widths"], len(classes), beside)
            weights = regular(folder / "model.safetensors").read_bytes()
            if "sha256" in raw and raw["sha256"] != hashlib.sha256(weights).hexdigest():
                raise InputError(_damaged(folder, "model.safetensors"))
            tensors = load(weights)
            _check_finite(tensors)
            load_weights(module, tensors)
            return TrainedModel(
                module,
                config,
                raw["widths"],
                classes,
                thresholds,
                raw["features"],
                raw["origin"],
                members,
                _calibration(raw, len(classes)),
            )
        except InputError:
            raise
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, IrregularError) as error:
            name = Path(error.filename or "").name
            text = f"{folder} is no model folder: {name}: {error.strerror}{_nearby(folder)}"
            raise InputError(text) from None
        except KeyError as error:
            raise InputError(f"{folder} is no model folder: {error} is missing") from None
        except json.JSONDecodeError as error:
            text = f"{folder} is no model folder: its config.json is no JSON (line {error.lineno})"
            raise InputError(text) from None
        except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:
            raise InputError(f"{folder} is no model folder: {error}") from None
        except (SafetensorError, RuntimeError, MemoryError) as error:
            raise InputError(f"The weights in {folder} don't fit its config: {error}") from None

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities it reads."""
        return tuple(self.widths)

    @property
    def parts(self) -> dict[str, tuple[SourcePart, ...]]:
        """For each modality that it reads, where the embeddings come from that are side by side."""
        return parts_from_record(self.features, self.widths)

    def probabilities(
        self,
        inputs: Mapping[str, NDArray[np.floating[Any]]],
        device: Device,
        rows: NDArray[np.int64] | None = None,
    ) -> NDArray[np.float32]:
        """Return float32 probabilities [rows, K] for raw embeddings.

        Args:
            inputs: Modality → [N, D_m] of a float type. They are rounded to float16, as those that
                the model was trained on, a few rows at a time, so that they may be mapped files.
            device: Where to compute.
            rows: Indices of the rows to take; None for all.
        """
        self.module.to(device.torch).eval()
        count = len(inputs[self.modalities[0]]) if rows is None else len(rows)
        pieces = [slice(at, at + _ROWS_AT_ONCE) for at in range(0, count, _ROWS_AT_ONCE)]

        @torch.no_grad()
        def answer(piece: slice) -> NDArray[np.float32]:
            some = piece if rows is None else rows[piece]
            part = {
                name: torch.from_numpy(as_float16(inputs[name][some])).to(device.torch)
                for name in self.modalities
            }
            logits: torch.Tensor = self.module(part)
            if self.calibration is not None:
                return self.calibration.apply_to_logits(logits.cpu().numpy())
            found: NDArray[np.float32] = logits.sigmoid().cpu().numpy()
            return found

        with device.in_use():
            found = side_by_side([functools.partial(answer, piece) for piece in pieces], device)
        return np.concatenate([np.empty((0, len(self.classes)), dtype=np.float32), *found])


def _build(
    config: Config,
    members: Sequence[Member],
    widths: Mapping[str, int],
    classes: int,
    parts: Mapping[str, Sequence[int]],
) -> AssembledModel | EnsembleModel:
    """Return the module of a model with weights that mean nothing yet.

    Args:
        config: Its configuration.
        members: What it averages.
        widths: Embedding width of each modality that it reads.
        classes: Number of labels K.
        parts: See ``AssembledModel``.
    """
    if not members:
        return AssembledModel(config, widths, classes, parts)
    return EnsembleModel(
        [
            AssembledModel(member.config, widths_read(member.config, widths), classes, parts)
            for member in members
        ],
        [member.weight for member in members],
    )


def widths_read(config: Config, widths: Mapping[str, int]) -> dict[str, int]:
    """Return the widths of the modalities that a configuration reads."""
    read = modalities_read(config.fusion, tuple(widths)) or ()
    return {name: widths[name] for name in read}


def _damaged(folder: Path, name: str) -> str:
    return (
        f"The model {folder} is damaged: {name} isn't what was written. Copy the folder again, or "
        "refit the study."
    )


def _checked_modalities(widths: Any) -> tuple[str, ...]:
    """Return the modalities of a stored model.

    Raises:
        ValueError: Their widths can't be widths.
    """
    if not isinstance(widths, dict) or not widths:
        raise ValueError("widths must have the width of each modality")
    for name, width in widths.items():
        if not isinstance(width, int) or isinstance(width, bool) or width < 1:
            raise ValueError(f"the width of {name} is {width!r}, but must be a number above 0")
    return tuple(widths)


def _checked_outputs(raw: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Return the classes and thresholds of a stored model.

    Raises:
        ValueError: They can't be those of a model.
    """
    classes, thresholds = raw["classes"], raw["thresholds"]
    names = isinstance(classes, list) and all(isinstance(name, str) and name for name in classes)
    if not names or not classes or len(set(classes)) < len(classes):
        raise ValueError("classes must be a list of different names")
    numbers = isinstance(thresholds, list) and all(
        isinstance(x, int | float) and not isinstance(x, bool) and 0 <= x <= 1 for x in thresholds
    )
    if not numbers or len(thresholds) != len(classes):
        raise ValueError("thresholds must be a number from 0 to 1 for each class")
    return tuple(classes), tuple(thresholds)


def _check_finite(tensors: Mapping[str, torch.Tensor]) -> None:
    """Check that all weights are numbers.

    Raises:
        ValueError: One isn't.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise ValueError(f"the weights {name} hold values that are no numbers")


def _check_plugins(folder: Path, needed: Sequence[PluginUse]) -> None:
    """Check that a user's own parts of a model are here; warn of those that are other versions.

    Raises:
        InputError: Some are not; all of them are listed.
    """
    missing = [plugin.lacking() for plugin in needed if not plugin.is_here]
    if missing:
        raise InputError(missing)
    for plugin in needed:
        origin = plugin.here
        if plugin.kind != "loss" and (origin is None or origin.sha256 != plugin.sha256):
            _log.warning(
                "The model %s was trained with another version of %s than is here.", folder, plugin
            )


def _member(raw: Mapping[str, Any], modalities: tuple[str, ...]) -> Member:
    """Return a stored member of an ensemble.

    Raises:
        InputError: See ``_checked_config``.
        ValueError: It is damaged.
    """
    config, weight = _checked_config(raw["config"], modalities), raw["weight"]
    if not isinstance(weight, int | float) or not 0 < weight < math.inf:
        raise ValueError(f"a member has the weight {weight!r}, but must have one above 0")
    return Member(**{**raw, "config": config})


def _calibration(raw: Mapping[str, Any], classes: int) -> Calibration | None:
    return Calibration.from_json(raw["calibration"], classes) if "calibration" in raw else None


def _checked_config(raw: Mapping[str, Any], modalities: tuple[str, ...]) -> Config:
    """Return a stored configuration.

    Raises:
        InputError: It names a choice that is not registered.
        ValueError: It is damaged otherwise.
    """
    for field, registry in CHOICES.items():
        if field in raw and field != "fusion":
            registry[raw[field]]
    config = Config.from_stored(raw)
    check_fusion(config.fusion, modalities)
    return config


def _nearby(folder: Path) -> str:
    """Say where a model is instead: below the results of a study, or around a file of it."""
    places = [folder.parent] if folder.is_file() else [folder / "model"]
    return "".join(f"; there is one in {p}" for p in places if (p / "config.json").is_file())
