"""The notebook's approval handler in real kernels: at a prompt, with buttons, and with nobody there."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from tests.support import kernel_scripts
from tests.support.processes import run_script
from tests.support.script_engine import ScriptEngine
from tests.support.toolbox import Toolbox

NOBODY = "no person could be asked: the notebook is run without anybody to answer"


@pytest.fixture
def toolbox(engine: ScriptEngine) -> Toolbox:
    return Toolbox(engine)


@pytest.fixture
def in_kernel(engine: ScriptEngine) -> Any:
    """Runs a script with an open kernel, which has a session with the engine."""
    return functools.partial(kernel_scripts.in_kernel, engine)


# ---- at a prompt ---------------------------------------------------------------------------


def test_a_cell_that_asks_gets_a_prompt(in_kernel: Any, toolbox: Toolbox) -> None:
    in_kernel("""
        kernel.run("print(session.ask('run refund refund refund').text)", "y", "e", "12", "d", "no more")
        assert len(kernel.prompts) == 5, kernel.prompts
        assert "[y]es, [n]o" in kernel.prompts[0]
        assert 'The agent asks to run "refund":\\n  "order" = 7' in kernel.text
        assert kernel.text.endswith("done\\n")
        assert kernel.widgets == {}
    """)
    assert toolbox.given == [{"order": 7}, {"order": 12}]
    assert toolbox.denied == ["no more"]


def test_the_stop_button_at_a_prompt_denies(in_kernel: Any, toolbox: Toolbox) -> None:
    in_kernel("""
        cell = kernel.start("session.ask('run refund')")
        kernel.wait(lambda: kernel.prompts, "prompt")
        kernel.interrupt()
        kernel.wait_for_text("KeyboardInterrupt")
        kernel.see("'still there:', session.ask('Hi').text", "still there: Hi")
    """)
    assert toolbox.denied == ["the approval handler failed: KeyboardInterrupt"]


# ---- with nobody there ---------------------------------------------------------------------


def test_headless_it_denies_and_says_why(in_kernel: Any, toolbox: Toolbox) -> None:
    source = """
        kernel.run("print(session.ask('run refund', timeout=30).text)")
        kernel.run('''
            session.send("run refund")
            for event in session.listen(timeout=30):
                if event.is_turn_end:
                    break
        ''')
        assert kernel.prompts == []
        assert kernel.widgets == {}
    """
    in_kernel(source, stdin=False)
    assert toolbox.denied == [NOBODY, NOBODY]
    assert not toolbox.ran


# ---- buttons -------------------------------------------------------------------------------


def test_buttons_stay_when_the_cell_has_ended_with_text_and_no_markup(in_kernel: Any, toolbox: Toolbox) -> None:
    in_kernel("""
        kernel.run("session.send('run <script>alert(1)</script>')")
        kernel.wait_for_button("Approve")
        shown = "".join(kernel.shown())
        assert "The agent asks to run <code>&quot;&lt;script&gt;alert(1)&lt;/script&gt;&quot;</code>:" in shown
        kernel.run("print('another cell')")
        kernel.click("Approve")
        kernel.wait(lambda: not kernel._find("description", "Approve"), "end of the buttons")
        kernel.see("next(e for e in session.listen(timeout=30) if e.is_complete).text", "done")
        kernel.wait(lambda: "<b>✓ approved here</b>" in kernel.markdown, "outcome that is saved")
        assert "VBoxModel" not in [state["_model_name"] for state in kernel.widgets.values()]
        assert kernel.prompts == []
        kernel.see("[(r.approved, r.by) for r in session.approvals]", "[(True, 'ask_notebook')]")
    """)
    assert toolbox.given == [{"order": 7}]


def test_arguments_are_edited_in_fields_and_denials_have_reasons(in_kernel: Any, toolbox: Toolbox) -> None:
    in_kernel("""
        kernel.run("session.send('run refund refund refund refund')")
        kernel.wait_for_button("Approve")
        kernel.write("order", "12")
        # The outcome comes before the buttons go, and these do nothing any more.
        kernel.wait_for_end_of(kernel.click("Approve"))
        assert any("approved here" in text for text in kernel.shown())
        kernel.write("reason, if you deny", "not this one")
        kernel.wait_for_end_of(kernel.click("Deny"))
        assert any("denied here" in text for text in kernel.shown())
        kernel.click("Always in this session")
        kernel.run("print([e for e in session.listen(timeout=30, event_types=['message_complete']).__next__().text])")
    """)
    assert toolbox.given == [{"order": 12}, {"order": 7}, {"order": 7}]
    assert toolbox.denied == ["not this one"]


def test_buttons_go_when_no_answer_is_needed_any_more(in_kernel: Any, toolbox: Toolbox) -> None:
    in_kernel("""
        kernel.run("import ipywidgets, sessionlib.notebook.forms, sessionlib.notebook.display")  # which takes its time
        kernel.run("undo(); session.on_approval(ask_notebook, timeout=5.0)")
        kernel.run("session.send('run refund')")
        kernel.wait_for_button("Approve")
        kernel.wait(lambda: any("denied by timeout" in text for text in kernel.shown()), "end of the buttons")
        assert not kernel._find("description", "Approve")
        # The denial itself may leave after that.
        kernel.run("print(next(e for e in session.listen(timeout=30) if e.is_complete).text)")
    """)
    assert toolbox.denied == ["no decision within 5 s"]


def test_leaving_the_session_ends_the_question(in_kernel: Any, toolbox: Toolbox) -> None:
    in_kernel("""
        kernel.run("session.send('run refund')")
        kernel.wait_for_button("Approve")
        kernel.run("session.disconnect()")
        kernel.wait(lambda: not kernel._find("description", "Approve"), "end of the buttons")
        kernel.run('''
            import threading, time
            def dispatchers():
                return [thread.name for thread in threading.enumerate() if "dispatcher" in thread.name]
            end = time.monotonic() + 15
            while dispatchers() and time.monotonic() < end:
                time.sleep(0.01)
            print(dispatchers())
        ''')
        kernel.wait_for_text("[]")
    """)
    assert not toolbox.ran


@pytest.mark.parametrize("before", ["", "import sys; sys.modules['ipywidgets'] = None"], ids=["widgets", "none"])
def test_a_cell_that_waits_for_what_buttons_would_wait_for_gets_a_prompt(
    in_kernel: Any, toolbox: Toolbox, before: str
) -> None:
    in_kernel(f"""
        kernel.run({before!r})
        kernel.run('''
            session.send("run refund")
            print(next(event for event in session.listen(timeout=30) if event.is_complete).text)
        ''', "y")
        kernel.wait_for_text("done")
        assert len(kernel.prompts) == 1
        assert any("asked at the prompt" in text for text in kernel.shown()) or {bool(before)}
        assert kernel.widgets == {{}} or not {bool(before)}
    """)
    assert toolbox.ran == {"refund": 1}


# ---- elsewhere -----------------------------------------------------------------------------


def test_outside_of_notebooks_it_asks_on_the_terminal(engine: ScriptEngine, toolbox: Toolbox) -> None:
    source = f"""
        import sys
        from sessionlib import Session, ask_notebook

        with Session(session_id="s1", api_key="k", base_url={engine.base_url!r}) as session:
            print(session.ask("run refund refund", on_approval=ask_notebook).text)
        assert "IPython" not in sys.modules and "ipywidgets" not in sys.modules
    """
    result = run_script(source, stdin="y\n").check()
    assert "[y]es, [n]o" not in result.stdout  # a pipe is no person
    assert toolbox.ran == {}
    assert toolbox.denied == ["no person could be asked: there is no terminal to ask on"] * 2


def test_the_handler_is_loaded_when_it_is_asked_for() -> None:
    source = """
        import sys
        import sessionlib

        assert "sessionlib.notebook" not in sys.modules
        assert "ask_notebook" in dir(sessionlib)
        assert sessionlib.ask_notebook is sys.modules["sessionlib.notebook"].ask_notebook
        try:
            sessionlib.ask_somebody
        except AttributeError as error:
            print(error)
    """
    assert run_script(source).check().stdout == "module 'sessionlib' has no attribute 'ask_somebody'\n"
