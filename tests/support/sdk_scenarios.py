"""Calls as code written for the official SDK makes them; run with either package, as a program or imported.

Every scenario takes the package's ``agent`` and ``chatbot`` modules and uses nothing that only one of the two has.
"""

import io
import os
import sys
import tempfile
import urllib.request
import warnings
from pathlib import Path
from typing import Any

LLM = {"provider": "openai", "model_id": "gpt-4o"}


def new_conversational(agent: Any, chatbot: Any) -> None:
    agent.Agent.new(
        name="Support",
        llm_info=agent.LlmInfo(**LLM),
        agent_type=agent.AgentType.CONVERSATIONAL,
        instructions="Answer [[inputs.nothing]] kindly.",
    )


def new_with_everything(agent: Any, chatbot: Any) -> None:
    search = agent.Tool("google_search", tool_name="search", tool_description="Looks for [[inputs.topic]]")
    search.inputs["query"] = {"type": "dynamic", "value": "About [[inputs.topic]] for [[outputs.brief]]"}
    search.inputs["num_results"] = {"type": "static", "value": 3}
    write = agent.Tool("write", id="write_1", tool_name="write", approval_config="requires_approval")
    agent.Agent.new(
        "Researcher",
        agent.LlmInfo(**LLM, api_key="theirs", stream_response=True, max_retries=4),
        [search, write],
        "Read [[inputs.Topic]], use [[tools.search]] and [[tools.write_1]], give [[ outputs.brief ]] in {{inputs.x}}.",
        {"topic": agent.IoConfig(io_type="string", description="What about"), "paper": agent.IoConfig(io_type="file")},
        {"brief": agent.IoConfig(io_type="string")},
        type=agent.AgentType.FUNCTIONAL,
        enable_subagents=False,
        editable_object_types=["Pipeline", "Table"],
    )


def new_with_memory(agent: Any, chatbot: Any) -> None:
    agent.Agent.new(
        "M",
        agent.LLMInfo(**LLM),
        agent_type=agent.AgentType.CONVERSATIONAL,
        memory_config=agent.MemoryConfig(enable_global_memory=True),
        enable_subagents=True,
        editable_object_types=[],
    )


def fetch(agent: Any, chatbot: Any) -> None:
    agent.Agent.fetch(id="agent-1")
    agent.Agent.fetch(name="Süpport & more", username="me", org_name="us")


def lists(agent: Any, chatbot: Any) -> None:
    agent.Agent.list()
    agent.Agent.list(limit=3, offset=7, include_shared=True, verbose=True)
    chatbot.Chatbot.list()
    chatbot.Chatbot.list(2, 4, True)


def fetch_and_save(agent: Any, chatbot: Any) -> None:
    fetched = agent.Agent.fetch(id="agent-1")
    fetched.save()
    fetched.update_instructions("New ones: [[inputs.topic]]")
    fetched.update_llm_info(agent.LlmInfo(provider="anthropic", model_id="claude"))
    fetched.name = "Renamed"
    fetched.inputs["more"] = agent.IOConfig(io_type="string")
    fetched.remove_tool("first")
    fetched.add_tool(agent.Tool("second", id="second_1", tool_name="another"))
    fetched.save(deploy=True, bump="minor", description="what is new")
    fetched.save(bump=False)


def fetch_and_save_conversational(agent: Any, chatbot: Any) -> None:
    fetched = agent.Agent.fetch(id="conversational")
    fetched.remove_tool(fetched.tools[0])
    fetched.save()


def save_what_is_made_here(agent: Any, chatbot: Any) -> None:
    made = agent.Agent(
        "agent-1", "Name", agent.LlmInfo(**LLM), "branch", instructions="x", agent_type=agent.AgentType.CONVERSATIONAL
    )
    made.save(True, description="")


def delete(agent: Any, chatbot: Any) -> None:
    agent.Agent("agent-1").delete()
    chatbot.Chatbot("bot-1", "n", "d", "p").delete()


def run_functional(agent: Any, chatbot: Any) -> None:
    made = agent.Agent.fetch(id="agent-1")
    result = made.run(inputs={"topic": "rain"})
    assert (result.outputs, result.run_id, result.status) == ({"brief": "dry", "unknown": 1}, "run-1", "success")
    made.run({"topic": {"nested": [1, None, True]}}, "Be brief.", skill=type("Skill", (), {"content": "And kind."}))


def run_with_files(agent: Any, chatbot: Any) -> None:
    made = agent.Agent.fetch(id="agent-1")
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "päper.txt"
        path.write_bytes(b"from a path")
        made.run({"topic": "rain", "paper": path}, "Be brief.")
    made.run({"paper": b"from bytes"})
    made.run({"paper": io.BytesIO(b"from a file object")})
    made.run({"paper": "https://example.com/paper.txt"})


def refer(agent: Any, chatbot: Any) -> None:
    # What a message's text and another object's field hold goes over the wire too.
    made = agent.Agent("agent-1", 'A "name"')
    bot = chatbot.Chatbot("bot-1", "B", "", "")
    tool = agent.Tool("call_agent", id="call_1", tool_name="call")
    tool.inputs["agent"] = {"type": "static", "value": agent.Agent("agent-2", branch_id="b2")}
    llm = agent.LlmInfo(**LLM)
    agent.Agent.new(f"{made} {bot} {agent.Agent('x')}", llm, [tool], agent_type=agent.AgentType.CONVERSATIONAL)


def new_chatbot(agent: Any, chatbot: Any) -> None:
    chatbot.Chatbot.new("Bot", "What for", "pipeline-1")
    chatbot.Chatbot.new("Bot", "", "p", {"theme": "dark"}, {"public": True}, {"t": 1}, {"s": 1}, "in", "out")
    chatbot.Chatbot.fetch("bot-1")
    chatbot.Chatbot.fetch(name="Bot", username="me", org_name="us")


def run_chatbot(agent: Any, chatbot: Any) -> None:
    bot = chatbot.Chatbot.fetch(id="bot-1")
    bot.run("Hello")
    bot.run("Again", "text", "conversation-1")
    list(bot.run("Streamed", stream=True))
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "voice.wav"
        path.write_bytes(b"\x00\xff")
        bot.run(str(path), input_type="audio", conversation_id="conversation-1")


def upload(agent: Any, chatbot: Any) -> None:
    bot = chatbot.Chatbot("bot-1", "n", "d", "p")
    with tempfile.TemporaryDirectory() as place:
        paths = [os.path.join(place, name) for name in ("a.txt", "b.unknownkind")]
        for path in paths:
            Path(path).write_bytes(b"content")
        bot.upload_files(paths)
        bot.upload_files(paths[:1], "conversation-1", 3)


SCENARIOS = [
    new_conversational,
    new_with_everything,
    new_with_memory,
    fetch,
    lists,
    fetch_and_save,
    fetch_and_save_conversational,
    save_what_is_made_here,
    delete,
    run_functional,
    run_with_files,
    refer,
    new_chatbot,
    run_chatbot,
    upload,
]


def main() -> None:
    """Runs every scenario with the official SDK, telling the server between two of them."""
    warnings.simplefilter("ignore")
    from vectorshift import agent, chatbot

    for scenario in SCENARIOS:
        urllib.request.urlopen(f"{os.environ['VECTORSHIFT_BASE_URL']}/scenario/{scenario.__name__}").close()
        scenario(agent, chatbot)
    sys.stdout.write("done\n")


if __name__ == "__main__":
    main()
