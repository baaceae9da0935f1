"""What is left of a model's score where all rows lack a modality, against a head on the other one.

    python -m benchmarks.missing
    python -m benchmarks.missing --sets movies --rates 0 0.5 --epochs 60

The recommended study's first configuration is trained with several rates of ``modality_dropout``,
for as many epochs as the option says. With each modality alone, it
is trained with several values of dropout, for 20 and 60 epochs, and the one that is best on the
validation rows is taken. Printed are micro- and macro-F1 at 0.5, the
mean over seeds, and in brackets how much that is of the score of the head on the other modality.
"""

import argparse
import statistics

from benchmarks._recipe import EPOCHS, SETS, Bench, opened
from hpo.models import Config
from hpo.results import f1_scores

_METRICS = ("micro_f1", "macro_f1")
_DROPOUTS = (0.4, 0.6, 0.8)


def main() -> None:
    """Train and print a table for each data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--fusions", nargs="+", default=["mixed_joint", "gated"])
    parser.add_argument("--rates", nargs="+", type=float, default=[0.0, 0.1, 0.2, 0.3, 0.5, 0.7])
    parser.add_argument("--epochs", type=int, choices=EPOCHS, default=EPOCHS[0])
    parser.add_argument("--seeds", type=int, default=3, metavar="N")
    parser.add_argument("--part", choices=["val", "test"], default="test")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    arguments = parser.parse_args()
    for name in arguments.sets:
        with opened(name, arguments.seeds, arguments.threads) as bench:
            print(f"\n## {name}\n\n{_head(bench)}", flush=True)
            alone = {}
            for modality in bench.modalities:
                config = _best_alone(bench, modality)
                alone[modality] = _scores(bench, config, arguments.part)
                about = f"dropout {config.dropout:g}, {config.epochs} epochs"
                cells = [_cell(alone[modality]), *([""] * len(bench.modalities))]
                print(f"| {modality} alone ({about}) | {' | '.join(cells)} |", flush=True)
            for fusion in arguments.fusions:
                for rate in arguments.rates:
                    config = bench.recipe.replace(
                        fusion=fusion, modality_dropout=rate, epochs=arguments.epochs
                    )
                    print(_row(bench, config, arguments.part, alone), flush=True)


def _head(bench: Bench) -> str:
    columns = ["", "all", *(f"without {modality}" for modality in bench.modalities)]
    return f"| {' | '.join(columns)} |\n| --- |{' --- |' * (len(columns) - 1)}"


def _best_alone(bench: Bench, modality: str) -> Config:
    """Return the head on one modality that has the best micro-F1 on the validation rows."""
    candidates = [
        bench.recipe.replace(fusion=modality, dropout=dropout, epochs=epochs)
        for dropout in _DROPOUTS
        for epochs in EPOCHS
    ]
    return max(candidates, key=lambda config: _scores(bench, config, "val")["micro_f1"])


def _row(bench: Bench, config: Config, part: str, alone: dict[str, dict[str, float]]) -> str:
    cells = [_cell(_scores(bench, config, part))]
    for modality in bench.modalities:
        scores = _scores(bench, config, part, without=modality)
        (other,) = (name for name in bench.modalities if name != modality)
        kept = " / ".join(f"{scores[key] / alone[other][key]:.1%}" for key in _METRICS)
        cells.append(f"{_cell(scores)} ({kept})")
    return f"| {config.fusion}, rate {config.modality_dropout:g} | {' | '.join(cells)} |"


def _scores(
    bench: Bench, config: Config, part: str, without: str | None = None
) -> dict[str, float]:
    truth = bench.truth(part)
    found = [f1_scores(p > 0.5, truth) for p in bench.probabilities(config, part, without)]
    return {key: statistics.fmean(scores[key] for scores in found) for key in _METRICS}


def _cell(scores: dict[str, float]) -> str:
    return " / ".join(f"{scores[key]:.2f}" for key in _METRICS)


if __name__ == "__main__":
    main()
