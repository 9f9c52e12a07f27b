# SPDX-License-Identifier: BSD-2-Clause
"""What one tap of a guest is to be, made so in one transaction or not at all."""
