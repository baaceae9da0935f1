"""More rows than memory: what a worker takes of it, and how fast it is, with rows left in files.

Makes so many rows of 768 + 768 random numbers and 18 classes, imports and divides them, and trains
an epoch of a head on all of them in a process of its own, validation included. Then the same head
trains on fewer rows, held as float32 in one process and gathered from the files in another, in
turn: how many times as fast the second is, by processor time, and whether both give the same bits.
Private memory is what the kernel calls RssAnon, looked at before every tenth micro-batch; pages of
mapped files, which all workers share and the system may drop, are not in it.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import hpo
from benchmarks._sides import Side, alternate, ratio
from hpo.data import TailSplit
from hpo.features import load_bundle
from hpo.training import Arithmetic, RunStore, Trainer, copy_gb, open_device, tune_allocator

__all__ = ["made", "main"]

_WIDTHS = {"image": 768, "text": 768}
_CLASSES = 18
_BLOCK = 50_000
_LOOK_EVERY = 10
#: The heads that are compared: small ones as a search likes them, and the paper's.
_CONFIGS = {
    "sum_joint 512, batch 500": hpo.Config(
        fusion="sum_joint", hidden=(512,), batch_size=500, epochs=100
    ),
    "sum_joint 512, batch 5000": hpo.Config(
        fusion="sum_joint", hidden=(512,), batch_size=5000, epochs=100
    ),
    "concat 2048, 512, full batch": hpo.Config(
        fusion="concat", hidden=(2048, 512), batch_size=10**8, epochs=100
    ),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=3_000_000, metavar="N")
    parser.add_argument(
        "--compared", type=int, default=200_000, metavar="N", help="rows that both sides train on"
    )
    parser.add_argument("--epochs", type=int, default=1, metavar="N", help="on all rows")
    parser.add_argument(
        "--rounds", type=int, default=3, metavar="N", help="of A B A B; 0 for no comparison"
    )
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="where the files go (default: a temporary one)"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        data = made(folder, arguments.rows)
        _whole(folder, data, arguments.rows, arguments.epochs)
        if arguments.rounds:
            _compared(folder, data, arguments.compared, arguments.rounds)


def made(folder: Path, rows: int) -> hpo.Data:
    """Write random embeddings of so many rows and import them into ``folder``."""
    rng = np.random.default_rng(0)
    arrays = {}
    for name, width in _WIDTHS.items():
        block = rng.standard_normal((_BLOCK, width), np.float32).astype(np.float16)
        path = folder / f"{name}.npy"
        out = np.lib.format.open_memmap(path, "w+", np.float16, (rows, width))
        for start in range(0, rows, _BLOCK):
            some = out[start : start + _BLOCK]
            some[:] = np.roll(block, start // _BLOCK, axis=1)[: len(some)]
        out.flush()
        del out, some
        arrays[name] = np.load(path, mmap_mode="r")
    labels = (rng.random((rows, _CLASSES)) < 0.09).astype(np.uint8)
    began = time.monotonic()
    data = hpo.load_data(features=arrays, labels=labels, cache=folder / "cache", progress=False)
    print(f"{rows:,} rows imported in {time.monotonic() - began:.0f} s; {_peaks()}", flush=True)
    for name in _WIDTHS:
        (folder / f"{name}.npy").unlink()
    return data


def _whole(folder: Path, data: hpo.Data, rows: int, epochs: int) -> None:
    """Train on all rows, in a worker that may hold 1 GB of them."""
    began = time.monotonic()
    bundle = data.bundle(TailSplit(kind="tail", val_rows=max(1, rows // 30)))
    print(f"divided in {time.monotonic() - began:.0f} s; {_peaks()}", flush=True)
    path = folder / "cache" / "bundles" / bundle.key
    name, config = next(iter(_CONFIGS.items()))
    began = time.monotonic()
    with Side(_worker, path, config, 1.0) as side:
        print(f"worker ready after {time.monotonic() - began:.0f} s", flush=True)
        for _ in range(epochs):
            timing, memory = side.time("epoch"), side.time("memory")
            print(
                f"{name}, {rows:,} rows, mapped: {timing.wall:.0f} s an epoch "
                f"({timing.cpu:.0f} s of processor time), private memory {memory.wall:.2f} GB at "
                f"most; a float32 copy would be {copy_gb(bundle):.1f} GB",
                flush=True,
            )


def _compared(folder: Path, data: hpo.Data, rows: int, rounds: int) -> None:
    """Train on fewer rows, held and mapped in turn."""
    bundle = data.bundle(TailSplit(kind="tail", val_rows=max(1, rows // 30)), rows)
    path = folder / "cache" / "bundles" / bundle.key
    for name, config in _CONFIGS.items():
        with Side(_worker, path, config, 1e3) as held, Side(_worker, path, config, 1e-9) as mapped:
            sides = {"held": (held, "epoch"), "mapped": (mapped, "epoch")}
            timings = alternate(sides, rounds)
            speed, ours, baseline = ratio(timings["mapped"], timings["held"])
            losses = [side.time("loss").wall for side in (held, mapped)]
            private = [side.time("memory").wall for side in (held, mapped)]
        same = "equal" if losses[0] == losses[1] else "DIFFERENT"
        print(
            f"{name}, {rows:,} rows: mapped {speed:.3f} times as fast as held ({ours:.2f} and "
            f"{baseline:.2f} s of processor time an epoch); losses {same}; private memory "
            f"{private[1]:.2f} and {private[0]:.2f} GB",
            flush=True,
        )


def _worker(path: Path, config: hpo.Config, memory_gb: float) -> Mapping[str, Any]:
    """Make what one side does; ``memory`` and ``loss`` return a number in place of a time."""
    peak, calls = 0.0, 0

    def look() -> None:
        nonlocal peak, calls
        if calls % _LOOK_EVERY == 0:
            peak = max(peak, _private_gb())
        calls += 1

    tune_allocator()
    trainer = Trainer(
        load_bundle(path),
        open_device("cpu", Arithmetic(1)),
        RunStore(path.parent / f"runs-{memory_gb}"),
        memory_gb=memory_gb,
        checkpoint_every=10**6,
        poll=look,
    )
    run = trainer.model(config, 0)
    peak = _private_gb()

    def epoch() -> None:
        nonlocal peak
        run.advance()
        peak = max(peak, _private_gb())

    def loss() -> tuple[float, float]:
        assert run.record is not None
        return run.record["val_loss"], 0.0

    return {"epoch": epoch, "loss": loss, "memory": lambda: (peak, 0.0)}


def _private_gb() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    fields = dict(line.split(":", 1) for line in status)
    return int(fields["RssAnon"].split()[0]) * 1024 / 1e9


def _peaks() -> str:
    """Say what this process takes: private memory now, and all that was ever resident."""
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return f"private memory {_private_gb():.2f} GB, resident {resident:.2f} GB at most"


if __name__ == "__main__":
    main()
