# SPDX-License-Identifier: BSD-2-Clause
"""The transaction of one tap: its steps, their undoing, and the state that is kept of it."""
