"""``hpo VERB …``: one command with all verbs."""

import importlib
import sys
from collections.abc import Sequence

from hpo._options import guarded
from hpo.errors import did_you_mean

__all__ = ["main"]

_VERBS = {
    "run": ("hpo.run", "run a study to its end, then refit and predict"),
    "worker": ("hpo.worker", "join a study with one more worker"),
    "proxy": ("hpo.proxy", "serve one database to many workers over gRPC"),
    "data": ("hpo.check_data", "check a data folder: print what would be read"),
    "features": ("hpo.features.__main__", "extract or import embeddings"),
    "dashboard": ("hpo.dashboard.__main__", "watch studies in the browser"),
    "status": ("hpo.status", "print how far a study is"),
    "report": ("hpo.report.__main__", "write the tables and figures of a study"),
    "study": ("hpo.studies", "list, show, copy, delete, export or import studies"),
    "replay": ("hpo.replay", "train a trial again and compare it with the store"),
    "runs": ("hpo.runs", "list, check or prune the run store"),
    "check": ("hpo.check", "read all that is stored and say what is whole"),
    "predict": ("hpo.predict", "label rows with a trained model"),
    "serve": ("hpo.serve.__main__", "serve a model over HTTP"),
    "export": ("hpo.export.__main__", "write a model as one ONNX file"),
    "coco": ("hpo.data.coco", "convert COCO annotations to a data folder"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb that the command line names; return its exit status."""
    arguments = [*(sys.argv[1:] if argv is None else argv)]
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: hpo VERB …\n\n" + "\n".join(f"  {v:9} {h}" for v, (_, h) in _VERBS.items()))
        return 0 if arguments else 2
    verb, *rest = arguments
    if verb not in _VERBS:
        hint = did_you_mean(verb, list(_VERBS))
        print(f"error: unknown verb '{verb}'{hint}; verbs: {', '.join(_VERBS)}", file=sys.stderr)
        return 2

    def run(given: Sequence[str] | None) -> int:
        status: int = importlib.import_module(_VERBS[verb][0]).main(given)
        return status

    return guarded(run, rest)  # the imports as well, which take seconds


if __name__ == "__main__":
    sys.exit(main())
