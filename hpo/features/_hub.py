"""Where open_clip's weights come from, and what happens when that can't be reached."""

import contextlib
import logging
import ssl
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator

__all__ = ["fail_fast", "hub_is_reachable", "quiet"]

_SECONDS = 5.0


def hub_is_reachable() -> bool:
    """Ask the model hub for a sign of life, for five seconds at most."""
    from huggingface_hub import constants

    request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS):
            return True
    except urllib.error.HTTPError:
        return True  # it answered
    except urllib.error.URLError as error:
        # The hub's own client may have certificates that Python's doesn't.
        return isinstance(error.reason, ssl.SSLError)
    except OSError:
        return False


@contextlib.contextmanager
def fail_fast() -> Iterator[None]:
    """Within the block, a hub that can't be reached counts as offline.

    Files in its local cache are found all the same, and a missing one fails at once: without
    this, the hub's client tries six times for each file name, about 50 seconds in all.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not hub_is_reachable()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Within the block, log messages and warnings are dropped.

    open_clip logs a failure to the root logger and then raises it; we say it once, in our words.
    """
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
