# SPDX-License-Identifier: BSD-2-Clause
"""The daemon: one thread that waits for packets, files, interfaces, signals and clients, and for the time."""

from __future__ import annotations

import logging
import selectors
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import cast

from ganeti_cloud.daemon.http import Page, Server
from ganeti_cloud.daemon.metrics import CONTENT_TYPE, Family, text
from ganeti_cloud.daemon.notify import Notifier
from ganeti_cloud.daemon.outlet import Outlet
from ganeti_cloud.daemon.signals import signals_to
from ganeti_cloud.errors import CloudError
from nfdhcpd import settings
from nfdhcpd.guests.known import Guests
from nfdhcpd.guests.taps import Tap
from nfdhcpd.loop.periodic import Schedule
from nfdhcpd.packets import protocols
from nfdhcpd.packets.handling import OUTCOMES, Handling
from nfdhcpd.packets.limiting import Limiter
from nfdhcpd.packets.queue import Queue
from nfdhcpd.packets.sending import Sender
from nfdhcpd.router import advertising
from nfdhcpd.settings import Settings
from nfdhcpd.telling.journal import Journal

log = logging.getLogger(__name__)

_TICK_S = 1.0
# How long the end may take for lines that the journal has not read.
_LAST_LINES_S = 0.5


class Daemon:
    """Serves the guests of this node by the settings in the file at *path*, until it is told to end.

    What it holds is given back by :meth:`close`. Raises CloudError when it cannot serve.
    """

    def __init__(self, site: Settings, path: str, outlet: Outlet, env: Mapping[str, str]) -> None:
        self._site, self._path, self._outlet = site, path, outlet
        self._notifier = Notifier(env)
        self._is_ending = False
        self._tick_at = self._alive_at = time.monotonic()
        with ExitStack() as stack:
            self._selector = stack.enter_context(selectors.DefaultSelector())
            stack.callback(signals_to(self._selector, self._on_signal))
            self._sender = Sender()
            stack.callback(self._sender.close)
            self._guests = Guests(site, outlet)
            stack.callback(self._guests.close)
            self._limiter = Limiter(site.limits)
            self._journal = Journal(outlet, (*OUTCOMES, *protocols.OUTCOMES))
            self._handling = Handling(self._guests.taps, self._limiter, self._sender, self._journal, protocols.OUTCOMES)
            # Packets that come from now on wait for the bindings to be loaded.
            self._open_queues(stack)
            self._server = self._listening(stack)
            self._selector.register(self._guests.folder, selectors.EVENT_READ, self._guests.on_files)
            self._selector.register(self._guests.links, selectors.EVENT_READ, self._guests.on_links)
            self._schedule = Schedule(self._guests.taps, site.ipv6.ra_period, self._advertise)
            self._guests.load(self._schedule.begin)
            self._stack = stack.pop_all()

    def serve(self) -> None:
        """Serve until a signal says to end, and write down what the next start has to know."""
        self._notifier.ready()
        try:
            while not self._is_ending:
                self._once()
        finally:
            self._notifier.stopping()
            self._guests.save()
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
        if self._guests.folder.is_busy:
            self._guests.on_files()
        if not ready or self._outlet.crowded:
            self._outlet.flush()

    def _wait_s(self) -> float:
        if self._guests.folder.is_busy:
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
            "/leases": Page("application/json", lambda: self._guests.described()),
        }
        server = Server(self._site.service.listen, pages, self._selector)
        stack.callback(server.close)
        return server

    def _advertise(self, tap: Tap) -> None:
        assert tap.router is not None
        if self._sender.send(tap.name, advertising.unsolicited(tap.router)):
            self._handling.counts[protocols.UNSOLICITED] += 1

    def _tick(self, now: float) -> None:
        """What is to be done about once a second."""
        self._tick_at = now + _TICK_S
        self._journal.tick(now)
        self._guests.tick(now, sum(self._handling.counts.values()))
        if self._server is not None:
            self._server.tick(now)
        if self._notifier.watchdog_s is not None and now >= self._alive_at:
            self._alive_at = now + self._notifier.watchdog_s
            self._notifier.alive(f"{len(self._guests.taps.by_index)} taps")

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGHUP:
            self._reload()
        elif number == signal.SIGUSR1:
            self._guests.dump()
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
        self._limiter.change(site.limits)
        self._schedule.period = site.ipv6.ra_period
        self._guests.change(site)

    def _families(self) -> list[Family]:
        counts = [
            ({"protocol": outcome.protocol, "outcome": outcome.name}, float(count))
            for outcome, count in self._handling.counts.items()
        ]
        failures = [({"error": name}, float(count)) for name, count in self._sender.failures.items()]
        return [
            Family("nfdhcpd_packets_total", "counter", "Packets by what became of them.", counts),
            Family("nfdhcpd_send_failures_total", "counter", "Frames that could not be sent.", failures),
            Family("nfdhcpd_taps", "gauge", "Taps that are served.", [({}, float(len(self._guests.taps.by_index)))]),
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
