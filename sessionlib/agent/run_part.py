"""Runs of functional agents over REST.

Facts from the official SDK (``vectorshift`` 0.1.15): ``POST /agent/{id}/run`` takes ``inputs`` and
``additional_instructions``, as JSON, or as fields of a multipart form beside files, which stand
under the names of their inputs; outputs come back under their ids.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sessionlib.agent.models import AgentRunResult
from sessionlib.rest.calls import Upload
from sessionlib.rest.objects import object_of

if TYPE_CHECKING:
    from sessionlib.agent.run import Runnable

__all__ = ["run_functional"]

_FILE_TYPES = frozenset({"file", "audio", "image"})


def run_functional(
    agent: Runnable, path: str, inputs: Mapping[str, Any], additional_instructions: str | None, timeout: float | None
) -> AgentRunResult:
    """Runs a functional agent once, at a path; see `Agent.run`."""
    values, files = _split(agent, inputs)
    body: dict[str, Any] = {"inputs": values}
    if additional_instructions:
        body["additional_instructions"] = additional_instructions
    sent: dict[str, Any] = {"form": body, "files": files} if files else {"json": body}
    return _result(agent, agent.client.request("POST", path, timeout=timeout, **sent), path)


def merge_skill(additional_instructions: str | None, skill: Any) -> str | None:
    """Gives the instructions for one run, with a skill's ``content`` after those of the caller."""
    if skill is None:
        return additional_instructions
    parts = (additional_instructions, getattr(skill, "content", None))
    return "\n\n".join(part for part in parts if part)


def _split(agent: Runnable, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], list[Upload]]:
    unknown = [name for name in inputs if name not in agent.inputs]
    if unknown:
        warnings.warn(
            f"agent {agent.id!r} has no inputs named {', '.join(map(repr, unknown))}, so they are not sent; "
            f"it has {', '.join(map(repr, agent.inputs)) or 'none: was it fetched?'}",
            stacklevel=4,
        )
    known = {name: value for name, value in inputs.items() if name in agent.inputs}
    uploads = {name: _upload(name, value) for name, value in known.items() if agent.inputs[name].io_type in _FILE_TYPES}
    files = [one for one in uploads.values() if one is not None]
    return {name: value for name, value in known.items() if uploads.get(name) is None}, files


def _upload(name: str, value: Any) -> Upload | None:
    """Reads a file to its end; None for what is none, such as the URL of one."""
    if isinstance(value, Path):
        return name, (value.name, value.read_bytes())
    if isinstance(value, (bytes, bytearray)):
        return name, (name, bytes(value))
    read = getattr(value, "read", None)
    if not callable(read):
        return None
    data = read()
    own = getattr(value, "name", None)
    # A file opened by descriptor has a number for a name.
    file_name = os.path.basename(own) if isinstance(own, str) else name
    return name, (file_name or name, data.encode() if isinstance(data, str) else data)


def _result(agent: Runnable, told: Any, path: str) -> AgentRunResult:
    answer = object_of(told, f"POST {path}")
    names = {config.server_id: name for name, config in agent.outputs.items() if config.server_id}
    return AgentRunResult(
        outputs={names.get(key, key): value for key, value in (answer.get("outputs") or {}).items()},
        run_id=answer.get("run_id", ""),
        status=answer.get("status", "success"),
        error=answer.get("error"),
    )
