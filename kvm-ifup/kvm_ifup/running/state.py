# SPDX-License-Identifier: BSD-2-Clause
"""What is known of each tap: one file for each under /run, for a tap does not outlive a boot either."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from ganeti_cloud import netvalues
from ganeti_cloud.errors import CloudError
from ganeti_cloud.files import replace_file
from kvm_ifup.port import Port
from kvm_ifup.running import encoding
from kvm_ifup.running.known import FOLDER

MAKING = "making"
"""Begun, or about to end. When nobody is at it any more it was interrupted, and what is there is half of it."""
UP = "up"
"""All of it is there."""
CLOSED = "closed"
"""Something of it was found missing and could not be made: it is down until that can be."""
PHASES = (MAKING, UP, CLOSED)

_SUFFIX = ".json"
_FORMAT = 1


class State(NamedTuple):
    """One tap."""

    phase: str
    ifindex: int
    """Of the device: another one may have the same name later."""
    environ: dict[str, str]
    """What Ganeti said, to decide anew from with other tags."""
    port: Port


class Broken(NamedTuple):
    """A file that cannot be read: nothing is known of the tap but that there was one."""

    tap: str
    reason: str


class States:
    """The files of *folder*."""

    def __init__(self, folder: str = FOLDER) -> None:
        self.folder = Path(folder)

    def write(self, state: State) -> None:
        """Keep *state*, in the place of any that there is of its tap. Raises CloudError."""
        text = json.dumps(
            {
                "format": _FORMAT,
                "phase": state.phase,
                "ifindex": state.ifindex,
                "environ": state.environ,
                "port": encoding.encode(state.port),
            }
        )
        path = self._path(state.port.tap)
        try:
            replace_file(path, text + "\n", mode=0o600)
        except OSError as err:
            raise _unwritable(path, err) from err

    def read(self, tap: str) -> State | Broken | None:
        """What is kept of *tap*; None when nothing is."""
        try:
            text = self._path(tap).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as err:
            return Broken(tap, str(err))
        try:
            return _decode(json.loads(text), tap)
        except (ValueError, KeyError, TypeError, RecursionError) as err:
            return Broken(tap, f"{type(err).__name__}: {err}")

    def all(self) -> list[State | Broken]:
        """Of every tap, by name."""
        try:
            names = sorted(os.listdir(self.folder))
        except FileNotFoundError:
            return []
        taps = [name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX) and not name.startswith(".")]
        found = [self.read(tap) for tap in taps if netvalues.is_interface_name(tap)]
        return [each for each in found if each is not None]

    def forget(self, tap: str) -> None:
        """Remove what is kept of *tap*, if anything is. Raises CloudError."""
        path = self._path(tap)
        try:
            path.unlink(missing_ok=True)
        except OSError as err:
            raise _unwritable(path, err) from err

    def tidy(self) -> None:
        """Remove what writers that were killed have left. For who holds the lock."""
        for path in self.folder.glob(".*.tmp"):
            path.unlink(missing_ok=True)

    def _path(self, tap: str) -> Path:
        # Of an interface's name: without "/", and not hidden.
        return self.folder / f"{netvalues.interface_name(tap)}{_SUFFIX}"


def _decode(raw: Any, tap: str) -> State:
    port = encoding.decode(raw["port"])
    phase, ifindex, environ = raw["phase"], raw["ifindex"], raw["environ"]
    if raw["format"] != _FORMAT or phase not in PHASES or type(ifindex) is not int or port.tap != tap:
        raise ValueError("it is the state of something else")
    if not isinstance(environ, dict) or not all(isinstance(value, str) for value in environ.values()):
        raise ValueError("environ holds more than texts")
    return State(phase, ifindex, environ, port)


def _unwritable(path: Path, err: OSError) -> CloudError:
    return CloudError(f"{path}: {err.strerror}", hint="/run must be writable for root and have room; see `df /run`")
