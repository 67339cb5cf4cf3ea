"""Approvals as forms, in real kernels: what is shown, edited and answered between cells, and who decided."""

from __future__ import annotations

import textwrap

import pytest

from tests.support.kernel_scripts import in_local_kernel

CALL = '/tool refund {"order": "7", "amount": 2.5, "urgent": true, "lines": [1, 2], "count": 3}'
SEND = f"session.send('''{CALL}''')"
CHAT = f"live = session.chat('''{CALL}''', wait=False)"
SETTLED = "any('{}' in text for text in kernel.shown())"


def with_form(source: str, chat: str = CHAT) -> None:
    """Runs a script with a kernel in which a chat asks with a form."""
    in_local_kernel(f"kernel.run({chat!r})\nkernel.wait_for_button('Deny')\n{textwrap.dedent(source)}")


@pytest.mark.parametrize("handler", ["", "undo = session.on_approval(sessionlib.ask_notebook)"])
def test_a_chat_that_does_not_wait_asks_with_a_form_and_streams_on_after_the_click(handler: str) -> None:
    in_local_kernel(f"""
        kernel.run({handler!r})
        kernel.run({CHAT!r})
        kernel.wait_for_button("Approve")
        kernel.see("live.is_over, live.reply, ran", "False None []")
        kernel.click("Approve")
        kernel.wait(lambda: "EUR refunded" in kernel.markdown, "answer in the cell")
        assert "approved here" in kernel.markdown
        assert not kernel._find("description", "Approve")
        kernel.see(
            "live.reply.text, ran, session.approvals[-1].by",
            "refund gave: 2.50 EUR refunded for order 7 [('7', 2.5, True, [1, 2], 3)] ask_notebook",
        )
        assert kernel.prompts == [] and kernel.results == []
    """)


def test_each_argument_is_edited_as_what_it_is() -> None:
    with_form(f"""
        fields = {{state["tooltip"]: state for state in kernel.widgets.values() if state.get("tooltip")}}
        kinds = {{name: fields[name]["_model_name"] for name in ("order", "amount", "urgent", "lines", "count")}}
        assert kinds == {{
            "order": "TextModel", "amount": "FloatTextModel", "urgent": "CheckboxModel", "lines": "TextModel",
            "count": "IntTextModel",
        }}, kinds
        kernel.write("order", "8")
        kernel.write("amount", 3.5)
        kernel.write("urgent", False)
        kernel.write("lines", "[1, 2")
        kernel.click("Approve")
        kernel.wait(lambda: {SETTLED.format("lines takes JSON")}, "complaint")
        kernel.see("ran", "[]")
        kernel.write("lines", "[4]")
        kernel.click("Approve")
        kernel.wait(lambda: "EUR refunded" in kernel.markdown, "answer in the cell")
        kernel.see("ran, dict(session.approvals[-1].confirm)", "[('8', 3.5, False, [4], 3)]")
        kernel.wait_for_text("{{'order': '8', 'amount': 3.5, 'urgent': False, 'lines': [4]}}")
    """)


def test_a_form_says_so_when_another_has_answered_and_a_click_that_comes_too_late_changes_nothing() -> None:
    with_form("""
        kernel.start("live.turn.pending[0].deny('too much')")
        kernel.click("Approve")
        kernel.wait(lambda: not kernel._find("description", "Approve"), "end of the buttons")
        kernel.wait(lambda: "was denied: too much · denied by respond" in kernel.markdown, "denial in the cell")
        kernel.see("ran, [record.deny_reason for record in session.approvals]", "[] ['too much']")
    """)


def test_registered_handlers_come_before_the_form() -> None:
    in_local_kernel(f"""
        kernel.run("session.on_approval(lambda request: request.arguments['amount'] < 10, tool='refund')")
        kernel.run({CHAT!r})
        kernel.wait(lambda: "EUR refunded" in kernel.markdown, "answer in the cell")
        kernel.run({CHAT.replace("2.5", "99")!r})
        kernel.wait(lambda: "was denied" in kernel.markdown, "denial in the cell")
        assert "ButtonModel" not in kernel.opened
    """)


def test_of_two_clicks_at_once_the_first_stands() -> None:
    in_local_kernel(f"""
        kernel.run("undo = session.on_approval(sessionlib.ask_notebook)")
        kernel.run({SEND!r})
        buttons = kernel.wait_for_button("Deny"), kernel.wait_for_button("Approve")
        for button in buttons:  # the second is sent before the first is known to have come
            kernel._tell(button, {{"method": "custom", "content": {{"event": "click"}}}})
        kernel.see(
            "next(e for e in session.listen(timeout=30) if e.is_complete).text, ran",
            "was denied: User denied tool call. []",
        )
    """)


def test_a_form_that_somebody_waits_with_says_who_was_quicker() -> None:
    in_local_kernel("""
        kernel.run('''
            from sessionlib.notebook.forms import Form
            try:
                session.ask('/tool refund {"order": "7"}')
            except sessionlib.ApprovalRequiredError as error:
                request = error.request
            form = Form(request)
            display(form.box)
            request.deny("too much")
        ''')
        kernel.click("Approve")
        kernel.see("form.outcome, form.pressed.is_set()", "denied by respond: too much False")
    """)


def test_two_requests_at_once_have_a_form_each() -> None:
    both = '/tool refund {"order": "1"}\n/tool refund {"order": "2"}'
    chat = f"live = session.chat({both!r}, wait=False)"
    in_local_kernel(f"""
        kernel.run({chat!r})
        kernel.wait_for_button("Deny")
        kernel.wait_for_end_of(kernel.click("Deny"))
        assert {SETTLED.format("denied here")}
        kernel.click("Approve")
        kernel.wait(lambda: "EUR refunded for order" in kernel.markdown, "answer in the cell")
        kernel.see("len(ran), [record.approved for record in session.approvals]", "1 [False, True]")
    """)


def test_waiting_after_all_asks_at_a_prompt() -> None:
    with_form("""
        kernel.run("print(live.wait().text)", "y")
        kernel.wait_for_text("EUR refunded for order 7")
        assert len(kernel.prompts) == 1
        assert not kernel._find("description", "Approve")
        assert "EUR refunded" in kernel.markdown
    """)


def test_what_goes_wrong_is_shown_and_kept() -> None:
    with_form("""
        kernel.run("session.disconnect()")
        kernel.wait(lambda: "SessionDisconnectedError" in kernel.markdown, "failure in the cell")
        assert not kernel._find("description", "Approve")
        kernel.run('''
            try:
                live.reply
            except sessionlib.SessionDisconnectedError as error:
                print("told:", error)
        ''')
        kernel.wait_for_text("told: session")
    """)


def test_a_turn_that_is_out_of_time_says_so() -> None:
    in_local_kernel(f"""
        kernel.run("import sessionlib.notebook.forms, sessionlib.notebook.live")  # which takes its time
        kernel.run({CHAT.replace("wait=False", "wait=False, timeout=5.0")!r})
        kernel.wait_for_button("Approve")
        kernel.wait(lambda: "SessionTimeoutError" in kernel.markdown, "failure in the cell")
        assert "did not end within 5 s" in kernel.markdown
    """)


def test_stopping_leaves_the_turn_to_others() -> None:
    with_form("""
        kernel.run("live.stop(); print(live)")
        kernel.wait_for_text("failed>")
        assert not kernel._find("description", "Approve")
        kernel.run("session.approvals[-1]; session.respond(session.approvals[-1].event, approved=True)")
        kernel.see("next(e for e in session.listen(timeout=30) if e.is_complete).text", "EUR refunded for order 7")
    """)


def test_without_widgets_it_says_which_extra_to_install() -> None:
    in_local_kernel("""
        kernel.run("import sys; sys.modules['ipywidgets'] = None")
        kernel.run('''
            try:
                session.chat("Hi", wait=False)
            except sessionlib.MissingExtraError as error:
                print(error)
        ''')
        kernel.wait_for_text("needs ipywidgets; install it with: pip install 'sessionlib[notebook]'")
        kernel.run("session.chat('Hello')")
        assert "Hello" in kernel.markdown
    """)


def test_the_kernel_stays_free_whatever_waits_for_a_person() -> None:
    in_local_kernel(f"""
        kernel.run({CHAT!r})
        kernel.run({CHAT.replace("live", "second")!r})
        kernel.wait_for_button("Approve")
        for _ in range(20):  # both turns are looked after between any two cells
            kernel.run("print(live.is_over, second.is_over)")
        assert kernel.text.count("False False") == 20
        kernel.wait_for_end_of(kernel.click("Approve"))
        kernel.wait(lambda: kernel.markdown.count("EUR refunded") >= 1, "first answer")
        kernel.click("Approve")
        kernel.wait(lambda: kernel.markdown.count("gave: 2.50 EUR refunded") >= 2, "second answer")
        assert kernel.prompts == []
    """)


def test_between_cells_a_console_is_no_place_to_ask() -> None:
    in_local_kernel(f"""
        kernel.run("undo = session.on_approval(sessionlib.ask_console)")
        kernel.run({CHAT!r})
        kernel.click("Approve")
        kernel.wait(lambda: "EUR refunded" in kernel.markdown, "answer in the cell")
        kernel.run("undo(); undo = session.on_approval(lambda request: input('Really? ') == 'y')")
        kernel.run({CHAT!r})
        kernel.wait(lambda: "RuntimeError: there is no prompt between cells" in kernel.markdown, "failure in the cell")
        assert kernel.prompts == []
        # In a cell that waits, both work.
        kernel.run({f"print(session.ask({CALL!r}).text, len(ran))"!r}, "y")
        assert kernel.prompts == ["Really? "]
        kernel.wait_for_text("order 7 2")
    """)


LONG = r"\n".join(f"line {number} of a letter" for number in range(40))
LONG_CHAT = f"live = session.chat(r'''/tool refund {{\"order\": \"{LONG}\"}}''', wait=False)"


def test_a_long_value_has_to_be_shown_in_full_before_it_is_approved() -> None:
    in_local_kernel(f"""
        kernel.run({LONG_CHAT!r})
        kernel.wait_for_button("Deny")
        shown = "".join(kernel.shown())
        assert "line 11 of" in shown and "line 12 of" not in shown
        assert "text of {len(LONG) - 39} characters, 40 lines" in shown
        assert "Show all of &quot;order&quot; to approve." in shown
        for name in ("Approve", "Always in this session"):
            (button,) = kernel._find("description", name)
            assert kernel.widgets[button]["disabled"]
            kernel.click(name)  # as a page might that does not care
        kernel.see("'still', live.is_over, ran", "still False []")
        # A notebook that is saved now shows the whole request, and later what became of it.
        assert "not answered when this was saved" in kernel.kept[-1] and "line 39 of" in kernel.kept[-1]
        kernel.click("Show all of order")
        kernel.wait(lambda: "line 39 of a letter" in "".join(kernel.shown()), "whole value")
        (button,) = kernel._find("description", "Approve")
        kernel.wait(lambda: not kernel.widgets[button]["disabled"], "button that works")
        kernel.click("Edit")
        kernel.wait(lambda: kernel._find("tooltip", "order"), "editor")
        kernel.write("order", "8\\n9")
        kernel.click("Approve")
        kernel.wait(lambda: "EUR refunded" in kernel.markdown, "answer in the cell")
        assert "not answered" not in kernel.markdown
        kernel.see("ran", r"[('8\\n9', 1.0, False, [], 1)]")
    """)


def test_what_cannot_be_seen_is_edited_as_json() -> None:
    chat = r"""live = session.chat(r'/tool refund {"order": "7   \u2800 or \u0430dmin"}', wait=False)"""
    in_local_kernel(f"""
        kernel.run({chat!r})
        kernel.wait_for_button("Edit")
        assert "7\\\\x20{{3}}\\\\u2800 or \\\\u0430dmin</pre>" in "".join(kernel.shown()), kernel.shown()
        kernel.click("Edit")
        kernel.wait(lambda: kernel._find("tooltip", "order"), "editor")
        (field,) = kernel._find("tooltip", "order")
        assert kernel.widgets[field]["value"] == '"7   \\\\u2800 or \\\\u0430dmin"', kernel.widgets[field]
        kernel.write("order", '"7\\\\u00e9"')
        kernel.click("Approve")
        kernel.wait(lambda: "EUR refunded" in kernel.markdown, "answer in the cell")
        kernel.see("ran", "[('7é', 1.0, False, [], 1)]")
    """)


def test_a_request_that_changes_is_asked_again() -> None:
    with_form("""
        kernel.run("live.turn.pending[0].event.data['arguments']['order'] = '8'")
        kernel.click("Approve")
        kernel.wait(lambda: "The request has changed" in "".join(kernel.shown()), "notice")
        kernel.see("'still', live.is_over, ran", "still False []")
        kernel.click("Deny")
    """)


# A form with what no tool of the engine takes, for a session that needs no engine.
FORM = """
    from types import SimpleNamespace
    from sessionlib import ApprovalRequest, SessionEvent
    from sessionlib.notebook.forms import Form

    def form_for(tool_name, arguments, agent_name=None):
        approvals = SimpleNamespace(log=SimpleNamespace(is_open=lambda event: True))
        own = SimpleNamespace(agent_name=agent_name, _approvals=approvals, approvals=[])
        event = SessionEvent("approval_request", "s1", "r1", {"tool_name": tool_name, "arguments": arguments})
        form = Form(ApprovalRequest(event, own))
        display(form.box)
        return form
"""


def test_many_arguments_are_one_field_after_the_first_fifty() -> None:
    in_local_kernel(f"""
        kernel.run({FORM!r})
        kernel.run("form = form_for('refund', {{f'name{{n}}': n for n in range(10_000)}})")
        kernel.wait_for_button("Show all of 9,950 more …")
        assert "<b>9,950 more arguments</b> JSON of" in "".join(kernel.shown())
        kernel.click("Approve")
        kernel.see("'still', form.response", "still None")
        kernel.click("Show all of 9,950 more …")
        kernel.wait(lambda: '&quot;name9999&quot;: 9999' in "".join(kernel.shown()), "whole value")
        kernel.click("Edit")
        kernel.wait(lambda: kernel._find("tooltip", "9,950 more arguments"), "editor")
        kernel.write("9,950 more arguments", "[1]")
        kernel.click("Approve")
        kernel.wait(lambda: "arguments take a JSON object" in "".join(kernel.shown()), "complaint")
        kernel.write("9,950 more arguments", '{{"name77": 78}}')
        kernel.write("name1", 2)
        kernel.click("Approve")
        kernel.see("dict(form.response.confirm)", "{{'name1': 2, 'name77': 78}}")
    """)


# ---- a place of its own --------------------------------------------------------------------


def test_a_place_for_approvals_takes_those_that_no_cell_waits_for() -> None:
    in_local_kernel(f"""
        kernel.run("from sessionlib import notebook; undo = notebook.approvals(session)")
        kernel.run({SEND!r})
        kernel.wait_for_button("Deny")
        kernel.write("reason, if you deny", "not <this> one")
        kernel.click("Deny")
        kernel.wait(lambda: {SETTLED.format("denied here: not &lt;this&gt; one")}, "denial")
        kernel.see("next(e for e in session.listen(timeout=30) if e.is_complete).text", "was denied: not <this> one")
        kernel.run("undo()")
        kernel.see("session.approvals[-1].by", "ask_notebook")
        assert "VBoxModel" not in [state["_model_name"] for state in kernel.widgets.values()]
        assert kernel.prompts == []
    """)
