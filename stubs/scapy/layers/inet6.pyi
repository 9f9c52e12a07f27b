# SPDX-License-Identifier: BSD-2-Clause
from typing import Any

def __getattr__(name: str) -> Any: ...
