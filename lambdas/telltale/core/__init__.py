"""Pure functions and frozen values: standard library and numpy, no clock, no network."""
