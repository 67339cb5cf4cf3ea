"""The public docstrings: whoever reads only them knows what goes in, what comes out, and what may go wrong."""

from __future__ import annotations

import ast
import dataclasses
import enum
import functools
import inspect
import pydoc
import re
import textwrap
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import sessionlib
import sessionlib.engine
import sessionlib.testing

MODULES = (sessionlib, sessionlib.engine, sessionlib.testing)

# Who gives something may say so in the summary instead of a section.
_TELLS_WHAT_COMES = re.compile(
    r"^(Gives|Returns|Yields|Makes|Whether|Opens|Reads|Fetches|Resumes|Creates|Lists|Looks|Loads|Sends|Runs|Waits|Iterates|Registers)\b"
)
# "arguments and errors as for `ask`"
_POINTS_ELSEWHERE = re.compile(r"arguments (and errors )?(are )?as for|see `[\w.]+`", re.IGNORECASE)
_SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises):$", re.MULTILINE)
_REFERENCE = re.compile(r"(?<!`)`([A-Za-z_][\w.]*)`(?!`)")
_ITEM = re.compile(r"^    \*{0,2}(\w+)(?: \([^)]*\))?:", re.MULTILINE)


class Public(NamedTuple):
    """One public name, and what documents it."""

    name: str
    value: Any
    doc: str

    def section(self, title: str) -> str:
        """The text of one section; "" when there is none."""
        parts = _SECTION.split(self.doc)
        return dict(zip(parts[1::2], parts[2::2], strict=True)).get(title, "")

    @property
    def quoted(self) -> set[str]:
        """The names that the text itself tells of."""
        return set(re.findall(r"``(\w+)``", self.doc))

    def named(self, title: str) -> set[str]:
        """The names that one section tells of."""
        return set(_ITEM.findall(self.section(title)))


# ---- what is public ------------------------------------------------------------------------


@functools.cache
def everything() -> list[Public]:
    """What users can name: functions, classes, and the methods and properties of these."""
    exported = {name: getattr(module, name) for module in MODULES for name in module.__all__ if name[0] != "_"}
    return [public for name, value in exported.items() for public in _with_members(name, value)]


def _with_members(name: str, value: Any) -> Iterator[Public]:
    yield Public(name, value, inspect.getdoc(value) or "")
    if inspect.isclass(value):
        for member in dir(value):
            owner = next(cls for cls in value.__mro__ if member in vars(cls) or cls is object)
            found = vars(owner).get(member)
            if member[0] != "_" and owner.__module__.startswith("sessionlib") and isinstance(found, _MEMBERS):
                yield Public(f"{name}.{member}", found, inspect.getdoc(found) or "")


_MEMBERS = (types.FunctionType, classmethod, staticmethod, property)


def functions() -> list[Public]:
    """Those that are called, each with the function behind it."""
    plain = [p._replace(value=getattr(p.value, "__func__", p.value)) for p in everything()]
    return [p for p in plain if isinstance(p.value, types.FunctionType)]


def classes() -> list[Public]:
    """Those that are made by being called."""
    return [p for p in everything() if inspect.isclass(p.value) and not issubclass(p.value, enum.Enum)]


def _parameters(function: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name not in ("self", "cls") and name[0] != "_"]


def _is_handler(function: Callable[..., Any]) -> bool:
    """Whether it is for `Session.on_approval`, which says what handlers take and give."""
    return [p.annotation for p in inspect.signature(function).parameters.values()] == ["ApprovalRequest"]


def _is_block(function: Callable[..., Any]) -> bool:
    """Whether it is for ``with``, and its summary says what the block is for."""
    gives = str(inspect.signature(function).return_annotation)
    return "ContextManager" in gives or inspect.isgeneratorfunction(inspect.unwrap(function))


def _told(found: dict[str, Any]) -> str:
    return "\n".join(f"{name}: {what}" for name, what in sorted(found.items()) if what)


# ---- what is told of it --------------------------------------------------------------------


def test_every_public_name_has_a_docstring() -> None:
    # Aliases of types have none that `inspect` could find.
    values = [public for public in everything() if callable(public.value) or isinstance(public.value, property)]
    assert len(values) > 200
    assert not [public.name for public in values if not public.doc]


def test_every_argument_is_documented() -> None:
    missing = {
        public.name: set(_parameters(public.value)) - public.named("Args") - public.quoted
        for public in functions()
        if not _POINTS_ELSEWHERE.search(public.doc) and not _is_handler(public.value)
    }
    assert not any(missing.values()), _told(missing)


def test_every_argument_of_a_class_that_users_make_is_documented() -> None:
    missing = {
        public.name: set(_parameters(public.value)) - public.named("Args") - public.named("Attributes")
        for public in classes()
        if "Made by" not in public.doc and not issubclass(public.value, Exception)
    }
    assert not any(missing.values()), _told(missing)


def test_nothing_is_documented_that_there_is_not() -> None:
    spare = {public.name: public.named("Args") - set(_parameters(public.value)) for public in functions() + classes()}
    assert not any(spare.values()), _told(spare)


def test_what_comes_back_is_documented() -> None:
    silent = [
        public.name
        for public in functions()
        if inspect.signature(public.value).return_annotation not in ("None", None) and not _is_block(public.value)
        if not (public.section("Returns") or public.section("Yields") or _TELLS_WHAT_COMES.match(public.doc))
        if not _POINTS_ELSEWHERE.search(public.doc) and not _is_handler(public.value)
    ]
    assert not silent, "\n".join(silent)


def test_what_is_raised_is_documented() -> None:
    missing = {
        public.name: _raised(public.value) - public.named("Raises")
        for public in functions()
        if not _POINTS_ELSEWHERE.search(public.doc)
    }
    assert not any(missing.values()), _told(missing)


def _raised(function: Callable[..., Any]) -> set[str]:
    """What a function raises itself; what it calls may raise more."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    raised = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)]
    return {call.func.id for call in raised if isinstance(call.func, ast.Name) and call.func.id[0].isupper()}


def test_every_field_of_a_value_is_documented() -> None:
    missing = {
        public.name: {f.name for f in dataclasses.fields(public.value)}
        - public.named("Attributes")
        - public.named("Args")
        for public in classes()
        if dataclasses.is_dataclass(public.value)
    }
    assert not any(missing.values()), _told(missing)


def test_what_a_docstring_refers_to_exists() -> None:
    missing = {
        public.name: {name for name in _REFERENCE.findall(public.doc) if not _exists(name, public)}
        for public in everything()
    }
    assert not any(missing.values()), _told(missing)


def _exists(reference: str, public: Public) -> bool:
    """Whether a name means something beside the docstring that holds it, to users, or in the standard library."""
    owner = public.name.partition(".")[0]
    module = getattr(inspect.unwrap(getattr(public.value, "fget", None) or public.value), "__module__", "sessionlib")
    places = (
        f"sessionlib.{owner}.",
        *(f"sessionlib{room}." for room in ("", ".engine", ".notebook", ".testing")),
        f"{module}.",
        "",
    )
    return any(pydoc.locate(place + reference) is not None for place in places)
