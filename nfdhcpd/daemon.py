# SPDX-License-Identifier: BSD-2-Clause
"""The daemon: one thread that waits for packets, files, interfaces, signals and clients, and for the time."""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import cast

from ganeti_cloud.binding import Binding
from ganeti_cloud.errors import CloudError
from nfdhcpd import leases, protocols, settings
from nfdhcpd.folder import Folder
from nfdhcpd.http import Page, Server
from nfdhcpd.journal import Journal, address
from nfdhcpd.limiting import Limiter
from nfdhcpd.links import Links
from nfdhcpd.metrics import CONTENT_TYPE, Family, text
from nfdhcpd.notify import Notifier
from nfdhcpd.outlet import Outlet
from nfdhcpd.packets import OUTCOMES, Handling
from nfdhcpd.periodic import Schedule
from nfdhcpd.queue import Queue
from nfdhcpd.router import advertising
from nfdhcpd.sending import Sender
from nfdhcpd.settings import Settings
from nfdhcpd.taps import Change, State, Tap, Taps

log = logging.getLogger(__name__)

_TICK_S = 1.0
_SAVE_EVERY_S = 60.0
# How long the end may take for lines that the journal has not read.
_LAST_LINES_S = 0.5

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


class Daemon:
    """Serves the guests of this node by the settings in the file at *path*, until it is told to end.

    What it holds is given back by :meth:`close`. Raises CloudError when it cannot serve.
    """

    def __init__(self, site: Settings, path: str, outlet: Outlet, env: Mapping[str, str]) -> None:
        self._site, self._path, self._outlet = site, path, outlet
        self._notifier = Notifier(env)
        self._is_ending = False
        now = time.monotonic()
        self._tick_at = self._save_at = self._alive_at = now
        self._saved_total = -1
        with ExitStack() as stack:
            self._selector = stack.enter_context(selectors.DefaultSelector())
            self._sender = Sender()
            stack.callback(self._sender.close)
            self._folder = Folder(site.service.bindings)
            stack.callback(self._folder.close)
            self._links = Links()
            stack.callback(self._links.close)
            self._taps = Taps(self._folder.bindings, self._links.links, protocols.preparing(site))
            self._limiter = Limiter(site.limits)
            self._journal = Journal(outlet, (*OUTCOMES, *protocols.OUTCOMES))
            self._handling = Handling(self._taps, self._limiter, self._sender, self._journal, protocols.OUTCOMES)
            self._keeper = leases.Keeper(site.service.state, protocols.OUTCOMES)
            self._schedule = Schedule(self._taps, site.ipv6.ra_period, self._advertise)
            # Packets that come from now on wait for the bindings to be loaded.
            self._open_queues(stack)
            self._server = self._listening(stack)
            stack.callback(_signals_to(self._selector, self._on_signal))
            self._selector.register(self._folder, selectors.EVENT_READ, self._on_files)
            self._selector.register(self._links, selectors.EVENT_READ, self._on_links)
            self._load()
            self._stack = stack.pop_all()

    def serve(self) -> None:
        """Serve until a signal says to end, and write down what the next start has to know."""
        self._notifier.ready()
        try:
            while not self._is_ending:
                self._once()
        finally:
            self._notifier.stopping()
            self._save(whole=True)
            self._outlet.flush(_LAST_LINES_S)

    def close(self) -> None:
        """Give everything back: packets pass by from now on."""
        self._stack.close()

    def _once(self) -> None:
        ready = self._selector.select(self._wait_s())
        for key, _ in ready:
            cast("Callable[[], None]", key.data)()
        now = time.monotonic()
        if now >= self._tick_at:
            self._tick(now)
        self._schedule.work(now)
        if self._folder.is_busy:
            self._on_files()
        if not ready or self._outlet.crowded:
            self._outlet.flush()

    def _wait_s(self) -> float:
        if self._folder.is_busy:
            return 0.0
        now = time.monotonic()
        waits = (self._tick_at - now, self._schedule.due_in(now), self._outlet.due_in())
        return max(0.0, min(wait for wait in waits if wait is not None))

    def _open_queues(self, stack: ExitStack) -> None:
        for source in protocols.sources(self._site):
            queue = Queue(source.queue, self._handling.handler(source.attribute, source.answer))
            stack.callback(queue.close)
            self._selector.register(queue, selectors.EVENT_READ, queue.work)

    def _listening(self, stack: ExitStack) -> Server | None:
        if not self._site.service.listen:
            return None
        pages = {
            "/metrics": Page(CONTENT_TYPE, lambda: text(self._families())),
            "/leases": Page("application/json", lambda: leases.pieces(self._served(), leases.boot_time())),
        }
        server = Server(self._site.service.listen, pages, self._selector)
        stack.callback(server.close)
        return server

    def _load(self) -> None:
        """Read all bindings, and what was known when the daemon ended last."""
        try:
            self._keeper.load()
        except CloudError as err:
            log.warning("%s", err)
        waiting = 0
        while self._folder.is_busy:
            for change in self._refresh_files():
                waiting += change.state is State.WAITING
        log.info("taps served: %d, waiting for their interfaces: %d", len(self._taps.by_index), waiting)

    def _on_files(self) -> None:
        self._tell(self._refresh_files())

    def _refresh_files(self) -> list[Change]:
        news = self._folder.news()
        for problem in news.problems:
            log.warning("%s", problem)
        return self._follow(self._taps.refresh(news.changed))

    def _on_links(self) -> None:
        try:
            changed = self._links.changes()
        except CloudError as err:
            log.warning("%s", err)
            return
        self._tell(self._follow(self._taps.refresh(changed)))

    def _follow(self, changes: list[Change]) -> list[Change]:
        now = time.monotonic()
        for change in changes:
            tap = self._taps.by_name.get(change.tap)
            if tap is not None and change.state in (State.SERVED, State.CHANGED):
                self._keeper.restore(tap)
                self._schedule.begin(tap, now)
        return changes

    def _tell(self, changes: Iterable[Change]) -> None:
        for change in changes:
            level = logging.WARNING if change.state is State.BROKEN else logging.INFO
            reason = f": {change.reason}" if change.reason else ""
            who = "" if change.binding is None else f" ({_guest(change.binding)})"
            self._outlet.put(level, "%s: %s%s%s", change.tap, change.state, reason, who)

    def _advertise(self, tap: Tap) -> None:
        assert tap.router is not None
        if self._sender.send(tap.name, advertising.unsolicited(tap.router)):
            self._handling.counts[protocols.UNSOLICITED] += 1

    def _tick(self, now: float) -> None:
        """What is to be done about once a second."""
        self._tick_at = now + _TICK_S
        self._journal.tick(now)
        # A folder that has gone may have come again, of which nobody tells.
        self._on_files()
        if self._server is not None:
            self._server.tick(now)
        if self._notifier.watchdog_s is not None and now >= self._alive_at:
            self._alive_at = now + self._notifier.watchdog_s
            self._notifier.alive(f"{len(self._taps.by_index)} taps")
        self._save_now_and_then(now)

    def _save_now_and_then(self, now: float) -> None:
        if self._keeper.is_writing:
            self._save()
        elif now >= self._save_at:
            self._save_at = now + _SAVE_EVERY_S
            total = sum(self._handling.counts.values())
            if total != self._saved_total:
                self._saved_total = total
                self._keeper.begin(self._taps.by_name.values())

    def _save(self, *, whole: bool = False) -> None:
        try:
            if whole:
                self._keeper.write_all(self._taps.by_name.values())
            else:
                self._keeper.write_some()
        except OSError as err:
            log.warning("what is known of guests cannot be kept in %s: %s", self._site.service.state, err.strerror)

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGHUP:
            self._reload()
        elif number == signal.SIGUSR1:
            self._dump()
        else:
            self._is_ending = True

    def _reload(self) -> None:
        self._notifier.reloading()
        try:
            site = settings.load(self._path)
        except CloudError as err:
            log.error("%s: the settings stay as they were", err)
        else:
            self._change(site)
        self._notifier.ready()

    def _change(self, site: Settings) -> None:
        fixed = [name for name, of in _FIXED.items() if of(site) != of(self._site)]
        if fixed:
            log.warning("only a restart changes %s", ", ".join(fixed))
        self._site = site
        self._limiter.change(site.limits)
        self._schedule.period = site.ipv6.ra_period
        self._tell(self._taps.prepare_all(protocols.preparing(site)))
        now = time.monotonic()
        for tap in self._served():
            self._schedule.begin(tap, now)
        log.info("the settings are new; taps served: %d", len(self._taps.by_index))

    def _dump(self) -> None:
        boot = leases.boot_time()
        for line in leases.table([leases.described(tap, boot) for tap in self._served()], time.time()):
            self._outlet.put(logging.INFO, "%s", line)

    def _served(self) -> list[Tap]:
        return list(self._taps.by_index.values())

    def _families(self) -> list[Family]:
        counts = [
            ({"protocol": outcome.protocol, "outcome": outcome.name}, float(count))
            for outcome, count in self._handling.counts.items()
        ]
        failures = [({"error": name}, float(count)) for name, count in self._sender.failures.items()]
        return [
            Family("nfdhcpd_packets_total", "counter", "Packets by what became of them.", counts),
            Family("nfdhcpd_send_failures_total", "counter", "Frames that could not be sent.", failures),
            Family("nfdhcpd_taps", "gauge", "Taps that are served.", [({}, float(len(self._taps.by_index)))]),
            Family(
                "nfdhcpd_journal_lost_total", "counter", "Lines that were too many.", [({}, float(self._outlet.lost))]
            ),
        ]


# What is opened once, with the rights and in the order of a start.
_FIXED: dict[str, Callable[[Settings], object]] = {
    "the queues": lambda site: [source.queue for source in protocols.sources(site)],
    "[service] bindings": lambda site: site.service.bindings,
    "[service] state": lambda site: site.service.state,
    "[service] listen": lambda site: site.service.listen,
}


def _guest(binding: Binding) -> str:
    return f"MAC {binding.mac.hex(':')}, address {address(binding)}, host {binding.hostname}"


def _signals_to(selector: selectors.BaseSelector, handle: Callable[[int], None]) -> Callable[[], None]:
    """Have *handle* called for each signal when *selector* says so; returns what undoes it."""
    reader, writer = socket.socketpair()
    for end in (reader, writer):
        end.setblocking(False)
    wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    before = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}

    def read() -> None:
        for number in os.read(reader.fileno(), 64):
            handle(number)

    def undo() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        selector.unregister(reader)
        reader.close()
        writer.close()

    selector.register(reader, selectors.EVENT_READ, read)
    return undo
