# SPDX-License-Identifier: BSD-2-Clause
"""The daemon itself: what it waits for, how it lives under the service manager, and with which rights."""
