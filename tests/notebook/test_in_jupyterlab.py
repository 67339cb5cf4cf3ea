"""JupyterLab in a headless browser: what a person sees, and what a click does. The pictures are in ``tmp_path``."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

from tests.notebook.test_forms import FORM
from tests.support.kernel_scripts import LOCAL
from tests.support.processes import run_script
from tests.support.programs import need

pytestmark = pytest.mark.timeout(300)

MARKDOWN = r"""# A title

Some **bold** text and `code`, 1 < 2, and a [link](javascript:window.harm=1).

1. one
   ```python
   def f(x):
       return x < 1
   ```
2. two

| a | b |
| --- | --- |
| 1 | `<b>` |

```html
<p onclick="f()">hello</p>
```

<img src=x onerror="window.harm=1"><script>window.harm=1</script>
"""
LETTERS = "ABCDEFGHIJKL"


def in_lab(folder: Path, cells: list[str], source: str, *, model: str = "'demo'", options: str = "") -> str:
    """Runs a script with a notebook open in JupyterLab, called ``lab``, whose first cell has been run."""
    need("chromium")
    script = (
        "from tests.support.jupyterlab import Lab\n"
        f"with Lab({str(folder)!r}, *{[LOCAL.replace('MODEL', model), *cells]!r}{options}) as lab:\n"
        "    lab.run(0)\n" + textwrap.indent(textwrap.dedent(source), "    ") + "\n"
    )
    result = run_script(script, timeout=280)
    assert result.rc == 0, f"{result.stdout}\n{result.stderr}"
    return result.stdout


def outputs_of(folder: Path, number: int) -> list[dict[str, str]]:
    """What a cell of the saved notebook shows."""
    cell = json.loads((folder / "notebook.ipynb").read_text("utf-8"))["cells"][number]
    return [{kind: "".join(data) for kind, data in output.get("data", {}).items()} for output in cell["outputs"]]


def test_an_answer_streams_into_its_cell_without_flicker_and_runs_nothing(tmp_path: Path) -> None:
    picture = tmp_path / "streaming.png"
    source = f"""
        from playwright.sync_api import expect

        expect.set_options(timeout=120_000)
        lab.page.evaluate('''() => {{
            window.heights = [];
            const look = () => {{
                const cell = document.querySelectorAll(".jp-CodeCell")[1].querySelector(".jp-OutputArea");
                if (cell) window.heights.push(cell.getBoundingClientRect().height);
                requestAnimationFrame(look);
            }};
            look();
        }}''')
        lab.start(1)
        output = lab.output(1)
        output.get_by_text("Some bold text").wait_for()
        output.screenshot(path={str(tmp_path / "beginning.png")!r})
        # However seldom this machine draws a page: what follows waits for it.
        for letter in {LETTERS!r}:
            output.get_by_text(f"Paragraph {{letter}}").wait_for()
            lab.page.evaluate("() => new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
            open({str(tmp_path)!r} + "/" + letter, "w").close()
        output.get_by_text("The end.").wait_for()
        lab.wait_for_end(1)
        output.screenshot(path={str(picture)!r})
        assert output.locator("h1").inner_text().startswith("A title")
        assert output.locator("strong").inner_text() == "bold"
        expect(output.locator("td")).to_have_text(["1", "<b>"])
        expect(output.locator("pre").nth(1)).to_have_text('<p onclick="f()">hello</p>')
        assert output.locator("pre").first.locator("span").count() > 2, "code is not in colours"
        output.get_by_text("link").click()
        assert output.locator("img, script").count() == 0
        assert lab.page.evaluate("window.harm") is None
        heights = lab.page.evaluate("window.heights")
        shrunk = [(a, b) for a, b in zip(heights, heights[1:]) if b < a - 30]
        assert len(set(heights)) > 10, heights
        assert not shrunk, shrunk
        assert lab.page.locator(".jp-CodeCell").nth(1).locator(".jp-OutputArea-child").count() == 2
    """
    words = "[Text(p) for p in __import__('re').findall(r'\\s*\\S+', %r)]" % MARKDOWN  # noqa: UP031 - braces within
    pause = "(lambda stop: time.sleep(0.02))"
    paragraphs = ", ".join(f"Text('\\n\\nParagraph {a}'), until({str(tmp_path / a)!r})" for a in LETTERS)
    streamed = f"[step for piece in {words} for step in (piece, {pause})]"
    model = f"Says(*{streamed}, {paragraphs}, Text('\\n\\nThe *end*.'))"
    in_lab(tmp_path, ["session.chat('Go')"], source, model=model)
    assert picture.stat().st_size > 5_000


def test_a_click_approves_a_tool_and_the_form_says_who_decided(tmp_path: Path) -> None:
    call = '/tool refund {"order": "7", "amount": 12.5, "urgent": true, "lines": [1, 2], "count": 3}'
    cells = [
        "undo = session.on_approval(sessionlib.ask_notebook)",
        f"session.send('''{call}''')",
        # The tool runs after the click has been taken in, and the answer comes after that.
        "done = next(event for event in session.listen(timeout=30) if event.is_complete)\n"
        "print(ran, [(record.approved, record.by) for record in session.approvals])",
        "reply = session.get_messages()[-1]\nreply",
    ]
    source = f"""
        from playwright.sync_api import expect

        expect.set_options(timeout=120_000)

        lab.run(1)
        lab.run(2)
        output = lab.output(2)
        approve = output.get_by_role("button", name="Approve")
        approve.wait_for()
        assert lab.contrast(2)[0] >= 4.5, lab.contrast(2)  # in the light, as below in the dark
        output.screenshot(path={str(tmp_path / "before.png")!r})
        fields = output.locator("input")
        assert [fields.nth(n).input_value() for n in (0, 1, 3, 4)] == ["7", "12.5", "[1, 2]", "3"]
        assert fields.nth(2).is_checked()
        expect(output.get_by_role("button")).to_have_text(["Approve", "Always in this session", "Deny"])
        fields.nth(1).fill("13.25")
        fields.nth(1).press("Tab")
        approve.click()
        output.get_by_text("approved here").wait_for()
        assert lab.contrast(2)[0] >= 4.5, lab.contrast(2)
        output.screenshot(path={str(tmp_path / "after.png")!r})
        expect(output.get_by_role("button")).to_have_count(0)
        expect(output.locator("input")).to_have_count(0)
        expect(output.locator("pre")).to_have_text(["7", "13.25", "true", "[1, 2]", "3"])
        lab.run(3)
        lab.see(3, "[('7', 13.25, True, [1, 2], 3)] [(True, 'ask_notebook')]")
        lab.run(4)
        lab.see(4, "13.25 EUR refunded for order 7")
        lab.save()
        # Opened again, without its kernel and widgets, it shows what was decided.
        lab.reopen()
        lab.see(2, "approved here")
        assert lab.page.get_by_text("Error displaying widget").count() == 0
    """
    in_lab(tmp_path, cells, source)
    saved, widgets = outputs_of(tmp_path, 2)
    assert (list(saved), widgets) == (["text/html"], {"text/html": ""})
    assert (tmp_path / "before.png").stat().st_size > 3_000
    assert (tmp_path / "after.png").stat().st_size > 3_000


MAIL = "Dear board,\n\n" + "\n".join(f"line {n} of a letter that is rather long, so that it wraps" for n in range(40))


def test_a_form_can_be_read_and_used_at_any_width_in_the_light_and_in_the_dark(tmp_path: Path) -> None:
    lists = ["a@example.org", "b@example.org"]
    awkward = {"n" * 300: "x" * 3000, "שלום": "نص عربي " * 40, "emoji": "👨‍👩‍👧" * 50, "deep": {"a": {"b": ["y" * 99]}}}
    call = json.dumps({"order": MAIL, "amount": -123456789.12345, "urgent": True, "lines": lists, "count": 2**53 - 1})
    post = f"/tool refund {call}"
    cells = [
        f"live = session.chat({post!r}, wait=False)",
        f"undo = session.on_approval(sessionlib.ask_notebook)\nsession.send({post!r})",
        textwrap.dedent(FORM) + f"form = form_for({'t' * 300!r}, {awkward!r}, {'a' * 300!r})",
    ]
    source = f"""
        import nbconvert
        from playwright.sync_api import expect

        expect.set_options(timeout=120_000)

        def assert_contrast(number, name):
            for theme in ("light", "dark"):
                lab.use_theme(theme)
                lab.output(number).screenshot(path={str(tmp_path)!r} + f"/{{name}}-{{theme}}.png")
                assert lab.contrast(number)[0] >= 4.5, (theme, name, lab.contrast(number))

        def assert_fits(number):
            for width in (320, 600, 1200):
                lab.page.set_viewport_size({{"width": width, "height": 4000}})
                assert not lab.cut_off(number), (width, lab.cut_off(number))

        lab.run(1)
        output = lab.output(1)
        buttons = output.get_by_role("button")
        output.get_by_role("button", name="Deny").wait_for()
        assert output.get_by_role("button", name="Approve").is_disabled()
        for width in (320, 600, 1200):
            lab.page.set_viewport_size({{"width": width, "height": 2400}})
            lab.page.wait_for_timeout(300)
            expect(buttons).to_have_text(["Show all of order", "Edit", "Approve", "Always in this session", "Deny"])
            assert not lab.cut_off(1), (width, lab.cut_off(1))
            assert_contrast(1, f"asking-{{width}}")
        assert "line 39 of" not in output.inner_text()
        output.get_by_role("button", name="Show all of order").click()
        output.get_by_text("line 39 of a letter").first.wait_for()
        assert_fits(1)
        whole = output.locator("pre").first
        assert all(f"line {{n}} of" in whole.inner_text() for n in range(40))
        assert whole.bounding_box()["height"] > 42 * 14  # none of it behind a scroll bar
        output.get_by_role("button", name="Edit").nth(1).click()
        output.locator("textarea").fill("[1,")
        output.get_by_role("button", name="Approve").click()
        output.get_by_text("lines takes JSON").wait_for()
        assert_contrast(1, "complaint")
        output.locator("textarea").fill("[1]")
        output.get_by_role("button", name="Approve").click()
        lab.see(1, "EUR refunded for order")
        assert_contrast(1, "after")

        lab.run(3)
        lab.see(3, "Show all of nnn")
        assert_fits(3)
        lab.output(3).screenshot(path={str(tmp_path)!r} + "/awkward.png")

        # Another one stays open, and the notebook is opened again.
        lab.run(2)
        output = lab.output(2)
        output.get_by_role("button", name="Deny").wait_for()
        kept = output.get_by_text("not answered when this was saved")
        assert kept.count() == 1 and not kept.is_visible()
        lab.save()
        lab.reopen()
        for theme in ("light", "dark"):
            exported, _ = nbconvert.HTMLExporter(theme=theme).from_filename(str(lab.path))
            lab.path.with_name(f"{{theme}}.html").write_text(exported, "utf-8")
        for place in ("lab", "light", "dark"):
            kept.wait_for()
            for width in (320, 600, 1200):
                lab.page.set_viewport_size({{"width": width, "height": 1000}})
                assert not lab.cut_off(2), (place, width, lab.cut_off(2))
                if place == "lab":
                    assert_contrast(2, f"reopened-{{width}}")
                output.screenshot(path={str(tmp_path)!r} + f"/{{place}}-{{width}}.png")
                assert lab.contrast(2)[0] >= 4.5, (place, width, lab.contrast(2))
            shown = output.inner_text().strip()
            assert shown.startswith('The agent asked to run "refund" for agent "Assistant":'), shown
            assert "idget" not in shown and "VBox" not in shown, shown
            assert output.locator("button, input, textarea").count() == 0
            output.locator("summary").click()
            assert all(f"line {{n}} of" in output.inner_text() for n in range(40))
            lab.page.route(lambda address: not address.startswith("file:"), lambda route: route.abort())
            following = "light" if place == "lab" else "dark"
            lab.page.goto("file://" + str(lab.path.with_name(f"{{following}}.html")))
    """
    in_lab(tmp_path, cells, source)


def test_a_chat_goes_on_beside_the_cells_is_saved_and_has_a_timeline(tmp_path: Path) -> None:
    cells = [
        """live = session.chat('/tool refund {"order": "7", "amount": 12.5}', wait=False)\nlive""",
        "session",
        "print(live.reply)",
        "axes = live.reply.plot()",
    ]
    source = f"""
        lab.run(1)
        output = lab.output(1)
        output.get_by_role("button", name="Deny").wait_for()
        lab.run(2)
        lab.see(2, "1 approval, 1 open")
        output.screenshot(path={str(tmp_path / "asking.png")!r})
        output.get_by_placeholder("reason, if you deny").fill("not <this> one")
        output.get_by_role("button", name="Deny").click()
        output.get_by_text("The call of refund was denied: not <this> one").wait_for()
        lab.see(1, "was denied: not <this> one · denied here")
        output.locator("summary").click()
        output.screenshot(path={str(tmp_path / "denied.png")!r})
        lab.run(3)
        lab.see(3, "was denied: not <this> one")
        lab.run(4)
        timeline = lab.output(4).locator("img")
        timeline.wait_for()
        lab.output(4).screenshot(path={str(tmp_path / "timeline.png")!r})
        size = timeline.bounding_box()
        assert size["width"] > 300 and size["height"] > 80, size
        lab.save()
    """
    in_lab(tmp_path, cells, source)
    saved, _ = outputs_of(tmp_path, 1)
    assert "The call of refund was denied: not &lt;this&gt; one" in saved["text/html"]
    assert "was denied: not &lt;this&gt; one · denied here" in saved["text/html"]
    assert "image/png" in outputs_of(tmp_path, 4)[-1]


def test_twenty_thousand_pieces_are_rendered_in_a_cell(tmp_path: Path) -> None:
    pieces = "Says(*[Text('word ' if n % 60 else '\\n\\nword ') for n in range(20_000)])"
    source = """
        lab.run(1)
        output = lab.output(1)
        lab.page.wait_for_function(
            "() => document.querySelectorAll('.jp-CodeCell')[1].innerText.split('word').length > 20000"
        )
        assert output.locator(".jp-OutputArea-child").count() < 50
        assert output.get_by_text("Show more outputs").count() == 0
    """
    in_lab(tmp_path, ["session.chat('Go')"], source, model=pieces)
