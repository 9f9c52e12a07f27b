# SPDX-License-Identifier: BSD-2-Clause
"""The verbs of the provider: each parses its request, asks the cluster or the node, and is done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from archipelago.attached import CONFIG_FILE
from archipelago.parameters import Settings, refuse_unknown
from archipelago.request import Request
from archipelago.store import Store, opened
from ganeti_cloud.deadline import process_limit
from ganeti_cloud.errors import CloudError, RequestError, StorageError, report
from ganeti_cloud.volume import MIB, checked_name


def main(verb: str, env: Mapping[str, str]) -> int:
    """Run *verb* with Ganeti's environment *env*; returns the exit status. Only ``attach`` prints on stdout."""
    try:
        if verb not in _VERBS:
            raise RequestError(f"{verb!r} is not a script of this provider", hint=f"call one of {', '.join(_VERBS)}")
        action, limit_s = _VERBS[verb]
        request = Request.from_env(verb, env)
        late = StorageError(
            f"{verb} of {request.volume} did not end within {limit_s} s",
            hint="see `ceph -s`; running the same operation again picks up what was left",
        )
        with process_limit(limit_s, late):
            settings = Settings.load(CONFIG_FILE, request.parameters)
            sys.stdout.write(action(request, settings, env))
    except CloudError as err:
        sys.stdout.flush()
        sys.stderr.write(report(err))
        return err.exit_code
    return 0


# The imports within the verbs are there because Ceph's bindings alone take as long to load as all the rest, and half
# of the verbs do without the cluster.


def _create(request: Request, settings: Settings, env: Mapping[str, str]) -> str:
    from archipelago.catalogue import images
    from archipelago.ganeti.ssconf import cluster_name

    assert request.size_mib is not None
    refuse_unknown(request.parameters)
    origin, old = request.parameters.get("origin"), request.parameters.get("reuse_data")
    if origin is not None and old is not None:
        raise RequestError(
            "the disk parameters origin and reuse_data exclude each other",
            hint="give one of them: a new volume begins as a clone, or an old one is taken over",
        )
    size = request.size_mib * MIB
    with opened(settings) as store:
        if old is not None:
            store.adopt(checked_name(old), request.volume, size, cluster_name())
        else:
            store.create(request.volume, size, None if origin is None else images.origin(store, origin), cluster_name())
    return ""


def _attach(request: Request, settings: Settings, env: Mapping[str, str]) -> str:
    from archipelago import attaching

    return attaching.attach(request.volume, settings, env)


def _detach(request: Request, settings: Settings, env: Mapping[str, str]) -> str:
    from archipelago import attaching

    if not attaching.detach(request.volume, settings):
        sys.stderr.write(f"detach: {request.volume} is not attached here, nothing to do\n")
    return ""


def _remove(request: Request, settings: Settings, env: Mapping[str, str]) -> str:
    from archipelago import attaching

    with opened(settings) as store:
        for place in _other_sides(store, request.volume):
            attaching.detach(request.volume, place)
            with opened(place) as other:
                other.remove(request.volume)
        attaching.detach(request.volume, settings)
        store.remove(request.volume)
    return ""


def _other_sides(store: Store, volume: str) -> list[Settings]:
    """Where else something of *volume* is that goes with it: it is removed in the middle of a move."""
    from archipelago.migrating import mark

    other = mark.other_side(store, volume)
    return [] if other is None else [Settings.load(CONFIG_FILE, other)]


def _grow(request: Request, settings: Settings, env: Mapping[str, str]) -> str:
    from archipelago import attaching

    assert request.new_size_mib is not None
    with opened(settings) as store:
        store.grow(request.volume, request.new_size_mib * MIB)
    attaching.resized(request.volume, settings, request.new_size_mib * MIB)
    return ""


def _setinfo(request: Request, settings: Settings, env: Mapping[str, str]) -> str:
    assert request.metadata is not None
    with opened(settings) as store:
        store.set_metadata(request.volume, request.metadata)
    return ""


def _snapshot(request: Request, settings: Settings, env: Mapping[str, str]) -> str:
    from archipelago import attaching

    assert request.snapshot is not None
    attaching.detach(request.snapshot, settings)  # an export that failed leaves its copy, attached
    with opened(settings) as store:
        store.copy_for_export(request.volume, request.snapshot)
    return ""


def _verify(request: Request, settings: Settings, env: Mapping[str, str]) -> str:
    from archipelago.catalogue import images

    refuse_unknown(request.parameters)
    with opened(settings) as store:
        store.check()
        if "origin" in request.parameters:
            store.require_parent(images.origin(store, request.parameters["origin"]))
        if "reuse_data" in request.parameters:
            store.require(checked_name(request.parameters["reuse_data"]))
    return ""


def _open(request: Request, settings: Settings, env: Mapping[str, str]) -> str:
    from archipelago import opening

    assert request.exclusive is not None
    for fenced in opening.open_volume(request.volume, settings, exclusive=request.exclusive):
        sys.stderr.write(f"open: {fenced.host} had {request.volume} open since {fenced.since}, and is fenced from it\n")
    return ""


def _close(request: Request, settings: Settings, env: Mapping[str, str]) -> str:
    from archipelago import opening

    opening.close_volume(request.volume, settings)
    return ""


_Verb = Callable[[Request, Settings, Mapping[str, str]], str]

# Each verb with the seconds after which it gives up. Ganeti's RPC waits 15 minutes; one that fails for a reason that
# can be seen does so much sooner, by the limits of each call. Removing a large volume takes as long as it takes.
_VERBS: dict[str, tuple[_Verb, float]] = {
    "create": (_create, 120),
    "attach": (_attach, 60),
    "detach": (_detach, 60),
    "remove": (_remove, 840),
    "grow": (_grow, 120),
    "setinfo": (_setinfo, 60),
    "verify": (_verify, 60),
    "snapshot": (_snapshot, 120),
    "open": (_open, 60),
    "close": (_close, 60),
}
