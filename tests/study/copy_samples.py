"""What a store has of a study, read with nothing of hpo's; and copying that is killed."""

import re
import signal
import subprocess
import sys
from typing import Any

import optuna
from sqlalchemy import create_engine, text

GREEDY: dict[str, Any] = {
    "kind": "greedy",
    "stages": [
        {"name": "dropout", "params": {"dropout": [0.0, 0.3, 0.6]}},
        {"name": "rate", "params": {"lr": [0.001, 0.01, 1e30]}},
    ],
}
#: As a program: copies a study, and kills itself as the COUNT-th of its writes begins.
_KILLED = """
import os, sys
from hpo.studies import main
from hpo.trials import _copying
left = [int(sys.argv[1])]
write = _copying._write
def counted(*args, **kwargs):
    if left[0] == 0:
        os.kill(os.getpid(), 9)
    left[0] -= 1
    return write(*args, **kwargs)
_copying._write = counted
sys.exit(main(sys.argv[2:]))
"""


def content(url: str, name: str) -> dict[str, Any]:
    """All that a store has of a study, but for its name, its ids and its identity."""
    engine = create_engine(url)
    with engine.connect() as connection:

        def rows(query: str, **given: Any) -> list[dict[str, Any]]:
            return [dict(row) for row in connection.execute(text(query), given).mappings()]

        (study,) = rows("SELECT * FROM studies WHERE study_name = :name", name=name)
        here = {"s": study["study_id"]}
        trials = rows("SELECT * FROM trials WHERE study_id = :s ORDER BY number", **here)
        numbers = {trial["trial_id"]: trial["number"] for trial in trials}
        found: dict[str, Any] = {
            "trials": [[t["number"], t["state"], str(t["datetime_start"])[:23]] for t in trials]
        }
        for table, key in (
            ("trial_params", "param_name"),
            ("trial_values", "objective"),
            ("trial_intermediate_values", "step"),
            ("trial_user_attributes", "key"),
            ("trial_system_attributes", "key"),
        ):
            parts = rows(
                f"SELECT x.* FROM {table} x JOIN trials t ON t.trial_id = x.trial_id "
                "WHERE t.study_id = :s",
                **here,
            )
            found[table] = sorted(
                (
                    [numbers[part["trial_id"]], str(part[key]), *map(repr, list(part.values())[2:])]
                    for part in parts
                ),
            )
        for table in ("study_user_attributes", "study_system_attributes"):
            parts = rows(f"SELECT * FROM {table} WHERE study_id = :s", **here)
            found[table] = {
                re.sub(
                    r"(?<=:)(\d+)(?=:)", lambda id_: f"#{numbers[int(id_[0])]}", part["key"]
                ): part["value_json"]
                for part in parts
                if part["key"] != "hpo:identity"
            }
        found["directions"] = rows(
            "SELECT direction, objective FROM study_directions WHERE study_id = :s", **here
        )
        left_out = ("study", "identity", "heartbeat", "owner")
        for table in ("hpo_studies", "hpo_tasks"):
            found[table] = [
                {key: value for key, value in row.items() if key not in left_out}
                for row in rows(f"SELECT * FROM {table} WHERE study = :name", name=name)
            ]
        found["hpo_tasks"].sort(key=lambda row: row["position"])
    engine.dispose()
    return found


def killed_at(count: int, *arguments: str) -> bool:
    """Copy a study in a process that may be killed; return whether it was."""
    command = [sys.executable, "-c", _KILLED, str(count), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode == -signal.SIGKILL:
        return True
    assert done.returncode == 0, done.stderr
    return False


def names_in(url: str) -> tuple[list[str], list[str]]:
    """The names of studies that Optuna and the ledger have."""
    engine = create_engine(url)
    with engine.connect() as connection:
        ours = [row[0] for row in connection.execute(text("SELECT study FROM hpo_studies"))]
    engine.dispose()
    return sorted(optuna.get_all_study_names(url)), sorted(ours)
