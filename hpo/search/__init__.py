"""What to train next: search-space files, greedy stages, samplers, pruners, one trial."""

from hpo.search._greedy import Candidate, GreedyStage, NoCandidateError, greedy_stages
from hpo.search._load import load_space, parse_setting
from hpo.search._pruning import Divergence, decision_steps, make_pruner, should_prune
from hpo.search._sampling import (
    Draw,
    distributions_of,
    make_sampler,
    param_value,
    redraw,
    sample_config,
)
from hpo.search._space import GreedySearch, OptunaSearch, Range, Space, Stage, config_key
from hpo.search._trial import TrialOutcome, TrialProgress, run_trial

__all__ = [
    "Candidate",
    "Divergence",
    "Draw",
    "GreedySearch",
    "GreedyStage",
    "NoCandidateError",
    "OptunaSearch",
    "Range",
    "Space",
    "Stage",
    "TrialOutcome",
    "TrialProgress",
    "config_key",
    "decision_steps",
    "distributions_of",
    "greedy_stages",
    "load_space",
    "make_pruner",
    "make_sampler",
    "param_value",
    "parse_setting",
    "redraw",
    "run_trial",
    "sample_config",
    "should_prune",
]
