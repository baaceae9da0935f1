"""What people see: the plan, the live screen, tables, and the report folder."""

from hpo.report._finish import finished_report
from hpo.report._plan import Plan, make_plan
from hpo.report._predictions import write_predictions, write_probabilities
from hpo.report._report import write_report
from hpo.report._screen import Screen
from hpo.report._tables import StageTable, TableRow, study_tables

__all__ = [
    "Plan",
    "Screen",
    "StageTable",
    "TableRow",
    "finished_report",
    "make_plan",
    "study_tables",
    "write_predictions",
    "write_probabilities",
    "write_report",
]
