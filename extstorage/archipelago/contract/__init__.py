# SPDX-License-Identifier: BSD-2-Clause
"""What a driver offers to the rest of the provider. Sizes are in bytes.

Everything here may raise StorageError when the store does not answer, is full or refuses us, and ConfigError when the
settings name no usable store. What else a method raises stands with it.
"""
