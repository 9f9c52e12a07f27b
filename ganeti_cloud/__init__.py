# SPDX-License-Identifier: BSD-2-Clause
"""The ground floor that all components of ganeti-cloud stand on. It imports none of them."""

__version__ = "0.1.0"
