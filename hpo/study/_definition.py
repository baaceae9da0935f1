"""What a study is, as it is stored with it."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hpo.errors import InputError
from hpo.models import PluginUse, default_of, field_names, neutral
from hpo.search import Dimensions, Space, Strategy, make_strategy
from hpo.study._fields import wrong_fields
from hpo.training import Arithmetic

__all__ = ["Definition"]

#: What the values of a space mean: 1, ``l2`` brings embeddings to a norm of 1; 2, to √width.
_FORMAT = 2

_DAMAGED = (
    "The study's definition in the storage is damaged: {}. Restore the database from a backup, or "
    "begin the study anew under another name."
)
_NEEDED = (
    "cache",
    "bundle_key",
    "modalities",
    "train_rows",
    "threads",
    "checkpoint_every",
    "dataset",
)
#: What a study says of its data, for people.
_OF_DATA = {
    "train_csv_sha256": "the labelled rows (sha256 of their table)",
    "data": "data folder",
    "encoder": "embeddings",
    "skipped": "rows left out",
}
#: Of a hash, as it is shown.
_DIGITS = 12
#: What was measured by every study that doesn't say.
_FIRST_METRICS = ("micro_f1", "samples_f1", "macro_f1", "map")


@dataclasses.dataclass(frozen=True)
class Definition:
    """What a study is; whoever joins it works by this and by nothing else.

    Attributes:
        space: The search space, scaled, with batch sizes capped.
        cache: Folder of features, bundles and runs, as the machine that made the study sees it.
        bundle_key: Names the features, labels and split in it.
        modalities: Those the features have.
        train_rows: Rows of the training part.
        threads: Threads of a worker on a CPU.
        checkpoint_every: Epochs between resumable states.
        dataset: What the data was, for people: folder, encoder, SHA-256 of train.csv.
        run_store_gb: Limit of the run store in 10⁹ bytes.
        precision: Of training steps, see ``Arithmetic``: what the space's became on the devices
            of the machine that made the study.
        compiler: Of training steps; see ``Arithmetic``.
        metrics: Names of what is measured after each epoch.
        plugins: The users' own parts that the study needs.
        trainer: The version of the trainer that began it, where an earlier version of this package
            noted it; since then each outcome has its own.
        format: What the values of the space mean; 1 where it wasn't noted.
        widths: Embedding width of each modality. None where it wasn't noted: then the space's limit
            on the size of models holds at the refit alone, as it did.
        classes: How many labels there are; None likewise.
        sources: The widths that each named source of embeddings has, if there are any to choose
            among.
    """

    space: Space
    cache: str
    bundle_key: str
    modalities: tuple[str, ...]
    train_rows: int
    threads: int
    checkpoint_every: int
    dataset: Mapping[str, Any]
    run_store_gb: float = 20.0
    precision: str = "float32"
    compiler: str = "off"
    metrics: tuple[str, ...] = _FIRST_METRICS
    plugins: tuple[PluginUse, ...] = ()
    trainer: int | None = None
    format: int = _FORMAT
    widths: Mapping[str, int] | None = None
    classes: int | None = None
    sources: Mapping[str, Mapping[str, int]] = dataclasses.field(default_factory=dict)

    @property
    def dimensions(self) -> Dimensions | None:
        """What the sizes of its models follow from."""
        if self.widths is None or self.classes is None:
            return None
        return Dimensions(self.widths, self.classes, self.sources)

    @property
    def objectives(self) -> dict[str, str]:
        """The direction of each objective by its name."""
        against = self.space.against
        return {self.space.metric: "maximize", **({} if against is None else {against: "minimize"})}

    def capped(self) -> "Definition":
        """Return the definition with batch sizes that its training rows have."""
        return dataclasses.replace(self, space=self.space.capped(self.train_rows))

    def check_same(self, other: "Definition", study: str, where: str) -> None:
        """Check that another definition has what this stored one has, as far as it decides results.

        Args:
            other: What the study is to be now.
            study: Its name, for the message.
            where: The storage, likewise.

        Raises:
            InputError: It hasn't; all that is different is listed.
        """
        differences = self.differences(other)
        if differences:
            raise InputError(
                [
                    *differences,
                    "Give the new one another name (--study NAME --space FILE), or another "
                    "--storage.",
                ],
                title=f"The study '{study}' in {where} is a different one:",
            )

    @property
    def bundle(self) -> Path:
        """Folder of the features, labels and split."""
        return Path(self.cache) / "bundles" / self.bundle_key

    @property
    def run_store(self) -> Path:
        """Folder of the run store."""
        return Path(self.cache) / "runs"

    @property
    def arithmetic(self) -> Arithmetic:
        """How workers compute."""
        return Arithmetic(self.threads, self.precision, self.compiler)

    def check_meaning(self, study: str) -> None:
        """Check that what the space says still means what it meant when the study was made.

        Args:
            study: Its name, for the message.

        Raises:
            InputError: It doesn't, so that trials old and new could not be compared.
        """
        space = self.space
        scalings = (space.fixed.feature_scaling, *space.search.values_of("feature_scaling"))
        if self.format < _FORMAT and "l2" in scalings:
            raise InputError(
                f"The study '{study}' was made when feature_scaling l2 brought embeddings to a "
                "norm of 1; it now brings them to √width, so its trials can't be compared with "
                "new ones. Begin a new study under another name (--study NAME --space FILE)."
            )

    def strategy(self) -> Strategy:
        """Return what decides in this study."""
        return make_strategy(self.space, self.modalities, self.dimensions)

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        plugins = [dataclasses.asdict(plugin) for plugin in self.plugins]
        return {**fields, "space": self.space.model_dump(mode="json"), "plugins": plugins}

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> "Definition":
        """Return the definition that ``to_json`` wrote, perhaps of an earlier version.

        Args:
            raw: What is stored; the users' own parts that it names must be here.

        Raises:
            InputError: It has something that this version doesn't know, or is damaged.
        """
        plugins = Definition.plugins_in(raw)
        unknown = raw.keys() - {field.name for field in dataclasses.fields(Definition)}
        if unknown:
            raise InputError(
                f"The study was made by a newer version of hpo: its definition has "
                f"{', '.join(sorted(unknown))}, which this one doesn't know. Upgrade hpo to go on "
                "with it."
            )
        number = raw.get("format", 1)
        if not isinstance(number, int) or isinstance(number, bool) or number > _FORMAT:
            raise InputError(
                "The study was made by a newer version of hpo: its definition has format "
                f"{number!r}, but this one knows them up to {_FORMAT}. Upgrade hpo to go on with "
                "it."
            )
        try:
            # Spaces had no precision when the first studies were made; theirs was a flag.
            earlier = {"precision": raw.get("precision", "float32")}
            space = Space.from_stored({**earlier, **raw["space"]})
        except ValidationError as error:
            places = [".".join(map(str, e["loc"])) for e in error.errors()]
            raise InputError(
                "The study's search space has something that this version of hpo doesn't know, at "
                f"{', '.join(dict.fromkeys(places))}. A newer one may have made it: upgrade hpo to "
                "go on with it."
            ) from None
        except KeyError as error:
            raise InputError(_DAMAGED.format(f"{error} is missing")) from None
        except (TypeError, AttributeError):
            raise InputError(_DAMAGED.format("space is no search space")) from None
        lacking = [name for name in _NEEDED if name not in raw]
        if lacking:
            raise InputError(_DAMAGED.format(f"{', '.join(lacking)} is missing"))
        wrong = wrong_fields(raw)
        if wrong:
            raise InputError(_DAMAGED.format(f"{', '.join(wrong)} can't be what hpo wrote"))
        return Definition(
            **{
                "format": 1,
                **raw,
                "space": space,
                "modalities": tuple(raw["modalities"]),
                "metrics": tuple(raw.get("metrics", _FIRST_METRICS)),
                "plugins": plugins,
            }
        )

    def kept_defaults(self, other: "Definition") -> dict[str, Any]:
        """Return the fixed values that this older study keeps where ``other`` has today's default.

        A space that leaves a field out means the default of its time. When that changes, the
        study goes on with what it was made with, the neutral value.
        """
        if self.format == other.format:
            return {}
        return {
            field: getattr(self.space.fixed, field)
            for field in field_names()
            if getattr(self.space.fixed, field) == neutral(field)
            and getattr(other.space.fixed, field) == default_of(field) != neutral(field)
        }

    def kept_upkeep(self, other: "Definition") -> str:
        """Return what this older study keeps of its upkeep where ``other`` asks for another."""
        fields = ("checkpoint_every", "run_store_gb")
        kept = [name for name in fields if getattr(self, name) != getattr(other, name)]
        return " and ".join(f"{name} {getattr(self, name):g}" for name in kept)

    @staticmethod
    def plugins_in(raw: Mapping[str, Any]) -> tuple[PluginUse, ...]:
        """Return the users' own parts that a stored definition needs before it can be read."""
        try:
            found = tuple(PluginUse(**plugin) for plugin in raw.get("plugins", ()))
        except (AttributeError, TypeError):
            raise InputError(_DAMAGED.format("it is not what hpo writes")) from None
        if not all(isinstance(x, str) for plugin in found for x in dataclasses.astuple(plugin)):
            raise InputError(_DAMAGED.format("plugins can't be what hpo wrote"))
        return found

    def differences(self, other: "Definition") -> list[str]:
        """Return what decides the results and is different in ``other``, in words."""
        found = []
        if self.bundle_key != other.bundle_key:
            found += _data_differences(self.dataset, other.dataset)
        mine, theirs = self.space.model_dump(mode="json"), other.space.model_dump(mode="json")
        # More trials of a sampled study go on with it.
        allowed = {f"search.{key}" for key in self.space.search.extensible}
        allowed |= {"budget.epochs", "budget.time_limit"}
        allowed |= {f"fixed.{field}" for field in self.kept_defaults(other)}
        allowed |= {"precision"}  # what became of it is compared, unless that is left open
        found += [
            f"{place}: {a!r} there, {b!r} here"
            for place, a, b in _different((), mine, theirs)
            if place not in allowed
        ]
        for name in ("threads", "precision", "compiler", "metrics"):
            if name == "precision" and other.space.precision == "auto":
                continue
            a, b = getattr(self, name), getattr(other, name)
            if a != b:
                found.append(f"{name}: {_shown(a)} there, {_shown(b)} here")
        return found


def _data_differences(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Return in words what makes the rows, labels, embeddings or division of two studies differ."""
    found = []
    for key in sorted(mine.keys() | theirs.keys()):
        a, b = mine.get(key), theirs.get(key)
        if a == b:
            continue
        if key == "train_csv_sha256":
            a, b = (f"{str(one)[:_DIGITS]}…" for one in (a, b))
        found.append(f"{_OF_DATA.get(key, key)}: {a} there, {b} here")
    return found or ["data: the embeddings, or how the rows are read and divided, are others here"]


def _different(place: tuple[str, ...], a: Any, b: Any) -> list[tuple[str, Any, Any]]:
    if isinstance(a, dict) and isinstance(b, dict):
        return [
            found
            for key in sorted(a.keys() | b.keys())
            for found in _different((*place, key), a.get(key), b.get(key))
        ]
    return [] if a == b else [(".".join(place), a, b)]


def _shown(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)
