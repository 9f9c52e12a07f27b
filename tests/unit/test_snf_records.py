# SPDX-License-Identifier: BSD-2-Clause
"""The helper's named tuples are those of Python, and what is slow to import is not imported before it is needed."""

from __future__ import annotations

import sys

import pytest

from ganeti_cloud.process import run
from snf_image_helper.records import NamedTuple
from tests.unit.test_house import SNF_IMAGE

# Each costs an emulated processor as much as all that is imported instead.
SLOW = {"dataclasses", "inspect", "logging", "pathlib", "random", "shutil", "subprocess", "tempfile", "typing"}


class Place(NamedTuple):
    """Somewhere."""

    name: str
    number: int = 7

    @property
    def shown(self) -> str:
        """What people call it."""
        return f"{self.name} {self.number}"


def test_a_record_is_a_named_tuple() -> None:
    place = Place("here")
    assert (place, place.shown, Place._fields) == (("here", 7), "here 7", ("name", "number"))
    assert place._replace(number=8) == Place(name="there", number=8)._replace(name="here")
    assert (repr(place), Place.__doc__, Place.__module__) == ("Place(name='here', number=7)", "Somewhere.", __name__)
    with pytest.raises(TypeError):
        Place()  # type: ignore[call-arg]  # that it is refused is the test
    with pytest.raises(AttributeError):
        place.name = "there"  # type: ignore[misc]  # that it is refused is the test


@pytest.mark.host_tools
@pytest.mark.parametrize("modules", ["init", "init, tasks.change_password, tasks.configure_network, tasks.add_swap"])
def test_nothing_slow_is_imported_on_the_way_of_every_guest(modules: str) -> None:
    names = ", ".join(f"snf_image_helper.{name}" for name in modules.split(", "))
    program = f"import sys; sys.path.insert(0, {str(SNF_IMAGE)!r}); import {names}; print(*sys.modules)"
    imported = set(run([sys.executable, "-I", "-S", "-c", program], timeout_s=60).split())
    assert imported & SLOW == set()
