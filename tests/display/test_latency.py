"""How long the answers of a batch took: percentiles, tables and the picture of it."""

from __future__ import annotations

import csv
import io
import pickle
from collections.abc import Iterator

import matplotlib as mpl
import pytest
from matplotlib import pyplot

from sessionlib import Agent, ConversationalAgentRunResult, Latencies, Latency, latencies
from sessionlib.engine import LocalEngine, tool


@pytest.fixture(autouse=True)
def _no_window() -> Iterator[None]:
    with mpl.rc_context({"backend": "agg"}):
        yield
        pyplot.close("all")


@tool(approval="requires_approval")
def refund() -> str:
    """Refund an order."""
    return "refunded"


@pytest.fixture
def agent() -> Iterator[Agent]:
    with LocalEngine(tools=[refund]) as engine:
        yield engine.agent(name="Assistant")


def answers(*milliseconds: float) -> Latencies:
    return Latencies(Latency(number / 4000, number / 1000) for number in milliseconds)


def test_results_of_a_map_have_times(agent: Agent) -> None:
    results = list(agent.map(["one", "two", "/tool refund {}"], on_error="return"))
    summed = latencies(results)
    assert [one.error is None for one in summed.each] == [True, True, False]
    assert "approval" in str(summed.each[2].error)
    assert summed.failures == 1
    for one, result in zip(summed.each, results[:2], strict=False):
        assert isinstance(result, ConversationalAgentRunResult)
        assert one.duration == result.duration
        assert one.first_delta == result.first_delta
        # 0 where the first piece was there before the post had returned.
        assert result.first_delta is not None
        assert result.duration is not None
        assert 0 <= result.first_delta <= result.duration
        assert result.duration > 0
        copy = pickle.loads(pickle.dumps(result))
        assert (copy.duration, copy.first_delta) == (result.duration, result.first_delta)
        assert ConversationalAgentRunResult.from_json(result.to_json()) == result


def test_replies_have_times_too(agent: Agent) -> None:
    with agent.create_session() as session:
        replies = [session.ask("one"), session.ask("two")]
    run = agent.run("three")
    summed = latencies([*replies, run])
    assert summed.failures == 0
    assert [one.duration for one in summed.each] == [*(reply.duration for reply in replies), run.duration]
    assert [one.first_delta for one in summed.each] == [*(reply.first_delta for reply in replies), run.first_delta]


def test_percentiles_are_times_that_were_measured() -> None:
    hundred = answers(*range(100, 0, -1))
    told = [hundred.percentile(percent) for percent in (1, 50, 90, 99, 99.5, 100)]
    assert told == [0.001, 0.05, 0.09, 0.099, 0.1, 0.1]
    assert hundred.percentile(50, "first delta") == 0.0125
    assert answers(7).percentile(1) == 0.007
    assert answers().percentile(50) is None
    for wrong in (0, 101, -1):
        with pytest.raises(ValueError, match="percent takes"):
            hundred.percentile(wrong)


def test_failures_are_in_no_percentile() -> None:
    told = ConversationalAgentRunResult("", "s1", "error", "out of tea")
    silent = ConversationalAgentRunResult("", "s1", "error")
    fine = ConversationalAgentRunResult("Hi", "s1", "complete")
    told.duration, silent.duration, fine.duration = 9.0, 9.0, 0.5
    summed = latencies([told, silent, fine, LookupError("lost"), KeyboardInterrupt()])
    assert summed.percentile(100) == 0.5
    assert [one.error for one in summed.each] == ["out of tea", "error", None, "lost", "KeyboardInterrupt"]
    assert len(summed) == 5
    assert summed.failures == 4


def test_it_is_shown_as_a_table() -> None:
    assert repr(answers(*range(1, 101), 2000)) == (
        "101 answers\n"
        "              p50      p90      p99     max\n"
        "first delta   12.8 ms  22.8 ms  25 ms   500 ms\n"
        "whole answer  51 ms    91 ms    100 ms  2 s"
    )
    failed = latencies([LookupError("<b>")])
    assert repr(failed).splitlines() == [
        "1 answers, 1 failed",
        "              p50  p90  p99  max",
        "first delta   -    -    -    -",
        "whole answer  -    -    -    -",
    ]
    shown = answers(1, 2)._repr_html_()
    assert shown.startswith("<table><caption>2 answers</caption>")
    assert ">whole answer</td>" in shown
    assert ">p99</th>" in shown


def test_a_data_frame() -> None:
    summed = Latencies([Latency(None, 0.5), Latency(None, None, "lost")])
    frame = summed.to_dataframe()
    assert list(csv.reader(io.StringIO(frame.to_csv(index=False)))) == [
        ["first_delta", "duration", "error"],
        ["", "0.5", ""],
        ["", "", "lost"],
    ]
    assert [str(kind) for kind in frame.dtypes[:2]] == ["float64", "float64"]


def test_a_picture() -> None:
    ax = answers(1, 2, 3, 4).plot()
    assert ax.get_xlabel() == "time since the message was sent (ms)"
    assert ax.get_ylabel() == "share of the answers (%)"
    assert [line.get_linestyle() for line in ax.lines[:2]] == ["-", "--"]
    assert [text.get_text() for text in ax.texts] == ["p50", "p90", "p99"]
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["first delta", "whole answer"]
    whole = ax.lines[1].get_xydata()
    assert [tuple(map(float, point)) for point in whole][1:] == [(1, 25), (2, 50), (3, 75), (4, 100)]
    assert latencies([LookupError()]).plot(ax) is ax
