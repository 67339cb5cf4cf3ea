"""Ready-made approval handlers: policies, and asking on a terminal."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import signal
import sys
import textwrap
import time
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionlib import (
    ApprovalRequest,
    ApprovalResponse,
    Session,
    SessionEvent,
    SessionEventType,
    approval_policy,
    approve_all,
    approve_tools,
    ask_console,
    deny_all,
)
from sessionlib._util.text import cell_width, printable
from sessionlib.approvals.policies import _MARGIN, _behind_margin, _pages, _size, quoted
from tests.support.processes import run_script
from tests.support.script_engine import ScriptEngine
from tests.support.shop import Shop, order
from tests.support.terminal import Terminal
from tests.support.threads import in_threads
from tests.support.toolbox import Toolbox, connect

pytestmark = pytest.mark.traced_processes

CALLS = '/tool search_web {"query": "x"}\n/tool delete_file {"name": "x"}\n' + order(7)


def request_for(tool_name: str, **arguments: Any) -> ApprovalRequest:
    """A request as a handler gets it."""
    data = {"tool_name": tool_name, "arguments": arguments}
    event = SessionEvent(SessionEventType.APPROVAL_REQUEST, "s1", "r1", data)
    return ApprovalRequest(event, Session(session_id="s1", api_key="k", base_url="http://127.0.0.1:9"))


def ran(shop: Shop) -> list[str]:
    """What ran, by name: tools of one step run at the same time, in no order."""
    return sorted(name for name, *_ in shop.ran)


# ---- policies ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("handlers", "allowed", "denials"),
    [
        ([approve_all], ["delete_file", "refund", "search_web"], 0),
        ([deny_all], [], 3),
        # which leaves the others to the next handler
        ([approve_tools("refund", "search_*"), deny_all], ["refund", "search_web"], 1),
    ],
    ids=["approve_all", "deny_all", "approve_tools"],
)
def test_ready_made_handlers(
    shop: Shop, session: Session, handlers: list[Any], allowed: list[str], denials: int
) -> None:
    for handler in handlers:
        session.on_approval(handler)
    text = session.ask(CALLS, timeout=30).text
    assert text.count("no tool may run that needs an approval") == denials
    assert ran(shop) == allowed


def test_a_policy_allows_denies_and_asks(shop: Shop, session: Session) -> None:
    asked: list[str] = []
    session.on_approval(approval_policy({"search_*": "allow", "delete_*": "deny", "*": "ask"}))
    session.on_approval(lambda request: asked.append(request.tool_name) or False)
    text = session.ask(CALLS, timeout=30).text
    assert (ran(shop), asked) == (["search_web"], ["refund"])
    assert "the policy does not allow delete_file" in text


def test_a_policy_may_name_who_is_asked(shop: Shop, session: Session) -> None:
    answer = ApprovalResponse(True, confirm={"amount": 4})
    session.on_approval(approval_policy({"*": "ask"}, ask=lambda request: answer))
    session.ask(order(7), timeout=30)
    assert shop.ran == [("refund", 7, 4.0)]


def test_deny_goes_before_allow_and_allow_before_ask() -> None:
    decide = approval_policy({"a*": "allow", "*z": "deny", "ab*": "ask", "**": "ask"})
    assert decide(request_for("abc")) is True
    denied = decide(request_for("abz"))
    assert isinstance(denied, ApprovalResponse)
    assert not denied.approved
    assert decide(request_for("other")) is None


@pytest.mark.parametrize("rest", ["allow", "deny", "ask"])
def test_a_star_is_for_what_no_other_rule_names(rest: Any) -> None:
    decide = approval_policy({"*": rest, "search": "allow", "delete": "deny"})
    assert decide(request_for("search")) is True
    assert decide(request_for("delete")) == ApprovalResponse(False, deny_reason="the policy does not allow delete")
    assert (decide(request_for("other")) is True) == (rest == "allow")


def test_without_a_fitting_rule_the_next_handler_decides() -> None:
    for handler in (approval_policy({"search": "allow"}), approval_policy({}), approve_tools()):
        assert handler(request_for("refund")) is None


@pytest.mark.parametrize(
    "name",
    [
        *("Delete_All", "DELETE_all", "delete-all", "ｄｅｌｅｔｅ_all", "dele\u200bte_all", "delete\u2060_all"),
        *(
            "delete_all\ufe0f",
            "\u0064\u0435lete_all",
            "d\u0435l\u0435t\u0435_all",
            "\u0440\u0430\u0443",
            "del\u0435te_*",
        ),
    ],
)
def test_a_look_alike_gets_the_stricter_rule(name: str) -> None:
    for rest in ("allow", "ask"):
        decision = approval_policy({"delete_*": "deny", "*": rest})(request_for(name))
        assert decision is None or not decision.approved, name
    assert approval_policy({"delete_*": "ask", "*": "allow"})(request_for(name)) is None
    assert approve_tools("*")(request_for(name)) in ((True,) if name.isascii() else (None,))
    assert approval_policy({name: "allow", "*": "deny"})(request_for(name)) is True


REFUNDS = [
    *("Refund", "REFUND", "refund ", "re fund", "re\u200bfund", "ref\u00adund", "refund\u2060", "ref\U000e0041und"),
    *("ｒｅｆｕｎｄ", "𝓻𝓮𝓯𝓾𝓷𝓭", "ⓡⓔⓕⓤⓝⓓ", "ʀeꜰund", "refu\u1e47d", "refun\u0111"),
    *("r\u0435fund", "\u0433\u0435fu\u0578\u0501", "\u13a1EFUND"),
]


@pytest.mark.parametrize("name", REFUNDS)
def test_a_rule_for_a_name_denies_whatever_looks_like_it_and_allows_it_alone(name: str) -> None:
    assert not approval_policy({"refund": "deny", "*": "allow"})(request_for(name)).approved
    assert approval_policy({"refund": "ask", "*": "allow"})(request_for(name)) is None
    assert approval_policy({"refund": "allow"})(request_for(name)) is None
    assert approve_tools("refund", "refun?")(request_for(name)) is None
    # Either may be the one that is written in another way.
    assert not approval_policy({name: "deny", "*": "allow"})(request_for("refund")).approved


def test_ascii_has_look_alikes_too_and_a_range_stays_one() -> None:
    for pattern, name in [("pay_all", "pay_a1I"), ("modify", "rnodify"), ("order_0", "order-O"), ("x_[a-c]", "X-B")]:
        assert approval_policy({pattern: "ask", "*": "allow"})(request_for(name)) is None, name
        assert approval_policy({pattern: "allow"})(request_for(name)) is None, name
    assert approval_policy({"Refund": "allow"})(request_for("refund")) is None, "case counts"
    for pattern, name in [("x_[a-c]", "x_d"), ("search", "serch"), ("refund", "refunds"), ("退款", "退货")]:
        assert approval_policy({pattern: "deny"})(request_for(name)) is None, name


def test_a_rule_of_another_kind_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="the rule for 'a' is 'maybe'"):
        approval_policy({"a": "maybe"})


@given(st.text())
def test_nothing_that_is_shown_can_move_the_cursor_or_hide(text: str) -> None:
    assert printable(text).isprintable()


def test_what_is_shown_can_still_be_read() -> None:
    assert printable("Grüße, 世界") == "Grüße, 世界"
    assert printable("a\x1b[2Jb\u202ec\x9b1m") == r"a\x1b[2Jb\u202ec\x9b1m"


# ---- the terminal --------------------------------------------------------------------------

SCRIPT = """
    import sys
    from sessionlib import Session, ask_console

    with Session(session_id="s1", api_key="k", base_url=sys.argv[1]) as session:
        session.on_approval(ask_console, timeout=float(sys.argv[3]) if sys.argv[3:] else None)
        for _ in range(int(sys.argv[2])):
            try:
                print("answer:", session.ask("run refund").text, flush=True)
            except KeyboardInterrupt:
                print("interrupted", flush=True)
            except TimeoutError as error:
                print(error)
        for record in session.approvals:
            print("record:", record.approved, record.confirm, record.deny_reason, record.by)
"""
PROMPT = "[d]eny"


def test_a_person_decides_at_the_prompt(engine: ScriptEngine, tmp_path: Path) -> None:
    toolbox = Toolbox(engine)
    with Terminal.script(tmp_path, SCRIPT, engine.base_url, "6") as terminal:
        assert 'The agent asks to run "refund":\n  "order" = 7\n' in terminal.wait_for(PROMPT)
        terminal.enter("y", PROMPT, 2)
        terminal.enter("perhaps", PROMPT, 3)
        terminal.enter("NO", PROMPT, 4)
        terminal.enter("edit", '"order" [7]:')
        terminal.enter("12", PROMPT, 5)
        terminal.enter("d", "Reason:")
        terminal.enter("far too late", PROMPT, 6)
        shown = terminal.enter("a", "ended with 0")
    assert shown.count("answer: done") == 6
    assert shown.split("record: ")[1:-1] == [
        "True None None ask_console\n",
        "False None None ask_console\n",
        "True {'order': 12} None ask_console\n",
        "False None far too late ask_console\n",
        "True None None ask_console\n",
    ]
    assert "True None None remembered" in shown
    assert toolbox.given == [{"order": 7}, {"order": 12}, {"order": 7}, {"order": 7}]


@pytest.mark.parametrize(
    ("key", "shown", "reason"),
    [
        ("C-c", "interrupted", "the approval handler failed: KeyboardInterrupt"),
        (
            "C-d",
            "\nDenied: the person has closed the input at the question (Ctrl-D).\n",
            "the person has closed the input at the question (Ctrl-D)",
        ),
    ],
)
def test_a_key_that_ends_the_question_denies(
    engine: ScriptEngine, tmp_path: Path, key: str, shown: str, reason: str
) -> None:
    toolbox = Toolbox(engine)
    with Terminal.script(tmp_path, SCRIPT, engine.base_url, "2") as terminal:
        terminal.wait_for(PROMPT)
        terminal.press(key)
        terminal.wait_for(shown)
        terminal.wait_for(PROMPT, 2)
        terminal.enter("y", "ended with 0")
    assert toolbox.ran == {"refund": 1}
    assert toolbox.denied == [reason]


@pytest.mark.parametrize("redirect", ["<&-", "</dev/null"])
def test_without_a_standard_input_it_denies_and_says_why(engine: ScriptEngine, tmp_path: Path, redirect: str) -> None:
    toolbox = Toolbox(engine)
    with Terminal.script(tmp_path, SCRIPT, engine.base_url, "1", redirect=redirect) as terminal:
        assert "answer: done" in terminal.wait_for("ended with 0")
    assert not toolbox.ran
    assert toolbox.denied == ["no person could be asked: there is no terminal to ask on"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("begin", "stdin"),
    [
        *(("import sys; sys.stdin = None", "y\n"), ("import sys; sys.stdin.close()", "y\n")),
        *(("", ""), ("", "what\n"), ("", "e\n"), ("", "d\n")),
        ("", "y\n"),  # a pipe is no person, whatever comes of it
    ],
)
def test_a_standard_input_that_ends_or_is_gone_denies(engine: ScriptEngine, begin: str, stdin: str) -> None:
    toolbox = Toolbox(engine)
    result = run_script(f"{begin}\n{textwrap.dedent(SCRIPT)}", engine.base_url, "1", stdin=stdin).check()
    assert "no person could be asked" in result.stdout
    assert not toolbox.ran


@pytest.mark.parametrize(
    ("typed", "confirm"),
    [
        (["", "", "", "", "", ""], {}),
        (["7", "7", '["y"]', "1", "null", "x"], {"name": "7", "count": 7, "tags": ["y"], "flag": 1, "note": None}),
        (["{}", "many", "", "false", "no", ""], {"name": "{}", "count": "many", "flag": False, "note": "no"}),
    ],
)
def test_arguments_are_edited_one_by_one(
    engine: ScriptEngine, tmp_path: Path, typed: list[str], confirm: dict[str, Any]
) -> None:
    bad = "\x1b[2Jbad\u202e"
    arguments = {"name": "a b", "count": 3, "tags": ["x"], "flag": True, "note": None, bad: "\x1b]0;"}
    with asking(tmp_path, engine, arguments, "data['tool_name'] = 'ed\\x1b[8mit'") as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("e")
        for number, text in enumerate(typed):
            terminal.wait_for("]:", number + 1)
            terminal.type(text)
        shown = terminal.wait_for("ended with 0")
    assert f"with: { ({**confirm, **({bad: 'x'} if typed[-1] else {})})!r}\n" in shown
    assert '"ed\\u001b[8mit"' in shown


ASK = """
    import json, sys
    from sessionlib import Session, SessionEvent, ApprovalRequest, ask_console

    session = Session(session_id="s1", api_key="k", base_url=sys.argv[1]).connect()
    data = {"tool_name": "refund", "arguments": json.loads(sys.argv[2])}
    request = ApprovalRequest(SessionEvent("approval_request", "s1", "r1", data), session)
    CHANGE
    response = ask_console(request)
    print(f"answered: {response.approved}, with: {response.confirm}")
    session.disconnect()
"""


def asking(
    folder: Path, engine: ScriptEngine, arguments: dict[str, Any], change: str = "", columns: int = 80
) -> Terminal:
    script = folder / "script.py"
    script.write_text(textwrap.dedent(ASK.replace("CHANGE", change)))
    command = shlex.join([sys.executable, str(script), engine.base_url, json.dumps(arguments)])
    return Terminal(folder, command, size=(columns, 24))


def test_pasted_text_does_not_answer(engine: ScriptEngine, tmp_path: Path) -> None:
    with asking(tmp_path, engine, {"amount": 1}) as terminal:
        terminal.wait_for(PROMPT)
        terminal.paste("y\ny\n")
        terminal.press("Enter")
        terminal.wait_for(PROMPT, 2)
        assert "answered" not in terminal.shown()
        terminal.enter("n", "answered: False")


def test_a_value_cannot_imitate_an_argument(engine: ScriptEngine, tmp_path: Path) -> None:
    note = "all fine" + " " * 100 + '  "amount" = 5.0' + "\n" + '  "amount" = 5.0' + "\n" * 60 + "end"
    with asking(tmp_path, engine, {"amount": 5000, "note": note, 'to = "boss"': "x"}) as terminal:
        shown = terminal.wait_for(PROMPT)
        screen = shown.splitlines()[-20:]
        assert len([line for line in screen if line.startswith('  "amount"')]) == 1
        assert '  "amount" = 5000' in screen
        assert any(line.startswith('  "note": text of ') for line in screen)
        assert any(r"all fine\x20{" in line for line in screen)
        assert any(line.startswith(r'  "to = \"boss\""') for line in screen)
        assert 'Run "refund"' in shown
        terminal.type("v")
        for page in range(2):
            terminal.wait_for("Enter shows them, [q]uit:", page + 1)
            terminal.type("")
        assert "    | end" in terminal.wait_for(PROMPT, 2)
        terminal.enter("y", "answered: True")


def test_more_arguments_than_fit_are_shown_page_by_page(engine: ScriptEngine, tmp_path: Path) -> None:
    with asking(tmp_path, engine, {f"name{number}": number for number in range(40)}) as terminal:
        for page in range(2):
            terminal.wait_for("More arguments follow", page + 1)
            terminal.type("")
        assert '"name39" = 39' in terminal.wait_for(PROMPT)
        terminal.enter("y", "answered: True")


def test_a_request_that_changes_is_asked_again(engine: ScriptEngine, tmp_path: Path) -> None:
    # Not by print: the signal may come while the prompt is written, and a stream refuses a write within a write.
    note = "(data['arguments'].update(amount=5000), __import__('os').write(1, b'changed'))"
    change = f"__import__('signal').signal(10, lambda *_: {note})"
    with asking(tmp_path, engine, {"amount": 5}, f"print(__import__('os').getpid(), 'asks'); {change}") as terminal:
        shown = terminal.wait_for(PROMPT)
        os.kill(int(shown.split(" asks")[0].split()[-1]), signal.SIGUSR1)
        terminal.wait_for("changed")
        assert '"amount" = 5000' in terminal.enter("y", PROMPT, 2)
        terminal.enter("y", "answered: True")


ARGUMENTS = st.dictionaries(
    st.text(min_size=1, max_size=30), st.one_of(st.integers(), st.text(max_size=300)), max_size=8
)


@given(ARGUMENTS, st.integers(40, 120))
def test_each_name_has_one_line_and_no_line_is_folded_by_the_terminal(arguments: dict[str, Any], columns: int) -> None:
    for page in _pages(arguments, columns, 16):
        assert len(page) <= 16 or len(page) <= 3
        assert all(line.isprintable() for line in page)
        assert all(cell_width(line) < columns for line in page if line.startswith(_MARGIN))
    lines = [line for page in _pages(arguments, columns, 16) for line in page]
    heads = [line for line in lines if line.startswith('  "')]
    assert len(heads) == len(arguments)
    for head, name in zip(heads, arguments, strict=True):
        # Whole, or cut where it does not fit, with its length.
        cut = head.partition('…" (')[0]
        whole = f"  {quoted(name, 10**6)}"
        assert head.startswith(whole) or (whole.startswith(cut) and f"({len(name)} c" in head)


def test_one_person_is_asked_one_question_at_a_time(engine: ScriptEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once, most = [0], [0]

    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

        def readline(self, size: int = -1) -> str:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
            time.sleep(0.05)
            at_once[0] -= 1
            return "n\n"

    monkeypatch.setattr("sys.stdin", Screen())
    monkeypatch.setattr("sys.stdout", Screen())
    with connect(engine) as session:
        request = request_for("refund")
        request.session = session
        with in_threads(*[lambda: ask_console(request)] * 5):
            """All at once."""
    assert most == [1]


@pytest.mark.slow
def test_an_answer_that_comes_too_late_is_told(engine: ScriptEngine, tmp_path: Path) -> None:
    toolbox = Toolbox(engine)
    with Terminal.script(tmp_path, SCRIPT, engine.base_url, "1", "2.0") as terminal:
        terminal.wait_for(PROMPT)
        engine.wait_for("post_message", 2)  # the denial
        shown = terminal.enter("y", "ended with 0")
    assert "This came too late: the request was answered meanwhile." in shown
    assert "took longer than 2 s" in shown
    assert not toolbox.ran


# ---- what could be hidden ------------------------------------------------------------------

ALIKE = "n" * 100


def test_names_that_begin_alike_are_told_apart_and_shown_whole_on_request(engine: ScriptEngine, tmp_path: Path) -> None:
    arguments = {f"{ALIKE}1": 1, f"{ALIKE}2": 2}
    with asking(tmp_path, engine, arguments) as terminal:
        screen = terminal.wait_for(PROMPT)
        assert re.findall(r'  "n+…" \((.*)\): JSON of 1 character, 1 line', screen) == [
            "101 characters, argument 1",
            "101 characters, argument 2",
        ]
        whole = terminal.enter("v", PROMPT, 2).replace(f"\n{_MARGIN}", "")
        assert f'  The name of argument 1:"{ALIKE}1"\n' in whole
        assert f'  The name of argument 2:"{ALIKE}2"\n' in whole
        terminal.enter("n", "answered: False")


@given(st.sets(st.text(alphabet=st.one_of(st.characters(codec="utf-8"), st.sampled_from("ae\u0301\xe9\u0430\\u")))))
def test_no_two_names_look_the_same(names: set[str]) -> None:
    assert len({unicodedata.normalize("NFC", quoted(name, 10**6)) for name in names}) == len(names)


def test_names_that_differ_in_how_they_are_encoded_look_different() -> None:
    alike = ["\xe9", "e\u0301", "a", "\u0430", "pay", "\u0440\u0430\u0443", "\uff50ay", "K", "\u212a"]
    assert len({unicodedata.normalize("NFKC", quoted(name)) for name in alike}) == len(alike)


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_a_question_is_folded_at_words_and_leaves_no_argument_above_the_screen(
    engine: ScriptEngine, tmp_path: Path, columns: int
) -> None:
    arguments = {f"name{number}": number for number in range(30)}
    with asking(tmp_path, engine, arguments, "session.agent_name = 'Support of the north'", columns) as terminal:
        terminal.wait_for("[n]o:")
        first = terminal.screen()
        terminal.enter("", PROMPT)
        screens = first, terminal.screen()
        terminal.enter("n", "answered: False")
    assert first[1] == 'The agent asks to run "refund":'
    for lines, rest in zip(
        screens, ("Page 1 of 2. More arguments follow:", "[y]es, [n]o, [v]iew in full,"), strict=True
    ):
        question = [at for at, line in enumerate(lines) if line.startswith("Run")][-1]
        asked = " ".join(filter(None, lines[question:]))
        assert asked.startswith(f'Run "refund" for agent "Support of the north"? {rest}')
    for name, number in arguments.items():
        assert any(f'  "{name}" = {number}' in lines for lines in screens), screens


def test_what_is_written_from_right_to_left_has_lines_of_its_own() -> None:
    arguments = {"שלום": 5, "note": "שלום 7", "more": {"שלום": "עולם", "b": 1}}
    lines = [line for page in _pages(arguments, 80, 20) for line in page]
    assert lines[:3] == ['  "שלום": JSON of 1 character, 1 line', "    | 5", '  "note" = "שלום 7"']
    assert lines[4:] == ["    | {", '    |   "שלום": "עולם",', '    |   "b": 1', "    | }"]


def test_nested_values_are_indented() -> None:
    value = {"to": {"names": ["x" * 40, {"deep": " " * 5}]}, "b": "y" * 40}
    (page,) = _pages({"message": value}, 80, 40)
    lines = json.dumps(value, indent=2).replace(f'"{" " * 5}"', r'"\x20{5}"').split("\n")
    assert page[1:] == [_MARGIN + line for line in lines]


@given(st.text(alphabet="ab 漢é", max_size=400), st.integers(20, 100))
def test_a_value_is_folded_without_loss(text: str, columns: int) -> None:
    lines = [line.removeprefix(_MARGIN) for line in _behind_margin([text], columns)]
    assert "".join(lines) == text
    width = columns - len(_MARGIN) - 1
    for line in lines[:-1]:
        # It ends behind a space, or is as wide as can be.
        assert line.endswith(" ") or cell_width(line) >= width - 1
        assert columns // 2 <= cell_width(line) <= width


def test_a_question_is_on_the_screen_wherever_the_output_goes(engine: ScriptEngine, tmp_path: Path) -> None:
    toolbox = Toolbox(engine)
    with Terminal.script(tmp_path, SCRIPT, engine.base_url, "1", redirect="> out.txt") as terminal:
        assert '  "order" = 7' in terminal.wait_for(PROMPT)
        terminal.enter("y", "ended with 0")
    assert toolbox.given == [{"order": 7}]
    assert (tmp_path / "out.txt").read_text().startswith("answer: done\n")


def test_a_terminal_that_is_written_to_in_ascii_shows_the_rest_as_escapes(engine: ScriptEngine, tmp_path: Path) -> None:
    change = "sys.stdout.reconfigure(encoding='ascii')"
    with asking(tmp_path, engine, {"\u540d": "\xe9", "note": "\u6f22 " * 99}, change) as terminal:
        shown = terminal.wait_for(PROMPT)
        assert '  "\\u540d" = "\\xe9"\n' in shown
        # Folded as it is written: no terminal folds it again.
        assert "\n".join(terminal.screen()).rstrip() == shown.rstrip()
        terminal.enter("y", "answered: True")


def test_a_terminal_whose_size_is_not_set_has_that_of_most(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.openpty()
    with open(theirs, "w") as screen:
        monkeypatch.setattr("sys.stdout", screen)
        found = _size()
        monkeypatch.undo()
    os.close(ours)
    assert found == (80, 24)
