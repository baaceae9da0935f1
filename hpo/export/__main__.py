"""``hpo export --model DIR --format onnx --out FILE``: a model for other programs."""

import sys
from collections.abc import Sequence
from pathlib import Path

from hpo._options import (
    Parser,
    add_cache_option,
    add_model_options,
    add_plugin_option,
    guarded,
    model_files,
)
from hpo._writable import check_file

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return guarded(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = Parser(
        prog="hpo export",
        description="Write a model as one file that other programs can compute.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add_model_options(parser)
    add("--format", choices=("onnx",), default="onnx", help="default: %(default)s")
    add("--out", type=Path, metavar="FILE", help="default: model.onnx in the working folder")
    add(
        "--with-encoder",
        action="store_true",
        help="put the encoders of images and captions into the file, so that it takes pixels and "
        "tokens instead of their embeddings",
    )
    add_cache_option(parser, "remembered hashes of weights")
    add_plugin_option(parser)
    arguments = parser.parse_args(argv)

    from hpo.errors import InputError
    from hpo.export import caption_notes, encoders_inside, export_onnx
    from hpo.features import named_values
    from hpo.results import values_by_source
    from hpo.study import load_plugins
    from hpo.training import TrainedModel

    out = arguments.out or Path("model.onnx")
    check_file(out, "--out", model_files(arguments.model))
    if arguments.encoder and not arguments.with_encoder:
        raise InputError("--encoder says where an encoder is, so it needs --with-encoder")
    load_plugins(arguments.plugin)
    model = TrainedModel.load(arguments.model)
    encoders = {}
    if arguments.with_encoder:
        given = named_values(arguments.encoder, "--encoder", "NAME=PATH")
        places = values_by_source(given, model, "--encoder", "NAME=PATH")
        encoders = encoders_inside(model, f"The model {arguments.model}", places, arguments.cache)
    difference = export_onnx(model, out, encoders)
    print(f"checked with onnxruntime: within {difference:.1g} of PyTorch's probabilities")
    for note in caption_notes(model, encoders):
        print(f"note: {note}")
    print(f"  {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
