"""What a command tells its user when it cannot go on: one sentence of what, one of what to do."""


class Problem(Exception):
    """Printed without a traceback. `then` says what to do."""

    def __init__(self, what: str, then: str | None = None) -> None:
        super().__init__(what if then is None else f"{what}\n  {then}")
