"""What a model's probabilities are corrected with after training."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Calibration"]


@dataclasses.dataclass(frozen=True)
class Calibration:
    """For each class k, σ(slope_k · logit(p) + offset_k) in place of the probability p.

    Slopes are above 0, so the order of rows stays. One slope for all and no offset is temperature
    scaling (Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2); both by
    class is Platt scaling (Platt 1999).

    Attributes:
        method: ``temperature`` or ``platt``.
        slopes: One a class.
        offsets: One a class.
        LIMIT: Logits count as no further from 0 than this, which is that of 1e-12 from 0 and 1.
    """

    LIMIT: ClassVar[float] = math.log(1e12)
    method: str
    slopes: tuple[float, ...]
    offsets: tuple[float, ...]

    def apply(self, probabilities: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return calibrated probabilities [rows, K], float32.

        A float32 near 1 says little of its logit. Where logits are at hand, give
        ``apply_to_logits`` those.
        """
        return self._corrected(_logits(probabilities)).astype(np.float32)

    def apply_to_logits(self, logits: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return calibrated probabilities [rows, K], float32, for uncalibrated logits."""
        return self._corrected(logits.astype(np.float64)).astype(np.float32)

    def moved(self, thresholds: Sequence[float]) -> tuple[float, ...]:
        """Return thresholds that give calibrated probabilities the labels that ``thresholds``
        give the others.
        """
        return tuple(float(t) for t in self._corrected(_logits(np.asarray(thresholds))))

    def _corrected(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        within = np.clip(logits, -self.LIMIT, self.LIMIT)
        corrected = np.asarray(self.slopes) * within + np.asarray(self.offsets)
        values: NDArray[np.float64] = 1 / (1 + np.exp(-corrected))
        return values

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "method": self.method,
            "slopes": list(self.slopes),
            "offsets": list(self.offsets),
        }

    @staticmethod
    def from_json(raw: dict[str, Any], classes: int) -> "Calibration":
        """Return what ``to_json`` gave.

        Args:
            raw: Its values.
            classes: Number of labels K.

        Raises:
            KeyError: Something is missing.
            TypeError: Something is no list.
            ValueError: These can't be the values of a calibration.
        """
        slopes, offsets = tuple(raw["slopes"]), tuple(raw["offsets"])
        for name, values in (("slopes", slopes), ("offsets", offsets)):
            numbers = all(
                isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x)
                for x in values
            )
            if not numbers or len(values) != classes:
                raise ValueError(f"the {name} of the calibration must be a number for each class")
        if min(slopes) <= 0:
            raise ValueError("the slopes of the calibration must be above 0")
        return Calibration(str(raw["method"]), slopes, offsets)


def _logits(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return float64 logits, infinite for 0 and 1."""
    with np.errstate(divide="ignore"):
        p = probabilities.astype(np.float64)
        logits: NDArray[np.float64] = np.log(p) - np.log1p(-p)
    return logits
