# SPDX-License-Identifier: BSD-2-Clause
"""The manual pages of snf-image, where it has what other components have not."""

from __future__ import annotations

import re

from snf_image import parameters, properties, provider, tasks
from tests.unit import manual

OS_PAGE = "ganeti-os-snf-image.7"


def test_every_parameter_property_and_script_is_described_and_no_other() -> None:
    page = manual.read(OS_PAGE)
    assert page["PARAMETERS"].tags == [each.name for each in parameters.PARAMETERS]
    assert sorted(page["SCRIPTS"].tags) == sorted(provider._VERBS)
    assert set(page["PROPERTIES"].tags) == {*properties._CHECKS, *properties._TRUTHS, "EXCLUDE_TASK_NAME"}


def test_every_task_that_can_be_left_out_is_named() -> None:
    assert f"The names are {', '.join(tasks.EXCLUDABLE)}." in manual.read(OS_PAGE)["PROPERTIES"].text


def test_every_secret_is_said_to_be_one() -> None:
    text = manual.read(OS_PAGE)["PARAMETERS"].text
    for secret in parameters.SECRETS:
        entry = text.partition(f"\n{secret}\n")[2].partition("\n")[0]
        assert re.search("[(]secret|Secret, if", entry), secret
