"""``hpo replay``: train a trial again from nothing, and compare with what the store has of it."""

import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from hpo._options import Parser, add_study_options, guarded, whole_number

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0 if all is equal, 1 if not."""
    return guarded(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = Parser(
        prog="hpo replay",
        description="Train a trial again and compare it with what is stored, bit by bit.",
        allow_abbrev=False,
    )
    add_study_options(parser, cache=True)
    parser.add_argument(
        "--trial", type=whole_number, required=True, metavar="N", help="number of the trial"
    )
    parser.add_argument(
        "--device", default="auto", help="auto, cpu or cuda:N (default: %(default)s)"
    )
    arguments = parser.parse_args(argv)

    from hpo.features import load_bundle
    from hpo.launch import resolve_devices
    from hpo.models import Config
    from hpo.search import Decision, Progress, Verdict, run_trial
    from hpo.study import StoredStudy, check_bundle, finished_trial, load_plugins
    from hpo.training import RunStore, Trainer, open_device
    from hpo.trials import Draw

    load_plugins(arguments.plugin)
    wait = arguments.wait_for_store
    study = StoredStudy.join(arguments.storage, arguments.study, arguments.cache, wait=wait)
    study.definition.check_meaning(study.name)
    check_bundle(study.definition)
    trial = finished_trial(study, arguments.trial)
    config = Config.from_stored(trial.user_attrs["config"])
    equal = True
    drawn = trial.user_attrs.get("draw")
    if drawn is not None:
        again = study.redraw(Draw.from_json(drawn))
        equal = again == config
        print(f"suggestion: {'equal' if equal else f'{again} instead of {config}'}")
    last = max(trial.intermediate_values)
    values: dict[int, float] = {}

    def on_step(progress: Progress) -> Verdict:
        values[progress.step] = progress.value
        if progress.step == last < progress.steps:
            return Verdict(Decision.PRUNE, "as in the store")
        return Verdict(Decision.CONTINUE)

    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            load_bundle(study.definition.bundle),
            open_device(resolve_devices(arguments.device)[0], study.definition.arithmetic),
            RunStore(Path(folder)),
            metrics=study.definition.metrics,
            scored=study.space.scored_epochs(),
            milestones=study.space.lengths(),
        )
        outcome = run_trial(trainer, study.space, config, on_step=on_step)
    assert outcome is not None  # nothing pauses it
    stored = list(trial.user_attrs["scores"])
    for name, mine, theirs in (
        ("scores", list(outcome.scores), stored),
        ("curve", _with_gaps(values), _with_gaps(trial.intermediate_values)),
    ):
        same = mine == theirs
        equal = equal and same
        print(f"{name}: {'equal to the last bit' if same else f'{mine} instead of {theirs}'}")
    return 0 if equal else 1


def _with_gaps(curve: Mapping[int, float]) -> dict[int, float | None]:
    """Return a curve with None for what is no number, so that equal curves compare as equal."""
    return {step: value if math.isfinite(value) else None for step, value in curve.items()}


if __name__ == "__main__":
    sys.exit(main())
