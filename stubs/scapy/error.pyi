# SPDX-License-Identifier: BSD-2-Clause
import logging

log_runtime: logging.Logger
