"""Athena's SQL dialect as text: where a mistake sits, which names are meant, what stands for what.

For one computer: sqlglot is in no Lambda layer, so a function imports this module only where it runs without one.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from sqlglot import exp, parse, tokenize
from sqlglot.errors import OptimizeError, ParseError, TokenError
from sqlglot.optimizer.normalize_identifiers import normalize_identifiers
from sqlglot.optimizer.scope import Scope, traverse_scope
from sqlglot.tokenizer_core import TokenType

from telltale.adapters.answer import Unanswered, literal

NEAR = 0.5  # difflib's similarity from which a name is worth suggesting: a guess

Columns = Mapping[str, Sequence[str]]  # of each table


def parse_query(sql: str) -> exp.Query:
    """The one query that `sql` holds; Unanswered with the place of a mistake, or when it is something else."""
    try:
        statements = [statement for statement in parse(sql, read="trino") if statement is not None]
    except TokenError as error:
        raise Unanswered("SQL syntax error: a quotation mark or a comment is never closed") from error
    except ParseError as error:
        raise Unanswered(f"SQL syntax error at {_place(sql, error)}") from error
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        kinds = " and ".join(statement.key.upper() for statement in statements) or "nothing"
        raise Unanswered(f"wanted one SELECT, found {kinds}", "the functions write the lake; a query only reads it")
    return normalize_identifiers(statements[0], dialect="trino")


def _place(sql: str, error: ParseError) -> str:
    """Line and column of the mistake, and the line with a mark under it."""
    found = error.errors[0]
    line, last = found["line"] or 1, found["col"] or 1  # the column of the word's last character
    width = max(len(found["highlight"] or ""), 1)
    before = max(last - width, 0)
    return f"line {line}, column {before + 1}\n  {sql.splitlines()[line - 1]}\n  {' ' * before}{'^' * width}"


def filled(sql: str, literals: Sequence[str]) -> str:
    """The text with each `?` replaced by the next literal, in the order of reading."""
    try:
        marks = [token for token in tokenize(sql, read="trino") if token.token_type == TokenType.PLACEHOLDER]
    except TokenError as error:
        raise Unanswered("SQL syntax error: a quotation mark or a comment is never closed") from error
    if len(marks) != len(literals):
        raise Unanswered(f"the query has {len(marks)} parameters (?), and {len(literals)} values were given")
    return spliced(sql, {(mark.start, mark.end + 1): text for mark, text in zip(marks, literals, strict=True)})


def spliced(sql: str, changes: Mapping[tuple[int, int], str]) -> str:
    """The text with what stands between the given places (first, behind the last) replaced."""
    for (start, end), text in sorted(changes.items(), reverse=True):
        sql = sql[:start] + text + sql[end:]
    return sql


def within(query: exp.Query, database: str) -> exp.Query:
    """The query with `database.table` written as `table`."""
    plain = query.copy()
    for table in plain.find_all(exp.Table):
        if table.db == database:
            table.set("db", None)
            table.set("catalog", None)
    return plain


def tables_of(query: exp.Query) -> list[exp.Table]:
    """Where the query names tables, each as often as it does; without those it makes itself (WITH)."""
    try:
        sources = [source for scope in traverse_scope(query) for _, source in scope.selected_sources.values()]
    except OptimizeError as error:
        raise Unanswered(f"two tables under one name ({error})", "give each its own alias") from error
    return [source for source in sources if isinstance(source, exp.Table)]


def tables_read(query: exp.Query) -> set[str]:
    """Names of the tables the query reads, without those it makes itself (WITH)."""
    return {".".join(part.name for part in table.parts) for table in tables_of(query)}


def times_as_text(query: exp.Query, times: Columns) -> list[str]:
    """Comparisons of a table's column of times with a text: Athena refuses them, other engines guess a time."""
    return [
        comparison.sql(dialect="trino")
        for scope in traverse_scope(query)
        for column in scope.columns
        if _is_time(scope, column, times)
        for comparison in [column.parent]
        if isinstance(comparison, (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.In))
        and any(isinstance(side, exp.Literal) and side.is_string for side in comparison.iter_expressions())
    ]


def _is_time(scope: Scope, column: exp.Column, times: Columns) -> bool:
    """Whether the column is one of times, of a table and not of a query within."""
    sources = [source for alias, (_, source) in scope.selected_sources.items() if column.table in ("", alias)]
    tables = [source for source in sources if isinstance(source, exp.Table)]
    return len(sources) == len(tables) > 0 and any(column.name in times.get(table.name, ()) for table in tables)


def as_of(sql: str, at: datetime) -> str:
    """The text as it would have been asked then: with every table as it was, and with the clock at that time.

    A table that has a time of its own keeps it; what Iceberg says about tables ("captures$files") is as of now.
    """
    moment = literal(at)
    tables = [table for table in tables_of(parse_query(sql)) if not table.args.get("version") and "$" not in table.name]
    ends = {(table.this.meta["end"] + 1, table.this.meta["end"] + 1) for table in tables}
    return spliced(sql, dict.fromkeys(ends, f" FOR TIMESTAMP AS OF {moment}") | _clock(sql, moment, literal(at.date())))


def _clock(sql: str, moment: str, day: str) -> dict[tuple[int, int], str]:
    """What to put in the place of each look at the clock."""
    tokens, kinds = tokenize(sql, read="trino"), TokenType
    changes = {}
    for token, *after in zip(tokens, tokens[1:] + tokens[-1:], tokens[2:] + tokens[-1:] * 2, strict=True):
        if token.token_type in (kinds.CURRENT_TIMESTAMP, kinds.CURRENT_DATE):
            changes[token.start, token.end + 1] = moment if token.token_type == kinds.CURRENT_TIMESTAMP else day
        elif token.text.lower() == "now" and [mark.token_type for mark in after] == [kinds.L_PAREN, kinds.R_PAREN]:
            changes[token.start, after[1].end + 1] = moment
    return changes


def unknown_names(query: exp.Query, columns: Columns) -> list[str]:
    """One line for each table, or else each column, that is not in `columns`, with the nearest that are."""
    tables = sorted(tables_read(query) - set(columns))
    if tables:
        return [_unknown("table", name, list(columns)) for name in tables]
    lines = [line for scope in traverse_scope(query) for line in _unknown_columns(scope, columns)]
    return list(dict.fromkeys(lines))


def _unknown_columns(scope: Scope, columns: Columns) -> Iterator[str]:
    own = (column for column in scope.columns if column.parent_select is scope.expression)  # not a subquery's
    for column in own:
        known = _visible(scope, column.table, columns)
        if known and column.name not in [*known, *_aliases(scope)]:
            yield _unknown("column", column.name, known)


def _visible(scope: Scope, qualifier: str, columns: Columns) -> list[str]:
    """What a reference here may name: columns of the sources, or of the one called `qualifier`."""
    sources = scope.selected_sources.items()
    names = [name for alias, (_, source) in sources if qualifier in ("", alias) for name in _outputs(source, columns)]
    return names + (_visible(scope.parent, qualifier, columns) if scope.is_subquery and scope.parent else [])


def _outputs(source: exp.Expression | Scope, columns: Columns) -> list[str]:
    if isinstance(source, exp.Table):
        return list(columns.get(source.name, ()))
    made = source.expression if isinstance(source, Scope) else source
    if isinstance(made, exp.UDTF):
        ordinality = made.args.get("offset")
        return made.alias_column_names + ([ordinality.name] if isinstance(ordinality, exp.Identifier) else [])
    if not isinstance(made, exp.Query) or not isinstance(source, Scope):
        return []
    own = [name for name in made.named_selects if name != "*"]
    return own + (_visible(source, "", columns) if made.is_star else [])


def _aliases(scope: Scope) -> list[str]:
    """Names that the query gives to what it selects: ORDER BY may use them."""
    selects = scope.expression.selects if isinstance(scope.expression, exp.Query) else []
    return [item.alias for item in selects if isinstance(item, exp.Alias)]


def _unknown(kind: str, name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=NEAR)
    rest = f"did you mean {', '.join(near)}" if near else f"there are {', '.join(known)}"
    return f"no {kind} named {name}" + (f": {rest}" if known else "")
