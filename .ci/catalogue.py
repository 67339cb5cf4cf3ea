"""Makes the catalogue of tools from an installed ``vectorshift`` SDK: ``python .ci/catalogue.py``.

It writes facts and nothing else: kinds, input names, wire types, defaults, and which inputs a combination of
parameters adds. Descriptions are ours: those in the file are kept, and a kind that is new gets one made from its
name, to be improved by hand in ``tools.json``. Two files come out, both under ``sessionlib/agent``:

``tools.json``        what `sessionlib.agent.tools` makes its classes from
``tool_classes.pyi``  the same for type checkers and editors, which run nothing

``--check`` writes nothing, and exits with 1 where a file would change.
"""

from __future__ import annotations

import inspect
import json
import keyword
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

AGENT = Path(__file__).parent.parent / "sessionlib" / "agent"
FACTS, STUB = AGENT / "tools.json", AGENT / "tool_classes.pyi"

# Arguments that every tool has; what comes after them in a signature is an input of the kind.
COMMON = ("self", "id", "tool_name", "tool_description", "approval_config", "kwargs")

# Kinds whose inputs come from the object that a parameter names, to be fetched from the platform.
OBJECT_KINDS = ("pipeline", "agent", "transformation")

PYTHON = {"string": "str", "bool": "bool", "int32": "int", "int64": "int", "float": "float", "double": "float"}

PROPER = {
    "api": "API",
    "aws": "AWS",
    "bigquery": "BigQuery",
    "clickup": "ClickUp",
    "crm": "CRM",
    "db": "DB",
    "docusign": "DocuSign",
    "fred": "FRED",
    "github": "GitHub",
    "gitlab": "GitLab",
    "gohighlevel": "GoHighLevel",
    "hubspot": "HubSpot",
    "linkedin": "LinkedIn",
    "mongodb": "MongoDB",
    "mysql": "MySQL",
    "openweathermap": "OpenWeatherMap",
    "pager": "Pager",
    "peopledatalabs": "People Data Labs",
    "postgres": "PostgreSQL",
    "powerbi": "Power BI",
    "quickbooks": "QuickBooks",
    "sec": "SEC",
    "servicenow": "ServiceNow",
    "sharepoint": "SharePoint",
    "sql": "SQL",
    "wordpress": "WordPress",
    "youtube": "YouTube",
}


def main() -> int:
    """Writes both files, or compares them with what they would be."""
    known = json.loads(FACTS.read_text("utf-8"))["kinds"] if FACTS.exists() else {}
    kinds = {kind: facts(kind, tool, known.get(kind, {})) for kind, tool in sorted(classes().items())}
    made = {FACTS: as_json(kinds), STUB: "".join(stub(kinds))}
    stale = [path for path, text in made.items() if not path.exists() or path.read_text("utf-8") != text]
    if "--check" in sys.argv[1:]:
        print("\n".join(f"{path.name} is not what the installed SDK says" for path in stale))
        return 1 if stale else 0
    for path in stale:
        path.write_text(made[path], "utf-8")
    print(f"{len(kinds)} kinds; changed: {', '.join(path.name for path in stale) or 'nothing'}")
    return 0


def classes() -> dict[str, Any]:
    """Returns the SDK's generated classes by kind; those that it writes by hand we write by hand as well."""
    from vectorshift.agent import tools
    from vectorshift.agent.tool import Tool

    generated = [one for one in vars(tools).values() if isinstance(one, type) and issubclass(one, Tool)]
    kinds = {kind: one for kind, one in Tool._tool_registry.items() if one in generated}
    for kind, one in kinds.items():
        assert one.__name__ == class_name(kind), f"{kind} is called {one.__name__}: the rule for names has changed"
    return kinds


def class_name(kind: str) -> str:
    """Returns the name of the class of a kind."""
    return "".join(part.capitalize() for part in kind.split("_")) + "Tool"


def facts(kind: str, tool: Any, known: dict[str, Any]) -> dict[str, Any]:
    """Returns what there is to know of a kind, in the order in which the file has it."""
    inputs = {one["field"]: [one["type"], one.get("value")] for one in tool._COMMON_INPUTS}
    named = {name: one.default for name, one in inspect.signature(tool).parameters.items() if name not in COMMON}
    # Only where the argument's default is another than the input's: the rest would be said twice.
    defaults = {name: value for name, value in named.items() if name not in inputs or not _same(inputs[name][1], value)}
    more: dict[str, Any] = {}
    variants = {}
    for pattern, config in tool._CONFIGS.items():
        parts = pattern.split("**")
        # A pattern of another length can match nothing, and neither can one of a kind without parameters.
        if len(parts) == len(tool._PARAMS) and not _is_lookup(kind, pattern):
            names = [_intern(more, one["field"], [one["type"], one.get("value")]) for one in config.get("inputs", [])]
            if names:
                variants[pattern] = " ".join(names)
    return {
        "about": known.get("about") or about(kind),
        "arguments": list(named),
        **({"defaults": defaults} if defaults else {}),
        **({"parameters": tool._PARAMS} if tool._PARAMS else {}),
        **({"lookup": kind} if any(_is_lookup(kind, pattern) for pattern in tool._CONFIGS) else {}),
        "inputs": inputs,
        **({"more": more, "variants": variants} if variants else {}),
    }


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _is_lookup(kind: str, pattern: str) -> bool:
    return kind in OBJECT_KINDS and pattern.startswith("[") and pattern.endswith("]")


def _intern(more: dict[str, Any], name: str, fact: list[Any]) -> str:
    """Returns the key of a fact about an input; one input can have several, in several variants."""
    key, number = name, 1
    while key in more and json.dumps(more[key]) != json.dumps(fact):
        number += 1
        key = f"{name}#{number}"
    more[key] = fact
    return key


def about(kind: str) -> str:
    """Returns a description made from a name alone."""
    head, _, tail = kind.partition("_")
    name = " ".join(PROPER.get(part, part.capitalize()) for part in tail.split("_"))
    if head == "integration":
        return f"Read and change data in {name}"
    if head == "trigger" and tail:
        return f"Start a run when something happens in {name}"
    words = kind.replace("_", " ")
    return words[0].upper() + words[1:]


def as_json(kinds: dict[str, Any]) -> str:
    """Returns the file: one line for each fact, so that a new release is a readable diff."""
    lines = ['{"kinds": {']
    for last, (kind, facts) in _marked(kinds.items()):
        lines.append(f'"{kind}": {{')
        for end, (name, value) in _marked(facts.items()):
            if name in ("inputs", "more", "variants") and value:
                lines.append(f' "{name}": {{')
                lines += [
                    f"  {_dump(key)}: {_dump(one)}{',' * (not final)}" for final, (key, one) in _marked(value.items())
                ]
                lines.append(" }" + "," * (not end))
            else:
                lines.append(f' "{name}": {_dump(value)}{"," * (not end)}')
        lines.append("}" + "," * (not last))
    return "\n".join([*lines, "}}", ""])


def _marked(items: Any) -> Iterator[tuple[bool, Any]]:
    listed = list(items)
    return ((number == len(listed), one) for number, one in enumerate(listed, 1))


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


# ---- for type checkers ---------------------------------------------------------------------

HEAD = '''\
"""The classes of `sessionlib.agent.tools` for type checkers and editors; made by ``.ci/catalogue.py``."""

from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeAlias

from sessionlib.agent.agent import Agent
from sessionlib.agent.tool import Tool, ToolApprovalConfig, ToolInput
from sessionlib.agent.tools import CustomTool as CustomTool
from sessionlib.agent.tools import McpConnectorTool as McpConnectorTool
from sessionlib.agent.tools import McpServerTool as McpServerTool
from sessionlib.agent.tools import PlatformTool
from sessionlib.agent.tools import TransformationTool as TransformationTool

P = ParamSpec("P")
Approval: TypeAlias = ToolApprovalConfig | str

class Adds(Generic[P]):
    def __init__(self, tool: Callable[P, Any]) -> None: ...
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Agent: ...

'''
BY_HAND = {
    "custom_tool": "CustomTool",
    "mcp_connector": "McpConnectorTool",
    "mcp_server": "McpServerTool",
    "transformation": "TransformationTool",
}
ARGUMENTS = (
    "id: str | None = None",
    "tool_name: str | None = None",
    "tool_description: str | None = ...",
    "approval_config: Approval = ...",
)


def stub(kinds: dict[str, Any]) -> Iterator[str]:
    """Yields the stub: every class with every input that one of its variants has."""
    yield HEAD
    for kind, facts in kinds.items():
        named = [f"{name}: {_type_of(facts, name)} = ..." for name in facts["arguments"]]
        rest = {**facts["inputs"], **{name.partition("#")[0]: one for name, one in facts.get("more", {}).items()}}
        keywords = [
            f"{name}: {_type_of(facts, name)} = ..."
            for name in rest
            if name not in (*COMMON, *facts["arguments"]) and name.isidentifier() and not keyword.iskeyword(name)
        ]
        # Some variants have inputs that only the platform can name.
        open_end = ["**kwargs: Any"] if "lookup" in facts or not all(name.isidentifier() for name in rest) else []
        arguments = [*ARGUMENTS, *named, *(["*", *keywords] if keywords else []), *open_end]
        yield f"class {class_name(kind)}(PlatformTool):\n    def __init__(\n        self,\n"
        yield "".join(f"        {one},\n" for one in arguments)
        yield "    ) -> None: ...\n\n"
    every = sorted({**{kind: class_name(kind) for kind in kinds}, **BY_HAND}.items())
    yield "class AgentTools:\n" + "".join(f"    {kind} = {name}\n" for kind, name in every)
    yield "\nclass ToolAdder:\n    def __init__(self, agent: Agent) -> None: ...\n"
    yield "    def __call__(self, tool: Tool) -> Agent: ...\n"
    yield "".join(f"    {kind} = Adds({name})\n" for kind, name in every)


def _type_of(facts: dict[str, Any], name: str) -> str:
    wires = {one[0] for key, one in facts["inputs"].items() if key == name}
    wires |= {one[0] for key, one in facts.get("more", {}).items() if key.partition("#")[0] == name}
    types = {_python(wire) for wire in wires}
    if not types or "Any" in types:
        return "Any"
    return " | ".join([*sorted(types), "ToolInput", "None"])


def _python(wire: str) -> str:
    inner = re.fullmatch(r"vec<(.+)>", wire)
    if inner:
        return f"list[{_python(inner[1])}]"
    return "dict[str, Any]" if wire.startswith("map<") else PYTHON.get(wire, "Any")


if __name__ == "__main__":
    sys.exit(main())
