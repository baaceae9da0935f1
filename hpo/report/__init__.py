"""What people see: the plan, the live screen, tables, and the report folder."""

from hpo.report._about import about_lines, study_about
from hpo.report._compare import write_comparison
from hpo.report._cost import CommandCost, note_command
from hpo.report._curves import Curve, CurveReader, StageCurves
from hpo.report._errors import bring_errors
from hpo.report._finish import finish_study, read_results
from hpo.report._report import write_report
from hpo.report._row_facts import RowFacts
from hpo.report._screen import Screen, show_plan
from hpo.report._spent import best_so_far_by_epochs, spent
from hpo.report._status import status_lines, study_status
from hpo.report._table_files import write_trials

__all__ = [
    "CommandCost",
    "Curve",
    "CurveReader",
    "RowFacts",
    "Screen",
    "StageCurves",
    "about_lines",
    "best_so_far_by_epochs",
    "bring_errors",
    "finish_study",
    "note_command",
    "read_results",
    "show_plan",
    "spent",
    "status_lines",
    "study_about",
    "study_status",
    "write_comparison",
    "write_report",
    "write_trials",
]
