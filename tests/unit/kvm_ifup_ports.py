# SPDX-License-Identifier: BSD-2-Clause
"""A tap for tests of what it is connected to."""

from __future__ import annotations

from kvm_ifup.port import BridgePort, Port, Rates, RoutedPort, Sources, SwitchPort

MAC = bytes.fromhex("525400000001")


def port(connection: BridgePort | SwitchPort | RoutedPort, tap: str = "tap0") -> Port:
    """One without addresses."""
    return Port(
        tap=tap,
        instance="web.example.com",
        nic_index=0,
        nic_uuid="6a2c7cb6-6dcd-4b1b-a9ba-6d9f5c5f2d6a",
        mac=MAC,
        connection=connection,
        ip=None,
        ip6=None,
        sources=Sources((), ()),
        macspoof=False,
        profile="unprotected",
        isolation=None,
        rates=Rates(),
        mtu=None,
        binding=None,
        network="",
        network_tags=(),
        instance_tags=(),
    )
