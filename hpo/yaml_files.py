"""YAML that people write, read within limits: nothing in it can make the reading endless."""

import re
from pathlib import Path
from typing import Any

import yaml

from hpo.errors import InputError
from hpo.files import regular

__all__ = ["parse_yaml", "read_yaml"]

#: Larger than any search space: a file of this size is something else.
_MOST_BYTES = 2**20
#: Values that a text may have once its aliases are written out.
_MOST_NODES = 20_000


_INT, _FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"


class _Loader(yaml.SafeLoader):
    """Reads numbers as people mean them, and YAML 1.2 does.

    In YAML 1.1 ``1e-3`` is text, ``010`` is 8 and ``1:30`` is 90; here the last two are text.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 - a table of the base class
        first: [rule for rule in rules if rule[0] not in (_INT, _FLOAT)]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Put the keys that ``<<`` names into a mapping, each once: its own go before them."""
        super().flatten_mapping(node)
        node.value = list({_key_of(key): (key, value) for key, value in node.value}.values())


_Loader.add_implicit_resolver(
    _INT,
    re.compile(r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)\Z"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    _FLOAT,
    re.compile(
        r"[-+]?(?:(?:\.[0-9][0-9_]*|[0-9][0-9_]*\.[0-9_]*)(?:[eE][-+]?[0-9]+)?"
        r"|[0-9][0-9_]*[eE][-+]?[0-9]+|\.(?:inf|Inf|INF))\Z|\.(?:nan|NaN|NAN)\Z"
    ),
    list("-+.0123456789"),
)


def read_yaml(path: Path) -> tuple[yaml.Node | None, Any]:
    """Return what ``parse_yaml`` does of a file's content.

    Raises:
        InputError: It is no regular file, is too large, or isn't such YAML.
    """
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: must be a file.")
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(
                f"{path}: has more than {_MOST_BYTES:,} bytes, so it is something else."
            )
        return parse_yaml(regular(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not YAML: it isn't UTF-8; save it as UTF-8.") from None
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not YAML: {error}") from None


def parse_yaml(text: str) -> tuple[yaml.Node | None, Any]:
    """Return the nodes of a text, which know their lines, and the values.

    Raises:
        ValueError: It is no YAML, is nested too deeply, a key stands twice, or its aliases refer
            to themselves or stand for too much.
    """
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None, None
        if _written_out(node, {}) > _MOST_NODES:
            raise ValueError(f"it has more than {_MOST_NODES:,} values")
        if twice := _twice(node, set()):
            raise ValueError("; ".join(twice))
        return node, loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ValueError(_in_words(error)) from None
    except (LookupError, AttributeError, TypeError, ArithmeticError) as error:
        # PyYAML's constructors raise them of a value with a tag that doesn't fit, such as !!int "".
        raise ValueError(f"a value isn't what its tag says ({error!r})") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    finally:
        if loader is not None:
            loader.dispose()


def _written_out(node: yaml.Node, sizes: dict[int, int | None]) -> int:
    """Return how many values a node holds once its aliases are written out.

    Args:
        node: It and what is in it.
        sizes: Of nodes that were counted; None for those that are being counted.
    """
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) in sizes:
        known = sizes[id(node)]
        if known is None:
            raise ValueError("an alias refers to what it is in")
        return known
    sizes[id(node)] = None
    held = node.value if isinstance(node, yaml.SequenceNode) else [x for p in node.value for x in p]
    sizes[id(node)] = size = 1 + sum(_written_out(item, sizes) for item in held)
    return size


def _key_of(key: yaml.Node) -> object:
    """Return what tells the keys of a mapping apart."""
    return (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else id(key)


def _twice(node: yaml.Node, seen: set[int]) -> list[str]:
    """Name the keys that a mapping in a node has twice, of which YAML takes the last."""
    if isinstance(node, yaml.ScalarNode) or id(node) in seen:
        return []
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        return [line for item in node.value for line in _twice(item, seen)]
    found, keys = [], set()
    for key, value in node.value:
        if _key_of(key) in keys:
            found.append(f"line {key.start_mark.line + 1}: {key.value} stands twice")
        keys.add(_key_of(key))
        found += _twice(value, seen)
    return found


def _in_words(error: yaml.YAMLError) -> str:
    """Return what PyYAML says, in one line."""
    if isinstance(error, yaml.reader.ReaderError):
        return f"character {error.position + 1} is {chr(error.character)!r}: {error.reason}"
    if not isinstance(error, yaml.MarkedYAMLError):
        return str(error)
    mark = error.problem_mark or error.context_mark
    line = "" if mark is None else f"line {mark.line + 1}: "
    said = ", ".join(part for part in (error.context, error.problem) if part)
    hint = "; indent with blanks" if "'\\t'" in said else ""
    return f"{line}{said}{hint}"
