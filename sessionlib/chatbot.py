"""`Chatbot`: fetch, create and run chatbots, and open sessions with them."""

from __future__ import annotations

import base64
import builtins
import mimetypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sessionlib.client import Client, default_client, given_client
from sessionlib.config import ApiKey, check_id
from sessionlib.rest.resource import Resource, field_of, listed, plain_id

if TYPE_CHECKING:
    from sessionlib.rest.pool import Lines

__all__ = ["Chatbot"]

Options = dict[str, Any]


class Chatbot(Resource):
    """A chatbot on an engine: a pipeline with a conversation.

    Names, order and defaults are those of the official SDK (``vectorshift`` 0.1.15); parameters
    after the star are ours.

    Args:
        id: Its id.
        name: Its name.
        description: What it is for.
        pipeline_id: The pipeline that answers.
        deployment_options: How it is shown.
        access_config: Who may use it.
        twilio_config: Its settings for Twilio.
        slack_config: Its settings for Slack.
        deployed: Whether it is live.
        input: The pipeline's node that takes the message.
        output: The pipeline's node that returns the answer.
        client: Where it is; by default what the environment sets.
    """

    _kind = "chatbot"
    _number = 8

    def __init__(
        self,
        id: str,
        name: str,
        description: str,
        pipeline_id: str,
        deployment_options: Options | None = None,
        access_config: Options | None = None,
        twilio_config: Options | None = None,
        slack_config: Options | None = None,
        deployed: bool = False,
        input: str | None = None,
        output: str | None = None,
        *,
        client: Client | None = None,
    ) -> None:
        super().__init__(id, name, client)
        self.description = description
        self.pipeline_id = pipeline_id
        self.deployment_options = deployment_options
        self.access_config = access_config
        self.twilio_config = twilio_config
        self.slack_config = slack_config
        self.deployed = deployed
        self.input = input
        self.output = output

    @classmethod
    def new(
        cls,
        name: str,
        description: str,
        pipeline_id: str,
        deployment_options: Options | None = None,
        access_config: Options | None = None,
        twilio_config: Options | None = None,
        slack_config: Options | None = None,
        input_node_name: str | None = None,
        output_node_name: str | None = None,
        *,
        client: Client | None = None,
        api_key: ApiKey | None = None,
    ) -> Chatbot:
        """Makes a chatbot on the engine.

        Args:
            name: Its name.
            description: What it is for.
            pipeline_id: The pipeline that answers.
            deployment_options: How it is shown.
            access_config: Who may use it.
            twilio_config: Its settings for Twilio.
            slack_config: Its settings for Slack.
            input_node_name: The pipeline's node that takes the message.
            output_node_name: The pipeline's node that returns the answer.
            client: Where; by default what the environment sets.
            api_key: A key to use instead of the environment's.

        Returns:
            The chatbot.

        Raises:
            ApiError: The server refused.
            ApiConnectionError: There was no answer.
            TypeError: Client and key are both given.
            ValueError: Name or pipeline are empty.
        """
        bound = given_client(client, api_key)
        body = {
            "name": check_id("name", name),
            "description": description,
            "pipeline": {"id": check_id("pipeline_id", pipeline_id)},
            "deployment_options": deployment_options or {},
            "access_config": access_config or {},
            "twilio_config": twilio_config or {},
            "slack_config": slack_config or {},
            "input": input_node_name or "",
            "output": output_node_name or "",
            # The SDK's defaults: what is left out there is sent as an empty object or text.
            "deployed": False,
        }
        made = (bound or default_client()).request("POST", "/chatbot", json=body)
        return cls(
            field_of(made, "id", "POST /chatbot"),
            name,
            description,
            pipeline_id,
            deployment_options,
            access_config,
            twilio_config,
            slack_config,
            input=input_node_name,
            output=output_node_name,
            client=bound,
        )

    @classmethod
    def list(
        cls,
        limit: int = 50,
        offset: int = 0,
        include_shared: bool = False,
        *,
        client: Client | None = None,
        api_key: ApiKey | None = None,
    ) -> builtins.list[Chatbot]:
        """Lists chatbots.

        Args:
            limit: How many at most.
            offset: How many to leave out before them.
            include_shared: Whether chatbots that other users share with the caller are listed too.
            client: Where; by default what the environment sets.
            api_key: A key to use instead of the environment's.

        Returns:
            The chatbots; where the server returns ids alone, chatbots that have nothing else.

        Raises:
            ApiError: The server refused.
            ApiConnectionError: There was no answer.
            TypeError: Client and key are both given.
        """
        bound = given_client(client, api_key)
        query = {"limit": limit, "offset": offset, "include_shared": include_shared or None}
        details = (bound or default_client()).request("GET", "/chatbots", query=query)
        whole, ids = listed(details, "GET /chatbots")
        # Enough to open a session or to fetch the rest by.
        stubs = [cls(one, "", "", "", client=bound) for one in ids]
        return [cls.from_json(one, client=bound) for one in whole] + stubs

    @classmethod
    def from_json(cls, data: Mapping[str, Any], *, client: Client | None = None) -> Chatbot:
        """Makes a chatbot from the server's form, without asking the server.

        Args:
            data: The form in which a fetch has it.
            client: Where it is; by default what the environment sets.

        Raises:
            TypeError: ``data`` is not a mapping.
        """
        if not isinstance(data, Mapping):
            raise TypeError(f"a chatbot is a mapping, not {type(data).__name__}")
        pipeline_id = ""
        # The engine has stored it in both places over time, whole or as its id; the latter counts first.
        for reference in (data.get("object"), data.get("pipeline")):
            if isinstance(reference, str):
                pipeline_id = reference
            elif isinstance(reference, Mapping) and (reference.get("object_id") or reference.get("id")):
                pipeline_id = str(reference.get("object_id") or reference["id"])
        return cls(
            plain_id(data.get("_id") or data.get("id")),
            data.get("name", ""),
            data.get("description", ""),
            pipeline_id,
            data.get("deployment_options") or data.get("deploymentOptions"),
            data.get("access_config") or data.get("accessConfig"),
            data.get("twilio_config") or data.get("twilioConfig"),
            data.get("slack_config") or data.get("slackConfig"),
            data.get("deployed", False),
            data.get("input"),
            data.get("output"),
            client=client,
        )

    def run(
        self,
        input: str,
        input_type: str = "text",
        conversation_id: str | None = None,
        stream: bool = False,
        filter: Mapping[str, Any] | None = None,
        *,
        timeout: float = 300.0,
    ) -> Any:
        """Sends one message over HTTP and returns the answer.

        Args:
            input: The message; for ``input_type="audio"`` the path of a recording.
            input_type: "text" or "audio".
            conversation_id: A conversation to go on with, instead of a new one.
            stream: Whether to stream the answer.
            filter: Which knowledge the pipeline may look into, in the wire's form.
            timeout: Seconds for the whole answer; for a stream until it begins, and then for each line.

        Returns:
            A dict with ``conversation_id``, ``output_message`` and ``status``; with ``stream=True`` an iterator
            over the lines of the answer, as bytes, which is a context manager too.

        Raises:
            ApiError: The server refused.
            ApiTimeoutError: The answer did not come in time.
            ApiConnectionError: There was no answer.
            OSError: The recording cannot be read.
            TypeError: ``input`` is not a text.
            ValueError: ``input_type`` is unknown.
        """
        body = {**_message(input, input_type), "conversation_id": conversation_id, "filter": filter}
        sent = {name: value for name, value in body.items() if value is not None}
        if not stream:
            return self.client.request("POST", self._path("/run"), json=sent, timeout=timeout)
        # Named here for type checkers: `Client.stream` returns what a recording may stand in for.
        lines: Lines = self.client.stream("POST", self._path("/run"), json={**sent, "stream": True}, timeout=timeout)
        return lines

    def upload_files(
        self, file_paths: Sequence[str | Path], conversation_id: str | None = None, message_index: int | None = None
    ) -> dict[str, Any]:
        """Uploads files to a conversation, for a pipeline that reads files of its chat.

        Args:
            file_paths: The files.
            conversation_id: The conversation, instead of a new one.
            message_index: The message that they belong to; the first by default.

        Returns:
            A dict with ``conversation_id``, ``knowledge_base_id``, ``uploaded_files`` and ``document_id``.

        Raises:
            ApiError: The server refused.
            ApiConnectionError: There was no answer.
            OSError: A file cannot be read.
            TypeError: ``file_paths`` is one path.
            ValueError: There is no file in it.
        """
        if isinstance(file_paths, (str, Path)):
            raise TypeError("file_paths takes a sequence of paths, not one")
        files = []
        for path in map(Path, file_paths):
            kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            files.append(("files", (path.name, path.read_bytes(), kind)))
        if not files:
            raise ValueError("there are no files to upload")
        form: dict[str, Any] = {"message_index": message_index or 0}
        if conversation_id is not None:
            form["conversation_id"] = conversation_id
        details: dict[str, Any] = self.client.request("POST", self._path("/upload"), form=form, files=files)
        return details

    # The official SDK's names for its asynchronous twins, whose ``await`` goes when a script is ported.
    anew = new
    alist = list
    arun = run
    aupload_files = upload_files


def _message(input: str, input_type: str) -> dict[str, str]:
    if not isinstance(input, (str, Path)):
        raise TypeError(f"input takes a str, not {type(input).__name__}")
    if input_type == "text":
        return {"text": str(input)}
    if input_type == "audio":
        # In base64, as JSON has no bytes.
        return {"audio": base64.b64encode(Path(input).read_bytes()).decode()}
    raise ValueError(f'input_type takes "text" or "audio", not {input_type!r:.40}')
