"""What an encoder costs: how many images it takes a second, and how large it is."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hpo.features._choice import parse_choice
from hpo.features._modalities import ENCODED
from hpo.files import sealed, unsealed, write_json
from hpo.json_files import read_json

__all__ = [
    "ChoiceCost",
    "EncoderCost",
    "choice_cost",
    "encoder_cost",
    "note_speed",
    "speed_file",
]


@dataclass(frozen=True)
class EncoderCost:
    """What an encoder costs on this machine.

    Attributes:
        mb: Size of its weights in 10⁶ bytes.
        images_per_s: Images that it encoded a second, from the file to the embedding, when most
            were encoded at once; None while it has encoded none.
        captions_per_s: Likewise captions.
        device: Where that was, such as ``cpu`` or ``cuda``.
    """

    mb: float
    images_per_s: float | None = None
    captions_per_s: float | None = None
    device: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return asdict(self)


class ChoiceCost(NamedTuple):
    """What all encoders of a choice cost together; None for what isn't known.

    Embeddings that were made elsewhere have no cost that is known.

    Attributes:
        images_per_s: Images that they encode a second, one encoder after the other.
        encoder_mb: Size of their weights in 10⁶ bytes.
    """

    images_per_s: float | None
    encoder_mb: float | None


def speed_file(store: Path, encoder_key: str) -> Path:
    """Return where it is kept how fast an encoder was."""
    return store / "encoder_speeds" / f"{encoder_key}.json"


def note_speed(file: Path, reads: str, items: int, seconds: float) -> None:
    """Keep how long an encoder took, unless it has been measured on more.

    Args:
        file: See ``speed_file``.
        reads: ``images`` or ``captions``.
        items: How many were encoded.
        seconds: How long that took, its loading left out.
    """
    known = _speeds(file)
    if items > known.get(reads, {}).get("items", 0) and seconds > 0:
        told = {**known, reads: {"items": items, "seconds": seconds}}
        write_json(file, sealed({"of": file.stem, **told}))


def encoder_cost(file: Path, weights: Path, device: str) -> EncoderCost:
    """Return what is known of an encoder's cost.

    Args:
        file: See ``speed_file``.
        weights: The file of its weights.
        device: Where it encodes.
    """
    known = _speeds(file)
    rates = {
        reads: round(known[reads]["items"] / known[reads]["seconds"], 1) if reads in known else None
        for reads in ("images", "captions")
    }
    mb = round(weights.stat().st_size / 1e6, 1)
    return EncoderCost(mb, rates["images"], rates["captions"], device.partition(":")[0])


def _speeds(file: Path) -> dict[str, Any]:
    try:
        known = unsealed(read_json(file))
        if known.pop("of", file.stem) != file.stem:
            return {}
        return {
            reads: {"items": int(about["items"]), "seconds": float(about["seconds"])}
            for reads, about in known.items()
            if about["items"] > 0 and about["seconds"] > 0
        }
    except (OSError, ValueError, TypeError, LookupError, ArithmeticError):
        return {}  # it is measured again whenever something is encoded


def choice_cost(encoder: str, sources: Mapping[str, Mapping[str, Any]]) -> ChoiceCost:
    """Return what the encoders of a choice cost.

    Args:
        encoder: As a configuration has it.
        sources: By name what ``Data.description`` has of each under ``encoders``.
    """
    modalities = {name: tuple(about["widths"]) for name, about in sources.items()}
    chosen = parse_choice(encoder).among(modalities)
    used = dict.fromkeys(name for names in chosen.values() for name in names)
    sizes = [mb for name in used if (mb := sources[name].get("mb")) is not None]
    of_images = [
        sources[name].get("images_per_s")
        for modality, names in chosen.items()
        if modality in ENCODED and ENCODED[modality].reads == "images"
        for name in names
    ]
    rates = [rate for rate in of_images if rate]
    known = bool(rates) and len(rates) == len(of_images)
    return ChoiceCost(
        round(1 / sum(1 / rate for rate in rates), 1) if known else None,
        round(sum(sizes), 1) if len(sizes) == len(used) else None,
    )
