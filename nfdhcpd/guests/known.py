# SPDX-License-Identifier: BSD-2-Clause
"""The guests of this node: files and interfaces that come and go, and what is known of whom they are about."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator

from ganeti_cloud.daemon.outlet import Outlet
from ganeti_cloud.errors import CloudError
from nfdhcpd.guests import leases
from nfdhcpd.guests.folder import Folder
from nfdhcpd.guests.links import Links
from nfdhcpd.guests.taps import Change, State, Tap, Taps
from nfdhcpd.packets import protocols
from nfdhcpd.settings import Settings
from nfdhcpd.telling.journal import address

log = logging.getLogger(__name__)

_SAVE_EVERY_S = 60.0


class Guests:
    """Whom this node serves by the settings *site*, once :meth:`load` was called.

    Raises CloudError when the folder of bindings or the interfaces cannot be watched.
    """

    def __init__(self, site: Settings, outlet: Outlet) -> None:
        self._outlet = outlet
        self._state = site.service.state
        self._begin: Callable[[Tap, float], None] = lambda tap, now: None
        self._keeper = leases.Keeper(self._state, protocols.OUTCOMES)
        self._save_at = time.monotonic()
        self._saved_total = -1
        self._is_changing = False
        self._problem_of_links = ""
        self.folder = Folder(site.service.bindings)
        try:
            self.links = Links()
        except CloudError:
            self.folder.close()
            raise
        self.taps = Taps(self.folder.bindings, self.links.links, protocols.preparing(site))

    def close(self) -> None:
        """Watch nothing any more."""
        self.folder.close()
        self.links.close()

    def load(self, begin: Callable[[Tap, float], None]) -> None:
        """Read all bindings, and what was known when the daemon ended last.

        From now on *begin* is called for each tap that is served, or served otherwise, with the monotonic time.
        """
        self._begin = begin
        try:
            self._keeper.load()
        except CloudError as err:
            log.warning("%s", err)
        waiting = 0
        while self.folder.is_busy:
            waiting += sum(change.state is State.WAITING for change in self._news_of_files())
        log.info("taps served: %d, waiting for their interfaces: %d", len(self.taps.by_index), waiting)

    def on_files(self) -> None:
        """Look which files have changed."""
        self._tell(self._news_of_files())
        if self._is_changing and not self.folder.is_busy:
            self._is_changing = False
            now = time.monotonic()
            for tap in self.taps.by_index.values():
                self._begin(tap, now)
            log.info("the settings are new; taps served: %d", len(self.taps.by_index))

    def on_links(self) -> None:
        """Look which interfaces have changed."""
        try:
            changed = self.links.changes()
        except CloudError as err:
            if str(err) != self._problem_of_links:
                self._problem_of_links = str(err)
                log.warning("%s", err)
            return
        self._problem_of_links = ""
        self._tell(self._followed(self.taps.refresh(changed)))

    def change(self, site: Settings) -> None:
        """Serve all by other settings, some at a time: packets have their turn between."""
        self.taps.prepare_by(protocols.preparing(site))
        self.folder.again()
        self._is_changing = True
        # The first ones now, which on most nodes are all.
        self.on_files()

    def tick(self, now: float, total: int) -> None:
        """What is to be done about once a second; *total* is the number of all packets up to now."""
        # A folder that has gone may have come again, of which nobody tells; and a kernel that could not say what it had
        # lost may have nothing new to tell.
        self.on_files()
        self.on_links()
        if not self._keeper.is_writing and now >= self._save_at:
            self._save_at = now + _SAVE_EVERY_S
            if total != self._saved_total:
                self._saved_total = total
                self._keeper.begin(self.taps.by_name.values())
        self._saved(self._keeper.write_some)

    def save(self) -> None:
        """Write down what the next start has to know."""
        self._saved(lambda: self._keeper.write_all(self.taps.by_name.values()))

    def described(self) -> Iterator[str]:
        """All that are served, as JSON in pieces."""
        return leases.pieces(list(self.taps.by_index.values()), leases.boot_time())

    def dump(self) -> None:
        """Put the table of all that are served into the journal."""
        boot = leases.boot_time()
        rows = [leases.described(tap, boot) for tap in self.taps.by_index.values()]
        for line in leases.table(rows, time.time()):
            self._outlet.put(logging.INFO, "%s", line)

    def _saved(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as err:
            log.warning("what is known of guests cannot be kept in %s: %s", self._state, err.strerror)

    def _news_of_files(self) -> list[Change]:
        news = self.folder.news()
        for problem in news.problems:
            log.warning("%s", problem)
        return self._followed(self.taps.refresh(news.changed))

    def _followed(self, changes: list[Change]) -> list[Change]:
        now = time.monotonic()
        for change in changes:
            tap = self.taps.by_name.get(change.tap)
            if tap is not None and change.state in (State.SERVED, State.CHANGED):
                self._keeper.restore(tap)
                self._begin(tap, now)
        return changes

    def _tell(self, changes: Iterable[Change]) -> None:
        for change in changes:
            level = logging.WARNING if change.state is State.BROKEN else logging.INFO
            reason = f": {change.reason}" if change.reason else ""
            self._outlet.put(level, "%s: %s%s%s", change.tap, change.state, reason, _whose(change))


def _whose(change: Change) -> str:
    binding = change.binding
    if binding is None:
        return ""
    return f" (MAC {binding.mac.hex(':')}, address {address(binding)}, host {binding.hostname})"
