"""Curves against Optuna and the run store; what a figure draws of them."""

import dataclasses
import statistics
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from hpo.report._curves import Curve, CurveReader, StageCurves
from hpo.report._figures import draw_stage
from hpo.study import StoredStudy
from hpo.training import RunStore


@pytest.fixture(scope="module")
def stages(finished: StoredStudy) -> list[StageCurves]:
    reader = CurveReader(finished, finished.optuna.get_trials())
    return [reader.read(table) for table in finished.tables()]


def make_curve(label: str, metric: Mapping[int, float], **values: Any) -> Curve:
    curve = Curve(label, {}, "", False, metric[max(metric)], metric, {}, None)
    return dataclasses.replace(curve, **values)


def make_stage(*curves: Curve) -> StageCurves:
    return StageCurves("stage", "micro_f1 (%)", curves, (), ("bce",))


def test_metric_curve_is_optunas(finished: StoredStudy, stages: list[StageCurves]) -> None:
    trials = finished.optuna.get_trials()
    for curve, trial in zip(stages[0].curves, trials[:2], strict=True):
        assert dict(curve.metric) == trial.intermediate_values
        assert curve.metric[max(curve.metric)] == curve.final == trial.value
    assert [len(curve.metric) for curve in stages[0].curves] == [4, 8]
    assert [curve.switch for curve in stages[0].curves] == [None, 4]


def test_loss_of_one_head_is_the_mean_over_its_runs(
    finished: StoredStudy, stages: list[StageCurves]
) -> None:
    store = RunStore(finished.definition.run_store)
    trial = finished.optuna.get_trials()[0]
    histories = [store.history(address).records for (address,) in trial.user_attrs["runs"]]
    expected = {
        step + 1: statistics.fmean(records[step]["val_loss"] for records in histories)
        for step in range(4)
    }
    assert stages[0].curves[0].loss == expected
    assert expected[4] == trial.user_attrs["metrics"]["val_loss"]


def test_loss_of_a_two_step_fusion_belongs_to_its_metric(
    finished: StoredStudy, stages: list[StageCurves]
) -> None:
    """Where the better head's F1 is the trial's value, its loss is drawn; then the meta's."""
    store = RunStore(finished.definition.run_store)
    trial = finished.optuna.get_trials()[1]
    losses = stages[0].curves[1].loss
    assert list(losses) == list(range(1, 9))
    for step in range(1, 9):
        scores, expected = [], []
        for image, text, meta in trial.user_attrs["runs"]:
            runs, epoch = ([image, text], step) if step <= 4 else ([meta], step - 4)
            records = [store.history(run).records[epoch - 1] for run in runs]
            best = max(records, key=lambda record: record["micro_f1"])
            scores.append(best["micro_f1"])
            expected.append(best["val_loss"])
        assert statistics.fmean(scores) == pytest.approx(trial.intermediate_values[step])
        assert losses[step] == pytest.approx(statistics.fmean(expected))
    assert losses[8] == trial.user_attrs["metrics"]["val_loss"]


def test_figure_draws_the_numbers_it_is_given(stages: list[StageCurves]) -> None:
    figure = draw_stage(stages[0])
    assert figure is not None
    metric, loss = figure.axes
    drawn = [line for line in metric.lines if line.get_marker() == "None"]
    steps = np.concatenate([line.get_xdata() for line in drawn])
    values = np.concatenate([line.get_ydata() for line in drawn])
    expected = [curve.metric for curve in stages[0].curves]
    assert steps.tolist() == [step for curve in expected for step in curve]
    assert values.tolist() == [value for curve in expected for value in curve.values()]
    ends = [line.get_ydata()[0] for line in loss.lines if line.get_marker() == "o"]
    assert ends == [curve.loss[max(curve.loss)] for curve in stages[0].curves]
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    assert entries == [f"{curve.label}   {curve.result}" for curve in stages[0].curves]
    bold = [text.get_fontweight() == "bold" for text in figure.legends[0].get_texts()]
    assert bold == [curve.winner for curve in stages[0].curves]


def test_a_two_step_fusion_has_one_line_and_a_mark_where_its_second_step_begins(
    stages: list[StageCurves],
) -> None:
    figure = draw_stage(stages[0])
    assert figure is not None
    for panel in figure.axes:
        (mark,) = [line for line in panel.lines if line.get_marker() == "D"]
        assert list(mark.get_xdata()) == [5]
        assert "open diamond: the meta-classifier" in panel.get_xlabel()
        lines = [line for line in panel.lines if line.get_marker() == "None"]
        assert [len(line.get_xdata()) for line in lines] == [4, 8]


def test_training_loss_and_spread_are_those_of_the_runs(
    finished: StoredStudy, stages: list[StageCurves]
) -> None:
    store = RunStore(finished.definition.run_store)
    trial = finished.optuna.get_trials()[0]
    seeds = [store.history(address).records for (address,) in trial.user_attrs["runs"]]
    curve = stages[0].curves[0]
    for step in range(1, 5):
        records = [records[step - 1] for records in seeds]
        expected = statistics.fmean(record["train_loss"] for record in records)
        assert curve.train_loss[step] == expected
        scores = sorted(record["micro_f1"] for record in records)
        assert curve.spread[step] == (scores[0], scores[-1])


def test_grid_of_two_parameters_is_told_by_colour_and_dashes() -> None:
    points = {1: 50.0, 2: 60.0}
    curves = [
        make_curve(f"{rate} {size}", points, params={"rate": rate, "size": size})
        for rate in (1, 2)
        for size in (10, 20, 30)
    ]
    figure = draw_stage(make_stage(*curves))
    assert figure is not None
    lines = figure.legends[0].get_lines()
    colors = [line.get_color() for line in lines]
    assert colors[:3] == colors[3:] and len(set(colors)) == 3
    dashes = [str(line.get_linestyle()) for line in lines]
    assert len(set(dashes[:3])) == len(set(dashes[3:])) == 1 and dashes[0] != dashes[3]


def test_a_diverged_curve_leaves_the_others_room() -> None:
    good = make_curve("good", {step: 80 + step / 10 for step in range(1, 101)})
    close = make_curve("close", {step: 79 + step / 10 for step in range(1, 101)})
    bad = make_curve("bad", dict.fromkeys(range(1, 101), 30.0))
    figure = draw_stage(make_stage(good, close, bad))
    assert figure is not None
    low, high = figure.axes[0].get_ylim()
    assert 75 < low < 81 and 90 < high < 92
    assert [text.get_text() for text in figure.axes[0].texts] == ["1 curve ends below"]


def test_losses_far_apart_get_a_logarithmic_axis() -> None:
    points = dict.fromkeys(range(1, 11), 80.0)
    curves = [
        make_curve("bce", points, loss={step: 2.0 / step for step in points}),
        make_curve("asl", points, loss={step: 0.02 / step for step in points}),
    ]
    figure = draw_stage(make_stage(*curves))
    assert figure is not None
    assert figure.axes[1].get_yscale() == "log"


def test_no_figure_without_a_curve() -> None:
    assert draw_stage(make_stage()) is None
    empty = Curve("begun", {}, "running", False, None, {}, {}, None)
    assert draw_stage(make_stage(empty)) is None
