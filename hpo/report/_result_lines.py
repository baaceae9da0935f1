"""What ``metrics.json`` says of the winner, in the lines at the end of the screen."""

from collections.abc import Mapping
from typing import Any

from hpo.report._result_tables import without_lines

__all__ = ["judged_lines", "verdict_lines"]

_NO_TEST = (
    "no test part: the validation rows chose this configuration, so expect a little less on new "
    "rows; a study with split.test_fraction (of a tail split, test_rows) keeps some untouched"
)


def judged_lines(written: dict[str, Any]) -> list[str]:
    """Return what the results say of the winner, in words.

    Args:
        written: What ``metrics.json`` has.
    """
    lines = []
    judged = written.get("judged")
    if judged is not None:
        lines += _both("validation", judged["validation_tuned"], judged["validation"])
        lines += _tied_lines(judged["tied"])
    if "ensemble" in written:
        lines.append(_ensemble_line(written["ensemble"]))
    if "test" in written:
        refitted = written.get("test_model", "refitted") == "refitted"
        name = "test, refitted" if refitted else "test, not refitted"
        lines += _both(name, written["test"], written["test_at_half"])
    lines += _optimism_lines(written)
    lines += without_lines(written)
    if "calibration" in written:
        lines += _calibration_lines(written["calibration"])
    for name, line in written.get("floor", {}).items():
        part = "test" if "test" in line else "validation"
        lines.append(f"floor, {name.replace('_', '-')}, {part}: {_scores(line[part])}")
    if "model" in written:
        model = written["model"]
        lines.append(f"model: {model['mb']:.2f} MB, trained on {model['rows']:,} rows")
        if "cut_short" in model:
            lines.append(
                f"  its training was cut short by the time limit: {model['cut_short']}; the same "
                "command with more time goes on"
            )
    return lines


def verdict_lines(written: Mapping[str, Any]) -> list[str]:
    """Return what the results say of the winner beyond its scores, which a table has.

    Args:
        written: What ``metrics.json`` has.
    """
    judged = written.get("judged")
    lines = [] if judged is None else _tied_lines(judged["tied"])
    lines += [_ensemble_line(written["ensemble"])] if "ensemble" in written else []
    lines += _optimism_lines(written)
    if "calibration" in written:
        lines += _calibration_lines(written["calibration"])
    return lines


def _tied_lines(tied: Mapping[str, Any]) -> list[str]:
    trials = tied["trials"]
    if not trials:
        return []
    listed = ", ".join(map(str, trials[:8])) + (", …" if len(trials) > 8 else "")
    one = tied["compared"] == 1
    which = "the only other" if one else f"{len(trials)} of the {tied['compared']} best others"
    word = "trial" if len(trials) == 1 else "trials"
    return [f"tied: {which} can't be told from it (95%, paired over rows): {word} {listed}"]


def _optimism_lines(written: Mapping[str, Any]) -> list[str]:
    judged = written.get("judged")
    if judged is None:
        return []
    if "test" not in written:
        return [_NO_TEST]
    if judged["optimism"] is None:
        return []
    return [f"optimism: {judged['optimism']:+.2f} from validation to test"]


def _both(name: str, tuned: dict[str, Any], plain: dict[str, Any]) -> list[str]:
    """Return scores at the chosen thresholds and at 0.5; one line where these are the same."""
    if tuned == plain:
        return [f"{name}: {_scores(plain)}"]
    return [f"{name}: {_scores(tuned)}", f"{name}, at 0.5: {_scores(plain)}"]


def _calibration_lines(found: dict[str, Any]) -> list[str]:
    """Return the calibration error, and what was done about it."""

    def error(part: str, key: str) -> str:
        e = found[part][key]
        return f"{e['value']:.2f} ({e['low']:.2f} to {e['high']:.2f}) on {part}"

    parts = [part for part in ("validation", "test") if part in found]
    shown = ", ".join(error(part, "ece") for part in parts)
    lines = [f"expected calibration error, {found['bins']} bins: {shown}"]
    if found["method"] is not None:
        after = ", ".join(error(part, "ece_calibrated") for part in parts)
        lines.append(f"after {found['method']} scaling, which predict_proba uses: {after}")
    elif found["tried"]:
        lines.append("no calibration lowers it beyond the 95% interval; none is used")
    return lines


def _ensemble_line(ensemble: dict[str, Any]) -> str:
    """Return what came of looking for an ensemble, in words."""
    count = ensemble["looked_at"]
    looked_at = f"{count} model{'' if count == 1 else 's'} looked at"
    if "gain" not in ensemble:
        return f"ensemble: none, {looked_at}"
    gain, name = ensemble["gain"][ensemble["metric"]], ensemble["metric"].replace("_f1", "-F1")
    shown = f"{name} {gain['value']:+.2f} ({gain['low']:+.2f} to {gain['high']:+.2f})"
    if not ensemble["kept"]:
        return f"ensemble: none, its gain over the best one alone would be {shown}; {looked_at}"
    return (
        f"ensemble: {len(ensemble['members'])} models, which gain {shown} over the best one "
        f"alone; {looked_at}"
    )


def _scores(scores: dict[str, dict[str, float]]) -> str:
    shown = [
        f"{name.replace('_f1', '-F1')} {s['value']:.2f} ({s['low']:.2f} to {s['high']:.2f})"
        for name, s in scores.items()
    ]
    return ", ".join(shown)
