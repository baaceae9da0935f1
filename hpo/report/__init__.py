"""What people see: the plan, the live screen, tables, and the report folder."""

from hpo.report._compare import write_comparison
from hpo.report._curves import Curve, CurveReader, StageCurves
from hpo.report._finish import finish_study, read_results
from hpo.report._report import write_report
from hpo.report._screen import Screen, show_plan
from hpo.report._spent import best_so_far_by_epochs, spent
from hpo.report._status import status_lines, study_status

__all__ = [
    "Curve",
    "CurveReader",
    "Screen",
    "StageCurves",
    "best_so_far_by_epochs",
    "finish_study",
    "read_results",
    "show_plan",
    "spent",
    "status_lines",
    "study_status",
    "write_comparison",
    "write_report",
]
