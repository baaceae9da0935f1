"""How training is stopped from outside."""

__all__ = ["Interrupted"]


class Interrupted(Exception):  # noqa: N818 - not an error: the run goes on later
    """Training was stopped from outside, between two micro-batches."""
