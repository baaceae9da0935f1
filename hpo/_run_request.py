"""What a run is asked for: its options, settled and checked before the data is prepared."""

import argparse
import contextlib
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hpo._data_arguments import data_options
from hpo._energy import energy_of
from hpo._run_crew import ray_plan_of
from hpo._run_space import fusion_names, read_by, space_file
from hpo._writable import check_folder
from hpo.errors import InputError, did_you_mean
from hpo.features import DEMO_DATA, DataOptions, FolderDefaults, folder_defaults
from hpo.launch import Placement, RayPlan, place_workers, resolve_devices, resolve_precision
from hpo.library import Limits, space_of
from hpo.models import Config
from hpo.report import CommandCost
from hpo.results import check_pick
from hpo.search import (
    Space,
    encoders_of_space,
    find_space,
    parse_candidate,
    parse_setting,
    space_for_sources,
    unused_settings,
)
from hpo.study import Definition, check_name, check_warm_start, kept_split, load_plugins
from hpo.training import Arithmetic
from hpo.trials import redact
from hpo.watch import LogTo, parse_log_to

__all__ = ["Request", "read_request"]


@dataclass(frozen=True)
class Request:
    """What a run is asked for.

    Attributes:
        arguments: The command line's, for what needs no further look.
        out: The folder of the results.
        candidates: What is to be tried by hand, each with the text that asked for it.
        pick: How the model is chosen from a front; None without one.
        tools: Those of ``--log-to``.
        options: Where the data comes from.
        defaults: What the data folder says.
        space: What is searched.
        limits: What may end the study before it is complete.
        devices: Where workers run, and the results are computed.
        placements: The workers of this machine.
        ray: The workers of Ray, instead of those; None without it.
        arithmetic: How workers compute.
        allowed: What each worker may hold of the rows, in 10⁹ bytes.
        cost: Measures what the command takes.
        head: The first line of the plan.
        placed: Where workers will be.
        unused: What of the settings of the space has no effect.
    """

    arguments: argparse.Namespace
    out: Path
    candidates: Sequence[tuple[str, Mapping[str, Any]]]
    pick: str | int | None
    tools: list[LogTo]
    options: DataOptions
    defaults: FolderDefaults
    space: Space
    limits: Limits
    devices: tuple[str, ...]
    placements: list[Placement]
    ray: RayPlan | None
    arithmetic: Arithmetic
    allowed: list[float]
    cost: CommandCost
    head: str
    placed: str
    unused: list[str]

    def check(self, definition: Definition) -> list[Config]:
        """Return the candidates of the user's for a study, before anything of it is stored.

        Raises:
            InputError: A candidate is no point of the space, the budget is not enough, or there is
                no study to start from.
        """
        asked = self.arguments
        check_warm_start(asked.storage, asked.warm_start, asked.wait_for_store)
        self.limits.trial_epochs(definition)
        strategy = definition.capped().strategy()
        return [strategy.point(values) for _, values in self.candidates]


def read_request(
    arguments: argparse.Namespace, stack: contextlib.ExitStack, began: float
) -> Request:
    """Settle and check all that can be before the data is prepared.

    Args:
        arguments: The command line's.
        stack: Removes what a dry run leaves.
        began: When the command began, by ``time.monotonic``.

    Raises:
        InputError: Something can't be as it is asked for.
    """
    check_name(arguments.study)
    out = arguments.out or _results_folder(arguments.study)
    if not arguments.dry_run:
        check_folder(out, "--out")
        check_folder(arguments.cache, "--cache")
    candidates = [(text, parse_candidate(text)) for text in arguments.add]
    pick = None if arguments.pick is None else check_pick(arguments.pick)
    tools = parse_log_to(arguments.log_to)
    load_plugins(arguments.plugin)
    options = data_options(arguments, device="cpu")
    if arguments.dry_run:
        options = _rehearsed(options, stack)
    defaults = folder_defaults(options)
    source, space, options, unused = _searched(arguments, defaults, options.with_defaults(defaults))

    limits = Limits.of(
        space.budget,
        arguments.timeout,
        arguments.trials,
        arguments.epoch_budget,
        arguments.time_limit,
        began=began,
        refit=not arguments.no_refit,
    )
    devices = resolve_devices(arguments.devices)
    ray = ray_plan_of(arguments)
    used = devices if ray is None else (ray.device,)
    here = devices if ray is None else ("the workers of Ray",)
    cost = CommandCost(began, here, energy_of(here))
    precision = resolve_precision(space.precision, used)
    arithmetic = Arithmetic(arguments.threads, precision, arguments.compile)
    for name in used:
        arithmetic.check(name.partition(":")[0])
    placements = place_workers(devices, arguments.workers, arguments.threads, arguments.memory_gb)
    placed = f"workers {len(placements)} on {', '.join(devices)}, threads {arguments.threads}"
    allowed = [placement.memory_gb for placement in placements]
    if ray is not None:
        placed = str(ray)
        allowed = [arguments.memory_gb or math.inf]
    return Request(
        arguments=arguments,
        out=out,
        candidates=candidates,
        pick=pick,
        tools=tools,
        options=replace(options, device=devices[0]),
        defaults=defaults,
        space=space,
        limits=limits,
        devices=devices,
        placements=placements,
        ray=ray,
        arithmetic=arithmetic,
        allowed=allowed,
        cost=cost,
        head=f"study {arguments.study} · space {source} · storage {redact(arguments.storage)}",
        placed=placed,
        unused=unused,
    )


def _rehearsed(options: DataOptions, stack: contextlib.ExitStack) -> DataOptions:
    """Return options that leave the cache alone: what is made goes into a folder that is removed.

    Args:
        options: Those of the run.
        stack: Removes it.
    """
    there = options.folder / "train.csv"  # of the demo, if it was rendered before
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="hpo-dry-run-"))
    data = str(options.folder) if options.data == DEMO_DATA and there.exists() else options.data
    return replace(options, data=data, cache=Path(folder))


def _searched(
    arguments: argparse.Namespace, defaults: FolderDefaults, options: DataOptions
) -> tuple[Path, Space, DataOptions, list[str]]:
    """Return the file of the space, what it says with the settings, what it reads, and notes."""
    suggested = [(key, value, "hpo.yaml") for key, value in defaults.settings.items()]
    settings = [(*parse_setting(text), "--set") for text in arguments.set]
    if arguments.seeds is not None:
        settings.append(("seeds", arguments.seeds, "--seeds"))
    name, storage, wait = arguments.study, arguments.storage, arguments.wait_for_store
    source = _given_space(arguments.space) or space_file(name, storage, wait)
    modalities = options.modalities or fusion_names(options)
    space = space_of(source, settings, suggested, modalities, options.sources() or None)
    options = options.with_encoders(encoders_of_space(space))
    space = space_for_sources(space, options.sources())
    split = kept_split(storage, name, space.split, wait)
    precision = arguments.precision or space.precision
    space = space.model_copy(update={"split": split, "precision": precision})
    unused = unused_settings(space, [*suggested, *settings])
    return source, space, replace(options, reads=read_by(space)), unused


def _given_space(given: Path | None) -> Path | None:
    """Return the file of ``--space``, which may be the name of a space, too.

    Raises:
        InputError: There is no such file, and no space of this name.
    """
    if given is None or given.exists():
        return given
    if not given.suffix and given.name == str(given):
        return find_space(given.name)
    folder = given.parent
    there = [path.name for path in folder.glob("*.y*ml")] if folder.is_dir() else []
    raise InputError(f"--space {given}: there is no such file{did_you_mean(given.name, there)}.")


def _results_folder(study: str) -> Path:
    """Return where the results of a study go if nothing is said of it.

    Raises:
        InputError: That would be outside of ``runs/``.
    """
    if Path(study).is_absolute() or ".." in Path(study).parts:
        raise InputError(
            f"--study {study}: its results would go to {Path('runs') / study}; give their folder "
            "with --out."
        )
    return Path("runs") / study
