"""HTML as values: text becomes markup only by being escaped, so that nothing can be forgotten."""

from html import escape

EMPTY = frozenset({"br", "input", "link", "meta", "img", "path", "line", "circle", "rect"})  # elements without an end


class Markup(str):
    """Text that is HTML already. Made by `element` and `joined`; by hand only from constants."""

    __slots__ = ()


def element(tag: str, /, *content: str | None, **attributes: str | float | bool | None) -> Markup:
    """One element. What is no Markup is escaped; None is left out.

    attributes : `class_`, `for_` and `aria_label` are spelt without and with a dash; True is there without a value, and
    None and False are not there.
    """
    given = "".join(
        _attribute(key, value) for key, value in attributes.items() if value is not None and value is not False
    )
    if tag in EMPTY:
        return Markup(f"<{tag}{given}/>")  # in HTML the slash says nothing, in SVG it is the end
    return Markup(f"<{tag}{given}>{joined(*content)}</{tag}>")


def joined(*content: str | None) -> Markup:
    """One after the other."""
    return Markup("".join(one if isinstance(one, Markup) else escape(one) for one in content if one is not None))


def _attribute(key: str, value: str | float | bool | None) -> str:
    name = key.removesuffix("_").replace("_", "-")
    name = "viewBox" if name == "viewbox" else name
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
