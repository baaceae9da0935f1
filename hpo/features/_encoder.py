"""From an encoder's name to the files it stands for, without loading the model.

A name is one of open_clip's (``ViT-L-14/openai``), a folder with ``open_clip_config.json`` and
``open_clip_model.safetensors``, a model of open_clip's with a weights file of one's own
(``ViT-L-14/path/to/weights.safetensors``; ``open_clip_config.json`` beside it goes before
open_clip's), one of the hub's (``hf-hub:ORG/MODEL``), or ``demo``, the small encoder in this
package.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hpo.errors import InputError, did_you_mean
from hpo.features._encoder_config import config_faults
from hpo.features._hashes import hash_files
from hpo.features._hub import fail_fast, quiet
from hpo.files import canonical_json, content_key
from hpo.json_files import read_json
from hpo.notes import Note

__all__ = ["DEFAULT_ENCODER", "DEMO_ENCODER", "Encoder", "resolve_encoder"]

DEFAULT_ENCODER = "ViT-L-14/openai"
"""The paper's, 768 wide."""

DEMO_ENCODER = "demo"

_HUB = "hf-hub:"
_DEMO_FOLDER = Path(__file__).parent / "demo_clip"
_CONFIG_FILE = "open_clip_config.json"
# The first choices of open_clip's own search in a folder, in its order.
_FOLDER_WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
_WEIGHT_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
_TOKENIZER_FILES = ("tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "*.model")
_PREPROCESS_FIELDS = ("mean", "std", "interpolation", "resize_mode", "fill_color", "mode", "size")
# Of ``hpo/features/_decode.py``: one more whenever the same file comes out differently. It isn't in
# ``Encoder.preprocessing``, since a trained model need not tell the versions apart.
_DECODING = 2
_INSTEAD = (
    f"pass a local checkpoint (--encoder FOLDER with {_CONFIG_FILE} and {_FOLDER_WEIGHTS[0]}, "
    "or --encoder MODEL/PATH/weights.safetensors) or embeddings that you have already "
    "(--features DIR)"
)


@dataclass(frozen=True)
class Encoder:
    """An encoder whose files are all on this machine.

    Attributes:
        name: What to call ``resolve_encoder`` with to get this one again; local paths absolute.
        model: open_clip's ``model_name``.
        pretrained: open_clip's ``pretrained``: a tag, a file, or None for a folder.
        weights: The file of weights.
        config: open_clip's ``model_cfg``.
        preprocess: What the weights ask for beyond open_clip's default preprocessing.
        weights_hash: SHA-256 of the weights file, hexadecimal.
        tokenizer_hashes: SHA-256 of the tokenizer's files in the folder, by name.
        has_own_config: Whether ``config`` and ``preprocess`` were read beside a file of weights,
            and go before open_clip's of that model.
        notes: What was taken on trust.
    """

    name: str
    model: str
    pretrained: str | None
    weights: Path
    config: Mapping[str, Any]
    preprocess: Mapping[str, Any]
    weights_hash: str
    tokenizer_hashes: Mapping[str, str]
    has_own_config: bool = False
    notes: tuple[Note, ...] = ()

    @property
    def context_length(self) -> int | None:
        """How many tokens the text tower takes, where the config says it."""
        length: int | None = self.config.get("text_cfg", {}).get("context_length")
        return length

    @property
    def preprocessing(self) -> str:
        """What happens to an image before encoding, in words."""
        size = self.config["vision_cfg"].get("image_size", 224)
        extra = f", {canonical_json(self.preprocess)}" if self.preprocess else ""
        return f"open_clip's validation transform, image size {size}{extra}"

    @property
    def needs_hub(self) -> bool:
        """Whether loading may ask the model hub for a tokenizer or a text tower's config."""
        text = self.config.get("text_cfg", {})
        return self.model.startswith(_HUB) or any(
            text.get(name) for name in ("hf_model_name", "hf_tokenizer_name")
        )

    def key(self, precision: str) -> str:
        """Return the key of the embeddings that this encoder computes in ``precision``."""
        return content_key(
            {
                "format": 1,
                "weights": self.weights_hash,
                "config": self.config,
                "preprocess": self.preprocess,
                "decoding": _DECODING,
                "tokenizer": self.tokenizer_hashes,
                "precision": precision,
            }
        )


def resolve_encoder(name: str, store: Path) -> Encoder:
    """Find an encoder's config and weights, downloading the weights if open_clip has to.

    Args:
        name: See the top of this file.
        store: Where the weights file's hash is remembered.

    Raises:
        InputError: There is no such encoder, its files are incomplete, or the download failed.
    """
    if name == DEMO_ENCODER:
        return _from_folder(name, _DEMO_FOLDER, store)
    if name.startswith(_HUB):
        return _from_hub(name, store)
    local = name.removeprefix("local-dir:")
    if Path(local).is_dir():
        return _from_folder(str(Path(local).absolute()), Path(local).absolute(), store)
    model, _, pretrained = name.partition("/")
    if not pretrained or local != name or model in ("", ".", "..", "~"):
        raise InputError(_unknown(name, model))
    return _from_open_clip(name, model, pretrained, store)


def _from_folder(name: str, folder: Path, store: Path) -> Encoder:
    problems: list[str] = []
    weights = [folder / file for file in _FOLDER_WEIGHTS if (folder / file).is_file()]
    if not weights:
        problems.append(f"the folder has no {_FOLDER_WEIGHTS[0]}")
    content = _read_config(folder / _CONFIG_FILE, problems)
    if problems:
        raise InputError(problems, f"The encoder '{name}' can't be used:")
    tokenizer = sorted({path for files in _TOKENIZER_FILES for path in folder.glob(files)})
    hashes = [value.hex() for value in hash_files([weights[0], *tokenizer], store)]
    return Encoder(
        name=name,
        model=f"local-dir:{folder}",
        pretrained=None,
        weights=weights[0],
        config=content["model_cfg"],
        preprocess=content.get("preprocess_cfg") or {},
        weights_hash=hashes[0],
        tokenizer_hashes=dict(zip([path.name for path in tokenizer], hashes[1:], strict=True)),
    )


def _read_config(
    path: Path, problems: list[str], known: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return what open_clip's config file says, or add to ``problems`` what is wrong with it.

    Args:
        path: The file.
        problems: Takes what is wrong.
        known: See ``config_faults``.
    """
    try:
        content: dict[str, Any] = read_json(path)
        for section in ("vision_cfg", "text_cfg"):
            if not isinstance(content["model_cfg"][section], dict):
                raise TypeError
        faults = config_faults(content, known)
        problems += [f"{_CONFIG_FILE}: {fault}" for fault in faults]
        return content
    except FileNotFoundError:
        problems.append(f"the folder has no {_CONFIG_FILE}")
    except (KeyError, TypeError):
        problems.append(f"{_CONFIG_FILE} must have a model_cfg with a vision_cfg and a text_cfg")
    except OSError as error:
        problems.append(f"{_CONFIG_FILE} can't be read: {error.strerror}")
    except ValueError as error:
        problems.append(f"{_CONFIG_FILE} can't be read: {error}")
    return {}


def _from_hub(name: str, store: Path) -> Encoder:
    """Find a model of the hub, ``hf-hub:ORG/MODEL``, in its cache, or fetch it."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository := name.removeprefix(_HUB)):
        raise InputError(f"encoder '{name}' must be {_HUB}ORGANISATION/MODEL, as on the hub")
    from open_clip.pretrained import download_pretrained_from_hf

    config = _fetched(name, lambda: download_pretrained_from_hf(repository, _CONFIG_FILE))
    weights = _fetched(name, lambda: download_pretrained_from_hf(repository))
    problems: list[str] = []
    content = _read_config(config, problems)
    if problems:
        raise InputError(problems, f"The encoder '{name}' can't be used:")
    (weights_hash,) = hash_files([weights], store)
    return Encoder(
        name=name,
        model=name,
        pretrained=None,
        weights=weights,
        config=content["model_cfg"],
        preprocess=content.get("preprocess_cfg") or {},
        weights_hash=weights_hash.hex(),
        tokenizer_hashes={},
    )


def _from_open_clip(name: str, model: str, pretrained: str, store: Path) -> Encoder:
    import open_clip

    config = open_clip.get_model_config(model) if model in open_clip.list_models() else None
    if config is None:
        raise InputError(_unknown(name, model))
    tag = open_clip.get_pretrained_cfg(model, pretrained)
    preprocess: dict[str, Any] = {}
    # An absolute path loses its slash to the one after the model's name.
    files = [path for path in (Path(pretrained), Path(f"/{pretrained}")) if path.is_file()]
    if tag:
        preprocess = {field: tag[field] for field in _PREPROCESS_FIELDS if tag.get(field)}
        # OpenAI's weights, among others, were trained with QuickGELU, which the config of the
        # same name doesn't say; open_clip only warns. Without it the embeddings are wrong.
        if tag.get("quick_gelu"):
            config["quick_gelu"] = True
        weights = _download(name, tag)
    elif files:
        weights = files[0].absolute()
        if weights.suffix not in _WEIGHT_SUFFIXES:
            raise InputError(
                f"the weights file of encoder '{name}' ends with '{weights.suffix}', but must end "
                f"with {', '.join(_WEIGHT_SUFFIXES)}"
            )
        name, pretrained = f"{model}/{weights}", str(weights)
        return _from_file(name, model, weights, config, store)
    else:
        tags = open_clip.list_pretrained_tags_by_model(model)
        raise InputError(
            f"encoder '{name}': '{pretrained}' is neither a file nor weights that open_clip has "
            f"for {model}{did_you_mean(pretrained, tags)}; it has {', '.join(tags) or 'none'}"
        )
    (weights_hash,) = hash_files([weights], store)
    return Encoder(name, model, pretrained, weights, config, preprocess, weights_hash.hex(), {})


def _from_file(
    name: str, model: str, weights: Path, config: dict[str, Any], store: Path
) -> Encoder:
    """Return a model with weights of one's own, and the config beside them if there is one."""
    (weights_hash,) = hash_files([weights], store)
    found = Encoder(name, model, str(weights), weights, config, {}, weights_hash.hex(), {})
    beside = weights.parent / _CONFIG_FILE
    if not beside.is_file():
        gelu = "QuickGELU" if config.get("quick_gelu") else "GELU"
        return replace(
            found,
            notes=(
                Note(
                    f"no {_CONFIG_FILE} lies beside '{weights.name}', so it is taken on trust that "
                    f"it was trained with {gelu} and open_clip's default preprocessing"
                ),
            ),
        )
    problems: list[str] = []
    content = _read_config(beside, problems, config)
    if problems:
        raise InputError(problems, f"The config beside the weights of encoder '{name}':")
    preprocess = content.get("preprocess_cfg") or {}
    return replace(found, config=content["model_cfg"], preprocess=preprocess, has_own_config=True)


def _download(name: str, tag: Mapping[str, Any]) -> Path:
    """Return the weights file in the hub's cache, after fetching it if it isn't there yet."""
    import open_clip

    return _fetched(name, lambda: open_clip.download_pretrained(dict(tag)))


def _fetched(name: str, fetch: Callable[[], str]) -> Path:
    """Return a file that may have to be fetched from the network."""
    try:
        with fail_fast(), quiet():
            path = fetch()
    # Whatever the network and the hub's client come up with is the same to the user.
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise InputError(
            f"the weights of encoder '{name}' are not on this machine and can't be downloaded: "
            f"{reason}\nTo go on, {_INSTEAD}."
        ) from error
    return Path(path)


def _unknown(name: str, model: str) -> str:
    import open_clip

    models = open_clip.list_models()
    if model in models:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(model)) or "none"
        return f"encoder '{name}' names no weights; write {model}/TAG with one of {tags}"
    folder = Path(name).parent
    if Path(name).is_file() and (folder / _CONFIG_FILE).is_file():
        return f"encoder '{name}' is a file, but must be its folder: --encoder {folder}"
    pairs = ["/".join(pair) for pair in open_clip.list_pretrained()]
    usual = _usual_name(name)
    guess = did_you_mean(name, [DEMO_ENCODER, *pairs]) or did_you_mean(model, models)
    if usual in pairs:
        guess = f" (did you mean '{usual}'?)"
    return (
        f"encoder '{name}' is neither a folder nor a model of open_clip{guess}; write "
        f"MODEL/PRETRAINED as `open_clip.list_pretrained()` has it, or {_INSTEAD}"
    )


def _usual_name(name: str) -> str:
    """Return what open_clip calls a model of OpenAI's, of its own name or that on the hub."""
    found = re.fullmatch(
        r"(?:.*/)?(?:clip-)?vit-?(b|l)[a-z]*[-/]?(?:patch)?(14|16|32)(?:[-@](336)(?:px)?)?",
        name.lower(),
    )
    if found is None:
        return f"{name}/openai"  # RN50
    size, patch, pixels = found.groups()
    return "-".join(filter(None, ["ViT", size.upper(), patch, pixels])) + "/openai"
