"""The header of a model card, which Hugging Face Hub reads: YAML between two lines of dashes."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from hpo.files import regular
from hpo.yaml_files import parse_yaml

__all__ = ["card_header", "with_license_of"]

_LICENSE = ("license", "license_name", "license_link")

_ASK = (
    "# Fill in: an identifier of https://huggingface.co/docs/hub/repositories-licenses\n"
    "license: unknown\n"
)
_TASKS = {"image": "image-classification", "text": "text-classification"}
_OTHER = "other"
_SCORES = {"micro_f1": "micro-F1", "macro_f1": "macro-F1", "samples_f1": "samples-F1"}


def card_header(
    name: str,
    modalities: Collection[str],
    data: str,
    scores: Mapping[str, Mapping[str, float]],
) -> str:
    """Return the header of a card, with its two lines of dashes.

    Args:
        name: What the model is called.
        modalities: What it reads.
        data: What the data is called.
        scores: Part of the data → metric → percent. The header has shares of 1, as the metric
            ``f1`` of the hub is one.
    """
    task = next((_TASKS[one] for one in _TASKS if one in modalities), _OTHER)
    slug = re.sub(r"[^\w.-]+", "-", data).strip("-.") or "data"
    results = [
        {
            "task": {"type": task, "name": "multi-label classification"},
            "dataset": {"type": slug, "name": data, "split": part},
            "metrics": [
                {"type": "f1", "name": called, "value": round(values[key] / 100, 5)}
                for key, called in _SCORES.items()
                if key in values
            ],
        }
        for part, values in scores.items()
    ]
    fields: dict[str, Any] = {
        "library_name": "hpo",
        "pipeline_tag": task,
        "tags": ["hpo", "multi-label-classification", *sorted(modalities)],
        "metrics": ["f1"],
        **({"model-index": [{"name": name, "results": results}]} if results else {}),
    }
    return f"---\n{_ASK}{_dumped(fields)}---\n"


def with_license_of(card: str, path: Path) -> str:
    """Return a card with what the header of an earlier one says of the licence, if it does."""
    try:
        text = regular(path).read_text(encoding="utf-8")
        found = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
        fields = parse_yaml(found[1])[1] if found else {}
        kept = {key: fields[key] for key in _LICENSE if fields.get(key) is not None}
    except (OSError, ValueError, AttributeError):
        return card
    known = kept and kept != {"license": "unknown"}
    return card.replace(_ASK, _dumped(kept), 1) if known else card


def _dumped(values: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=100)
