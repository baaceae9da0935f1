"""What optuna-dashboard shows of a study beyond its trials: notes, plots and files."""

from hpo.dashboard._artifacts import ARTIFACTS, attach_files
from hpo.dashboard._board import Board, publish

__all__ = ["ARTIFACTS", "Board", "attach_files", "publish"]
