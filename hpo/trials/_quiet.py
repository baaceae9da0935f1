"""Connections to PostgreSQL that end where the server hangs.

libpq's timeouts see that a machine is cut off. Of a server that is there and does nothing, such as
one that is suspended or whose disk hangs, they see nothing: its system still acknowledges what it
is sent. A statement would wait for it without end and without a word.
"""

import functools
import logging
import time
from collections.abc import Generator
from types import ModuleType
from typing import Any

__all__ = ["postgres_driver"]

#: Seconds without a byte from the server after which a statement is given up. The longest ones (all
#: tasks of a study of 50,000 trials) take a few, and locks are held for less.
_QUIET_S = 60.0


@functools.cache
def postgres_driver() -> ModuleType:
    """Return psycopg with connections whose statements end, for ``create_engine(module=…)``.

    A statement that is given up raises ``psycopg.OperationalError``, and its connection is closed.
    """
    import psycopg

    # Whoever waits for the server says that a connection is lost.
    logging.getLogger("psycopg").addHandler(logging.NullHandler())

    class Connection(psycopg.Connection[Any]):
        def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
            return super().wait(self._watched(gen), *args, **kwargs)

        def _watched(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
            """Yield what psycopg's protocol yields, and look at the time whenever it is asked."""
            heard = time.monotonic()
            try:
                wanted = next(gen)
                while True:
                    ready = yield wanted
                    if ready:
                        heard = time.monotonic()
                    elif time.monotonic() - heard > _QUIET_S:
                        self.pgconn.finish()
                        raise psycopg.OperationalError(
                            f"the server is there, but hasn't answered for {_QUIET_S:g} s"
                        )
                    wanted = gen.send(ready)
            except StopIteration as end:
                return end.value

    class Driver(ModuleType):
        def __getattr__(self, name: str) -> Any:
            return getattr(psycopg, name)

    driver = Driver(psycopg.__name__)
    driver.__dict__["connect"] = Connection.connect
    return driver
