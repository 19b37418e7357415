"""Prefixes of the bucket that several adapters know, so that knowing one needs nothing that draws or reads it."""

EVIDENCE = "evidence/"  # <case>/<revision>.svg and .png: pictures of what was seen


def picture_of(case_id: str, revision: int) -> str:
    """Where the picture of a change of a case is, if it has one; the PNG is beside it."""
    return f"{EVIDENCE}{case_id}/{revision}.svg"
