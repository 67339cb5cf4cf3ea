"""The magics, in real kernels."""

from __future__ import annotations

from tests.support.kernel_scripts import in_local_kernel
from tests.support.processes import run_script

LOADED = "from tests.support.kernel import Kernel\nwith Kernel() as kernel:\n    kernel.run('%load_ext sessionlib')\n"


def in_fresh_kernel(source: str) -> None:
    result = run_script(LOADED + source, timeout=280)
    assert result.rc == 0, result


def test_the_embedded_engine_with_a_tool_of_the_notebook() -> None:
    in_fresh_kernel("""
    kernel.run("def double(x: int) -> int:\\n    'Double.'\\n    return 2 * x")
    kernel.run("%sessionlib --local --tools double")
    assert "connected" in kernel.results[-1]["text/html"]
    kernel.run("%%ask --into answer\\n/tool double {\\"x\\": 4}")
    assert "double gave: 8" in kernel.markdown
    kernel.see("answer.text", "double gave: 8")
    kernel.run("%sessionlib --close")
    kernel.fail("%%ask\\nHello")
    kernel.wait_for_text("UsageError: choose whom to talk to first")
    kernel.run("%unload_ext sessionlib")
    """)


def test_a_session_of_the_notebook_and_a_file() -> None:
    in_local_kernel("""
        import pathlib, tempfile
        kernel.run("%load_ext sessionlib")
        kernel.run("%sessionlib session")
        assert "connected" in kernel.results[-1]["text/html"]
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "notes.txt"
            path.write_text("some notes")
            kernel.run(f"%%ask --file {path}\\nSee this\\nfile")
        assert "notes.txt (text/plain, 10 bytes)" in kernel.markdown
        kernel.run("session.on_approval(lambda request: True)")
        kernel.run('%%ask --no-wait --into live\\n/tool refund {"order": "7"}')
        kernel.wait(lambda: "EUR refunded" in kernel.markdown, "answer")
        kernel.see("live.reply.text", "refund gave")
        kernel.run("other = engine.agent(name='Other').create_session().connect()")
        kernel.run("%%ask --session other\\nTo the other")
        assert "Demo model: " in kernel.markdown.rpartition("To the other")[0][-80:]
        kernel.run("other.disconnect()")
        for wrong, told in (
            ("%sessionlib nothing", "there is no variable nothing"),
            ("%sessionlib ran", "a list is no session, agent, chatbot or engine"),
            ("%%ask --session ran\\nHi", "ran is no session"),
            ("%%ask --session session --file /\\nHi", "there is no file /"),
            ("%%ask --session session --into 1st\\nHi", "--into takes the name of a variable, not 1st"),
            ("%sessionlib --local --tools nowhere.py", "the tools file nowhere.py cannot be run: FileNotFoundError"),
            ("%sessionlib --session x --base-url nowhere", "base_url has to begin with"),
        ):
            kernel.fail(wrong)
            kernel.wait_for_text(f"UsageError: {told}")
        kernel.run("%sessionlib --close")
    """)


def test_an_agent_by_its_name_and_a_session_by_its_id() -> None:
    in_local_kernel("""
        kernel.run("%load_ext sessionlib")
        kernel.run('''
            os.environ["SESSIONLIB_API_KEY"] = engine.api_key
            os.environ["SESSIONLIB_BASE_URL"] = engine.base_url
            os.environ["SESSIONLIB_WS_URL"] = engine.ws_url
            engine.agent(name="Joe")
        ''')
        kernel.run("%sessionlib --agent Joe")
        assert "connected" in kernel.results[-1]["text/html"]
        kernel.fail("%sessionlib --agent Nobody")
        kernel.wait_for_text("UsageError: there is no agent with the name or id Nobody")
        kernel.run("resumed = %sessionlib --session {session.session_id}")
        kernel.see("resumed.session_id == session.session_id", "True")
        kernel.run("%sessionlib engine")
        assert "connected" in kernel.results[-1]["text/html"]
        kernel.run("%sessionlib --close")
    """)
