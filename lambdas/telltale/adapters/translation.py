"""A query of Athena's dialect as DuckDB means the same: what sqlglot's own translation leaves out or gets wrong.

Each difference was found by running the expression on DuckDB and reading Trino's documentation; tests/unit/test_sql.py
has them. Known and left: a double divided by zero is an error on DuckDB and infinity on Athena (write nullif); halves
are cast to even integers and not away from zero (write round); a date plus an interval shows a time of day.
For one computer, as telltale.adapters.trino.
"""

from collections.abc import Callable, Mapping

from sqlglot import exp

# Joda's letters of format_datetime, longest first, and strftime's.
JODA = (
    ("yyyy", "%Y"), ("MMMM", "%B"), ("EEEE", "%A"), ("MMM", "%b"), ("EEE", "%a"), ("SSS", "%g"), ("yy", "%y"),
    ("MM", "%m"), ("dd", "%d"), ("HH", "%H"), ("hh", "%I"), ("mm", "%M"), ("ss", "%S"), ("DDD", "%j"), ("a", "%p"),
)  # fmt: skip


def to_duckdb(query: exp.Query) -> str:
    """The same query in DuckDB's dialect, to be run in UTC with `integer_division` on, as Athena does."""
    meant = query.copy()
    for node in reversed(list(meant.bfs())):  # from within: what is changed around a node takes it as it has become
        changed = _meant(node) if isinstance(node, exp.Expression) else node
        if changed is not node:
            node.replace(changed)
    return meant.sql(dialect="duckdb")


def _meant(node: exp.Expression) -> exp.Expression:
    for kind, change in CHANGES.items():
        if isinstance(node, kind):
            return change(node)
    if isinstance(node, exp.Anonymous) and node.name.lower() in FUNCTIONS:
        return FUNCTIONS[node.name.lower()](*node.expressions)
    return node


def _call(name: str, *arguments: exp.Expression | str | int) -> exp.Anonymous:
    made = [a if isinstance(a, exp.Expression) else exp.Literal.number(a) for a in arguments]
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in made])


def _whole_units(node: exp.Expression) -> exp.Expression:
    """Trino's date_diff counts whole units that have passed; DuckDB's counts boundaries crossed, its date_sub units."""
    unit = exp.Literal.string(node.args["unit"].name.lower())
    return _call("date_sub", unit, node.expression, node.this)


def _slice(node: exp.Expression) -> exp.Expression:
    """Trino's says where to begin and how many, from behind if negative; DuckDB's where to begin and to end."""
    start, count = node.args["start"], node.args["end"]
    end = exp.paren(start.copy() + count.copy() - 1)
    last = exp.case().when(exp.and_(start < 0, end >= 0), "-1").else_(end.copy())
    return _call("list_slice", node.this, start, last)


def _match_or_null(node: exp.Expression) -> exp.Expression:
    """Nothing found is null, and not an empty text."""
    found = [node.this, node.expression, *([node.args["group"]] if node.args.get("group") else [])]
    matches = _call("regexp_matches", node.this, node.expression)
    return exp.case().when(matches, _call("regexp_extract", *found))


def _part_or_null(node: exp.Expression) -> exp.Expression:
    parts = _call("str_split", node.this, node.args["delimiter"])
    return _call("list_extract", parts, node.args["part_index"])


def _finished(node: exp.Expression) -> exp.Expression:
    """DuckDB's reduce ends with the state; Trino's gives that to one more function."""
    finish = node.args.get("finish")
    if not isinstance(finish, exp.Lambda):
        return node
    bare = node.copy()
    bare.set("finish", None)
    [state] = finish.expressions
    body = exp.paren(finish.this.copy())
    for named in [found for found in body.find_all(exp.Column, exp.Identifier) if found.name == state.name]:
        if named.parent is not None and not isinstance(named.parent, exp.Column):
            named.replace(bare.copy())
    return body


def _bucket(node: exp.Expression) -> exp.Expression:
    """Numbered from 1 between the bounds; 0 below and one more above."""
    value, low, high, count = (
        node.args[name].sql("duckdb") for name in ("this", "min_value", "max_value", "num_buckets")
    )
    share = f"CAST(floor(CAST(({value}) - ({low}) AS DOUBLE) * ({count}) / (({high}) - ({low}))) AS BIGINT) + 1"
    return exp.maybe_parse(f"greatest(0, least(({count}) + 1, {share}))", dialect="duckdb")


def _formatted(value: exp.Expression, pattern: exp.Expression) -> exp.Expression:
    text, left, made = pattern.name, pattern.name, ""
    while left:
        letters, sign = next(((j, s) for j, s in JODA if left.startswith(j)), (left[0], left[0].replace("%", "%%")))
        left, made = left[len(letters) :], made + sign
    return _call("strftime", value, exp.Literal.string(made if text else ""))


def _wall_clock(instant: exp.Expression, zone: exp.Expression) -> exp.Expression:
    return _call("timezone", zone, exp.cast(instant, "timestamptz", dialect="duckdb"))


def _instant(wall_clock: exp.Expression, zone: exp.Expression) -> exp.Expression:
    return _call("timezone", zone, exp.cast(wall_clock, exp.DataType.build("TIMESTAMP", dialect="duckdb")))


def _how_many(items: exp.Expression, condition: exp.Expression) -> exp.Anonymous:
    return _call("len", _call("list_filter", items, condition))


def _number(text: str) -> exp.Expression:
    return exp.cast(exp.Literal.string(text), "double")


CHANGES: Mapping[type[exp.Expression], Callable[[exp.Expression], exp.Expression]] = {
    exp.DateDiff: _whole_units,
    exp.ArraySlice: _slice,
    exp.RegexpExtract: _match_or_null,
    exp.SplitPart: _part_or_null,
    exp.Reduce: _finished,
    exp.WidthBucket: _bucket,
    exp.Format: lambda node: _call("printf", node.this, *node.expressions),
    exp.Typeof: lambda node: exp.Lower(this=_call("typeof", node.this)),
}
FUNCTIONS: Mapping[str, Callable[..., exp.Expression]] = {
    "format_datetime": _formatted,
    "at_timezone": _wall_clock,
    "with_timezone": _instant,
    "every": lambda condition: _call("bool_and", condition),
    "any_match": lambda items, condition: _how_many(items, condition) > 0,
    "none_match": lambda items, condition: _how_many(items, condition).eq(0),
    "all_match": lambda items, condition: _how_many(items, condition).eq(_call("len", items)),
    "zip": lambda *arrays: _call("list_zip", *arrays),
    "map_agg": lambda key, value: _call("map", _call("list", key), _call("list", value)),
    "is_finite": lambda value: _call("isfinite", value),
    "is_infinite": lambda value: _call("isinf", value),
    "nan": lambda: _number("NaN"),
    "infinity": lambda: _number("Infinity"),
    "current_timezone": lambda: exp.Literal.string("UTC"),
}
