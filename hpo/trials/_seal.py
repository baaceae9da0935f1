"""A checksum over what a trial's rows say, which is what samplers and pruners decide by.

A database has none, so that a bit that changed in its file would be believed. The checksum is a
system attribute of the trial. It is written in the transaction of whatever it is over, and compared
when the trial is read; so that costs a row a write, and a few microseconds.
"""

import json
import math
import threading
import zlib
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.trial import FrozenTrial

from hpo.errors import InputError

__all__ = ["SEAL", "SEALED_ATTRIBUTES", "LiveSeal", "SealedParts", "damage", "seal_of"]

#: The system attribute: checksum, number of steps, number of objectives, and the names of the other
#: system attributes that it is over. None once somebody without seals went on with the trial.
SEAL = "hpo:crc32"
#: User attributes that it is over, as far as the trial has them. Others may be a user's own.
SEALED_ATTRIBUTES = (
    *("config", "draw", "epochs_trained", "latency_ms", "metrics", "model_mb", "pruned"),
    *("runs", "scores", "std", "task"),
)
_BROKEN = json.dumps(None)


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
        text = self.system.get(SEAL, _BROKEN)
        if text == _BROKEN:
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


class LiveSeal:
    """The seal of a running trial, which is written with each part of the trial.

    Safe for any number of threads.

    Args:
        trial: As it is stored.
    """

    def __init__(self, trial: FrozenTrial) -> None:
        self._parts = _parts_of(trial, trial.user_attrs)
        self._steps = dict(trial.intermediate_values)
        #: System attributes that may be stored, or not: the store went away meanwhile.
        self._unsure: dict[str, Any] = {}
        self._lock = threading.Lock()

    def write(
        self,
        values: Sequence[tuple[int, float]],
        noted: Mapping[str, Any],
        carry_out: Callable[[Mapping[str, Any]], bool],
    ) -> bool:
        """Write steps and system attributes, with the seal over what the trial has then.

        Args:
            values: Steps and their values; of one that is stored already the first value stays.
            noted: System attributes, JSON-ready.
            carry_out: Writes, in one transaction, the steps and the attributes that it is given.

        Returns:
            What ``carry_out`` returns.
        """
        with self._lock:
            self._unsure |= noted
            steps = dict(self._steps)
            for step, value in values:
                steps.setdefault(step, value if math.isfinite(value) else math.nan)
            parts = SealedParts()
            parts.params, parts.user = self._parts.params, self._parts.user
            parts.system = {**self._parts.system, **_as_json(self._unsure)}
            written = carry_out({**self._unsure, SEAL: parts.seal(steps, ())})
            self._parts, self._steps, self._unsure = parts, steps, {}
        return written


def seal_of(
    trial: FrozenTrial, objectives: Sequence[float] = (), shown: Mapping[str, Any] | None = None
) -> list[Any]:
    """Return the seal of a trial as it is about to be stored.

    Args:
        trial: All of it, but for what follows.
        objectives: The value of each.
        shown: User attributes that it gets with its end.
    """
    parts = _parts_of(trial, {**trial.user_attrs, **(shown or {})})
    return parts.seal(trial.intermediate_values, objectives)


def _parts_of(trial: FrozenTrial, attributes: Mapping[str, Any]) -> SealedParts:
    parts = SealedParts()
    for name, domain in trial.distributions.items():
        number = float(domain.to_internal_repr(trial.params[name]))
        parts.params[name] = number, distribution_to_json(domain)
    parts.user = _as_json({k: attributes[k] for k in SEALED_ATTRIBUTES if k in attributes})
    parts.system = _as_json(trial.system_attrs)
    return parts


def _as_json(attributes: Mapping[str, Any]) -> dict[str, str]:
    return {name: json.dumps(value) for name, value in attributes.items()}


def damage(what: str) -> InputError:
    """Return the error that says that something in the store is not what was written."""
    return InputError(
        f"The storage is damaged: {what} isn't what was written. Restore it from a backup; or "
        "delete the study (hpo study delete NAME) and run it again, which finds its runs in the "
        "cache."
    )
