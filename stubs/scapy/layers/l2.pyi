# SPDX-License-Identifier: BSD-2-Clause
from scapy.packet import Packet

class Ether(Packet): ...
