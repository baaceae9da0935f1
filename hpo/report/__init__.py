"""What people see: the plan, the live screen, tables, and the report folder."""

from hpo.report._about import about_lines, study_about
from hpo.report._curves import Curve, CurveReader, StageCurves
from hpo.report._finish import finish_study, read_results
from hpo.report._report import write_report
from hpo.report._screen import Screen, show_plan
from hpo.report._status import status_lines, study_status
from hpo.report._table_files import write_trials

__all__ = [
    "Curve",
    "CurveReader",
    "Screen",
    "StageCurves",
    "about_lines",
    "finish_study",
    "read_results",
    "show_plan",
    "status_lines",
    "study_about",
    "study_status",
    "write_report",
    "write_trials",
]
