"""A study in TensorBoard: a folder of event files for each trial, with its hyperparameters."""

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import (
    HParamsPluginData,
    SessionEndInfo,
    SessionStartInfo,
)
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from hpo.files import sweep, temporary_beside
from hpo.watch._tracker import Curves, final_values, plain_params

__all__ = ["open_tracker"]

_ENDS = {
    "done": api_pb2.STATUS_SUCCESS,
    "pruned": api_pb2.STATUS_SUCCESS,
    "failed": api_pb2.STATUS_FAILURE,
}


class _TensorBoard:
    """Writes event files as TensorBoard reads them; PyTorch isn't needed for it.

    Args:
        folder: Of the study.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._study: EventFileWriter | None = None

    def has(self, event: Mapping[str, Any]) -> bool:
        """Tell whether the trial has a folder."""
        return self._of_trial(event).exists()

    def trial(self, event: Mapping[str, Any], curves: Curves) -> None:
        """Write a trial's folder, which is there as a whole or not at all."""
        folder = self._of_trial(event)
        made = temporary_beside(folder)
        try:
            self._write(made, event, curves)
            if not folder.exists():  # another command may keep the same study
                made.rename(folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def _write(self, folder: Path, event: Mapping[str, Any], curves: Curves) -> None:
        writer = EventFileWriter(str(folder))
        try:
            _session(writer, metadata.SESSION_START_INFO_TAG, _begin(event["params"]))
            for name, curve in curves.items():
                for epoch, value in curve.items():
                    _scalar(writer, name, value, epoch)
            for name, value in final_values(event).items():
                _scalar(writer, f"final/{name}", value, event["steps"])
            end = SessionEndInfo(status=_ENDS[event["state"]], end_time_secs=time.time())
            data = HParamsPluginData(session_end_info=end, version=metadata.PLUGIN_DATA_VERSION)
            _session(writer, metadata.SESSION_END_INFO_TAG, data)
        finally:
            writer.close()

    def best(self, event: Mapping[str, Any]) -> None:
        """Write the best so far against the epochs trained."""
        _scalar(self._of_study(), "best_so_far", event["value"], event["epochs"])

    def result(self, event: Mapping[str, Any]) -> None:
        """Write the scores of the results."""
        for name, value in final_values(event).items():
            _scalar(self._of_study(), f"result/{name}", value, 0)

    def close(self) -> None:
        """Close the study's file."""
        if self._study is not None:
            self._study.close()

    def _of_trial(self, event: Mapping[str, Any]) -> Path:
        return self._folder / f"trial-{event['trial']:05d}"

    def _of_study(self) -> EventFileWriter:
        if self._study is None:
            self._study = EventFileWriter(str(self._folder / "study"))
        return self._study


def open_tracker(study: Mapping[str, Any], where: str | None, out: Path) -> _TensorBoard:
    """Return the tracker of a study.

    Args:
        study: The event with which it began.
        where: A folder; by default ``tensorboard`` in that of the results.
        out: The folder of the results.
    """
    folder = out / "tensorboard" if where is None else Path(where)
    # A study that was deleted and made again under its name has trials of the same numbers.
    place = folder / f"{study['study'].replace('/', '-')}-{study['identity'][:6]}"
    sweep(place)  # what killed commands left
    return _TensorBoard(place)


def _begin(params: Mapping[str, Any]) -> HParamsPluginData:
    """Return the hyperparameters of a trial, as TensorBoard's plugin has them."""
    info = SessionStartInfo(start_time_secs=time.time())
    for name, value in plain_params(params).items():
        if isinstance(value, bool):
            info.hparams[name].bool_value = value
        elif isinstance(value, str):
            info.hparams[name].string_value = value
        else:
            info.hparams[name].number_value = value
    return HParamsPluginData(session_start_info=info, version=metadata.PLUGIN_DATA_VERSION)


def _session(writer: EventFileWriter, tag: str, data: HParamsPluginData) -> None:
    content = SummaryMetadata.PluginData(
        plugin_name=metadata.PLUGIN_NAME, content=data.SerializeToString()
    )
    value = Summary.Value(
        tag=tag, metadata=SummaryMetadata(plugin_data=content), tensor=metadata.NULL_TENSOR
    )
    writer.add_event(Event(wall_time=time.time(), summary=Summary(value=[value])))


def _scalar(writer: EventFileWriter, name: str, value: float, step: int) -> None:
    kept = Summary(value=[Summary.Value(tag=name, simple_value=value)])
    writer.add_event(Event(wall_time=time.time(), step=step, summary=kept))
