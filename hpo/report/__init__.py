"""What people read of a study: tables, figures, results, and the report folder."""

from hpo.report._about import about_lines, study_about
from hpo.report._compare import write_comparison
from hpo.report._cost import CommandCost, note_command
from hpo.report._curves import Curve, CurveReader, StageCurves
from hpo.report._errors import bring_errors
from hpo.report._finish import finish_study, read_results
from hpo.report._floor import floor_lines, with_floor
from hpo.report._report import write_report
from hpo.report._row_facts import RowFacts
from hpo.report._spent import best_so_far_by_epochs, spent
from hpo.report._table_files import (
    ENCODER_COLUMNS,
    check_trials_file,
    cost_cell,
    costs_in,
    encoder_cells,
    score_text,
    write_trials,
)

__all__ = [
    "ENCODER_COLUMNS",
    "CommandCost",
    "Curve",
    "CurveReader",
    "RowFacts",
    "StageCurves",
    "about_lines",
    "best_so_far_by_epochs",
    "bring_errors",
    "check_trials_file",
    "cost_cell",
    "costs_in",
    "encoder_cells",
    "finish_study",
    "floor_lines",
    "note_command",
    "read_results",
    "score_text",
    "spent",
    "study_about",
    "with_floor",
    "write_comparison",
    "write_report",
    "write_trials",
]
