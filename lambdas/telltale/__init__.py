"""Telltale: condition monitoring that opens a work order before the machine fails."""

VERSION = "0.1.0"
