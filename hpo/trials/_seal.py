"""A checksum over what a trial's rows say, which is what samplers and pruners decide by.

A database has none, so that a bit that changed in its file would be believed. The checksum is a
system attribute of the trial. It is written when the trial ends or waits, and compared when the
trial is read; so that costs a row a trial, and a few microseconds.
"""

import json
import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.trial import FrozenTrial, TrialState

from hpo.errors import InputError

__all__ = ["SEAL", "SEALED_ATTRIBUTES", "SealedParts", "damage", "seal_of"]

#: The system attribute: checksum, number of steps, number of objectives, and the names of the other
#: system attributes that it is over.
SEAL = "hpo:crc32"
#: User attributes that it is over, as far as the trial has them. Others may be a user's own.
SEALED_ATTRIBUTES = (
    *("config", "draw", "epochs_trained", "latency_ms", "metrics", "model_mb", "pruned"),
    *("runs", "scores", "std", "task"),
)
#: In which a trial is as it was sealed, unless somebody without seals went on with it since.
_AT_REST = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.WAITING)


class SealedParts:
    """What of a trial's rows a seal is over, as they are stored: text, and numbers as they are.

    Attributes:
        params: By name, the number that stands for the value, and the distribution as JSON.
        user: User attributes as JSON, by name.
        system: System attributes likewise.
    """

    __slots__ = ("params", "system", "user")

    def __init__(self) -> None:
        self.params: dict[str, tuple[float, str]] = {}
        self.user: dict[str, str] = {}
        self.system: dict[str, str] = {}

    def check(self, trial: FrozenTrial) -> None:
        """Compare a trial with its seal, if it has one.

        Args:
            trial: As it was read from these rows.

        Raises:
            InputError: It isn't what was written.
        """
        text = self.system.get(SEAL)
        if text is None or trial.state not in _AT_REST:
            return
        try:
            crc, steps, objectives, *names = json.loads(text)
            values = trial.values or ()
            if len(trial.intermediate_values) > steps or len(values) > objectives:
                return  # somebody without seals went on with it
            found = self._crc(trial.intermediate_values, values, names)
        except (ValueError, TypeError, KeyError):
            raise damage(f"what it has of trial {trial.number}") from None
        if found != crc:
            raise damage(f"what it has of trial {trial.number}")

    def seal(self, steps: Mapping[int, float], values: Sequence[float]) -> list[Any]:
        """Return the seal over these parts, a trial's curve, and its objectives."""
        names = sorted(self.system.keys() - {SEAL})
        return [self._crc(steps, values, names), len(steps), len(values), *names]

    def _crc(
        self, steps: Mapping[int, float], values: Sequence[float], names: Iterable[str]
    ) -> str:
        curve = sorted(steps.items())
        texts = [f"{name} {domain}" for name, (_, domain) in sorted(self.params.items())]
        texts += [f"{name} {self.user[name]}" for name in SEALED_ATTRIBUTES if name in self.user]
        texts += [f"{name} {self.system[name]}" for name in names]
        numbers = [number for _, (number, _) in sorted(self.params.items())]
        numbers += [*values, *(value for _, value in curve)]
        crc = zlib.crc32("\n".join(texts).encode())
        crc = zlib.crc32(array("q", [step for step, _ in curve]).tobytes(), crc)
        return f"{zlib.crc32(array('d', numbers).tobytes(), crc):08x}"


def seal_of(
    trial: FrozenTrial, objectives: Sequence[float] = (), shown: Mapping[str, Any] | None = None
) -> list[Any]:
    """Return the seal of a trial as it is about to be stored.

    Args:
        trial: All of it, but for what follows.
        objectives: The value of each.
        shown: User attributes that it gets with its end.
    """
    parts = SealedParts()
    for name, domain in trial.distributions.items():
        number = float(domain.to_internal_repr(trial.params[name]))
        parts.params[name] = number, distribution_to_json(domain)
    attributes = {**trial.user_attrs, **(shown or {})}
    parts.user = {
        name: json.dumps(attributes[name]) for name in SEALED_ATTRIBUTES if name in attributes
    }
    parts.system = {name: json.dumps(value) for name, value in trial.system_attrs.items()}
    return parts.seal(trial.intermediate_values, objectives)


def damage(what: str) -> InputError:
    """Return the error that says that something in the store is not what was written."""
    return InputError(
        f"The storage is damaged: {what} isn't what was written. Restore it from a backup; or "
        "delete the study (hpo study delete NAME) and run it again, which finds its runs in the "
        "cache."
    )
