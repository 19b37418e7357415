"""The world outside: streams, tables, the lake, the bus and the maintenance systems."""
