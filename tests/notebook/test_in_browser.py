"""What agents write, in a real browser with a stranger who listens: nothing leaves the page, and nothing runs in it.

Three renderers: the HTML as it is, JupyterLab's with its sanitiser and its formulas, nbconvert's with its page.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support import profiles
from tests.support.processes import run_script

pytestmark = pytest.mark.timeout(6000)

COUNT = int(os.environ.get("SESSIONLIB_MARKDOWN_TEXTS", profiles.scaled(200)))
PATIENCE = 120 + COUNT / 20
SEED = int(os.environ.get("SESSIONLIB_MARKDOWN_SEED", "1"))

BEGIN = f"""
    import contextlib, logging, socket, threading
    from sessionlib.display.markup import markdown_html
    from tests.support.markdown_texts import texts

    logging.disable()
    called = []
    stranger = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{{stranger.getsockname()[1]}}"

    def listen():
        while True:
            try:
                caller, _ = stranger.accept()
            except OSError:
                return
            caller.settimeout(30)
            with contextlib.suppress(TimeoutError), caller:  # a browser may connect beforehand, and ask for nothing
                called.append(caller.recv(1000))

    threading.Thread(target=listen, daemon=True).start()
    pages = [markdown_html(text) for text in texts({COUNT}, {SEED}, url)]
    assert len(pages) == {COUNT}

    # Of each part of a page: what could run, load, or look like something of the page's own.
    INSPECT = r'''parts => {{
        const allowed = "P H1 H2 H3 H4 H5 H6 UL OL LI BLOCKQUOTE PRE CODE SPAN EM STRONG S A HR BR DIV " +
            "TABLE THEAD TBODY TR TH TD";
        const tags = new Set(allowed.split(" "));
        const harmless = {{
            href: /^(https?:|mailto:)/i, style: /^text-align: ?(left|right|center);?$/, class: /./, start: /^[0-9]+$/,
            target: /^_blank$/, rel: /^(no(opener|referrer|follow) ?)+$/,
        }};
        const isHarm = a => !harmless[a.name]?.test(a.value);
        const of = e => [
            ...(tags.has(e.tagName) ? [] : [e.tagName]),
            ...[...e.attributes].filter(isHarm).map(a => `${{e.tagName}} ${{a.name}}=${{a.value}}`),
        ];
        const within = part => [...part.querySelectorAll("*")].filter(e => !e.closest("mjx-container"));
        return parts.flatMap((part, n) => within(part).flatMap(of).map(harm => [n, harm]));
    }}'''

    @contextlib.contextmanager
    def opened_page():
        from playwright.sync_api import sync_playwright
        from tests.support.programs import need

        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=need("chromium"), args=["--no-sandbox"])
            yield browser.new_page()
            browser.close()

    def check(page):
        assert page.evaluate("window.harm") is None
        assert not called, called[:3]
"""


def test_the_html_itself(tmp_path: Path) -> None:
    source = """
    with opened_page() as page:
        requests = []
        page.on("request", lambda request: requests.append(request.url))
        page.set_content("<div id=all></div>")
        for start in range(0, len(pages), 200):
            batch = pages[start : start + 200]
            found = page.evaluate('''([batch, inspect]) => {
                const all = document.getElementById("all");
                // As a parser that runs scripts would have it, too: innerHTML alone runs none.
                const whole = batch.map(text => `<div>${text}</div>`).join("");
                all.replaceChildren(document.createRange().createContextualFragment(whole));
                return [all.children.length, eval(`(${inspect})`)([...all.children])];
            }''', [batch, INSPECT])
            assert found == [len(batch), []], (start, found)
        page.wait_for_timeout(300)
        check(page)
        assert not requests, requests[:3]
        # The stranger does hear what loads.
        page.set_content(f"<img src={url}/heard>")
        while not called:
            page.wait_for_timeout(20)
    """
    run_script(BEGIN + source, timeout=PATIENCE).check()


def test_the_page_that_nbconvert_exports(tmp_path: Path) -> None:
    source = f"""
    import pathlib
    import nbformat
    from nbconvert import HTMLExporter

    with opened_page() as page:
        requests = []

        def note(route):
            requests.append(route.request.url)
            route.abort() if not route.request.url.startswith("file:") else route.continue_()

        page.route("**/*", note)
        for start in range(0, len(pages), 1000):
            batch = pages[start : start + 1000]
            notebook = nbformat.v4.new_notebook()
            shows = [{{"text/html": f"<div class=ours>{{text}}</div>"}} for text in batch]
            outputs = [nbformat.v4.new_output("display_data", show) for show in shows]
            notebook.cells = [nbformat.v4.new_code_cell("", outputs=outputs)]
            html, _ = HTMLExporter().from_notebook_node(notebook)
            file = {str(tmp_path)!r} + "/page.html"
            pathlib.Path(file).write_text(html, "utf-8")
            page.goto("file://" + file)
            found = page.evaluate('''inspect => {{
                const parts = [...document.querySelectorAll(".ours")];
                return [parts.length, eval(`(${{inspect}})`)(parts)];
            }}''', INSPECT)
            assert found == [len(batch), []], (start, found)
            check(page)
        # The page's own scripts, which it names whatever is in it.
        own = ("file:", "https://cdnjs.cloudflare.com/", "https://cdn.jsdelivr.net/", "https://unpkg.com/")
        assert not [url for url in requests if not url.startswith(own)], requests[:5]
    """
    run_script(BEGIN + source, timeout=PATIENCE).check()


def test_jupyterlab(tmp_path: Path) -> None:
    source = f"""
    from tests.support.jupyterlab import Lab

    with Lab({str(tmp_path)!r}) as lab:
        page = lab.page
        requests, drawn = [], 0
        page.on("request", lambda request: requests.append(request.url))
        for start in range(0, len(pages), 200):
            batch = pages[start : start + 200]
            for trusted in (True, False):
                found = page.evaluate('''async ([batch, inspect, trusted]) => {{
                    const rendermime = window.jupyterapp.shell.currentWidget.content.rendermime;
                    const renderer = rendermime.createRenderer("text/html");
                    document.body.append(renderer.node);
                    // Formulas are drawn in what is attached to a page.
                    renderer.processMessage({{type: "after-attach"}});
                    const whole = [...batch, "<p>$x$</p>"].map(text => `<div>${{text}}</div>`).join("");
                    await renderer.renderModel(rendermime.createModel({{data: {{"text/html": whole}}, trusted}}));
                    const parts = [...renderer.node.children];
                    // They are drawn later, and the last of them last.
                    for (let waited = 0; !parts.at(-1).querySelector("mjx-container"); waited++) {{
                        if (waited > 6000) throw new Error("no formula is drawn");
                        await new Promise(next => setTimeout(next, 10));
                    }}
                    parts.pop();
                    const harm = eval(`(${{inspect}})`)(parts);
                    const loads = e => e.matches("[src], image, img, script, style, link, iframe")
                        || /url[(]/.test(e.getAttribute("style") || "")
                        || (e.hasAttribute("href") && !/^https?:/.test(e.getAttribute("href")));
                    const drawn = parts.flatMap(part => [...part.querySelectorAll("mjx-container *")]);
                    const loading = drawn.filter(loads).map(e => e.outerHTML);
                    renderer.node.remove();
                    return [parts.length, harm, loading, drawn.length];
                }}''', [batch, INSPECT, trusted])
                drawn += found.pop()
                assert found == [len(batch), [], []], (start, trusted, found)
        page.wait_for_timeout(500)
        check(page)
        assert not [asked for asked in requests if asked.startswith(url)], requests
        assert drawn  # formulas too
    """
    run_script(BEGIN + source, timeout=PATIENCE).check()
