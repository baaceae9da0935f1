"""A study as it is stored: what it is, what it needs, and where its tasks and trials stand."""

from hpo.models import PluginUse
from hpo.study._candidates import add_candidate, adopt_enqueued, warm_start
from hpo.study._concerns import concerns, failed_tasks, retry_failed
from hpo.study._copying import copy_study
from hpo.study._definition import Definition
from hpo.study._delete import delete_study, list_studies
from hpo.study._file import check_replaceable, export_file, import_file
from hpo.study._identity import Store, StudyGoneError
from hpo.study._kept import kept_split
from hpo.study._look import check_warm_start, look, study_names
from hpo.study._name import check_name
from hpo.study._places import check_bundle
from hpo.study._plugins import check_plugins, load_plugins, plugins_of
from hpo.study._so_far import (
    TRAINED,
    as_far_as_it_got,
    best_so_far,
    epochs_trained,
    epochs_unfinished,
)
from hpo.study._status import status_lines, study_status
from hpo.study._study import StoredStudy, finished_trial

__all__ = [
    "TRAINED",
    "Definition",
    "PluginUse",
    "Store",
    "StoredStudy",
    "StudyGoneError",
    "add_candidate",
    "adopt_enqueued",
    "as_far_as_it_got",
    "best_so_far",
    "check_bundle",
    "check_name",
    "check_plugins",
    "check_replaceable",
    "check_warm_start",
    "concerns",
    "copy_study",
    "delete_study",
    "epochs_trained",
    "epochs_unfinished",
    "export_file",
    "failed_tasks",
    "finished_trial",
    "import_file",
    "kept_split",
    "list_studies",
    "load_plugins",
    "look",
    "plugins_of",
    "retry_failed",
    "status_lines",
    "study_names",
    "study_status",
    "warm_start",
]
