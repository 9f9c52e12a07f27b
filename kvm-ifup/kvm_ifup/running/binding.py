# SPDX-License-Identifier: BSD-2-Clause
"""The part of a tap that nfdhcpd reads: its binding file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ganeti_cloud import binding, netvalues
from ganeti_cloud.errors import CloudError
from ganeti_cloud.files import replace_file
from kvm_ifup.port import Port

# The folder is for whoever has guests: what does not begin like this is another's.
_OURS = "# Written by kvm-ifup(8), and replaced with the tap.\n"

# Read by nfdhcpd, which is the group of the folder: its set-group-ID bit hands that on (inode(7)).
_MODE = 0o640


class BindingPart:
    """A file in *folder* for each tap that has a binding; none where nfdhcpd is not installed.

    A guest without its binding is a guest without an address, and no danger to others: so a node without nfdhcpd
    runs guests of networks that are tagged for it. Once it is installed, the binding counts as missing and is made.
    """

    name = "binding"

    def __init__(self, folder: str = binding.FOLDER) -> None:
        self._folder = Path(folder)

    def check(self, port: Port) -> None:
        """Raise BindingError for a binding that no file can say."""
        if port.binding is not None:
            binding.encode(port.binding)

    def make(self, port: Port) -> None:
        """Write the file, or remove one that is there and should not be."""
        if port.binding is None:
            self._remove(port.tap)
        elif self._folder.is_dir():
            try:
                replace_file(self._folder / port.tap, _OURS + binding.encode(port.binding), mode=_MODE)
            except OSError as err:
                raise _unwritable(self._folder / port.tap, err) from err

    def unmake(self, port: Port) -> None:
        """Remove the file, if it is ours."""
        self._remove(port.tap)

    def problems(self, ports: Sequence[Port]) -> dict[str, str]:
        """Files that are missing, that say something else, or that should not be there."""
        if not self._folder.is_dir():
            return {}
        found = {}
        for port in ports:
            there = self._read(port.tap)
            if port.binding is None:
                if there is not None and there.startswith(_OURS):
                    found[port.tap] = "there is a binding, and should be none"
            elif there is None:
                found[port.tap] = "its binding is missing"
            elif there != _OURS + binding.encode(port.binding):
                found[port.tap] = "its binding says something else"
        return found

    def strays(self, ports: Sequence[Port]) -> dict[str, str]:
        """Files of ours for other taps, and what a writer that was killed has left."""
        known = {port.tap for port in ports}
        found = {}
        for name in self._names():
            tap = _tap_of_rest(name) or name
            if tap not in known and netvalues.is_interface_name(tap) and self._is_ours(name):
                found[tap] = "a binding"
        return found

    def sweep(self, taps: Sequence[str]) -> None:
        """Remove the files of *taps*."""
        for tap in taps:
            self._remove(tap)
        for name in self._names():
            if _tap_of_rest(name) in taps:
                (self._folder / name).unlink(missing_ok=True)

    def _names(self) -> list[str]:
        try:
            return os.listdir(self._folder)
        except FileNotFoundError:
            return []

    def _is_ours(self, name: str) -> bool:
        # What was cut short may not even hold the first line.
        return bool(_tap_of_rest(name)) or (self._read(name) or "").startswith(_OURS)

    def _read(self, name: str) -> str | None:
        try:
            with open(self._folder / name, encoding="utf-8", errors="replace") as stream:
                return stream.read(binding.MOST_BYTES)
        except (FileNotFoundError, IsADirectoryError):
            return None
        except OSError as err:
            raise CloudError(f"{self._folder / name}: {err.strerror}", hint="look at the folder as root") from err

    def _remove(self, tap: str) -> None:
        path = self._folder / netvalues.interface_name(tap)
        if self._is_ours(tap):
            try:
                path.unlink(missing_ok=True)
            except OSError as err:
                raise _unwritable(path, err) from err


def _tap_of_rest(name: str) -> str:
    """The tap of a temporary file as files.replace_file() names it; empty for any other name."""
    pieces = name.rsplit(".", 2)
    is_rest = name.startswith(".") and len(pieces) == 3 and pieces[2] == "tmp" and pieces[1].isdigit()
    return pieces[0][1:] if is_rest else ""


def _unwritable(path: Path, err: OSError) -> CloudError:
    return CloudError(f"{path}: {err.strerror}", hint="nfdhcpd's folder must be writable for root, on a disk with room")
