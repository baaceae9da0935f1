"""The model folder: weights and everything needed to rebuild and use them, without pickle."""

import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from hpo.errors import InputError
from hpo.features import SourcePart, parts_from_record
from hpo.files import atomic_write, write_json
from hpo.models import (
    CHOICES,
    AssembledModel,
    Config,
    PluginUse,
    check_fusion,
    load_weights,
    plugins_of_config,
)
from hpo.training._device import Device

__all__ = ["TrainedModel"]

_log = logging.getLogger(__name__)
_FORMAT = 1
_ROWS_AT_ONCE = 4096


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """A trained model and what it was trained for.

    Attributes:
        module: Raw embeddings to logits.
        config: The configuration.
        widths: Embedding width of each modality it reads.
        classes: Label names.
        thresholds: Probability above which each label is predicted.
        features: Where its embeddings came from (encoder, weights, preprocessing), as
            ``parts_record`` has it.
        origin: Study, trial, seed, rows: for people.
    """

    module: AssembledModel
    config: Config
    widths: Mapping[str, int]
    classes: tuple[str, ...]
    thresholds: tuple[float, ...]
    features: Mapping[str, Any]
    origin: Mapping[str, Any]

    def save(self, folder: Path) -> None:
        """Write ``model.safetensors`` and ``config.json``, the latter last."""
        with atomic_write(folder / "model.safetensors") as file:
            state = {name: x.contiguous().cpu() for name, x in self.module.state_dict().items()}
            file.write(save(state))
        write_json(
            folder / "config.json",
            {
                "format": _FORMAT,
                "config": self.config.model_dump(mode="json"),
                "plugins": [
                    dataclasses.asdict(plugin) for plugin in plugins_of_config(self.config)
                ],
                "widths": dict(self.widths),
                "classes": list(self.classes),
                "thresholds": list(self.thresholds),
                "features": dict(self.features),
                "origin": dict(self.origin),
            },
        )

    @staticmethod
    def load(folder: Path) -> "TrainedModel":
        """Read a model folder.

        Raises:
            InputError: It isn't one, it is damaged, or a part of a user's own is not here.
        """
        try:
            raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            if raw["format"] != _FORMAT:
                raise InputError(
                    f"The model {folder} has format {raw['format']}, but this version reads "
                    f"{_FORMAT}."
                )
            try:
                _check_plugins(folder, [PluginUse(**use) for use in raw.get("plugins", ())])
                config = _checked_config(raw["config"], tuple(raw["widths"]))
            except InputError as error:
                raise InputError(f"The model {folder} can't be used: {error}") from None
            parts = parts_from_record(raw["features"], raw["widths"])
            module = AssembledModel(
                config,
                raw["widths"],
                len(raw["classes"]),
                {name: [part.width for part in those] for name, those in parts.items()},
            )
            load_weights(module, load_file(folder / "model.safetensors"))
            return TrainedModel(
                module,
                config,
                raw["widths"],
                tuple(raw["classes"]),
                tuple(raw["thresholds"]),
                raw["features"],
                raw["origin"],
            )
        except InputError:
            raise
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{folder} is no model folder: {error}") from None
        except (SafetensorError, RuntimeError) as error:
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
        self, inputs: Mapping[str, NDArray[np.floating[Any]]], device: Device
    ) -> NDArray[np.float32]:
        """Return float32 probabilities [rows, K] for raw embeddings, modality → [rows, D_m]."""
        with device.in_use():
            return self._probabilities(inputs, device.torch)

    @torch.no_grad()
    def _probabilities(
        self, inputs: Mapping[str, NDArray[np.floating[Any]]], device: torch.device
    ) -> NDArray[np.float32]:
        self.module.to(device).eval()
        rows = len(inputs[self.modalities[0]])
        parts: list[Tensor] = []
        for start in range(0, rows, _ROWS_AT_ONCE):
            part = {
                name: torch.from_numpy(np.array(inputs[name][start : start + _ROWS_AT_ONCE])).to(
                    device
                )
                for name in self.modalities
            }
            parts.append(self.module(part).sigmoid().cpu())
        empty = np.zeros((0, len(self.classes)), dtype=np.float32)
        return torch.cat(parts).numpy() if parts else empty


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
