"""What agents and chatbots have in common: they live on an engine, and one can talk to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from sessionlib.client import Client, default_client, given_client
from sessionlib.config import ApiKey, check_id
from sessionlib.errors import ApiConnectionError
from sessionlib.protocol import codec
from sessionlib.rest.calls import segment

if TYPE_CHECKING:
    from sessionlib.session import Session

__all__ = ["Resource", "fetch_query", "field_of", "listed", "object_of", "plain_id", "reference_tag"]


def fetch_query(id: str | None, name: str | None, username: str | None, org_name: str | None) -> dict[str, str]:
    """Returns the query of a fetch.

    Raises:
        TypeError: An argument is not a text.
        ValueError: Neither id nor name is given, or one is empty.
    """
    if id is None and name is None:
        raise ValueError("give an id or a name to fetch by")
    given = {"id": id, "name": name, "username": username, "org_name": org_name}
    return {field: check_id(field, value) for field, value in given.items() if value is not None}


def object_of(value: Any, call: str) -> Mapping[str, Any]:
    """Returns an answer that has to be an object.

    Raises:
        ApiConnectionError: It is something else.
    """
    if not isinstance(value, Mapping):
        raise ApiConnectionError(f"{call} was answered with something that is not an object. Is base_url an engine's?")
    return value


def field_of(value: Any, name: str, call: str) -> Any:
    """Returns a field that an answer has to have.

    Raises:
        ApiConnectionError: It is not there.
    """
    if name not in object_of(value, call):
        raise ApiConnectionError(f"{call} was answered without {name!r}. Is base_url an engine's?")
    return value[name]


def listed(value: Any, call: str) -> tuple[list[Any], list[Any]]:
    """Returns the whole objects of a list, and the ids where it holds ids alone.

    Raises:
        ApiConnectionError: The answer is not an object.
    """
    answer = object_of(value, call)
    # Which of the two it is depends on `verbose`, and an empty list may be either.
    whole = list(answer.get("objects") or ())
    return whole, [] if whole else [plain_id(one) for one in answer.get("object_ids") or ()]


def plain_id(value: Any) -> Any:
    """Returns an id out of the ``{"$oid": id}`` that the engine's storage writes."""
    # MongoDB's extended JSON, which some of the platform's answers hold, but not all.
    return value["$oid"] if isinstance(value, Mapping) and "$oid" in value else value


def reference_tag(object_type: int, object_id: str, name: str | None) -> str:
    """Returns the tag by which a message's text refers to an object of the engine.

    Args:
        object_type: The engine's number for the kind of object: 8 for chatbots, 25 for agents.
        object_id: The object.
        name: What to call it; the engine looks it up when it is None.
    """
    info = codec.dumps({"objectType": object_type, "objectId": object_id}).decode()
    return f"<vs-context><object-info>{info}</object-info><txt>{name or 'vs_no_show'}</txt></vs-context>"


Kind = TypeVar("Kind", bound="Resource")


class Resource:
    """An object on an engine.

    Args:
        id: Its id.
        name: Its name, or None when it is not known.
        client: Where it is; None for the environment's whenever it is used.

    Raises:
        TypeError: ``client`` is not a `Client`.
    """

    # How the engine calls this kind of object in paths and frames, and its number where objects
    # refer to one another.
    _kind: ClassVar[str]
    _number: ClassVar[int]

    def __init__(self, id: str, name: str | None, client: Client | None) -> None:
        self.id = id
        self.name = name
        # May be None: the default client is only made when a call needs it, so that objects can be made without a
        # key.
        self._client = given_client(client, None)

    def __str__(self) -> str:
        """Returns the tag by which a message's text refers to this object."""
        return reference_tag(self._number, self.id, self.name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id!r}, name={self.name!r})"

    @property
    def client(self) -> Client:
        """The client that its calls go through: the one it was made with, or the environment's.

        Raises:
            ConfigurationError: The environment names a URL that cannot be used.
        """
        return self._client or default_client()

    @classmethod
    def fetch(
        cls: type[Kind],
        id: str | None = None,
        name: str | None = None,
        username: str | None = None,
        org_name: str | None = None,
        *,
        client: Client | None = None,
        api_key: ApiKey | None = None,
    ) -> Kind:
        """Fetches one by its id or name.

        Args:
            id: Its id.
            name: Its name.
            username: Whose it is, if not the caller's.
            org_name: Whose organisation's it is.
            client: Where; by default the environment's.
            api_key: A key to use instead of the environment's.

        Raises:
            NotFoundError: There is none.
            ApiError: The server refused.
            ApiConnectionError: There was no answer.
            TypeError: An argument is not a text, or client and key are both given.
            ValueError: Neither id nor name is given, or one is empty.
        """
        bound = given_client(client, api_key)
        query = fetch_query(id, name, username, org_name)
        value = (bound or default_client()).request("GET", f"/{cls._kind}", query=query)
        return cls.from_json(field_of(value, "object", f"GET /{cls._kind}"), client=bound)

    # The official SDK's names for its asynchronous twins, whose ``await`` goes when a script is ported.
    afetch = fetch

    @classmethod
    def from_json(cls: type[Kind], data: Mapping[str, Any], *, client: Client | None = None) -> Kind:
        """Makes one from the server's form, without asking the server.

        Args:
            data: The form in which a fetch has it.
            client: Where it is; by default the environment's.

        Raises:
            TypeError: ``data`` is not a mapping.
        """
        raise NotImplementedError

    def delete(self) -> dict[str, Any]:
        """Deletes it on the engine.

        Returns:
            The server's answer.

        Raises:
            ApiError: The server refused.
            ApiConnectionError: There was no answer.
        """
        value: dict[str, Any] = self.client.request("DELETE", self._path())
        return value

    adelete = delete

    def create_session(self, session_id: str | None = None) -> Session:
        """Makes a session with it, which is not connected yet.

        Args:
            session_id: A session to go on with, instead of a new one.

        Returns:
            The session, for a ``with`` block.

        Raises:
            ValueError: It is a functional agent, which has no sessions.
        """
        self._check_that_it_talks()
        return self._session(owner_type=self._kind, owner_id=self.id, session_id=session_id)

    def resume_session(self, session_id: str) -> Session:
        """Makes a session object for a session that exists; it is not connected yet.

        Args:
            session_id: The session.

        Returns:
            The session, for a ``with`` block.

        Raises:
            ValueError: It is a functional agent, which has no sessions, or ``session_id`` is empty.
        """
        self._check_that_it_talks()
        return self._session(session_id=check_id("session_id", session_id or ""))

    def _check_that_it_talks(self) -> None:
        """Raises ValueError for what has no sessions."""

    def _session(self, **options: Any) -> Session:
        # Here, so that those who only manage what is on an engine do not load what talks to it.
        from sessionlib.session import Session

        session = Session(client=self._client, **options)
        # For the names of spans and of turns in a notebook; the engine's frames carry ids alone.
        session.agent_name = self.name
        return session

    def _path(self, tail: str = "") -> str:
        return f"/{self._kind}/{segment(f'{self._kind} id', self.id)}{tail}"
