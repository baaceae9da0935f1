"""A console of rich's on which texts from outside can do nothing."""

from collections.abc import Iterable, Iterator
from typing import IO

from rich import console as rich
from rich.segment import Segment

from hpo._output import drawn, plain

__all__ = ["Console"]


class Console(rich.Console):
    """Draws as rich does, while what a terminal would obey in a text is written by its codes.

    Names of classes, stages and files come from outside. Colours and moves of the cursor that a
    style or rich itself asks for are not part of a text, so they stay.
    """

    @property
    def file(self) -> IO[str]:
        """Where it draws."""
        return drawn(super().file)

    @file.setter
    def file(self, new: IO[str]) -> None:
        self._file = new

    def render(
        self, renderable: rich.RenderableType, options: rich.ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Return the pieces of something that is drawn, whatever it is made of."""
        return _plain(super().render(renderable, options))


def _plain(segments: Iterable[Segment]) -> Iterator[Segment]:
    for segment in segments:
        if segment.control is None:
            yield Segment(plain(segment.text), segment.style)
        else:
            yield segment
