"""Finding an agent by what a person calls it."""

from __future__ import annotations

import contextlib

from sessionlib.agent.agent import Agent
from sessionlib.client import Client
from sessionlib.errors import BadRequestError, NotFoundError, UnprocessableEntityError

__all__ = ["by_name_or_id"]


def by_name_or_id(client: Client, named: str) -> Agent | None:
    """Finds the agent of an id, else of a name; None when there is none.

    Raises:
        ApiError: The engine refused.
    """
    with contextlib.suppress(NotFoundError, BadRequestError, UnprocessableEntityError):
        return Agent.fetch(id=named, client=client)
    try:
        return Agent.fetch(name=named, client=client)
    except NotFoundError:
        return None
