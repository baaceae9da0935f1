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
        EDGE: Probabilities nearer to 0 or 1 count as this near, so that their logits are finite.
    """

    EDGE: ClassVar[float] = 1e-12
    method: str
    slopes: tuple[float, ...]
    offsets: tuple[float, ...]

    def apply(self, probabilities: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return calibrated probabilities [rows, K], float32."""
        return self._corrected(probabilities).astype(np.float32)

    def moved(self, thresholds: Sequence[float]) -> tuple[float, ...]:
        """Return thresholds that give calibrated probabilities the labels that ``thresholds``
        give the others.
        """
        return tuple(float(t) for t in self._corrected(np.asarray(thresholds)))

    def _corrected(self, probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
        clipped = np.clip(probabilities.astype(np.float64), self.EDGE, 1 - self.EDGE)
        logits = np.log(clipped) - np.log1p(-clipped)
        corrected = np.asarray(self.slopes) * logits + np.asarray(self.offsets)
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
