"""What the names of a script for the async SDK refer to, for ``sessionlib port``: tasks, queues, agents, calls."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import libcst as cst
from libcst import matchers
from libcst.metadata import ClassScope, GlobalScope

__all__ = [
    "AGENT",
    "EVENT",
    "FUTURE",
    "FUTURES",
    "GROUP",
    "LOOP",
    "LOOP_CALLS",
    "QUEUE",
    "REMOVED_CALLS",
    "SDK",
    "SESSION",
    "SET",
    "Survey",
    "bare",
    "code",
    "dotted",
]

SDK = "vectorshift"
_Key = tuple[int, str]
FUTURE, FUTURES, AGENT, SESSION, LOOP = "future", "futures", "agent", "session", "loop"
GROUP, QUEUE, EVENT, SET = "group", "queue", "event", "set"
AWAITED, STARTED = "awaited", "started"
_RUNNING = {"run", "create_task", "ensure_future", "run_coroutine_threadsafe", "shield", "wait_for", "gather"}
_CLASSES = {"Agent": AGENT, "Session": SESSION}
_SPAWNING = ("create_task", "ensure_future", "run_coroutine_threadsafe")
LOOP_CALLS = ("run_until_complete", "run", "create_task", "run_in_executor", "time")
REMOVED_CALLS = ("set_event_loop", "set_event_loop_policy", "get_event_loop", "new_event_loop", "get_running_loop")
_MADE = {
    "Queue": QUEUE, "LifoQueue": QUEUE, "PriorityQueue": QUEUE, "Event": EVENT, "TaskGroup": GROUP,
    "get_event_loop": LOOP, "new_event_loop": LOOP, "get_running_loop": LOOP, "Runner": LOOP,
}  # fmt: skip


class Survey(cst.CSTVisitor):
    """What the names of a script refer to, as far as their assignments show it.

    Names are kept apart by the scope that they belong to, and an argument describes the parameter that it is given to.

    Args:
        scopes: The scope of each node, as libcst finds it.
    """

    def __init__(self, scopes: Any) -> None:
        # libcst's: which assignment a name is of. What it is assigned is found out here.
        self._scopes = scopes
        self.asyncio = {"asyncio"}  # names of the module
        self.from_asyncio: dict[str, str] = {}  # other names, by what they are called here
        self._sdk: dict[str, str] = {}  # names of the SDK, by what they are called here
        self.uses_sdk = False  # as `vectorshift.something`
        self.uses_async_httpx = False
        self.bound: set[str] = set()  # all names that are variables or parameters somewhere
        self._kinds: dict[_Key, set[str]] = {}
        self._assigned: set[_Key] = set()
        self._functions: dict[str, cst.FunctionDef] = {}
        self._function: list[cst.FunctionDef] = []
        # Their calls return a future, as those of create_task do.
        self._spawners: set[str] = set()  # functions that return a task
        self._calls: list[cst.Call] = []
        self._tasks: dict[_Key, cst.BaseExpression] = {}  # what a task runs
        self._names: set[cst.Name] = set()
        self._parameters: dict[_Key, tuple[cst.FunctionDef, cst.Param]] = {}
        self._values: dict[_Key, dict[cst.BaseExpression, None]] = {}  # what parameters and variables are given
        self._elements: dict[_Key, _Key] = {}  # of which name a loop's variable is one
        self._defined: dict[_Key, cst.CSTNode] = {}
        # What becomes of a name where it stands: awaited, started, given to another name, or none of these.
        self._uses: dict[cst.CSTNode, _Key | str] = {}
        self.coroutines: set[cst.CSTNode] = set()  # calls that are run where a name of them is, and these names
        self.tasks: set[cst.CSTNode] = set()  # calls, and lists of them, that a function takes as tasks

    def visit_Import(self, node: cst.Import) -> None:
        for alias in node.names:
            name = dotted(alias.name)
            if name == "asyncio" and alias.asname:
                self.asyncio.add(dotted(alias.asname.name))
            self.uses_sdk |= name.split(".")[0] == SDK and not alias.asname
            if name == SDK:
                self._sdk[dotted(alias.asname.name) if alias.asname else name] = name

    def visit_ImportFrom(self, node: cst.ImportFrom) -> None:
        module = dotted(node.module) if node.module else ""
        known = self.from_asyncio if module == "asyncio" else self._sdk if module.split(".")[0] == SDK else None
        if known is not None and not isinstance(node.names, cst.ImportStar):
            for alias in node.names:
                name = dotted(alias.name)
                known[dotted(alias.asname.name) if alias.asname else name] = name

    def visit_Name(self, node: cst.Name) -> None:
        self._names.add(node)
        self.uses_async_httpx |= node.value == "AsyncClient"

    def visit_Await(self, node: cst.Await) -> None:
        self._uses[node.expression] = AWAITED

    def visit_Comparison(self, node: cst.Comparison) -> None:
        if code(node.comparisons[0].comparator) == "None":
            self._uses[node.left] = ""

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self._functions[node.name.value] = node
        self._function.append(node)

    def leave_FunctionDef(self, original_node: cst.FunctionDef) -> None:
        self._function.pop()

    def visit_Return(self, node: cst.Return) -> None:
        if self._function and node.value is not None and self.kind_of(node.value) == FUTURE:
            self._spawners.add(self._function[-1].name.value)

    def visit_Assign(self, node: cst.Assign) -> None:
        for target in node.targets:
            self._assign(target.target, node.value)

    def visit_AnnAssign(self, node: cst.AnnAssign) -> None:
        self._annotate(node.target, node.annotation)
        if node.value is not None:
            self._assign(node.target, node.value)

    def visit_AssignTarget(self, node: cst.AssignTarget) -> None:
        self.bound.add(dotted(node.target))

    def visit_Param(self, node: cst.Param) -> None:
        self.bound.add(node.name.value)
        self._annotate(node.name, node.annotation)

    def visit_For(self, node: cst.For) -> None:
        self._iterate(node.target, node.iter)

    def visit_CompFor(self, node: cst.CompFor) -> None:
        self._iterate(node.target, node.iter)

    def visit_WithItem(self, node: cst.WithItem) -> None:
        if node.asname:
            self._assign(node.asname.name, node.item)

    def visit_Call(self, node: cst.Call) -> None:
        self._calls.append(node)
        if self.asyncio_name(node.func) in ("gather", "as_completed", "wait"):
            for arg in node.args:
                # Without a star it may be one task, or a list of them.
                one = self.asyncio_name(node.func) == "gather" and arg.star != "*"
                if not one and not arg.keyword:
                    self._mark(arg.value, FUTURES)
        func = node.func
        name, method = self.asyncio_name(func), dotted(func).rpartition(".")[2]
        for arg in node.args if name == "gather" else node.args[:1]:
            if name in _RUNNING or method in ("create_task", "run_until_complete"):
                self._uses[arg.value] = STARTED
            elif method == "len":
                self._uses[arg.value] = ""
        grows = isinstance(func, cst.Attribute) and func.attr.value in ("append", "add") and len(node.args) == 1
        if grows and self.kind_of(node.args[0].value) == FUTURE:
            self._mark(func.value, FUTURES)  # type: ignore[attr-defined]
            if func.attr.value == "add":  # type: ignore[attr-defined]
                self._mark(func.value, SET)  # type: ignore[attr-defined]

    def follow_arguments(self) -> None:
        """Assigns parameters the kinds of what they are called with, through calls of calls."""
        # Through three calls, one in the other: what is deeper is listed for the user.
        for _ in range(3):
            for call in self._calls:
                function = self._callee(call)
                if function is None:
                    continue
                parameters = [one for one in function.params.params if one.name.value not in ("self", "cls")]
                by_name = {one.name.value: one for one in (*parameters, *function.params.kwonly_params)}
                for position, arg in enumerate(call.args):
                    found = by_name.get(arg.keyword.value) if arg.keyword else None
                    if not arg.keyword and position < len(parameters):
                        found = None if arg.star else parameters[position]
                    elif not arg.keyword and isinstance(function.params.star_arg, cst.Param):
                        found = function.params.star_arg
                    if found is None:
                        continue
                    key = self._key(found.name)
                    self._parameters[key] = (function, found)
                    self._give(found.name, arg.value)
                    self._uses[arg.value] = key
                    if kind := self.kind_of(arg.value):
                        self._mark(found.name, kind)

    def find_coroutines(self) -> None:
        """Finds the calls that a function runs, or a task, and not the statement that they stand in.

        ``attempt(f())`` calls ``f`` where `attempt` awaits it: in a thread, in a ``try``, within a limit.
        """
        names = [node for node in self._uses if isinstance(node, cst.Name)]
        found = {self._key(node) for node in names if self._uses[node] in (AWAITED, STARTED)}
        while more := {self._key(node) for node in names if self._uses[node] in found} - found:
            found |= more
        while wrong := {key for key in found if not self._is_coroutine(key, found)}:
            found -= wrong
        for key in found:
            self.coroutines |= {node for node in self._accesses(key) if self._uses[node] in (AWAITED, STARTED)}
            self.coroutines |= {call for value in self._values.get(key, ()) for call in _calls_in(value)}
            _, parameter = self._parameters.get(key, (None, None))
            if parameter is not None and parameter.annotation is not None:
                self.coroutines |= set(matchers.findall(parameter.annotation, matchers.Subscript()))
        for key in self._parameters:
            if not self._kinds.get(key, set()).isdisjoint((FUTURE, FUTURES)):
                calls_of = {value: _calls_in(value) for value in self._values[key]}
                self.tasks |= {value for value, calls in calls_of.items() if calls and all(map(self._is_async, calls))}

    def _is_coroutine(self, key: _Key, found: set[_Key]) -> bool:
        """Whether all that a name is given are calls that can be made later, and all its uses are known."""
        if key not in self._defined:
            return False
        values, accesses = self._values.get(key, {}), self._accesses(key)
        uses = [self._uses.get(node) for node in accesses]
        # An agent or a session is what such a call may return.
        if self._kinds.get(key, set()) - {AGENT, SESSION} or not all(
            use in ("", AWAITED, STARTED) or use in found for use in uses
        ):
            return False
        is_list = key in self._elements.values()
        function, parameter = self._parameters.get(key, (None, None))
        if function is not None:
            called = {call for call in self._calls if self._callee(call) is function}
            # With one more use, such as a callback's, it may be called with anything.
            if sum(one.value == function.name.value for one in self._names) != len(called) + 1:
                return False
            is_list = is_list and function.params.star_arg is not parameter
        elif key in self._elements:
            return self._elements[key] in found
        elif not values or not set(uses) - {AWAITED, ""}:
            return False  # it may as well run where it is assigned
        return all(
            self._key(value) in found
            or code(value) == "None"
            or (not (is_list and isinstance(value, cst.Call)) and self._are_calls(_calls_in(value)))
            for value in values
        )

    def _are_calls(self, calls: Sequence[cst.Call]) -> bool:
        return bool(calls) and {self.kind_of(call) for call in calls} <= {"", AGENT, SESSION}

    def _is_async(self, call: cst.Call) -> bool:
        function = self._callee(call)
        if function is None:
            func = call.func
            return isinstance(func, cst.Attribute) and self.kind_of(func.value) in (AGENT, SESSION)
        return function.asynchronous is not None and self._are_calls([call])

    def _accesses(self, key: _Key) -> set[cst.CSTNode]:
        node = self._defined[key]
        scope = self._scopes[node]
        return {access.node for one in scope[dotted(node)] for access in one.references}

    def _give(self, name: cst.CSTNode, value: cst.BaseExpression) -> None:
        key = self._key(name)
        self._values.setdefault(key, {})[value] = None
        self._defined[key] = name

    def _iterate(self, target: cst.CSTNode, source: cst.BaseExpression) -> None:
        for one in target.elements if isinstance(target, cst.Tuple) else ():
            self._note_assigned(one.value)
        self.bound.add(dotted(target))
        self._note_assigned(target)
        source = bare(source)
        if isinstance(target, cst.Name) and isinstance(source, cst.Name):
            self._elements[self._key(target)] = self._key(source)
            self._defined[self._key(target)] = target
            self._uses[source] = self._key(target)
        func = source.func if isinstance(source, cst.Call) else None
        if isinstance(func, cst.Attribute) and func.attr.value in ("items", "values"):
            if func.attr.value == "items" and isinstance(target, cst.Tuple):
                target = target.elements[-1].value
            source = func.value
        if (func is not None and self.asyncio_name(func) == "as_completed") or self.is_kind(source, FUTURES):
            self._mark(target, FUTURE)

    def _assign(self, target: cst.CSTNode, value: cst.BaseExpression) -> None:
        if isinstance(target, cst.Tuple):
            waited = bare(value)
            done = isinstance(waited, cst.Call) and self.asyncio_name(waited.func) == "wait"
            values = value.elements if isinstance(value, cst.Tuple) else ()
            if len(values) == len(target.elements):
                for one, its in zip(target.elements, values, strict=True):
                    self._assign(one.value, its.value)
                return
            for one in target.elements:
                self.bound.add(dotted(one.value))
                self._note_assigned(one.value)
                if done:
                    self._mark(one.value, FUTURES)
            return
        if isinstance(target, cst.Subscript):
            if self.kind_of(value) == FUTURE:
                self._mark(target.value, FUTURES)
            return
        self.bound.add(dotted(target))
        self._note_assigned(target)
        if isinstance(target, cst.Name):
            self._give(target, value)
        if kind := self.kind_of(value):
            self._mark(target, kind)
            if kind == FUTURE and isinstance(value, cst.Call) and value.args:
                self._tasks[self._key(target)] = value.args[0].value

    def _annotate(self, target: cst.CSTNode, annotation: cst.Annotation | None) -> None:
        if annotation is None:
            return
        if kind := self._kind_of_annotation(annotation.annotation):
            self._mark(target, kind)
            if isinstance(scope := self._scopes.get(target), ClassScope):
                self._kinds.setdefault((id(scope), f"self.{dotted(target)}"), set()).add(kind)

    def _kind_of_annotation(self, node: cst.BaseExpression) -> str:
        if isinstance(node, cst.SimpleString):
            with contextlib.suppress(cst.ParserSyntaxError):
                return self._kind_of_annotation(cst.parse_expression(str(node.evaluated_value)))
            return ""
        if isinstance(node, cst.BinaryOperation):
            return self._kind_of_annotation(node.left) or self._kind_of_annotation(node.right)
        if isinstance(node, cst.Subscript) and not self.asyncio_name(node.value):
            inner = [one.slice.value for one in node.slice if isinstance(one.slice, cst.Index)]
            kind = next(filter(None, map(self._kind_of_annotation, inner)), "")
            is_one = dotted(node.value).rpartition(".")[2] in ("Annotated", "Optional", "Union", "Final", "ClassVar")
            return kind if is_one else FUTURES if kind == FUTURE else ""
        name = node.value if isinstance(node, cst.Subscript) else node
        known, last = self.asyncio_name(name), dotted(name).rpartition(".")[2]
        if known in ("Task", "Future"):
            return FUTURE
        return _MADE.get(known) or _CLASSES.get(self._sdk.get(last, last), "")

    def kind_of(self, value: cst.BaseExpression) -> str:
        """Returns what an expression is, as one of the kinds below; "" where that cannot be seen."""
        if isinstance(value, cst.Await):  # a task that was waited for is none any more
            kind = self.kind_of(value.expression)
            return kind if kind in (AGENT, SESSION) else ""
        if isinstance(value, (cst.Name, cst.Attribute)):
            return next(iter(sorted(self._kinds.get(self._key(value), ()))), "")
        if isinstance(value, cst.Subscript):
            return FUTURE if self.is_kind(value.value, FUTURES) else ""
        if isinstance(value, (cst.ListComp, cst.GeneratorExp, cst.SetComp)):
            return FUTURES if self.kind_of(value.elt) == FUTURE else ""
        if isinstance(value, (cst.List, cst.Tuple, cst.Set)):
            items = [self.kind_of(one.value) for one in value.elements]
            return FUTURES if items and set(items) == {FUTURE} else ""
        return self._kind_of_call(value) if isinstance(value, cst.Call) else ""

    def _kind_of_call(self, call: cst.Call) -> str:
        name, called = self.asyncio_name(call.func), dotted(call.func)
        method = called.rpartition(".")[2]
        if name == "shield" and call.args:
            return self.kind_of(call.args[0].value)
        if name in _SPAWNING or method == "create_task" or called.removeprefix("self.") in self._spawners:
            return FUTURE
        if method in ("create_session", "resume_session"):
            return SESSION
        parts = called.split(".")
        head = parts[1] if self._sdk.get(parts[0]) == SDK and len(parts) > 1 else parts[0]
        if kind := _CLASSES.get(self._sdk.get(head, head)):
            return kind
        return _MADE.get(name, "") or (FUTURE if self.loop_call(call) == "run_in_executor" else "")

    def _callee(self, call: cst.BaseExpression) -> cst.FunctionDef | None:
        return self._functions.get(dotted(call.func).removeprefix("self.")) if isinstance(call, cst.Call) else None

    def loop_call(self, node: cst.Call) -> str:
        """Returns which method of an event loop is called; "" for all that is not rewritten."""
        func = node.func
        if not isinstance(func, cst.Attribute) or func.attr.value not in LOOP_CALLS:
            return ""
        is_made_here = isinstance(func.value, cst.Call) and self.asyncio_name(func.value.func) in REMOVED_CALLS
        return func.attr.value if is_made_here or self.is_kind(func.value, LOOP) else ""

    def is_kind(self, node: cst.CSTNode, kind: str) -> bool:
        """Whether an expression is something of a kind."""
        if isinstance(node, cst.Call):
            return self._kind_of_call(node) == kind
        return kind in self._kinds.get(self._key(node), ())

    def never_ends(self, call: cst.BaseExpression) -> str:
        """Returns the name of the script's function that is called, if it has a loop with no way out; else ""."""
        function = self._callee(call)
        loops = [] if function is None else matchers.findall(function, matchers.While())
        endless = [one for one in loops if isinstance(one, cst.While) and code(one.test).strip() in ("True", "1")]
        ways_out = matchers.Break() | matchers.Return() | matchers.Raise()
        is_endless = any(not matchers.findall(one, ways_out) for one in endless)
        return function.name.value if function is not None and is_endless else ""

    def session_of(self, task: cst.BaseExpression) -> str:
        """Returns the name of the session that is used by what a task runs; "" where none can be seen."""
        call = self._tasks.get(self._key(task))
        if not isinstance(call, cst.Call):
            return ""
        used = [arg.value for arg in call.args]
        if isinstance(call.func, cst.Attribute):
            used.append(call.func.value)
        return next((dotted(one) for one in used if self.is_kind(one, SESSION) and dotted(one)), "")

    def differ(self, calls: Sequence[cst.BaseExpression]) -> bool:
        """Whether calls certainly return values of different types."""
        types = set()
        for call in calls:
            function = self._callee(call)
            if function is None:
                types.add(dotted(call.func) if isinstance(call, cst.Call) else "")
            elif function.returns is not None:
                types.add(code(function.returns.annotation))
        return len(types) > 1

    def is_assigned(self, node: cst.CSTNode) -> bool:
        """Whether the script itself assigns a name, or makes a call with it."""
        return node in self.coroutines or self._key(node) in self._assigned

    def _mark(self, node: cst.CSTNode, kind: str) -> None:
        if dotted(node):
            self._kinds.setdefault(self._key(node), set()).add(kind)

    def _note_assigned(self, node: cst.CSTNode) -> None:
        self._assigned.add(self._key(node))

    def _key(self, node: cst.CSTNode) -> _Key:
        """Returns the name with the scope that it belongs to: that of its assignment, or its class for ``self.x``."""
        head = node
        while isinstance(head, cst.Attribute):
            head = head.value
        scope = self._scopes.get(head)
        name = dotted(node)
        if scope is None or not isinstance(head, cst.Name):
            return (0, name)
        if head.value in ("self", "cls"):
            while not isinstance(scope, (ClassScope, GlobalScope)):
                scope = scope.parent
            return (id(scope), name)
        owner = next(iter(scope[head.value]), None)
        return (id(owner.scope) if owner else 0, name)

    def asyncio_name(self, node: cst.CSTNode) -> str:
        """Returns what of asyncio an expression names; "" when it names nothing of it."""
        head, _, tail = dotted(node).partition(".")
        return tail if head in self.asyncio else "" if tail else self.from_asyncio.get(head, "")


def _calls_in(value: cst.BaseExpression) -> list[cst.Call]:
    """Returns the call that an expression is, or those that it is a list of; [] where it is anything else."""
    if isinstance(value, (cst.ListComp, cst.GeneratorExp, cst.SetComp)):
        return _calls_in(value.elt)
    if isinstance(value, (cst.List, cst.Tuple, cst.Set)):
        calls = [one.value for one in value.elements if isinstance(one.value, cst.Call)]
        return calls if len(calls) == len(value.elements) else []
    return [value] if isinstance(value, cst.Call) else []


def dotted(node: cst.CSTNode) -> str:
    """Returns the text of a name with dots; "" for any other expression."""
    if isinstance(node, cst.Name):
        return node.value
    if isinstance(node, cst.Attribute):
        head = dotted(node.value)
        return f"{head}.{node.attr.value}" if head else ""
    return ""


def bare(node: cst.BaseExpression) -> cst.BaseExpression:
    return node.expression if isinstance(node, cst.Await) else node


def code(node: cst.CSTNode) -> str:
    return cst.Module([]).code_for_node(node)
