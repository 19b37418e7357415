"""Maintenance systems that Telltale reaches by its signed webhook: one receiver, and one file each (docs/webhook.md).

Nothing but Python's standard library: take the folder, change what your system does otherwise, run it where you like.
"""
