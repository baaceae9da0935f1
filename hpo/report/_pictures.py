"""The figures of a report: which there are for a table, drawn and written to its folder."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.report._curves import StageCurves
from hpo.report._data_files import file_name
from hpo.report._figures import draw_stage, plain_text, save_figure
from hpo.report._front import draw_front
from hpo.report._paper import FIGURES, place_of
from hpo.report._paper_figures import draw_close_up, draw_training_loss
from hpo.report._sections import Picture
from hpo.search import FRONT, StageTable, Task
from hpo.study import StoredStudy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Pictures"]

_log = logging.getLogger(__name__)
#: The panel of a stage's figure that is a figure of the paper, by the figure's number.
_PANELS = {6: "right", 7: "left", 9: "right"}


class Pictures:
    """Draws figures into the folder of a report.

    Args:
        folder: Of the report; they are in ``figures/`` of it.

    Attributes:
        paths: What was written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.paths: list[Path] = []

    def of_table(
        self,
        index: int,
        table: StageTable,
        study: StoredStudy,
        tasks: Sequence[Task],
        read: Callable[[], StageCurves],
    ) -> tuple[Picture, ...]:
        """Return the figures of a table, be it a stage or a front.

        Args:
            index: Its place.
            table: Of the study.
            study: The study.
            tasks: Its tasks.
            read: Reads the table's curves.
        """
        name = f"{index + 1:02d}_{file_name(table.key)}"
        if table.key == FRONT:
            return self.drawn(name, lambda: draw_front(study, tasks), f"The {table.name}")
        return self._of_stage(name, table, read)

    def drawn(
        self, name: str, draw: "Callable[[], Figure | None]", alt: str, caption: str = ""
    ) -> tuple[Picture, ...]:
        """Return a figure, drawn and written; none if there is nothing to draw.

        One that can't be drawn is left out with a warning: the numbers and the other figures are
        there all the same.
        """
        picture = Picture(f"figures/{name}.png", alt, caption)
        try:
            with plain_text():
                figure = draw()
                if figure is None:
                    return ()
                save_figure(figure, self._folder / picture.path)
        except Exception as error:
            _log.warning("The figure '%s' can't be drawn: %s", alt, error)
            return ()
        self.paths.append(self._folder / picture.path)
        return (picture,)

    def _of_stage(
        self, name: str, table: StageTable, read: Callable[[], StageCurves]
    ) -> tuple[Picture, ...]:
        """Return the figures of a stage: its curves, and what the paper shows beyond them.

        Args:
            name: Of their files.
            table: The stage.
            read: Reads its curves.
        """
        place = place_of(table)
        numbers = () if place is None else place.figures
        panels = [number for number in numbers if number in _PANELS]
        caption = f"{_of_paper(panels[0])} (on the {_PANELS[panels[0]]})" if panels else ""
        about = f"the stage {table.name}"
        found = self.drawn(name, lambda: draw_stage(read()), f"Curves of {about}", caption)
        if 8 in numbers:
            alt = f"Scores of {about} from close by"
            close = f"{name}_close"
            found += self.drawn(close, lambda: draw_close_up(read()), alt, _of_paper(8))
        if 10 in numbers:
            alt = f"Training loss of {about}"
            loss = f"{name}_train_loss"
            found += self.drawn(loss, lambda: draw_training_loss(read()), alt, _of_paper(10))
        return found


def _of_paper(number: int) -> str:
    return f"The paper's Figure {number}: {FIGURES[number]}"
