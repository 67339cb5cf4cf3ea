"""That the benchmarks run; what they measure is never asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import report
from tests.benchmarks.cases import GROUND, LIMIT, OFFICIAL, OURS, PEERS, RAW, SOCKETIO, Case, Metric, all_cases
from tests.benchmarks.engine import blast, text
from tests.benchmarks.harness import Outcome, measure, running_engine
from tests.support.processes import run_script
from tests.support.ws_bytes import text_frame

RATE = Metric("rate", "events/s", more_is_better=True)
DELAY = Metric("delay", "µs")


def outcome(**figures: list[float]) -> Outcome:
    runs = {
        RAW: [{"rate": rate, "delay": 1 / rate} for rate in figures["raw"]],
        OURS: [{"rate": rate, "delay": 1 / rate} for rate in figures["ours"]],
    }
    return Outcome(Case("throughput", "Stream", (RATE, DELAY)), runs, {OFFICIAL: "was not there"})


class TestOutcome:
    def test_medians_and_extremes(self) -> None:
        spread = outcome(raw=[1.0, 2.0, 30.0], ours=[4.0]).spread(RAW, RATE)
        assert spread is not None
        assert (spread.median, spread.low, spread.high) == (2.0, 1.0, 30.0)

    def test_a_ratio_above_one_is_better_whichever_way_is_better(self) -> None:
        found = outcome(raw=[2.0], ours=[4.0])
        assert found.ratio(OURS, RAW, RATE) == 2.0
        assert found.ratio(OURS, RAW, DELAY) == 2.0
        assert found.ratio(OURS, OFFICIAL, RATE) is None

    def test_noise_has_no_ratio(self) -> None:
        metric = Metric("rate", "MiB", noise=5.0)
        assert outcome(raw=[2.0], ours=[4.0]).ratio(OURS, RAW, metric) is None
        assert outcome(raw=[2.0], ours=[8.0]).ratio(OURS, RAW, metric) == 0.25

    def test_the_table_says_all_of_it(self) -> None:
        lines = report.table([outcome(raw=[2.0], ours=[4000.0])]).splitlines()
        assert lines[0] == "Stream"
        assert lines[2].split() == ["sessionlib", "events/s", "4,000", "4,000", "4,000", "x", "2000.00"]
        assert lines[-1] == "  official async SDK failed: was not there"

    def test_a_chart(self, tmp_path: Path) -> None:
        # In a process of its own, because matplotlib keeps threads and files for its fonts.
        path = tmp_path / "chart.png"
        source = """
            import sys
            from pathlib import Path
            from tests.benchmarks.cases import OFFICIAL, OURS, Case, Metric
            from tests.benchmarks.harness import Outcome
            from tests.benchmarks.report import chart

            runs = {OURS: [{"rate": 4.0}], OFFICIAL: [{"rate": 2.0}]}
            case = Case("throughput", "Stream", (Metric("rate", "events/s", more_is_better=True),))
            print(chart([Outcome(case, runs, {})], Path(sys.argv[1])), chart([], Path("none.png")))
        """
        # Without matplotlib it says so and draws nothing.
        assert run_script(source, str(path)).stdout == f"{path.exists()} False\n"

    def test_the_range_of_a_dot_and_a_gap_where_a_peer_was_not_measured(self) -> None:
        rate, time = Metric("rate", "events/s", more_is_better=True), Metric("seconds", "s")
        ours, theirs = (
            [{"rate": value, "seconds": 8 / value} for value in (2.0, 4.0, 8.0)],
            [{"rate": 2.0, "seconds": 4.0}],
        )
        for metric in (rate, time):
            outcome = Outcome(Case("throughput", "Stream", (metric,)), {OURS: ours, OFFICIAL: theirs}, {})
            assert report.ratios_of(outcome, OURS) == (2.0, 1.0, 4.0)
            assert report.ratios_of(outcome, RAW) is None

    @pytest.mark.parametrize(
        ("places", "moved"),
        [
            ([], []),
            ([0.0], [0.0]),
            ([0.0, 5.0], [0.0, 5.0]),
            ([0.0, 1.0], [-0.5, 1.5]),
            ([0.0, 3.0, 3.0], [0.0, 2.0, 4.0]),
            ([0.0, 2.0, 2.0], [-2 / 3, 4 / 3, 10 / 3]),
        ],
    )
    def test_values_that_would_overlap_move_apart(self, places: list[float], moved: list[float]) -> None:
        assert report.spread_out(places, 2.0) == pytest.approx(moved)


class TestEngine:
    def test_a_blast(self) -> None:
        data = b"".join(blast("s1", 20, 1000))
        delta = {"type": "message_delta", "session_id": "s1", "message_id": "m1", "index": 999, "value": text(20)}
        assert text_frame(delta) in data
        assert data.count(b"message_delta") == 1000

    @pytest.mark.parametrize(
        ("scenario", "task"),
        [
            ("throughput", {"size": 110, "count": 100}),
            ("roundtrip", {"count": 20}),
            ("upload", {"size": 200_000}),
            ("sessions", {"count": 3, "idle": 0.01}),
            ("first", {"count": 3}),
            ("soak", {"size": 20, "count": 100}),
        ],
    )
    def test_every_scenario_of_a_peer(self, scenario: str, task: dict[str, int]) -> None:
        whole = next(case for case in all_cases() if case.scenario == scenario)
        case = Case(scenario, "Small", whole.metrics, task)
        with running_engine() as ws_url:
            found = measure(case, ws_url, 1, [RAW], lambda line: None)
        assert found.failures == {}
        assert set(found.runs[RAW][0]) == {metric.name for metric in case.metrics}

    @pytest.mark.parametrize(
        ("scenario", "task"), [("throughput", {"size": 20, "count": 50}), ("roundtrip", {"count": 20})]
    )
    def test_the_peer_that_brings_its_own_server(self, scenario: str, task: dict[str, int]) -> None:
        whole = next(case for case in all_cases() if case.scenario == scenario)
        found = measure(Case(scenario, "Small", whole.metrics, task, (SOCKETIO,)), "ws://unused", 1, PEERS, print)
        assert found.failures == {}
        assert set(found.runs[SOCKETIO][0]) == {metric.name for metric in whole.metrics}

    @pytest.mark.parametrize("task", [{}, {"statements": {"raw": "websocket.create_connection"}}])
    def test_an_import(self, task: dict[str, dict[str, str]]) -> None:
        whole = next(case for case in all_cases() if case.scenario == "import")
        found = measure(Case("import", "Import", whole.metrics, task, (GROUND,)), "ws://unused", 1, PEERS, print)
        assert found.failures == {}
        assert found.runs[GROUND][0]["modules"] > 50

    def test_the_embedded_engine(self) -> None:
        whole = next(case for case in all_cases() if case.scenario == "streams")
        case = Case("streams", "Small", whole.metrics, {"sessions": 3, "deltas": 20}, whole.peers)
        found = measure(case, "not needed", 1, [OURS], lambda line: None)
        assert found.failures == {}
        assert set(found.runs[OURS][0]) == {metric.name for metric in case.metrics}

    def test_a_peer_that_fails_is_told(self) -> None:
        with running_engine() as ws_url:
            found = measure(Case("no such", "Bad", (), {}, PEERS), ws_url, 2, [RAW], lambda line: None)
        assert found.failures == {RAW: "KeyError: 'no such'"}


def test_the_command_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.benchmarks", "--quick", "--repeats", "1", "--only", "import", "roundtrip"]
    command += ["--peers", RAW.program, LIMIT.program, "--json", str(tmp_path / "out.json")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "Round trip" in ran.stdout
    titles = [found["case"] for found in json.loads((tmp_path / "out.json").read_text())]
    assert titles == ["Round trip", "Import"]
