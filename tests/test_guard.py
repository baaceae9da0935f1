"""One sentence instead of a traceback, around every command."""

import errno
import logging
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from hpo.__main__ import main
from hpo._options import Parser, guarded
from hpo.errors import DivergedError, InputError
from hpo.files import atomic_write


def raising(error: BaseException) -> int:
    def main(_: Sequence[str] | None) -> int:
        raise error

    return guarded(main, [])


def test_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(InputError(["a is 1", "b is 2"], "Two problems:")) == 2
    assert capsys.readouterr().err == "error: Two problems:\n  a is 1\n  b is 2\n"


def test_a_file_that_can_t_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(PermissionError(errno.EACCES, "Permission denied", "/out/metrics.json")) == 1
    assert capsys.readouterr().err == "error: '/out/metrics.json': Permission denied\n"
    assert raising(OSError(errno.EMFILE, "Too many open files")) == 1
    assert capsys.readouterr().err == "error: Too many open files; allow more (ulimit -n)\n"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_a_file_that_grew_too_large_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a write raises has no name, under ``ulimit -f`` and on a full disk alike."""

    import resource

    def write(_: Sequence[str] | None) -> int:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        try:
            with atomic_write(tmp_path / "m.onnx") as file:
                file.write(bytes(2000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        return 0

    assert guarded(write, []) == 1
    assert capsys.readouterr().err == f"error: '{tmp_path / 'm.onnx'}': File too large\n"
    assert list(tmp_path.iterdir()) == []


def test_a_warning_is_said_once_whoever_else_logs(capsys: pytest.CaptureFixture[str]) -> None:
    """``logging.info``, as open_clip calls it, gives the root logger a handler."""

    def warn(_: Sequence[str] | None) -> int:
        handler = logging.StreamHandler()
        logging.getLogger().addHandler(handler)
        try:
            logging.getLogger("hpo.any").warning("the store is away")
        finally:
            logging.getLogger().removeHandler(handler)
        return 0

    assert guarded(warn, []) == 0
    assert capsys.readouterr().err.count("the store is away") == 1
    assert logging.getLogger("hpo").propagate


def test_a_warning_is_said_once_by_a_command_that_another_calls(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def inner(_: Sequence[str] | None) -> int:
        logging.getLogger("hpo").warning("beware")
        return 0

    assert guarded(lambda given: guarded(inner, given), []) == 0
    assert capsys.readouterr().err.count("beware") == 1


def test_what_nobody_foresaw_is_kept_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(RuntimeError("something odd\nand more of it")) == 1
    printed = capsys.readouterr().err
    found = re.fullmatch(
        r"error: test_guard met with something unforeseen: RuntimeError: something odd\n"
        r"The traceback is in (\S+\.log)\. Nothing that was stored is lost; the same command goes "
        r"on once the cause is gone\.\n",
        printed,
    )
    assert found is not None, printed
    path = Path(found[1])
    kept = path.read_text()
    path.unlink()
    assert kept.startswith("Traceback (most recent call last):")
    assert kept.endswith("RuntimeError: something odd\nand more of it\n")


def test_ctrl_c(capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "stopped; run the same command again to continue\n"


def test_ctrl_c_while_a_command_is_imported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hpo.__main__.importlib.import_module", stopped)
    assert main(["features", "--data", "demo"]) == 130
    assert capsys.readouterr().err == "stopped; run the same command again to continue\n"


def test_a_password_is_not_printed_nor_kept(capsys: pytest.CaptureFixture[str]) -> None:
    message = "at postgresql://me:s3cret@host/db?sslpassword=s3cret&x=1: password=s3cret"
    assert raising(RuntimeError(message)) == 1
    printed = capsys.readouterr().err
    path = Path(re.findall(r"\S+\.log", printed)[0])
    kept = path.read_text()
    path.unlink()
    for text in (printed, kept.splitlines()[-1]):
        assert "at postgresql://me:***@host/db?sslpassword=***&x=1: password=***" in text
    assert "s3cret" not in printed


def test_a_refit_that_diverged(capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(DivergedError("The refit diverged.")) == 1
    assert capsys.readouterr().err == "error: The refit diverged.\n"


def test_arguments_are_echoed_without_passwords(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        Parser(prog="x").parse_args(["--storage", "postgresql://u:secret/9@h/db"])
    assert "unrecognized arguments: --storage postgresql://u:***@h/db" in capsys.readouterr().err
