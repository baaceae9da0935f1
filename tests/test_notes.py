"""Notes on data that was read, and what --strict makes of them."""

import pytest

from hpo.errors import InputError
from hpo.notes import Note, refuse_doubts


def test_strict_lists_what_is_doubtful_and_passes_the_rest() -> None:
    notes = [Note("read as ; separated", doubtful=False), Note("3 captions were cut")]
    with pytest.raises(InputError) as caught:
        refuse_doubts([*notes, Note("the order was taken on trust")])
    assert str(caught.value).splitlines() == [
        "The data is not read without doubt, as --strict asks:",
        "  3 captions were cut",
        "  the order was taken on trust",
    ]
    refuse_doubts(notes[:1])
