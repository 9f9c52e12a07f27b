# SPDX-License-Identifier: BSD-2-Clause
"""Whom there is to answer: binding files and interfaces as they come and go, joined into guests."""
