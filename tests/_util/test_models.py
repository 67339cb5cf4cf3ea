"""The calls of pydantic's models that code written for the official SDK makes on ours."""

from __future__ import annotations

import json

import pytest

from sessionlib.agent import IoConfig, LlmInfo, MemoryConfig, ToolInput, ToolInputType
from sessionlib.events import SessionEvent, SessionEventType
from sessionlib.reply import Reply

LLM = LlmInfo("openai", "gpt-4o", api_key="k", max_retries=2)


def test_dumping() -> None:
    assert LLM.model_dump() == LLM.to_dict()
    assert LLM.model_dump(include={"provider", "model_id"}) == {"provider": "openai", "model_id": "gpt-4o"}
    assert "api_key" not in LLM.model_dump(exclude={"api_key"})
    plain = {"provider": "openai", "model_id": "gpt-4o"}
    assert LLM.model_dump(exclude_defaults=True) == {**plain, "api_key": "k", "max_retries": 2}
    assert json.loads(LLM.model_dump_json(exclude_unset=True)) == LLM.model_dump(exclude_defaults=True)
    dumped = ToolInput(type=ToolInputType.DYNAMIC).model_dump(mode="json")
    assert type(dumped["type"]) is str
    assert set(MemoryConfig().model_dump(exclude_none=True)) == {"enable_session_memory", "enable_global_memory"}
    assert "endpoint" not in LLM.model_dump(exclude_none=True, by_alias=True)
    event = SessionEvent(SessionEventType.MESSAGE_DELTA, "s1", "m1", {"delta": "é", "index": 0})
    assert event.model_dump()["type"] is SessionEventType.MESSAGE_DELTA
    assert json.loads(event.model_dump_json()) == {
        "type": "message_delta",
        "session_id": "s1",
        "message_id": "m1",
        "data": {"delta": "é", "index": 0},
    }
    assert MemoryConfig().model_dump_json() == '{"enable_session_memory":true,"enable_global_memory":false}'
    assert MemoryConfig().model_dump_json(indent=1).count("\n") == 3


def test_copying() -> None:
    copied = LLM.model_copy(update={"model_id": "gpt-5"})
    assert (copied.model_id, copied.api_key, LLM.model_id) == ("gpt-5", "k", "gpt-4o")
    event = SessionEvent(SessionEventType.PONG, "s1", data={"nested": []})
    shallow, deep = event.model_copy(update={"session_id": "s2"}), event.model_copy(deep=True)
    assert (shallow.session_id, event.session_id) == ("s2", "s1")
    assert shallow.data is event.data
    assert deep == event
    assert deep.data["nested"] is not event.data["nested"]


def test_validating() -> None:
    assert LlmInfo.model_validate(LLM) is LLM
    assert LlmInfo.model_validate({"provider": "p", "model_id": "m"}, strict=True) == LlmInfo("p", "m")
    assert LlmInfo.model_validate_json('{"provider": "p", "model_id": "m"}') == LlmInfo("p", "m")
    assert IoConfig.model_validate_json(IoConfig("file", "x").model_dump_json()) == IoConfig("file", "x")
    assert ToolInput.model_validate({"type": "dynamic"}) == ToolInput(ToolInputType.DYNAMIC)
    with pytest.raises(KeyError):
        LlmInfo.model_validate({"provider": "p"})
    with pytest.raises(ValueError, match="Expecting value"):
        LlmInfo.model_validate_json("nonsense")
    assert callable(Reply.model_dump)
