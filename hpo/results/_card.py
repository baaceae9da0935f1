"""The model card: what a model is, what it was made from, and how good it is, as ``README.md``.

All of it is taken from the model, the results of its study and its bundle. It has no date and no
paths of this machine, so that the same model has the same card.
"""

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpo._versions import package_version
from hpo.features import ENCODED, Bundle, SourcePart
from hpo.files import atomic_write
from hpo.models import plugins_of_config
from hpo.results._card_header import card_header, with_license_of
from hpo.results._card_markdown import escaped, table
from hpo.results._card_scores import (
    calibration_lines,
    classes_lines,
    parts_of,
    scores_lines,
    support_of,
)
from hpo.training import TrainedModel

__all__ = ["CARD", "model_card", "write_card"]

CARD = "README.md"
"""The name of the card in a model folder."""

#: Of fewer rows a class is hardly learnt.
_FEW = 20
_PARTS = {"train": "training", "val": "validation"}
_EXAMPLES = {"images": 'images=["a.jpg"]', "captions": 'captions=["a dog on a beach"]'}


def model_card(
    model: TrainedModel,
    results: Mapping[str, Any] | None = None,
    bundle: Bundle | None = None,
) -> str:
    """Return the card of a model, in Markdown with the header that Hugging Face Hub reads.

    Args:
        model: The model.
        results: What ``metrics.json`` has of it, or part of that.
        bundle: The rows that it was made from.
    """
    found = dict(results or {})
    name = str(found.get("study") or model.origin.get("study") or "hpo model")
    data = _data_name(found.get("data") or model.origin)
    lines = [
        f"# {escaped(name)}",
        "",
        *(line for said in found.get("concerns", ()) for line in (f"> {escaped(said)}", "")),
        *_what(model),
        *_use(model),
        *_data(model, found.get("data") or model.origin, data, bundle),
        *scores_lines(found),
        *classes_lines(model, found, bundle),
        *calibration_lines(model, found),
        *_limits(model, found, bundle),
        *_versions(model),
    ]
    parts = {part: {k: v["value"] for k, v in those.items()} for part, those in parts_of(found)}
    if not parts and "best" in found:
        parts = {"validation": found["best"]["metrics"]}
    return card_header(name, model.modalities, data, parts) + "\n" + "\n".join(lines)


def write_card(folder: Path, card: str) -> None:
    """Write a card into a model folder; what people said of the licence in one there is kept."""
    text = with_license_of(card, folder / CARD)
    with atomic_write(folder / CARD) as file:
        file.write(text.encode(errors="backslashreplace"))


def _what(model: TrainedModel) -> list[str]:
    """Say what the model is."""
    reads = " and ".join(", ".join(model.modalities).rsplit(", ", 1))
    config = model.config
    built = f"a head `{config.head}` with fusion `{config.fusion}`"
    if model.members:
        built = f"the average of {len(model.members)} models"
    size = model.module.megabytes()
    return [
        f"A multi-label classifier: it reads {escaped(reads)} embeddings and gives each row any of "
        f"{len(model.classes)} labels. It is {built}, {size:.2f} MB, made with `hpo` "
        f"{package_version('hpo')}.",
        "",
    ]


def _use(model: TrainedModel) -> list[str]:
    """Show how to load it, in three lines."""
    infos = [part.info for parts in model.parts.values() for part in parts]
    encodes = all(info.source == "open_clip" for info in infos)
    if encodes and all(name in ENCODED for name in model.modalities):
        given = [_EXAMPLES[ENCODED[name].reads] for name in model.modalities]
    else:
        given = [f"{name}={name}_embeddings" for name in model.modalities]
    configs = [model.config, *(member.config for member in model.members)]
    own = sorted({use.module for config in configs for use in plugins_of_config(config)})
    lines = [
        "## Use",
        "",
        "```python",
        "import hpo",
        'model = hpo.load_model("this-folder")',
        f"model.predict({', '.join(given)})",
        "```",
        "",
    ]
    if own:
        listed = ", ".join(map(escaped, own))
        lines += [f"Import first the modules that it has parts of: {listed}.", ""]
    return lines


def _data(
    model: TrainedModel, described: Mapping[str, Any], name: str, bundle: Bundle | None
) -> list[str]:
    """Say what it was made from: rows and embeddings."""
    lines = ["## Data", "", f"Data: {escaped(name)}."]
    if described.get("train_csv_sha256"):
        lines[-1] += f" SHA-256 of its table: `{described['train_csv_sha256']}`."
    if "rows" in model.origin:
        lines[-1] += f" The model was trained on {model.origin['rows']:,} rows."
    if bundle is not None:
        rows = [
            [_PARTS.get(part, part), f"{len(indices):,}"] for part, indices in bundle.split.items()
        ]
        lines += ["", *table(["part", "rows"], rows)]
    rows = [
        [modality, str(part.width), *_from(part)]
        for modality, parts in model.parts.items()
        for part in parts
    ]
    head = ["embeddings", "width", "encoder", "SHA-256 of its weights", "preprocessing"]
    return [*lines, "", *table(head, rows), ""]


def _from(part: SourcePart) -> list[str]:
    """Say where embeddings come from: encoder, weights and preprocessing."""
    info = part.info
    if info.source != "open_clip":
        return [f"imported {part.name}".strip(), "", ""]
    # A folder's or a file's name is enough; where it was on the machine is nobody's business.
    encoder = Path(info.encoder).name if Path(info.encoder).is_absolute() else info.encoder
    long = f", long captions: {info.long_captions}"
    return [encoder, info.weights_hash, info.preprocessing + long]


def _limits(model: TrainedModel, found: Mapping[str, Any], bundle: Bundle | None) -> list[str]:
    """Say what the model is not made for, as far as the numbers tell."""
    lines = [
        f"- It knows these {len(model.classes)} labels and no others.",
        "- It reads embeddings of the encoder above. Those of another one, or of other "
        "preprocessing, give labels without meaning.",
    ]
    if found and "test" not in found:
        lines.append(
            "- No rows were left untouched: the validation rows chose the configuration, so expect "
            "a little less on new rows."
        )
    few = [
        f"{escaped(name)} ({count:,})"
        for name, count in zip(model.classes, support_of(bundle), strict=False)
        if count < _FEW
    ]
    if few:
        lines.append(f"- Classes with fewer than {_FEW} rows to train on: {', '.join(few)}.")
    parts = found.get("classes", {})
    scored = parts.get("test") or parts.get("validation_tuned") or {}
    never = [escaped(name) for name in model.classes if scored.get(name, {}).get("f1") == 0]
    if never:
        lines.append(f"- Classes that it never gave rightly: {', '.join(never)}.")
    for name, without in found.get("without", {}).items():
        shown = ", ".join(f"{s.get('micro_f1', 0):.2f} on {part}" for part, s in without.items())
        lines.append(f"- Rows without {escaped(name)}: micro-F1 {shown}.")
    return ["## Limits", "", *lines, ""]


def _versions(model: TrainedModel) -> list[str]:
    """Return the versions that made the model, and its configuration."""
    rows = [
        ["hpo", package_version("hpo")],
        ["PyTorch", package_version("torch")],
        ["open_clip", package_version("open_clip_torch")],
        ["Python", platform.python_version()],
    ]
    configs = [member.to_json() for member in model.members]
    shown = configs or [model.config.model_dump(mode="json")]
    return [
        "## Versions",
        "",
        *table(["part", "version"], rows),
        "",
        "```json",
        *(json.dumps(one, ensure_ascii=True) for one in shown),
        "```",
        "",
    ]


def _data_name(described: Mapping[str, Any]) -> str:
    """Return what the data is called: the name of its folder."""
    return Path(str(described.get("data") or "")).name or "unknown"
