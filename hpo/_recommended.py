"""The search space of those who have no wish of their own."""

__all__ = ["RECOMMENDED"]

RECOMMENDED = "best"
