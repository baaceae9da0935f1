"""``hpo replay``: train a trial again from nothing, and compare with what the store has of it."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hpo._options import add_study_options, guarded

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0 if all is equal, 1 if not."""
    return guarded(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(prog="hpo replay", description=__doc__, allow_abbrev=False)
    add_study_options(parser)
    parser.add_argument("--trial", type=int, required=True, metavar="N", help="its number")
    parser.add_argument("--device", default="auto", help="default: %(default)s")
    arguments = parser.parse_args(argv)

    import torch

    from hpo.features import load_bundle
    from hpo.models import Config
    from hpo.search import Draw, TrialProgress, redraw, run_trial
    from hpo.service import Study, finished_trial, resolve_devices
    from hpo.training import RunStore, Trainer, open_device

    study = Study.join(arguments.storage, arguments.study)
    trial = finished_trial(study, arguments.trial)
    config = Config.model_validate(trial.user_attrs["config"])
    equal = True
    if "draw" in trial.user_attrs:
        raw = trial.user_attrs["draw"]
        draw = Draw(**{**raw, "unfinished": tuple(raw["unfinished"])})
        again = study.normalise(redraw(study.optuna, study.space, draw))
        equal = again == config
        print(f"suggestion: {'equal' if equal else f'{again} instead of {config}'}")
    last = max(trial.intermediate_values)
    values: dict[int, float] = {}

    def on_step(progress: TrialProgress) -> str | None:
        values[progress.step] = progress.value
        return "as in the store" if progress.step == last < progress.steps else None

    device = resolve_devices(arguments.device, torch.cuda.device_count)[0]
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            load_bundle(study.definition.bundle),
            open_device(device, study.definition.arithmetic),
            RunStore(Path(folder)),
            arithmetic=study.definition.arithmetic,
            milestones=study.space.lengths(),
        )
        outcome = run_trial(trainer, study.space, config, on_step=on_step)
    stored = list(trial.user_attrs["scores"])
    for name, mine, theirs in (
        ("scores", list(outcome.scores), stored),
        ("curve", values, dict(trial.intermediate_values)),
    ):
        same = mine == theirs
        equal = equal and same
        print(f"{name}: {'equal to the last bit' if same else f'{mine} instead of {theirs}'}")
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
