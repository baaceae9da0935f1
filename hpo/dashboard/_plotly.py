"""A figure in plotly's JSON, which is what optuna-dashboard stores and draws.

Plotly itself is not needed for it: importing it takes half a second and changes filters of warnings
of the whole process.
"""

import dataclasses
import json
from typing import Any

__all__ = ["Figure", "plain"]


@dataclasses.dataclass
class Figure:
    """Traces and their layout, see https://plotly.com/javascript/reference/.

    Attributes:
        layout: Titles, axes and margins.
        traces: What is drawn, in order.
    """

    layout: dict[str, Any]
    traces: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    @staticmethod
    def of(title: str, x: str, y: str) -> "Figure":
        """Return an empty figure.

        Args:
            title: What it shows.
            x: Title of the horizontal axis.
            y: Title of the vertical axis.
        """
        return Figure(
            {
                "title": {"text": plain(title)},
                "xaxis": {"title": {"text": plain(x)}},
                "yaxis": {"title": {"text": plain(y)}},
                "legend": {"orientation": "h", "y": -0.3, "yanchor": "top"},
                "margin": {"l": 60, "r": 20, "t": 50, "b": 50},
            }
        )

    def scatter(self, **trace: Any) -> None:
        """Add points or a line."""
        self.traces.append({"type": "scatter", **trace})

    def bars(self, names: list[str], values: list[float], **trace: Any) -> None:
        """Add horizontal bars, the first one at the bottom."""
        self.layout["yaxis"] |= {"type": "category", "automargin": True}
        shown = [plain(name) for name in names]
        self.traces.append({"type": "bar", "orientation": "h", "x": values, "y": shown, **trace})

    def to_json(self) -> str:
        """Return the figure as optuna-dashboard stores it."""
        return json.dumps({"data": self.traces, "layout": self.layout}, allow_nan=False)


def plain(text: str) -> str:
    """Return text that plotly, which reads some of HTML, shows as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
