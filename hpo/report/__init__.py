"""What people see: the plan, the live screen, tables, and the report folder."""

from hpo.report._finish import finished_report, write_predictions, write_tables
from hpo.report._plan import Plan, make_plan
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
    "write_tables",
]
