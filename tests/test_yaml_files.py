"""YAML that would be read for ever, or isn't YAML."""

import os
from pathlib import Path

import pytest

from hpo.errors import InputError
from hpo.yaml_files import parse_yaml, read_yaml

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{one}: &{one} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, one in zip("abcdefgh", "bcdefghi", strict=True)
)


def test_values_and_lines() -> None:
    node, value = parse_yaml("a: &x [1, 2.5]\nb: *x\nc: text\n")
    assert value == {"a": [1, 2.5], "b": [1, 2.5], "c": "text"}
    assert node is not None
    assert [key.start_mark.line for key, _ in node.value] == [0, 1, 2]
    assert parse_yaml("") == (None, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "it has more than 20,000 values"),
        ("a: &a [*a]\n", "an alias refers to what it is in"),
        ("&a {x: {y: *a}}\n", "an alias refers to what it is in"),
        ("[" * 100_000, "it is nested too deeply"),
        ("a: [1, 2\nb: 3\n", "while parsing a flow sequence"),
        ("a: *nobody\n", "found undefined alias 'nobody'"),
        ("!!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
        ("a: 1\n---\nb: 2\n", "expected a single document"),
        ("a: \x00\n", r"character 4 is '\x00': special characters are not allowed"),
        ("a:\n\tb: 1\n", r"line 2: while scanning for the next token, found character '\t' that "),
        (
            "a: 1\nb: {c: 1, 'c': 2}\na: 3\n",
            "line 2: c stands twice; line 3: a stands twice",
        ),
        ("a: &a {b: 1, b: 2}\nc: {<<: *a}\n", "not YAML: line 1: b stands twice"),
    ],
    ids=[
        *("bomb", "recursive", "recursive mapping", "deep", "cut", "undefined", "tag", "two"),
        *("nul", "tab", "twice", "twice in what is merged"),
    ],
)
def test_what_can_t_be_used_is_said_at_once(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(f"{path}: not YAML: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value) and "unicode string" not in str(caught.value)


def test_keys_of_a_merged_mapping_give_way_to_a_mapping_s_own(tmp_path: Path) -> None:
    text = "a: &a {x: 1, y: 2}\nb: &b {y: 3}\nc:\n  <<: [*b, *a]\n  x: 4\nd: {<<: *a}\n"
    node, value = parse_yaml(text)
    assert value["c"] == {"y": 3, "x": 4} and value["d"] == {"x": 1, "y": 2}
    assert node is not None
    merged = node.value[2][1]
    assert sorted(key.value for key, _ in merged.value) == ["x", "y"]


def test_what_is_no_file_of_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"^{tmp_path}: must be a file\.$"):
        read_yaml(tmp_path)
    path = tmp_path / "s.yaml"
    with pytest.raises(InputError, match=rf"^{path} can't be read: No such file or directory\.$"):
        read_yaml(path)
    path.write_bytes(b"name: caf\xe9\n")
    with pytest.raises(InputError, match=r"not YAML: it isn't UTF-8; save it as UTF-8\.$"):
        read_yaml(path)
    path.write_bytes(b"\xef\xbb\xbfname: x\n")
    assert read_yaml(path)[1] == {"name": "x"}
    path.write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(InputError, match="has more than 1,048,576 bytes"):
        read_yaml(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such files here")
def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "hpo.yaml"
    os.mkfifo(path)
    with pytest.raises(InputError, match="must be a file"):
        read_yaml(path)


def test_numbers_are_what_people_mean() -> None:
    text = "[010, 1:30, 1:30.5, 1_000, 0x10, 0b11, -0, +3, .5, -1.5e3, 1e-3, 5., 1_0.5, .inf, 09]"
    assert parse_yaml(text)[1] == [
        *("010", "1:30", "1:30.5", 1000, 16, 3, 0, 3, 0.5, -1500.0, 0.001, 5.0, 10.5),
        *(float("inf"), "09"),
    ]


@pytest.mark.parametrize("value", ['!!int ""', '!!float "_"', "!!bool x", "!!timestamp x"])
def test_a_tag_that_does_not_fit(value: str) -> None:
    with pytest.raises(ValueError, match="a value isn't what its tag says"):
        parse_yaml(f"a: {value}\n")
