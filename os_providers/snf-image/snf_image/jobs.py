# SPDX-License-Identifier: BSD-2-Clause
"""What the helper machine is told to do."""

from __future__ import annotations

from collections.abc import Mapping

from ganeti_cloud.errors import RequestError
from snf_image import nics, properties, tasks
from snf_image.request import Request
from snf_image.settings import Settings
from snf_image.wanted import HINT, Wanted
from snf_image_helper.job import Job


def merged(wanted: Wanted, catalogue: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """All properties: those of the image in the *catalogue*, then of the image, then of the instance.

    Raises RequestError when that of the catalogue brings in what is no value.
    """
    found = {**catalogue, **wanted.image_properties, **wanted.instance_properties}
    problems = properties.problems(found, custom_allowed=settings.custom_allowed)
    if problems:
        raise RequestError("; ".join(problems), hint=f"correct them with `archipelago image set`; {HINT}")
    return found


def build(
    wanted: Wanted, request: Request, settings: Settings, found: Mapping[str, str], answer_file: str
) -> Job | None:
    """The job of *request*, with the properties *found*; None when there is nothing to be done.

    Raises RequestError for addresses of interfaces that are none.
    """
    if tasks.nothing_to_do(found):
        return None
    return Job(
        hostname=request.instance,
        disks=len(request.disks),
        os_family=found.get("OSFAMILY", "").lower(),
        root_partition=int(found.get("ROOT_PARTITION") or 0),
        properties=found,
        excluded=tasks.excluded(found),
        users=tuple(found.get("USERS", "").split()),
        password=wanted.password,
        password_hash=wanted.password_hash,
        ssh_keys=wanted.ssh_keys,
        personality=wanted.personality,
        nics=nics.decide(request.nics, settings),
        user_data=wanted.user_data,
        product_key=wanted.product_key,
        answer_file=answer_file,
        time_zone=settings.time_zone,
        custom_task=found.get("CUSTOM_TASK", "") if settings.custom_allowed else "",
    )
