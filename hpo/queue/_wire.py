"""Calls of the ledger as they travel: JSON in which typed objects keep their type.

Fields that have their default value stay at home, so that a version which doesn't know a field yet
is only turned away where the field says something.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from hpo.models import Config
from hpo.queue._contract import StudyRow
from hpo.search import NewTask, Progress, Task, TaskState, TrialOutcome
from hpo.trials import NewTrial, TrialEnd

__all__ = ["METHOD", "UNLIMITED", "from_bytes", "to_bytes"]

#: The one gRPC method of the ledger.
METHOD = "/hpo.Ledger/Call"
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
_TYPE = "__type__"
_DATACLASSES: dict[str, type] = {
    cls.__name__: cls
    for cls in (NewTask, NewTrial, Progress, StudyRow, Task, TrialEnd, TrialOutcome)
}


def to_bytes(value: Any) -> bytes:
    """Return JSON of plain values and of the objects that the ledger's calls take and give."""
    return json.dumps(_encode(value)).encode()


def from_bytes(data: bytes) -> Any:
    """Return what ``to_bytes`` was given; sequences outside of objects become lists.

    Raises:
        ValueError: It is no such JSON, or that of another version of ``hpo``.
    """
    return _decode(json.loads(data), list)


def _encode(value: Any) -> Any:
    if isinstance(value, Config):
        return {_TYPE: "Config", "values": value.model_dump(mode="json")}
    if isinstance(value, TaskState):
        return {_TYPE: "TaskState", "value": value.value}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            field.name: _encode(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if getattr(value, field.name) != field.default
        }
        return {_TYPE: type(value).__name__, **fields}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value):
            return {key: _encode(item) for key, item in value.items()}
        return {_TYPE: "pairs", "pairs": [[_encode(k), _encode(v)] for k, v in value.items()]}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_encode(item) for item in value]
    return value


def _decode(value: Any, sequence: type[list[Any]] | type[tuple[Any, ...]]) -> Any:
    """Decode; sequences become lists or, as the fields of frozen objects, tuples."""
    if isinstance(value, list):
        return sequence([_decode(item, sequence) for item in value])
    if not isinstance(value, dict):
        return value
    kind = value.get(_TYPE)
    if kind is None:
        return {key: _decode(item, list) for key, item in value.items()}
    if kind == "Config":
        try:
            return Config.from_stored(value["values"])
        except ValidationError as error:
            places = ", ".join(".".join(map(str, e["loc"])) for e in error.errors())
            raise ValueError(f"a Config has other values here: {places}") from None
    if kind == "TaskState":
        return TaskState(value["value"])
    if kind == "pairs":
        return {_decode(k, tuple): _decode(v, tuple) for k, v in value["pairs"]}
    if kind not in _DATACLASSES:
        raise ValueError(f"There are no objects of type {kind!r} on the wire.")
    fields = {name: _decode(item, tuple) for name, item in value.items() if name != _TYPE}
    try:
        return _DATACLASSES[kind](**fields)
    except TypeError as error:
        raise ValueError(f"a {kind} has other fields here: {error}") from None
