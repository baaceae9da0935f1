"""What people and machines see of a study at work: the screen, JSON lines, a notebook's cell."""

from hpo.watch._console import SharedConsole
from hpo.watch._interval import IntervalProcess
from hpo.watch._json_lines import JsonLines
from hpo.watch._log_to import LogProcess, LogTo, parse_log_to
from hpo.watch._notebook import NotebookView, in_notebook
from hpo.watch._picture import Picture
from hpo.watch._screen import Screen, show_plan
from hpo.watch._view import View

__all__ = [
    "IntervalProcess",
    "JsonLines",
    "LogProcess",
    "LogTo",
    "NotebookView",
    "Picture",
    "Screen",
    "SharedConsole",
    "View",
    "in_notebook",
    "parse_log_to",
    "show_plan",
]
