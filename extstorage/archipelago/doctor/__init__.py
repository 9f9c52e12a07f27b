# SPDX-License-Identifier: BSD-2-Clause
"""What works on this node and why not. Each module looks at one area (``look``: facts, gathered without changing
anything) and says what that means (``checks``: pure)."""
