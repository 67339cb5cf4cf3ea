"""Turns that are shown as they come: in cells as Markdown, bounded in rate and size; elsewhere as text."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessionlib.events import SessionEvent, SessionEventType
from sessionlib.notebook import sections
from sessionlib.notebook.sections import MAX_SECTION, Section, split_section
from sessionlib.notebook.views import CellView
from tests.support.kernel_scripts import in_local_kernel
from tests.support.markup import Seen
from tests.support.processes import run_script

Type = SessionEventType


def event(kind: SessionEventType, message_id: str = "m1", **data: object) -> SessionEvent:
    return SessionEvent(kind, "s1", message_id, dict(data))


def delta(text: str, message_id: str = "m1") -> SessionEvent:
    return event(Type.MESSAGE_DELTA, message_id, delta=text)


class Cell:
    """A cell on paper, with a clock of its own."""

    def __init__(self) -> None:
        self.now = 100.0
        self.drawn_at: list[float] = []
        self.sent = 0
        self.looks: list[str] = []
        self.view = CellView(self._place, lambda: self.now)

    def _place(self, markdown: str) -> Callable[[str], None]:
        self.looks.append("")
        at = len(self.looks) - 1

        def put(other: str) -> None:
            self.looks[at] = other
            self.sent += len(other)
            self.drawn_at.append(self.now)

        put(markdown)
        return put

    def stream(self, pieces: Iterator[str], seconds: float) -> None:
        """Takes pieces so many seconds apart, and draws when it is time, as who waits for them does."""
        for piece in pieces:
            end = self.now + seconds
            while (due := self.view.until_due()) is not None and self.now + due < end:
                self.now += due
                self.view.draw()
            self.now = end
            self.view.show(delta(piece))
        self.view.draw()


def paragraphs(words: int) -> Iterator[str]:
    for number in range(words):
        yield "word " if number % 60 else "\n\nword "


TEXTS: dict[str, Callable[[int], Iterator[str]]] = {
    "paragraphs": paragraphs,
    "one paragraph": lambda words: itertools.repeat("word ", words),
    "one word": lambda words: itertools.repeat("word", words),
    "one block of code": lambda words: itertools.chain(["```python\n"], itertools.repeat("x=1\n", words)),
    "tags": lambda words: itertools.repeat("<b> ", words),
}


@pytest.mark.parametrize("seconds", [0.0001, 0.01, 0.06])
@pytest.mark.parametrize("text", TEXTS)
def test_what_is_sent_to_the_front_end_grows_no_faster_than_the_text(
    text: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Sections of a tenth: as many of them come of a tenth of the words, in a hundredth of the time.
    monkeypatch.setattr(sections, "_ENOUGH", sections._ENOUGH // 10)
    monkeypatch.setattr(sections, "MAX_SECTION", MAX_SECTION // 10)
    sent = []
    sizes = (500, 2_000) if seconds < 0.05 else (500, 1_000)
    for words in sizes:
        cell = Cell()
        cell.stream(TEXTS[text](words), seconds)
        sent.append(cell.sent)
        span = cell.now - 100.0
        assert len(cell.drawn_at) <= 20 * span + 20 * words * 5 / sections.MAX_SECTION + 2
        assert "word" in cell.view.html or text in ("one block of code", "tags")
    assert sent[1] / sent[0] < 1.5 * sizes[1] / sizes[0]


def test_it_draws_at_most_twenty_times_a_second_and_soon() -> None:
    cell = Cell()
    cell.stream(itertools.repeat("word ", 400), 0.005)
    gaps = [later - sooner for sooner, later in itertools.pairwise(cell.drawn_at[:-1])]
    assert min(gaps) >= 0.0499
    assert max(gaps) <= 0.2501
    assert len(gaps) >= 10


@pytest.mark.parametrize("text", TEXTS)
def test_nothing_is_lost_or_said_twice(text: str) -> None:
    cell = Cell()
    cell.stream(TEXTS[text](5_000), 0.001)
    whole = "".join(TEXTS[text](5_000)).replace("```python", "")
    shown = Seen("".join(cell.looks)).text
    assert shown.split() == whole.split() or shown.replace("\n", "") == whole.replace("\n", "")
    assert cell.view.html == "".join(cell.looks)


def test_a_cell_has_few_outputs() -> None:
    cell = Cell()
    cell.stream(paragraphs(20_000), 0.001)
    assert len(cell.looks) <= 40  # front ends fold cells with more than some fifty


def test_a_whole_message_at_once_is_one_output() -> None:
    cell = Cell()
    cell.view.show(event(Type.MESSAGE_COMPLETE, text="".join(paragraphs(50_000))))
    cell.view.draw()
    assert len(cell.looks) <= 2
    assert cell.sent < 300_000


def test_a_section_ends_where_a_block_does() -> None:
    head = "# Title\n\n1. one\n\n   ```\n   x\n   ```\n\n2. two\n\n> quoted\n\n```\na\n\nb\n```\n\n"
    assert split_section(head + "The end") == (head, "The end")
    assert split_section("one paragraph\nof two lines") == ("one paragraph\nof two lines", "")
    assert split_section("```\ncode\n\nthat goes on") == ("```\ncode\n\nthat goes on", "")


def test_code_that_is_too_long_goes_on_as_code() -> None:
    head, rest = split_section("~~~python\n" + "x = 1\n" * MAX_SECTION)
    assert head.endswith("x = 1\n")
    assert rest.startswith("~~~python\nx = 1\n")


def test_a_line_takes_the_place_of_the_one_about_the_same() -> None:
    cell = Cell()
    for kind, more in (
        (Type.APPROVAL_REQUEST, {"arguments": {"order": "<7>"}}),
        (Type.TOOL_CALL, {"arguments": {"order": "<7>"}}),
        (Type.TOOL_RESULT, {"status": "complete", "output": "<script>alert(1)</script>" + "x" * 10_000}),
    ):
        cell.view.show(event(kind, str(kind), tool_name="refund", tool_call_id="c1", **more))
        cell.view.draw()
    assert cell.view.html.count("refund(order=") == 1
    assert "gave: &lt;script&gt;" in cell.view.html
    assert "<script" not in cell.view.html
    assert len(cell.view.html) < 6000


def test_a_line_changes_where_it_stands_when_its_section_has_ended() -> None:
    cell = Cell()
    call = {"tool_name": "refund", "tool_call_id": "c1"}
    cell.view.show(event(Type.TOOL_CALL, "t1", **call))
    cell.stream(paragraphs(5_000), 0.001)
    cell.view.show(event(Type.TOOL_RESULT, "t2", **call, status="complete", output="42"))
    cell.view.draw()
    assert "gave: 42" in cell.looks[0]


def test_an_error_and_a_thought_are_shown() -> None:
    cell = Cell()
    cell.view.show(event(Type.THINKING, "t1", content="first\nthis <b>", summary="first"))
    cell.view.show(event(Type.ERROR, "e1", error="it <broke>"))
    cell.view.draw()
    assert "thinks: first" in cell.view.html
    assert "first&#10;this &lt;b&gt;" in cell.view.html
    assert "error: it &lt;broke&gt;" in cell.view.html


def test_a_thought_grows_in_its_line_as_it_comes() -> None:
    cell = Cell()
    for index, part in enumerate(("Let me ", "see <b>.\n", "x" * 5000, "never shown")):
        cell.view.show(event(Type.THINKING, "t1", text=part, status="streaming", index=index))
        cell.view.draw()
        if index == 1:
            assert "thinks: Let me see &lt;b&gt;." in cell.view.html
    assert "never shown" not in cell.view.html
    cell.view.show(event(Type.THINKING, "t1", content="Let me see.", summary="Let me"))
    cell.view.draw()
    assert cell.view.html.count("thinks: ") == 1
    assert "thinks: Let me<" in cell.view.html


def test_a_message_begins_a_paragraph_of_its_own() -> None:
    section = Section()
    section.write("one")
    section.end_text()
    section.write("two")
    assert section.html() == "<p>one</p>\n<p>two</p>\n"


# ---- in a kernel ---------------------------------------------------------------------------


def test_an_answer_streams_into_its_cell_and_is_not_displayed_twice() -> None:
    in_local_kernel("""
        kernel.run("session.chat('Hello *you* <script>alert(1)</script>')")
        assert len(kernel.shows) == 1, kernel.shows
        assert 'Hello <em>you</em> &lt;script&gt;alert(1)&lt;/script&gt;' in kernel.markdown, kernel.markdown
        assert kernel.text == ""
        assert "You said" not in str(kernel.results[-1])
        assert "complete" in kernel.results[-1]["text/html"]
        kernel.run("_")
        assert "You said" in kernel.results[-1]["text/html"]  # in another cell it is displayed
        kernel.run('''reply = session.ask('/tool double {\\"x\\": 4}', show=True)''')
        assert "double(x=4)" in kernel.markdown and "gave: 8" in kernel.markdown
        kernel.run("assert reply.text == 'double gave: 8'")
        kernel.run("session.ask('Hello again')")
        assert "Hello again" in kernel.results[-1]["text/html"]
        assert "Hello again" not in kernel.markdown
    """)


def test_a_cell_that_is_slow_to_be_answered_shows_what_there_is(tmp_path: Path) -> None:
    go = tmp_path / "go"
    source = f"""
        import pathlib
        cell = kernel.start("session.chat('Hi')")
        kernel.wait(lambda: kernel.markdown == "<p>first</p>\\n", "beginning of the answer")
        pathlib.Path({str(go)!r}).touch()
        kernel.finish(cell)
        assert kernel.markdown == "<p>first second</p>\\n"
    """
    in_local_kernel(source, model=f"Says(Text('first'), until({str(go)!r}), Text(' second'))")


def test_twenty_thousand_pieces_do_not_hold_up_the_reader() -> None:
    source = """
        kernel.run('''
            import time
            from sessionlib.streams import mailbox
            mailbox.QUEUE_BYTES = 2**30  # or deltas would be joined, where they are read late
            def timed(**options):
                began = time.monotonic()
                reply = session.ask("go", **options)
                return reply, time.monotonic() - began
            quiet, quiet_seconds = timed()
            shown, shown_seconds = timed(show=True)
            print(len(shown.events), len(shown.text), quiet.text == shown.text, quiet_seconds, shown_seconds)
        ''')
        events, size, same, quiet, shown = kernel.text.split()[-5:]
        looks = [look for looks in kernel.shows.values() for look in looks]
        sent = sum(map(len, looks))
        assert int(events) >= 20_000 and same == "True"
        assert len(looks) <= 20 * float(shown) + len(kernel.shows) + 2, (len(looks), shown)
        assert sent <= 64 * int(size)
        assert len(kernel.shows) < 50
        assert kernel.markdown.replace("<p>", " ").replace("</p>", " ").split() == ("word " * 20_000).split()
        print(f"{quiet} s unseen, {shown} s shown, {len(looks)} updates, {len(kernel.shows)} outputs, {sent} chars")
    """
    pieces = "Says(*[Text('word ' if n % 60 else '\\n\\nword ') for n in range(20_000)])"
    print(in_local_kernel(source, model=pieces).stdout)


def test_stop_ends_the_call_and_not_the_session(tmp_path: Path) -> None:
    source = """
        cell = kernel.start("session.chat('Hi')")
        kernel.wait(lambda: "first" in kernel.markdown, "beginning of the answer")
        kernel.interrupt()
        kernel.wait_for_text("KeyboardInterrupt")
        kernel.see("session.state", "connected")
    """
    in_local_kernel(source, model=f"Says(Text('first'), until({str(tmp_path / 'never')!r}))")


# Prints, once the answer has begun, that the cell waits for the rest of it: Ctrl-C at any other moment shows frames.
# The cell's own stream is open before this one, so that whatever has come here has come there.
WATCHED = """
import sys, threading

def waits():
    frame = sys._current_frames()[threading.main_thread().ident]
    caller = frame.f_back.f_locals if frame.f_code.co_name == "acquire" else {}
    return "gate" in caller and caller["gate"] in caller["self"]._gates

def watch():
    while not waits():
        time.sleep(0.01)
    with session.listen(event_types=["message_delta"]) as deltas:
        open("GO", "w").close()
        next(deltas)
    while not waits():
        time.sleep(0.01)
    print("it waits", flush=True)

threading.Thread(target=watch).start()
"""


@pytest.mark.parametrize(
    "cell",
    [
        "session.ask('Hi')",
        "session.chat('Hi')",
        "for text in session.stream('Hi').text_stream: print(text)",
        "for event in events: print(event.delta)",
        'session.ask(\'/tool refund {"order": "7"}\', on_approval=wait)',
    ],
)
def test_a_stop_leaves_one_line(tmp_path: Path, cell: str) -> None:
    go = str(tmp_path / "go")
    asks = "def wait(request):\n    print('it waits', flush=True)\n    time.sleep(200)\n"
    begin = asks if "refund" in cell else WATCHED.replace("GO", go)
    if "events" in cell:
        begin = "events = session.listen()\nsession.send('Hi')\n" + begin
    source = f"""
        cell = kernel.start({begin + cell!r})
        kernel.wait_for_text("it waits")
        kernel.interrupt()
        print(kernel.failure(cell))
        kernel.see("session.state", "connected")
    """
    model = f"Says(until({go!r}), Text('first'), until({str(tmp_path / 'never')!r}))"
    told = in_local_kernel(source, model="'demo'" if "refund" in cell else model).stdout
    assert told == "KeyboardInterrupt: stopped; the session stays open\n"


def test_an_approval_in_a_cell_that_waits_is_asked_at_a_prompt() -> None:
    in_local_kernel("""
        kernel.run("session.chat('before')")
        kernel.run('''session.chat('/tool refund {\\"order\\": \\"7\\", \\"amount\\": 2.5}')''', "y")
        assert len(kernel.prompts) == 1
        assert 'refund(order="7", amount=2.5)' in kernel.markdown.replace("&quot;", '"').replace("&#95;", "_")
        assert "gave: 2.50 EUR refunded for order 7" in kernel.markdown
        kernel.see("ran, session.approvals[-1].by", "[('7', 2.5, False, [], 1)] ask_notebook")
        kernel.run('''session.chat('/tool refund {\\"order\\": \\"8\\"}', on_approval=lambda request: False)''')
        assert len(kernel.prompts) == 1
        kernel.see("session.approvals[-1].by", "<lambda>")
    """)


def test_ask_raises_where_nobody_decides_and_shows_what_is_asked() -> None:
    in_local_kernel("""
        kernel.run('''
            try:
                session.ask('/tool refund {"order": "7"}', show=True)
            except sessionlib.ApprovalRequiredError as error:
                waiting = error
            waiting.request
        ''')
        assert "needs an approval" in kernel.markdown
        assert "answer it with approve() or deny()" in kernel.results[-1]["text/html"]
        kernel.run("waiting.request.deny('no'); print(waiting.turn.result().text)")
        kernel.wait_for_text("The call of refund was denied: no")
    """)


def test_a_notebook_that_is_run_as_a_script_has_the_whole_in_its_outputs() -> None:
    source = """
        import nbformat
        from nbconvert import HTMLExporter
        from tests.support.kernel import run_notebook
        from tests.support.kernel_scripts import LOCAL

        notebook = nbformat.v4.new_notebook()
        cells = [LOCAL.replace("MODEL", "'demo'"), "session.chat('Hello *you* <script>alert(1)</script>')"]
        refund = '/tool refund {"order": "7"}'
        cells += [f"live = session.chat({refund!r}, wait=False)", "session"]
        cells += [f"print(session.ask({refund!r}, on_approval=sessionlib.ask_notebook).text)", "engine.close()"]
        notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
        run_notebook(notebook, timeout=240, startup_timeout=200)
        answer = notebook.cells[1].outputs[0].data["text/html"]
        assert "Hello <em>you</em> &lt;script&gt;alert(1)&lt;/script&gt;" in answer, answer
        assert "no person could be asked" in notebook.cells[2].outputs[-1].data["text/html"]
        assert "connected" in notebook.cells[3].outputs[0].data["text/html"]
        assert "no person could be asked: the notebook is run without anybody" in notebook.cells[4].outputs[0].text
        page = HTMLExporter().from_notebook_node(notebook)[0]
        assert "<em>you</em>" in page
        assert "<script>alert(1)" not in page
    """
    result = run_script(source, timeout=280)
    assert result.rc == 0, result


# ---- elsewhere -----------------------------------------------------------------------------

SCRIPT = """
    import sys
    from sessionlib.engine import LocalEngine, tool

    @tool
    def double(x: int) -> int:
        '''Double.'''
        return 2 * x

    with LocalEngine(tools=[double]) as engine, engine.agent().create_session() as session:
        reply = session.chat("Hello")
        print(repr(reply).partition(" events")[0])
        session.ask('/tool double {"x": 4}', show=True)
        session.chat("Bye", wait=False)
    assert not {"IPython", "ipywidgets"} & set(sys.modules)
"""


def test_in_a_script_it_prints_the_text() -> None:
    result = run_script(SCRIPT)
    assert result.rc == 0, result
    said, status, doubled, bye = result.stdout.splitlines()
    assert said.endswith('You said: "Hello"')
    assert status.startswith("Reply(status=complete, ")
    assert doubled == "double gave: 8"
    assert bye == 'You said: "Bye"'
    assert result.stderr.splitlines() == ["runs double(x=4)", "double gave: 8"]
