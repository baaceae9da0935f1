"""Fill the disk under a study, make room again, and compare with an undisturbed one.

    python scripts/disk_full.py

Database and run store are on a tmpfs of a few megabytes, which is mounted in a namespace of its own
and so needs no rights. While it is full the worker has to say so and wait; afterwards it has to end
with the numbers of the undisturbed study, without a damaged file in the run store.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from chaos import create_study, crew_of, greedy_space, outcome_of, undisturbed, violations

from hpo.search import TaskState
from hpo.training import RunStore, check_store

__all__ = ["main"]

_SIZE = "24m"
_INSIDE = "HPO_DISK_FULL_INSIDE"
_FULL_S = 4.0


def main() -> int:
    """Run the command; return 0 if all is well."""
    if os.environ.get(_INSIDE) is None:
        rights = [] if os.geteuid() == 0 else ["--map-root-user"]
        command = ["unshare", *rights, "--mount", sys.executable, *sys.argv]
        return subprocess.run(command, env={**os.environ, _INSIDE: "1"}).returncode
    with tempfile.TemporaryDirectory() as folder:
        found = scenario(Path(folder))
    for text in found:
        print(f"  {text}")
    print("FAIL" if found else "PASS")
    return 1 if found else 0


def scenario(folder: Path) -> list[str]:
    """Play it below ``folder``; return what was wrong."""
    space = greedy_space(length=20, seeds=1)
    (folder / "calm").mkdir()
    calm = create_study(f"sqlite:///{folder}/calm/s.db", "s", space, folder / "calm")
    reference = undisturbed(calm, folder / "calm.log")

    small = folder / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(small)], check=True)
    study = create_study(f"sqlite:///{small}/s.db", "s", space, small, checkpoint_every=2)
    log = folder / "log"
    try:
        with crew_of(study, log, "--grace", "60") as crew:
            crew.start()
            while not study.counts()[TaskState.DONE]:
                time.sleep(0.05)
            filler = small / "filler"
            _fill(filler)
            print(f"the disk is full: {_free(small)} bytes left")
            end = time.monotonic() + 60
            while "full" not in (log.read_text() if log.exists() else ""):
                if time.monotonic() > end:
                    return ["nothing was said of the full disk in 60 s", log.read_text()]
                time.sleep(0.05)
            print(log.read_text().splitlines()[0])
            time.sleep(_FULL_S)
            filler.unlink()
            codes = crew.wait(120)
        found = [] if codes == [0] else [f"the worker ended with {codes}", log.read_text()]
        found += violations(study, reference)
        damaged = check_store(RunStore(study.definition.run_store))
        found += [f"damaged: {damage}" for damage in damaged]
        if outcome_of(study) != reference:
            found.append("the outcome is not that of the undisturbed study")
        return found
    finally:
        study.ledger.close()
        subprocess.run(["umount", "--lazy", str(small)], check=False)


def _fill(path: Path) -> None:
    """Write until nothing fits any more."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue


def _free(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


if __name__ == "__main__":
    sys.exit(main())
