"""What an installation has: the search spaces, wherever it is and whatever folder it runs in."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
SPACES = sorted(path.name for path in (REPO / "search_spaces").glob("*.yaml"))
FIND = """
import hpo.library._spaces as spaces
from hpo.library import space_of
print(spaces.__file__)
for name in {names!r}:
    print(space_of(name).name)
"""


def test_a_wheel_has_the_search_spaces(tmp_path: Path) -> None:
    source, wheels, target = tmp_path / "source", tmp_path / "wheels", tmp_path / "target"
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(REPO / name, source)
    for name in ("hpo", "search_spaces"):
        shutil.copytree(REPO / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    plain = ["--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "wheel", *plain, "-w", str(wheels), str(source)], check=True, timeout=250)
    (wheel,) = wheels.glob("*.whl")
    into = ["install", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run([*pip, *into], check=True, timeout=120)
    assert sorted(path.name for path in (target / "hpo/search_spaces").iterdir()) == SPACES
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    names = [Path(name).stem for name in SPACES]
    found = subprocess.run(
        [sys.executable, "-c", FIND.format(names=names)],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert found.returncode == 0, found.stderr
    place, *spaces = found.stdout.splitlines()
    assert Path(place).is_relative_to(target) and len(spaces) == len(SPACES) >= 5
