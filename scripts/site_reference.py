"""Pages of the site that are made from the code: commands, keys of a space, the Python API.

Nothing here describes an option, a key or a function: the words are those of the parsers, of the
schema and of the docstrings.
"""

import argparse
import functools
import html
import importlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from griffe import Docstring, DocstringSectionKind
from pydantic import BaseModel, TypeAdapter
from pymdownx.slugs import slugify

import hpo
from hpo.__main__ import _VERBS
from hpo.models import CHOICES, Config
from hpo.search import SEARCHES, Space

__all__ = ["command_pages", "python_page", "space_page"]

_MARKUP = re.compile(r"([\\`*_\[\]|])")
_TABLE = "| {} | {} |\n| --- | --- |\n"
#: Limits of a number, as pydantic and JSON Schema name them.
_SIGNS = {
    "≥": ("ge", "minimum"),
    ">": ("gt", "exclusiveMinimum"),
    "≤": ("le", "maximum"),
    "<": ("lt", "exclusiveMaximum"),
}


# --- commands


@functools.cache
def command_pages() -> dict[str, str]:
    """Return the page of each verb, by its name, and under ``index`` one that lists them."""
    rows = "".join(
        f"| [`hpo {verb}`]({verb}.md) | {_words(words)} |\n" for verb, (_, words) in _VERBS.items()
    )
    index = "# Command line\n\n" + _TABLE.format("command", "what it does") + rows
    pages = {"index": index + "\nThese pages are made from the parsers of the commands.\n"}
    for verb, (module, _) in _VERBS.items():
        pages[verb] = f"# hpo {verb}\n\n" + _command(parser_of(module), f"hpo {verb}", 2)
    return pages


class _ParserFound(BaseException):
    """A command has made its parser, which is all that is wanted of it."""


def parser_of(module: str) -> argparse.ArgumentParser:
    """Return the parser of a command, of which nothing else is run."""

    def found(self: argparse.ArgumentParser, *_: Any, **__: Any) -> Any:
        raise _ParserFound(self)

    whole, storage = argparse.ArgumentParser.parse_args, os.environ.pop("HPO_STORAGE", None)
    argparse.ArgumentParser.parse_args = found  # type: ignore[assignment, method-assign]
    try:
        importlib.import_module(module).main([])
    except _ParserFound as caught:
        parser: argparse.ArgumentParser = caught.args[0]
        return parser
    finally:
        argparse.ArgumentParser.parse_args = whole  # type: ignore[method-assign]
        if storage is not None:
            os.environ["HPO_STORAGE"] = storage
    raise LookupError(f"{module} has no parser")


def _command(parser: argparse.ArgumentParser, name: str, level: int) -> str:
    """Return what a parser says of itself, of its arguments and of its own verbs."""
    given = [action for action in parser._actions if action.help is not argparse.SUPPRESS]
    verbs = [action for action in given if isinstance(action, argparse._SubParsersAction)]
    options = [action for action in given if action not in verbs and action.dest != "help"]
    usage = [name]
    for action in options:
        part = _written(action)
        if not action.option_strings and action.nargs in ("*", "+"):
            part += " …"
        if action.option_strings and not action.required:
            continue
        usage.append(part)
    if any(action.option_strings and not action.required for action in options):
        usage.append("[OPTION …]")
    usage += [str(action.metavar) for action in verbs]
    text = f"{_words(parser.description)}\n\n" if parser.description else ""
    text += f"```text\n{' '.join(usage)}\n```\n\n"
    if options:
        text += _TABLE.format("option", "meaning")
        text += "".join(f"| {_option(action)} | {_meaning(action)} |\n" for action in options)
        text += "\n"
    for action in verbs:
        helps = {choice.dest: choice.help for choice in action._choices_actions}
        for verb, inner in action.choices.items():
            text += f"{'#' * level} {name} {verb}\n\n"
            if not inner.description and helps.get(verb):
                text += f"{_words(helps[verb])}\n\n"
            text += _command(inner, f"{name} {verb}", level + 1)
    if parser.epilog:
        text += f"{_words(parser.epilog)}\n\n"
    return text


def _written(action: argparse.Action) -> str:
    """Return how an argument is written, such as ``--seeds R``."""
    value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else None)
    if not action.option_strings:
        return str(value or action.dest)
    takes = action.nargs != 0
    return action.option_strings[-1] + (f" {value or action.dest.upper()}" if takes else "")


def _option(action: argparse.Action) -> str:
    names = action.option_strings[:-1]
    return _code(", ".join([*names, _written(action)]))


def _meaning(action: argparse.Action) -> str:
    meaning = (action.help or "") % {**vars(action), "prog": ""}
    required = " (required)" if action.required and action.option_strings else ""
    return _words(meaning) + required


# --- keys of a space


def space_page() -> str:
    """Return the page of all keys that a search-space file may have."""
    text = (
        "# Keys of a search space\n\nAll keys, made from the schema that files are checked with. "
        "The [guide to search spaces](../search-spaces.md) says what they are for.\n\n"
    )
    titles = _titles()
    for model, title in titles.items():
        text += f"## {title}\n\n{_paragraphs(_summary(model))}\n\n"
        meanings = _attributes(model)
        rows = ""
        for key, schema in _keys(model).items():
            field = model.model_fields[key]
            default = (
                "required"
                if field.is_required()
                else _default(field.get_default(call_default_factory=True))
            )
            meaning = _words(meanings[key])
            rows += f"| `{key}` | {_kind(schema, titles)} | {default} | {meaning} |\n"
        text += "| key | value | default | meaning |\n| --- | --- | --- | --- |\n" + rows + "\n"
        if model is Config:
            text += _own_parameters()
    return text


def _own_parameters() -> str:
    """Return the table of the parameters that belong to one choice."""
    rows = ""
    for kind, registry in CHOICES.items():
        for name in registry:
            for own, parameter in registry[name].parameters.items():
                value = _kind(TypeAdapter(parameter.annotation).json_schema(), {})
                with_what = f"`{kind}: {name}`"
                rows += f"| `{name}.{own}` | {value} | {_default(parameter.default)} "
                rows += f"| {with_what} |\n"
    head = "| key | value | default | only with |\n| --- | --- | --- | --- |\n"
    return f"Parameters that belong to one choice:\n\n{head}{rows}\n"


def _titles() -> dict[type[BaseModel], str]:
    """Return the models of a space file with their titles, each after one that mentions it.

    A title is made of the keys that a model stands under, and of its kind where there are several.
    """
    under: dict[type[BaseModel], list[str]] = {Space: []}

    def visit(model: type[BaseModel]) -> None:
        for key, schema in _keys(model).items():
            for other in _mentioned(schema):
                new = other not in under
                if key not in under.setdefault(other, []):
                    under[other].append(key)
                if new:
                    visit(other)

    visit(Space)
    titles = {}
    for model, keys in under.items():
        alike = [other for other in under if under[other] == keys]
        kind = model.model_fields.get("kind")
        name = model.__name__.lower() if kind is None else get_args(kind.annotation)[0]
        titles[model] = ", ".join(keys) + (f": {name}" if len(alike) > 1 else "")
    return {**titles, Space: "The file"}


def _keys(model: type[BaseModel]) -> dict[str, dict[str, Any]]:
    """Return the schema of each key that a model has in a file."""
    keys = dict(model.model_json_schema()["properties"])
    if model is Config:
        del keys["options"]  # in a file each option is a key of its own
    return keys


def _mentioned(schema: Any) -> list[type[BaseModel]]:
    """Return the models that a schema refers to, in order."""
    if isinstance(schema, list):
        return [model for one in schema for model in _mentioned(one)]
    if not isinstance(schema, Mapping):
        return []
    found = _meant(schema["$ref"]) if "$ref" in schema else []
    return found + [m for key in schema if key != "discriminator" for m in _mentioned(schema[key])]


def _meant(reference: str) -> list[type[BaseModel]]:
    """Return the models that a reference in a schema stands for."""
    name = reference.rpartition("/")[2]
    if name == "Search":  # the schema knows the base alone
        return [search for search, _ in SEARCHES.values()]
    if name == "FixedValues":  # a configuration, with less of it checked
        return [Config]
    return [model for model in _subclasses(BaseModel) if model.__name__ == name]


def _subclasses(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for inner in model.__subclasses__():
        if inner.__module__.startswith("hpo."):
            yield inner
        yield from _subclasses(inner)


def _kind(schema: Mapping[str, Any], titles: Mapping[type[BaseModel], str]) -> str:
    """Return what a JSON schema allows, in words."""
    if "$ref" in schema:
        names = [titles[model] for model in _meant(schema["$ref"])]
        return " or ".join(f"[{one}](#{slugify(case='lower')(one, '-')})" for one in names)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(_kind(one, titles) for one in schema[several])
    if "const" in schema:
        return _code(str(schema["const"]))
    if "enum" in schema:
        return ", ".join(_code(str(value)) for value in schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        return f"list of: {_kind(schema['items'], titles)}" if schema.get("items") else "list"
    if kind == "object":
        inner = schema.get("additionalProperties")
        return (
            f"mapping of names to: {_kind(inner, titles)}"
            if inner not in (None, True)
            else "mapping"
        )
    words = {"null": "`null`", "boolean": "true or false", "integer": "whole number"}
    word = words.get(str(kind), "text" if kind == "string" else str(kind))
    limits = [
        f"{sign} {schema[key]:,.15g}"
        for sign, keys in _SIGNS.items()
        for key in keys
        if key in schema
    ]
    return " ".join([word, html.escape(", ".join(limits))]).strip()


def _default(value: Any) -> str:
    """Return a default as it would stand in a file."""
    if isinstance(value, BaseModel):
        given = value.model_dump(mode="json", exclude_defaults=True)
        kind = getattr(value, "kind", None)
        given = given if kind is None else {"kind": kind, **given}
        return _code(json.dumps(given).replace('"', "")) if given else "as below"
    if isinstance(value, tuple):
        value = list(value)
    return _code(value if isinstance(value, str) else json.dumps(value))


def _attributes(model: type[BaseModel]) -> dict[str, str]:
    """Return what the docstrings of a model and of its bases say of its fields."""
    found: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        for section in Docstring(cls.__dict__.get("__doc__") or "").parse("google", warnings=False):
            if section.kind is DocstringSectionKind.attributes:
                found |= {one.name: one.description for one in section.value}
    lacking = [key for key in _keys(model) if key not in found]
    if lacking:
        raise LookupError(f"the docstring of {model.__name__} says nothing of {lacking}")
    return found


def _summary(model: type[BaseModel]) -> str:
    """Return the text of a model's docstring before its first section."""
    return re.split(r"\n\s*\n\s*Attributes:", model.__doc__ or "")[0]


# --- Python


def python_page() -> str:
    """Return the page of the public names, which mkdocstrings fills from their docstrings."""
    text = "# Python API\n\nThe [library guide](../library.md) shows how it is used.\n\n"
    return text + "\n".join(f"::: hpo.{name}\n" for name in hpo.__all__)


# --- words


def _paragraphs(text: str) -> str:
    parts = re.split(r"\n\s*\n", text)
    return "\n\n".join(
        "```python\n" + re.sub(r"(?m)^ {4,8}", "", part) + "\n```"
        if position and parts[position - 1].rstrip().endswith(":")
        else _words(part)
        for position, part in enumerate(parts)
    )


def _words(text: str) -> str:
    """Return plain text, perhaps with ``code`` in it, as one line of Markdown."""
    pieces = re.split(r"``?([^`]+)``?", re.sub(r"\s+", " ", text).strip())
    return "".join(
        _code(piece) if number % 2 else _MARKUP.sub(r"\\\1", html.escape(piece, quote=False))
        for number, piece in enumerate(pieces)
    )


def _code(text: str) -> str:
    """Return code for a table's cell, in which a bar would end the cell."""
    return f"<code>{html.escape(text, quote=False).replace('|', '&#124;')}</code>"
