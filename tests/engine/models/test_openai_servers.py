"""The model of an endpoint, against servers that others wrote: llama.cpp's own, and LiteLLM's proxy before it.

LiteLLM brings a hundred packages, some older than ours. Its tests are collected where ``LITELLM_VENV`` names a virtual
environment with ``litellm[proxy]``; one that does not exist is made.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sessionlib import Session, SessionMessageStatus
from sessionlib.engine import LocalEngine, tool
from sessionlib.engine.models.llama import weights_path
from tests.support.processes import Script

KEY = "sk-local-0123456789"
LITELLM = os.environ.get("LITELLM_VENV")
COMPLETE, ERROR = SessionMessageStatus.COMPLETE, SessionMessageStatus.ERROR


@dataclass(frozen=True)
class Server:
    """An endpoint that runs, and what it reports where the key is wrong."""

    url: str
    refusal: str


# llama.cpp reads off a template how a model writes its calls. The weights' own has no tools; with this one, and one
# call as an example, they call what they are asked to.
TEMPLATE = r"""
{%- if tools %}
    {{- '<|im_start|>system\nCall one of the tools.' }}
    {%- for tool in tools %}
        {{- '\n' + (tool | tojson) }}
    {%- endfor %}
    {{- '<|im_end|>\n' }}
    {%- if messages[-1].role != 'tool' %}
        {{- '<|im_start|>user\nUse the tool look to look at 7 and 8.<|im_end|>\n<|im_start|>assistant\n' }}
        {{- '<tool_call>\n{"name": "look", "arguments": {"a": 7, "b": 8}}\n</tool_call><|im_end|>\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {{- '<|im_start|>' + ('user' if message.role == 'tool' else message.role) + '\n' + (message.content or '') }}
    {%- for call in message.tool_calls or [] %}
        {{- '\n<tool_call>\n{"name": "' + call.function.name + '", "arguments": ' }}
        {{- (call.function.arguments | tojson) + '}\n</tool_call>' }}
    {%- endfor %}
    {{- '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
"""
CONTEXT, ANSWER = 256, 48
LLAMA = """
    import signal, sys, xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.chat_template, key, context, answer = sys.argv[1:]
    params.hostnames, params.port, params.api_keys = ["127.0.0.1"], 0, [key]
    params.n_ctx, params.n_parallel, params.n_predict = int(context), 1, int(answer)
    params.use_jinja, params.warmup, params.ui, params.sampling.temp = True, False, False, 0
    # More than one would wait for each other in a busy loop, where other tests have the other cores.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.verbosity = -1
    server = xllamacpp.Server(params)
    print("ready", server.listening_address, flush=True)
    signal.pause()
"""


@pytest.fixture(scope="module")
def llama() -> Iterator[Server]:
    arguments = (str(weights_path()), TEMPLATE, KEY, str(CONTEXT), str(ANSWER))
    with Script(LLAMA, *arguments, env={"PYTHONWARNINGS": ""}) as script:
        yield Server(f"{script.wait_for('ready', 100)}/v1", "The model's endpoint refused the key (401).")


PROXY = """
    import os, socket, sys, threading, requests

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.argv[1], "--config", sys.argv[2], "--host", "127.0.0.1", "--port", str(port)]
    if os.fork():
        os.execv(command[0], command)
    while True:
        try:
            requests.get(f"http://127.0.0.1:{port}/health/liveliness", timeout=5)
            break
        except requests.RequestException:
            threading.Event().wait(0.2)
    print("ready", f"http://127.0.0.1:{port}/v1", flush=True)
"""


@pytest.fixture(scope="module")
def litellm(llama: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    assert LITELLM is not None
    program = Path(LITELLM) / "bin" / "litellm"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", LITELLM], check=True)
        subprocess.run([program.with_name("pip"), "install", "-q", "litellm[proxy]"], check=True)
    behind = {"model": "openai/small", "api_base": llama.url, "api_key": KEY}
    mock = {"model": "openai/mock", "api_key": "none"}
    models = {"small": behind, **{name: {**mock, "mock_response": answer} for name, answer, *_ in MOCKS if answer}}
    config = {
        "model_list": [{"model_name": name, "litellm_params": params} for name, params in models.items()],
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
        "general_settings": {"master_key": KEY},
    }
    path = tmp_path_factory.mktemp("litellm") / "config.yaml"
    path.write_text(json.dumps(config))
    with Script(PROXY, str(program), str(path), env={"LITELLM_LOCAL_MODEL_COST_MAP": "True"}) as script:
        # Without a database it knows no key but one, and reports that rather than the key.
        yield Server(script.wait_for("ready", 300), "The model's endpoint failed (400): No connected db.")


@pytest.fixture(scope="module", params=["llama", *(["litellm"] if LITELLM else [])])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def model(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return "openai:small"


pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_its_answer_is_streamed_and_one_at_the_limit_is_not_complete(model: str) -> None:
    with LocalEngine(model=model) as engine, engine.agent().create_session() as session:
        turn = session.stream("What is the capital of France?")
        deltas = [event.delta for event in turn if event.delta]
        assert "".join(deltas) == turn.result().text
        assert "Paris" in turn.result().text
        assert len(deltas) > 3
        endless = session.ask("Tell me a long story about a fox.")
        assert (endless.status, endless.error) == (
            ERROR,
            "The model's answer was truncated at the most tokens that it may have.",
        )
        assert endless.text


def test_it_calls_a_tool_and_answers_with_its_result(model: str) -> None:
    called = []

    @tool
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        called.append((a, b))
        return a + b

    with LocalEngine([add], model=model) as engine, engine.agent().create_session() as session:
        reply = session.ask("Use the tool add to add 2 and 3.")
        assert [(call.tool_name, call.status, call.output) for call in reply.tool_calls] == [
            ("add", "complete", sum(called[0]))
        ]
        assert len(called) == 1
        assert reply.text


def test_a_refusal_ends_the_turn_and_the_session_goes_on_elsewhere(
    server: Server, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "engine.db")
    with monkeypatch.context() as wrong:
        wrong.setenv("OPENAI_API_KEY", "sk-wrong")
        with LocalEngine(model=model, path=path) as engine:
            with engine.agent().create_session() as session:
                refused = session.ask("Hello!")
            assert (refused.status, refused.text) == (ERROR, "")
            assert str(refused.error).startswith(server.refusal)
    with (
        LocalEngine(model=model, path=path) as engine,
        Session(session_id=session.session_id, client=engine.client()) as again,
    ):
        assert again.ask("What is the capital of France?").text


def test_what_its_context_does_not_hold_is_left_out(model: str) -> None:
    with LocalEngine(model=model) as engine, engine.agent().create_session() as session:
        session.ask("Remember: " + "one two three four " * 25)
        reply = session.ask("And also: " + "one two three four " * 25 + "\nWhat is the capital of France?")
        assert reply.text
        notices = [m.text for m in session.get_messages() if "were left out" in (m.text or "")]
        assert notices == ["Older messages of this session were left out: with them the model's context is too long."]
        alone = session.ask("one two three four " * 100)
        assert (alone.status, alone.error) == (ERROR, "The conversation's last turn is too long for the model.")
        assert session.ask("What is the capital of France?").text


# ---- what LiteLLM makes of the failures of those behind it ---------------------------------------------------------

MOCKS = [
    ("talk", "Paris is the capital.", COMPLETE, "Paris is the capital.", None),
    ("limited", "litellm.RateLimitError", ERROR, "", "failed (429): litellm.RateLimitError"),
    ("broken", "litellm.InternalServerError", ERROR, "", "failed (500): litellm.InternalServerError"),
    ("filtered", "Exception: content_filter_policy", ERROR, "", "content_filter_policy"),
    ("full", "litellm.ContextWindowExceededError", ERROR, "", "last turn is too long for the model"),
    ("dying", "Exception: mock_streaming_error", ERROR, "", "mock error raised mid-stream"),
    ("unknown", None, ERROR, "", "failed (400): "),
]


if LITELLM:

    @pytest.mark.parametrize(("name", "mock", "status", "text", "error"), MOCKS, ids=[name for name, *_ in MOCKS])
    def test_a_failure_behind_a_proxy_is_what_it_is(
        name: str,
        mock: str | None,
        status: SessionMessageStatus,
        text: str,
        error: str | None,
        litellm: Server,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("OPENAI_BASE_URL", litellm.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        with LocalEngine(model=f"openai:{name}") as engine, engine.agent().create_session() as session:
            reply = session.ask("hi")
            assert (reply.status, reply.text) == (status, text)
            assert error in str(reply.error) if error else reply.error is None
