"""The floor of a study: scores that take no search, computed once while the workers start."""

import dataclasses
import json
import logging
import threading
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from hpo.features import Bundle, class_embeddings, load_bundle
from hpo.files import atomic_write, content_key, regular
from hpo.json_files import parse_json
from hpo.results._baselines import (
    Baseline,
    constant_baseline,
    linear_baseline,
    zero_shot_baseline,
)
from hpo.results._intervals import F1_SCORES, Interval, f1_intervals
from hpo.study import StoredStudy

__all__ = ["Floor", "FloorLine", "FloorThread", "compute_floor", "stored_floor"]

_log = logging.getLogger(__name__)
_FORMAT = 2
_ABOUT = "floor"
_ARRAYS = ("weights", "thresholds")


@dataclasses.dataclass(frozen=True)
class FloorLine:
    """One baseline and its scores.

    Attributes:
        baseline: What predicts.
        validation: Its scores on the validation rows.
        test: Its scores on the test part; None without one, and before the end of the study.
    """

    baseline: Baseline
    validation: dict[str, Interval]
    test: dict[str, Interval] | None = None

    @property
    def name(self) -> str:
        """What it is called: ``constant``, ``linear`` or ``zero_shot``."""
        return self.baseline.name


@dataclasses.dataclass(frozen=True)
class Floor:
    """The scores to beat.

    Attributes:
        metric: By which the baselines were chosen.
        lines: The baselines, without ``zero_shot`` where the class names have no embeddings.
    """

    metric: str
    lines: tuple[FloorLine, ...]

    @property
    def best(self) -> FloorLine:
        """The baseline with the best score on the validation rows."""
        return max(self.lines, key=lambda line: line.validation[self.metric].value)

    def on_test(self, bundle: Bundle) -> "Floor":
        """Return the floor with scores on the test part, which is only read here.

        Args:
            bundle: That the floor was computed on.
        """
        if "test" not in bundle.split:
            return self
        truth, groups = bundle.labels_of("test") > 0, bundle.groups_of("test")
        lines = []
        for line in self.lines:
            given = line.baseline.predict(bundle.features.train, bundle.split["test"])
            lines.append(dataclasses.replace(line, test=f1_intervals([given], truth, groups)))
        return dataclasses.replace(self, lines=tuple(lines))

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values, by the baselines' names."""
        return {
            line.name: {
                "about": line.baseline.about,
                "validation": _listed(line.validation),
                **({} if line.test is None else {"test": _listed(line.test)}),
            }
            for line in self.lines
        }


def compute_floor(study: StoredStudy) -> Floor:
    """Return the floor of a study, from the cache or computed and stored there.

    Raises:
        InputError: The bundle is missing or damaged.
        OSError: It can't be stored.
    """
    found = stored_floor(study)
    if found is not None:
        return found
    definition, metric = study.definition, _metric(study)
    bundle = load_bundle(definition.bundle)
    baselines = [linear_baseline(bundle, metric), constant_baseline(bundle, metric)]
    classes = class_embeddings(bundle.classes, bundle.features.info, Path(definition.cache))
    zero_shot = None if classes is None else zero_shot_baseline(bundle, metric, classes)
    if zero_shot is not None:
        baselines.insert(1, zero_shot)
    truth, groups = bundle.labels_of("val") > 0, bundle.groups_of("val")
    lines = []
    for baseline in baselines:
        given = baseline.predict(bundle.features.train, bundle.split["val"])
        lines.append(FloorLine(baseline, f1_intervals([given], truth, groups)))
    floor = Floor(metric, tuple(lines))
    path = _path(study)
    with atomic_write(path) as file:
        file.write(_to_bytes(floor, path.stem))
    return floor


def stored_floor(study: StoredStudy) -> Floor | None:
    """Return the floor of a study if it was computed before; None otherwise."""
    path = _path(study)
    if not study.space.floor or not path.exists():
        return None
    try:
        with safe_open(regular(path), framework="numpy") as file:
            about = parse_json(file.metadata()[_ABOUT])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if about.pop("checksum") != _checksum(about, tensors):
                raise ValueError("its checksum is wrong")
            if about.get("of", path.stem) != path.stem:  # earlier versions didn't say
                raise ValueError("it is that of other data")
            lines = tuple(
                FloorLine(
                    Baseline(
                        line["name"],
                        line["about"],
                        tuple(line["modalities"]),
                        tensors[f"{line['name']}.weights"],
                        tensors[f"{line['name']}.thresholds"],
                        line["normalised"],
                    ),
                    {name: Interval(**score) for name, score in line["validation"].items()},
                )
                for line in about["lines"]
            )
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        _log.warning("The floor %s can't be read and is computed again: %s", path, error)
        return None
    return Floor(about["metric"], lines)


class FloorThread:
    """Computes the floor of a study beside everything else, so that nothing waits for it.

    Linear algebra lets other threads go on. A floor that fails is logged, and the study goes on
    without one.

    Args:
        study: The study; nothing is done if its space wants no floor, or if it is stored.
        compute: What to do.
    """

    def __init__(
        self, study: StoredStudy, compute: Callable[[StoredStudy], object] = compute_floor
    ) -> None:
        self._study = study
        self._compute = compute
        self._thread: threading.Thread | None = None
        if study.space.floor and stored_floor(study) is None:
            # A daemon: a command that is stopped doesn't wait for it.
            self._thread = threading.Thread(target=self._run, name="floor", daemon=True)
            self._thread.start()

    def join(self) -> None:
        """Wait until it is done."""
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._compute(self._study)
        except Exception as error:
            _log.warning("There is no floor: %s", error)


def _metric(study: StoredStudy) -> str:
    """Return the F1 score that baselines are chosen by: the study's metric if it is one."""
    return study.space.metric if study.space.metric in F1_SCORES else "micro_f1"


def _path(study: StoredStudy) -> Path:
    """Return where the floor is kept: all studies on the same data and metric share it."""
    definition = study.definition
    key = content_key(
        {"format": _FORMAT, "bundle": definition.bundle_key, "metric": _metric(study)}
    )
    return Path(definition.cache) / "floors" / f"{key}.safetensors"


def _to_bytes(floor: Floor, of: str) -> bytes:
    about: dict[str, Any] = {
        "of": of,
        "metric": floor.metric,
        "lines": [
            {
                "name": line.name,
                "about": line.baseline.about,
                "modalities": list(line.baseline.modalities),
                "normalised": line.baseline.normalised,
                "validation": _listed(line.validation),
            }
            for line in floor.lines
        ],
    }
    tensors = {
        f"{line.name}.{array}": np.ascontiguousarray(getattr(line.baseline, array))
        for line in floor.lines
        for array in _ARRAYS
    }
    about["checksum"] = _checksum(about, tensors)
    content: bytes = save(tensors, metadata={_ABOUT: json.dumps(about)})
    return content


def _checksum(about: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> str:
    """Return what tells whether a stored floor is what was written."""
    sums = {
        name: [str(array.dtype), list(array.shape), zlib.crc32(np.ascontiguousarray(array).data)]
        for name, array in tensors.items()
    }
    return content_key({"about": about, "tensors": sums})


def _listed(scores: dict[str, Interval]) -> dict[str, dict[str, float]]:
    return {name: dataclasses.asdict(interval) for name, interval in scores.items()}
