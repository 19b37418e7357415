"""Prefixes of the bucket that several adapters know, so that knowing one needs nothing that draws or reads it."""

EVIDENCE = "evidence/"  # <case>/<revision>.svg and .png: pictures of what was seen
