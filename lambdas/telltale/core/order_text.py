"""What a work order says: texts of a case, in the words of the site's templates."""

from string import Formatter

# What a template of the plant file may name in braces.
NAMES = (
    "severity", "position", "position_name", "asset", "asset_name", "site", "reason", "fault", "case_id", "key",
    "action", "spare_part", "manual", "link", "opened",
)  # fmt: skip


def check(template: str) -> list[str]:
    """The names in braces that are none of NAMES, as written; a brace that is never closed counts as one."""
    try:
        names = [name for _, name, _, _ in Formatter().parse(template) if name is not None]
    except ValueError as error:
        return [str(error)]
    return [name for name in names if name not in NAMES]
