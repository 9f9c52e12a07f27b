# SPDX-License-Identifier: BSD-2-Clause
"""A tap is whole or closed, whatever fails and whenever it is killed; and what was left is taken away."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ganeti_cloud.errors import CloudError
from kvm_ifup.port import Port
from kvm_ifup.running import device, locking, transaction
from kvm_ifup.running.reconciling import problems, reconcile
from kvm_ifup.running.state import CLOSED, MAKING, UP, Broken, State
from kvm_ifup.running.transaction import Node
from tests.unit.kvm_ifup_node import BINDING, PORT, Site, Steps, no_tap, tap
from tests.unit.netspace import own_network

pytestmark = pytest.mark.host_tools

ENVIRON = {"TAGS": "x"}
WHOLE = ["tap0", "tap0.a", "tap0.a", "tap0.b", "tap0.b", "tap0.json"]
OTHER = PORT._replace(instance="db1.example.com", binding=None, mac=bytes.fromhex("aa0000000002"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with own_network():
        tap()
        yield Site(tmp_path)


def is_whole(site: Site, port: Port = PORT) -> bool:
    state = site.states.read(port.tap)
    parts = [part.problems([port]) for part in site.node.parts]
    return isinstance(state, State) and (state.phase, state.port, parts) == (UP, port, [{}, {}, {}])


def test_a_tap_is_up_when_all_is_there(site: Site) -> None:
    transaction.up(site.node, PORT, ENVIRON)
    assert (device.is_up("tap0"), is_whole(site), site.left()) == (True, True, WHOLE)
    assert site.states.read("tap0") == State(UP, device.index("tap0"), ENVIRON, PORT)
    assert site.told == ["tap0: up for web1.example.com (MAC aa:00:00:00:00:01, profile protected)"]


def test_twice_is_as_once(site: Site) -> None:
    transaction.up(site.node, PORT, ENVIRON)
    transaction.up(site.node, PORT, ENVIRON)
    assert (device.is_up("tap0"), is_whole(site), site.left()) == (True, True, WHOLE)


def test_the_end_of_a_tap_and_its_end_again(site: Site) -> None:
    transaction.up(site.node, PORT, ENVIRON)
    assert transaction.down(site.node, "tap0") is True
    assert (device.is_up("tap0"), site.left()) == (False, [])
    assert transaction.down(site.node, "tap0") is False


def test_a_tap_that_another_instance_has_is_not_ended(site: Site) -> None:
    transaction.up(site.node, PORT, ENVIRON)
    assert transaction.down(site.node, "tap0", "db1.example.com") is False
    assert (device.is_up("tap0"), is_whole(site)) == (True, True)
    assert transaction.down(site.node, "tap0", "web1.example.com") is True


def test_the_end_of_a_former_tap_leaves_the_one_that_came_since(site: Site) -> None:
    transaction.up(site.node, PORT, ENVIRON)
    no_tap()
    tap()
    site.node.switch.up(PORT)
    assert transaction.down(site.node, "tap0") is True
    assert (device.is_up("tap0"), site.left()) == (True, [])


def test_what_a_former_guest_left_goes_when_its_tap_comes_again(site: Site) -> None:
    transaction.up(site.node, PORT, ENVIRON)
    no_tap()
    tap()
    transaction.up(site.node, OTHER, ENVIRON)
    assert (is_whole(site, OTHER), site.left()) == (True, [name for name in WHOLE if name != "tap0"])


def test_a_state_that_cannot_be_read_is_cleared_by_its_name(site: Site) -> None:
    transaction.up(site.node, PORT, ENVIRON)
    (site.states.folder / "tap0.json").write_text("{", encoding="utf-8")
    transaction.up(site.node, OTHER, ENVIRON)
    assert is_whole(site, OTHER)
    assert any("tap0: its state was unreadable" in line for line in site.told)


def test_a_tap_that_is_not_there(site: Site) -> None:
    no_tap()
    with pytest.raises(CloudError, match="tap0: there is no such interface"):
        transaction.up(site.node, PORT, ENVIRON)
    assert site.left() == []


def failing(at: int) -> Steps:
    def reached(number: int) -> None:
        if number == at:
            raise CloudError("no room", hint="make some")

    return Steps(reached)


def killed(at: int) -> Steps:
    def reached(number: int) -> None:
        if number == at:
            os.kill(os.getpid(), signal.SIGKILL)

    return Steps(reached)


def counted(site: Site) -> int:
    """How many steps `up` has, after which the tap is as it was before."""
    steps = Steps(lambda _: None)
    transaction.up(site.stepping(steps), PORT, ENVIRON)
    transaction.down(site.node, "tap0")
    return steps.done


def test_a_failure_of_each_step_closes_the_tap_and_leaves_nothing(site: Site) -> None:
    total = counted(site)
    assert total > 12
    # The last step is the announcement, without which all is there.
    for at in range(1, total):
        with pytest.raises(CloudError, match="no room"):
            transaction.up(site.stepping(failing(at)), PORT, ENVIRON)
        assert (at, device.is_up("tap0"), site.left()) == (at, False, [])
    transaction.up(site.stepping(failing(total)), PORT, ENVIRON)
    assert (device.is_up("tap0"), is_whole(site)) == (True, True)


def test_a_failure_of_each_step_closes_a_tap_that_was_up(site: Site) -> None:
    for at in range(1, counted(site)):
        transaction.up(site.node, OTHER, ENVIRON)
        with pytest.raises(CloudError, match="no room"):
            transaction.up(site.stepping(failing(at)), PORT, ENVIRON)
        reconcile(site.node)
        assert (at, device.is_up("tap0"), site.left()) == (at, False, [])


def in_a_child(node: Node, act: Callable[..., object], *arguments: object) -> None:
    """It is done in a process of its own, which is killed."""
    child = os.fork()
    if child == 0:
        try:
            act(node, *arguments)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.parametrize("after", ["reconcile", "the next tap"])
def test_killed_at_each_step_the_tap_is_closed_and_what_is_left_goes(site: Site, after: str) -> None:
    total = counted(site)
    for at in range(1, total):
        in_a_child(site.stepping(killed(at)), transaction.up, PORT, ENVIRON)
        # Between opening it and saying so all of it is there.
        assert (at, device.is_up("tap0")) == (at, at == total - 1)
        if after == "reconcile":
            reconcile(site.node)
            assert (at, device.is_up("tap0"), site.left(), problems(site.node)) == (at, False, [], {})
        else:
            transaction.up(site.node, OTHER, ENVIRON)
            assert (at, device.is_up("tap0"), is_whole(site, OTHER)) == (at, True, True)
            transaction.down(site.node, "tap0")


def test_killed_at_each_step_of_its_end_the_rest_goes_later(site: Site) -> None:
    steps = Steps(lambda _: None)
    transaction.up(site.node, PORT, ENVIRON)
    transaction.down(site.stepping(steps), "tap0")
    for at in range(1, steps.done + 1):
        transaction.up(site.node, PORT, ENVIRON)
        in_a_child(site.stepping(killed(at)), transaction.down, "tap0")
        transaction.down(site.node, "tap0")
        assert (at, device.is_up("tap0"), site.left()) == (at, False, [])


def test_a_tap_that_is_gone_is_taken_away(site: Site) -> None:
    transaction.up(site.node, PORT, ENVIRON)
    no_tap()
    assert problems(site.node) == {"tap0": ["it is gone"]}
    [done] = reconcile(site.node)
    assert (done.tap, done.what, done.error, site.left()) == ("tap0", "it is gone", "", [])
    assert reconcile(site.node) == []


def test_a_dry_run_changes_nothing(site: Site) -> None:
    transaction.up(site.node, PORT, ENVIRON)
    no_tap()
    told = len(site.told)
    [done] = reconcile(site.node, dry_run=True)
    assert (done.what, done.remedy, site.left()) == ("it is gone", "take away what is left of it", WHOLE)
    assert len(site.told) == told


def test_another_tap_of_the_same_name_does_not_inherit(site: Site) -> None:
    transaction.up(site.node, PORT, ENVIRON)
    no_tap()
    tap()
    [done] = reconcile(site.node)
    assert (done.what, site.left()) == ("it is another one of the same name now", [])


def test_what_is_missing_is_made_again(site: Site) -> None:
    transaction.up(site.node, PORT, ENVIRON)
    site.filter.sweep(["tap0"])
    assert problems(site.node) == {"tap0": ["filter: is not whole"]}
    [done] = reconcile(site.node)
    assert (done.error, device.is_up("tap0"), is_whole(site)) == ("", True, True)


def test_what_cannot_be_made_again_closes_the_tap_until_it_can(site: Site) -> None:
    transaction.up(site.node, PORT, ENVIRON)
    site.filter.sweep(["tap0"])
    (site.folder / "filter").rename(site.folder / "away")

    class Full:
        name = "filter"

        def __getattr__(self, name: str) -> object:
            return getattr(site.filter, name)

        def make(self, port: Port) -> None:
            raise CloudError("no room")

    (site.folder / "away").rename(site.folder / "filter")
    broken = site.node._replace(parts=(Full(), *site.node.parts[1:]))  # type: ignore[arg-type]
    [done] = reconcile(broken)
    assert (done.error, device.is_up("tap0")) == ("no room", False)
    state = site.states.read("tap0")
    assert isinstance(state, State)
    assert state.phase == CLOSED
    [again] = reconcile(broken)
    assert (again.error, device.is_up("tap0")) == ("no room", False)
    [mended] = reconcile(site.node)
    assert (mended.error, device.is_up("tap0"), is_whole(site)) == ("", True, True)


def test_a_tap_that_somebody_set_down_stays_down(site: Site) -> None:
    transaction.up(site.node, PORT, ENVIRON)
    site.node.switch.down("tap0")
    assert reconcile(site.node) == []
    site.filter.sweep(["tap0"])
    reconcile(site.node)
    assert (device.is_up("tap0"), is_whole(site)) == (False, True)


def test_a_missing_binding_is_written_without_closing_the_tap(site: Site) -> None:
    transaction.up(site.node, PORT, ENVIRON)
    (site.bindings / "tap0").unlink()
    steps = Steps(lambda _: None)
    watched = site.node._replace(switch=steps.wrap(site.node.switch))
    [done] = reconcile(watched)
    assert (done.what, done.error, is_whole(site), steps.done) == ("binding: its binding is missing", "", True, 0)


def test_a_tap_with_traces_of_ours_and_no_state_is_closed(site: Site) -> None:
    transaction.up(site.node, PORT, ENVIRON)
    site.states.forget("tap0")
    [done] = reconcile(site.node)
    assert (done.tap, done.remedy, done.error, device.is_up("tap0"), site.left()) == ("tap0", "close it", "", False, [])


def test_a_tap_with_a_broken_state_is_closed(site: Site) -> None:
    transaction.up(site.node, PORT, ENVIRON)
    (site.states.folder / "tap0.json").write_text("{", encoding="utf-8")
    assert isinstance(site.states.read("tap0"), Broken)
    [done] = reconcile(site.node)
    assert (done.remedy, device.is_up("tap0"), site.left()) == ("close it", False, [])


def test_the_taps_of_others_are_left_alone(site: Site) -> None:
    tap("vpn0")
    site.node.switch.up(PORT._replace(tap="vpn0"))
    (site.bindings / "vpn0").write_text("MAC=aa:00:00:00:00:09\nHOSTNAME=vpn\n", encoding="utf-8")
    assert (problems(site.node), reconcile(site.node)) == ({}, [])
    assert (device.is_up("vpn0"), site.left()) == (True, ["vpn0"])


def test_what_a_killed_writer_left_goes(site: Site) -> None:
    transaction.up(site.node, PORT, ENVIRON)
    (site.states.folder / ".tap0.json.77.tmp").write_text("{", encoding="utf-8")
    (site.bindings / ".tap5.77.tmp").write_text("MAC", encoding="utf-8")
    [done] = reconcile(site.node)
    assert (done.tap, done.remedy) == ("tap5", "take it away")
    assert list(site.folder.rglob(".*.tmp")) == []


def test_a_part_that_cannot_look_stops_no_other(site: Site) -> None:
    class Blind:
        name = "link"

        def __getattr__(self, name: str) -> object:
            return getattr(site.link, name)

        def problems(self, ports: object) -> dict[str, str]:
            raise CloudError("nobody is there")

        strays = problems

    transaction.up(site.node, PORT, ENVIRON)
    site.filter.sweep(["tap0"])
    node = site.node._replace(parts=(site.filter, Blind(), site.node.parts[2]))  # type: ignore[arg-type]
    done = {each.what: each.error for each in reconcile(node)}
    blind = "link: cannot be looked at (nobody is there)"
    assert (done, is_whole(site)) == ({"filter: is not whole": "", blind: "nobody is there"}, True)
    assert problems(node) == {"(all)": [blind, blind]}


def test_one_at_a_time(site: Site) -> None:
    folder = str(site.states.folder)
    with (
        locking.locked(folder),
        pytest.raises(CloudError, match=r"another kvm-ifup has been busy for 0\.1 s"),
        locking.locked(folder, wait_s=0.1),
    ):
        pass
    with locking.locked(folder, wait_s=0.1):
        pass


def test_the_scripts_of_the_site_run_at_both_ends(site: Site) -> None:
    said = site.folder / "said"
    for folder in site.scripts:
        site.script(folder, f'echo "$ACTION $INTERFACE $INSTANCE $IP" >>{said}')
    transaction.up(site.node, PORT, ENVIRON)
    transaction.down(site.node, "tap0")
    lines = said.read_text(encoding="utf-8").splitlines()
    assert lines == [f"{action} tap0 web1.example.com 198.51.100.7" for action in ("up", "down")]


def test_a_script_that_fails_closes_the_tap(site: Site) -> None:
    said = site.folder / "said"
    path = site.script("ifup-extra.d", "echo not today >&2; exit 3")
    site.script("ifdown-extra.d", f"echo $ACTION >>{said}")
    with pytest.raises(CloudError, match=f"{path}: exit 3: not today"):
        transaction.up(site.node, PORT, ENVIRON)
    assert (device.is_up("tap0"), site.left(), said.read_text(encoding="utf-8")) == (False, [], "down\n")


def test_the_scripts_run_while_the_tap_is_still_closed(site: Site) -> None:
    said = site.folder / "said"
    site.script("ifup-extra.d", f"ip -o link show $INTERFACE >{said}")
    transaction.up(site.node, PORT, ENVIRON)
    assert "UP" not in said.read_text(encoding="utf-8").partition("<")[2].partition(">")[0].split(",")


def test_the_end_is_the_end_though_a_script_fails(site: Site) -> None:
    transaction.up(site.node, PORT, ENVIRON)
    path = site.script("ifdown-extra.d", "exit 1")
    with pytest.raises(CloudError, match="exit 1"):
        transaction.down(site.node, "tap0")
    # What is known stays until all of it is done.
    assert (device.is_up("tap0"), site.left()) == (False, ["tap0.json"])
    path.unlink()
    reconcile(site.node)
    assert site.left() == []


def test_phases_are_kept_while_it_is_made(site: Site) -> None:
    seen = []

    class Looking:
        name = "looking"

        def __getattr__(self, name: str) -> object:
            return getattr(site.link, name)

        def make(self, port: Port) -> None:
            state = site.states.read(port.tap)
            assert isinstance(state, State)
            seen.append((state.phase, device.is_up(port.tap)))

    node = site.node._replace(parts=(Looking(),))  # type: ignore[arg-type]
    transaction.up(node, PORT, ENVIRON)
    assert (seen, BINDING.tap) == ([(MAKING, False)], "tap0")
