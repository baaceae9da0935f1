"""How long a model takes for one row."""

import statistics
import time
from collections.abc import Mapping

import numpy as np
import torch

from hpo.models import AssembledModel, Config, modalities_read
from hpo.training._device import Device
from hpo.training._fits import check_fits

__all__ = ["latency_ms"]

_WARM_UP = 10
_ROWS = 200
#: Seconds after which no more rows are predicted, once there are a few.
_LONGEST_S = 0.25
_FEWEST = 9


@torch.no_grad()
def latency_ms(
    config: Config, widths: Mapping[str, int], classes: int, device: Device
) -> float | None:
    """Return the median time in ms of predicting one row, after a warm-up.

    One row's embeddings, float16 in memory, go to the device, through scaling, all heads and the
    meta-classifier, and come back as float32 probabilities. The extraction of the embeddings is not
    in it. The weights are random, which takes the same time. The time depends on the machine and on
    what else it is doing.

    Args:
        config: What to build.
        widths: Embedding width of each modality that there is.
        classes: Number of labels K.
        device: Where to predict, with its number of threads.

    Returns:
        None if the features lack a modality that the fusion reads.

    Raises:
        InputError: It can't be trained in the memory that is free.
        Exception: Whatever the model raises, such as a head that must be fitted before.
    """
    read = modalities_read(config.fusion, tuple(widths))
    if read is None:
        return None
    rng = np.random.default_rng(0)
    row = {name: rng.standard_normal((1, widths[name])).astype(np.float16) for name in read}
    times: list[float] = []
    check_fits(config, widths, classes, str(device.torch))
    with device.in_use():
        seen = {name: widths[name] for name in read}
        model = AssembledModel(config, seen, classes).to(device.torch).eval()
        began = time.perf_counter()
        for count in range(_WARM_UP + _ROWS):
            start = time.perf_counter()
            inputs = {name: torch.from_numpy(x).to(device.torch) for name, x in row.items()}
            model(inputs).sigmoid().cpu()
            end = time.perf_counter()
            if count >= _WARM_UP:
                times.append(end - start)
            if len(times) >= _FEWEST and end - began > _LONGEST_S:
                break
    return 1000 * statistics.median(times)
