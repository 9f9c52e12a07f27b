# SPDX-License-Identifier: BSD-2-Clause
"""From what Ganeti says of a NIC, and what the site says, to what its tap is to be; nothing here touches anything."""
