"""Kill workers with -9 at random, and compare the study with one that a single worker ran in peace.

    python scripts/chaos.py --minutes 5
    python scripts/chaos.py --minutes 5 --storage postgresql+psycopg://user:password@host/name
    python scripts/chaos.py --minutes 5 --kind promote

Rounds follow each other until the time is over. In each, several workers run a small study, and
every few seconds one of them is killed and replaced. No trial may then be left running or waiting,
and no configuration may have two results. Tables and curves of a greedy study must equal the
undisturbed ones to the last bit. Who is promoted depends on who comes first; so in a study that
promotes each curve and value must equal that of its own configuration, trained alone. The
test-suite runs one short round of each on SQLite and on PostgreSQL.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from chaos_crew import GRACE_S, Crew, crew_of
from chaos_outcome import Outcome, differences_from_alone, outcome_of, violations
from chaos_studies import create_study, greedy_space, make_bundle, promote_space

from hpo.study import StoredStudy
from hpo.trials import redact

__all__ = [
    "Crew",
    "Outcome",
    "chaos",
    "create_study",
    "crew_of",
    "differences_from_alone",
    "greedy_space",
    "make_bundle",
    "outcome_of",
    "promote_space",
    "undisturbed",
    "violations",
]


def undisturbed(study: StoredStudy, log: Path, seconds: float = 300.0) -> Outcome:
    """Let a single worker run a study to its end, and return the outcome.

    Raises:
        RuntimeError: It didn't get there.
    """
    with crew_of(study, log) as crew:
        crew.start()
        codes = crew.wait(seconds)
    if codes != [0]:
        raise RuntimeError(f"The undisturbed worker ended with {codes}:\n{log.read_text()}")
    return outcome_of(study)


def chaos(
    study: StoredStudy,
    log: Path,
    rng: random.Random,
    *,
    workers: int,
    every: float,
    seconds: float,
    say: Callable[[str], None] = lambda text: None,
    done: int = 0,
) -> int:
    """Run a study while workers are killed with -9 and replaced.

    Args:
        study: The study.
        log: For the output of the workers.
        rng: Says when, and who.
        workers: How many there are at any time.
        every: Seconds between kills on average; they are 0.5 to 1.5 times as long. After each kill
            a twentieth is added, so that the study ends however loaded the machine is.
        seconds: How long until the study is given up.
        say: Told of each kill.
        done: Exit code of workers that find nothing more to do; 3 where a limit ends the study.

    Returns:
        How many were killed at their work.

    Raises:
        RuntimeError: The study was not complete in time, or a worker ended with an error.
    """
    start = time.monotonic()
    killed = 0
    with crew_of(study, log) as crew:
        alive = crew.start(workers)
        next_kill = start + every * rng.uniform(0.5, 1.5)
        while time.monotonic() < start + seconds:
            time.sleep(0.02)
            ended = [process for process in alive if process.exitcode is not None]
            if any(process.exitcode == done for process in ended):
                crew.processes = alive
                codes = crew.wait(10 * GRACE_S)
                if any(code != done for code in codes):
                    break
                return killed
            if ended:
                break
            if time.monotonic() >= next_kill:
                victim = alive.pop(rng.randrange(len(alive)))
                victim.kill()
                victim.join()
                if victim.exitcode == done:  # it was done before the signal came
                    alive.append(victim)
                    continue
                killed += 1
                say(f"{time.monotonic() - start:7.1f} s  killed worker {victim.pid}")
                alive += crew.start()
                every *= 1.05
                next_kill = time.monotonic() + every * rng.uniform(0.5, 1.5)
        codes = [process.exitcode for process in alive]
    raise RuntimeError(
        f"After {time.monotonic() - start:.0f} s and {killed} kills the study is not complete; "
        f"exit codes {codes}:\n{log.read_text()}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run rounds of chaos until the time is over; return 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--storage", metavar="URL", help="default: SQLite in a temporary folder")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--every", type=float, default=1.5, help="mean seconds between kills")
    parser.add_argument("--length", type=int, default=300, help="epochs of a configuration")
    parser.add_argument("--kind", choices=("greedy", "promote"), default="greedy")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    rng = random.Random(arguments.seed)
    greedy = arguments.kind == "greedy"
    space = (greedy_space if greedy else promote_space)(arguments.length)
    reference = None
    failed = rounds = kills = 0
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        folder = Path(name)
        url = arguments.storage or f"sqlite:///{folder / 'chaos.db'}"
        print(f"storage {redact(url)}, {arguments.workers} workers", flush=True)
        began = time.monotonic()
        if greedy:
            calm = create_study(f"sqlite:///{folder / 'calm.db'}", "calm", space, folder / "calm")
            reference = undisturbed(calm, folder / "calm.log")
            print(f"undisturbed: {time.monotonic() - began:.1f} s", flush=True)
        end = time.monotonic() + 60 * arguments.minutes
        while rounds == 0 or time.monotonic() < end:
            rounds += 1
            began = time.monotonic()
            log = folder / f"{rounds}.log"
            # The run store is new as well: nothing is there that an earlier round trained.
            study = create_study(
                url, f"chaos-{os.getpid()}-{rounds}", space, folder / f"cache-{rounds}"
            )
            try:
                killed = chaos(
                    study,
                    log,
                    rng,
                    workers=arguments.workers,
                    every=arguments.every,
                    seconds=600.0,
                    say=lambda text: print(text, flush=True),
                )
                kills += killed
                found = violations(study, reference)
                if not greedy:
                    found += differences_from_alone(study, folder / f"alone-{rounds}")
            except RuntimeError as error:
                found = [str(error)]
            failed += bool(found)
            seconds = time.monotonic() - began
            print(f"round {rounds}: {'FAIL' if found else 'PASS'} in {seconds:.1f} s", flush=True)
            for text in found:
                print(f"  {text}", flush=True)
    print(f"{'FAIL' if failed else 'PASS'}: {rounds} rounds, {kills} workers killed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
