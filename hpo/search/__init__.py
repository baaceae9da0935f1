"""What to train next: search-space files, strategies, samplers, pruners, one trial."""

from hpo.search._budget import Budget
from hpo.search._constraints import COSTS, Constraints, Dimensions, broken_by
from hpo.search._cost import (
    costliest,
    last_step,
    reached_length,
    refit_epochs,
    refit_epochs_of,
    trained_epochs,
)
from hpo.search._domains import Choices, Range
from hpo.search._encoders import encoders_of_space, space_for_sources
from hpo.search._expected_gain import StopQuestion, expected_best, expected_gain
from hpo.search._front import FRONT, front_of
from hpo.search._greedy import Candidate, GreedySearch, GreedyStage, GreedyStrategy
from hpo.search._load import load_space, parse_candidate, parse_setting
from hpo.search._named import find_space
from hpo.search._plan import Plan, PlannedStage
from hpo.search._promote import PromoteSearch, PromoteStrategy
from hpo.search._pruning import Divergence, DivergenceRule, decision_steps, make_pruner
from hpo.search._refit import Ensemble, Refit
from hpo.search._registry import experimental
from hpo.search._sampled import OptunaSearch, SampledStrategy
from hpo.search._sampling import make_sampler, param_value
from hpo.search._search import Search
from hpo.search._settings import unused_settings
from hpo.search._space import SEARCHES, Space, make_strategy, register_search
from hpo.search._stage import Stage
from hpo.search._strategy import (
    Board,
    Decision,
    FixedBoard,
    NoCandidateError,
    Opening,
    Strategy,
    Verdict,
)
from hpo.search._tables import StageTable, TableRow, format_params, format_score
from hpo.search._task import NewTask, Progress, Task, TaskState, TrialOutcome
from hpo.search._trial import run_trial
from hpo.search._values import Component

__all__ = [
    "COSTS",
    "FRONT",
    "SEARCHES",
    "Board",
    "Budget",
    "Candidate",
    "Choices",
    "Component",
    "Constraints",
    "Decision",
    "Dimensions",
    "Divergence",
    "DivergenceRule",
    "Ensemble",
    "FixedBoard",
    "GreedySearch",
    "GreedyStage",
    "GreedyStrategy",
    "NewTask",
    "NoCandidateError",
    "Opening",
    "OptunaSearch",
    "Plan",
    "PlannedStage",
    "Progress",
    "PromoteSearch",
    "PromoteStrategy",
    "Range",
    "Refit",
    "SampledStrategy",
    "Search",
    "Space",
    "Stage",
    "StageTable",
    "StopQuestion",
    "Strategy",
    "TableRow",
    "Task",
    "TaskState",
    "TrialOutcome",
    "Verdict",
    "broken_by",
    "costliest",
    "decision_steps",
    "encoders_of_space",
    "expected_best",
    "expected_gain",
    "experimental",
    "find_space",
    "format_params",
    "format_score",
    "front_of",
    "last_step",
    "load_space",
    "make_pruner",
    "make_sampler",
    "make_strategy",
    "param_value",
    "parse_candidate",
    "parse_setting",
    "reached_length",
    "refit_epochs",
    "refit_epochs_of",
    "register_search",
    "run_trial",
    "space_for_sources",
    "trained_epochs",
    "unused_settings",
]
