"""A plugin of pytest that runs no test by itself, but tries faults: each in a fork, with the tests that reach it."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import signal
import time
import traceback
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType

import hypothesis
import pytest

from tests.mutants.mutations import Mutant
from tests.mutants.reach import ROOT, WORK, Reached
from tests.support import leaks, profiles

NOTICED, SURVIVED, OUT_OF_REACH = "noticed", "survived", "out of reach"

_AT_ONCE = 2
_TROUBLE = 70  # the exit status where the fault could not be tried
_OPTIMIZED = 1  # of code: a function's, not a class's


@dataclass
class _Try:
    mutant: Mutant
    end: float
    home: Path


class Trial:
    """Tries faults, as soon as the tests are collected.

    Args:
        mutants: The faults.
        reached: Which tests to run against each.

    Attributes:
        outcomes: What became of each.
    """

    def __init__(self, mutants: Sequence[Mutant], reached: Reached) -> None:
        self.outcomes: dict[Mutant, str] = {}
        self._waiting = list(reversed(mutants))
        self._sources = {path: (ROOT / path).read_bytes() for path in {mutant.path for mutant in mutants}}
        self._reached = reached
        self._items: dict[str, pytest.Item] = {}
        self._functions: dict[tuple[str, int, str], list[FunctionType]] = defaultdict(list)

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self) -> None:
        """Spares the search for a small example of what fails, before tests take over the profile."""
        usual = hypothesis.settings.get_profile(profiles.profile())
        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile("mutants", usual, phases=phases, database=None)
        hypothesis.settings.load_profile("mutants")

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Finds the functions, before what all tests have in common is kept out of the collector's rounds."""
        self._items = {item.nodeid: item for item in session.items}
        for found in gc.get_objects():
            if isinstance(found, FunctionType):
                code = found.__code__
                self._functions[code.co_filename, code.co_firstlineno, code.co_name].append(found)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Tries all faults."""
        running = dict[int, _Try]()
        while self._waiting or running:
            while self._waiting and len(running) < _AT_ONCE:
                self._start(self._waiting.pop(), session, running)
            for pid, item in list(running.items()):
                done, status = os.waitpid(pid, os.WNOHANG)
                if not done and time.monotonic() < item.end:
                    continue
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)  # with the processes that its tests have started
                if not done:
                    os.waitpid(pid, 0)
                code = os.waitstatus_to_exitcode(status) if done else 1
                assert code != _TROUBLE, (item.home / "log").read_text()
                if code and item.mutant.before == item.mutant.after:
                    print((item.home / "log").read_text()[-4000:], flush=True)  # which of them fails anyway
                self._report(item.mutant, NOTICED if code else SURVIVED)
                shutil.rmtree(item.home, ignore_errors=True)
                del running[pid]
            time.sleep(0.01)
        return True

    def _report(self, mutant: Mutant, outcome: str) -> None:
        self.outcomes[mutant] = outcome
        if mutant.before != mutant.after:
            os.write(1, f"{outcome}: {mutant.name} (line {mutant.line})\n".encode())

    def _start(self, mutant: Mutant, session: pytest.Session, running: dict[int, _Try]) -> None:
        tests = [test for test in self._reached.by(mutant) if test in self._items]
        if not tests:
            self._report(mutant, OUT_OF_REACH)
            return
        home = WORK / f"home-{len(self.outcomes) + len(running)}"
        home.mkdir(exist_ok=True)
        pid = os.fork()
        if pid:
            # A hard limit: it may run for ever with the fault, and that is noticed.
            limit = 10.0 + 3 * sum(map(self._reached.seconds, tests))
            running[pid] = _Try(mutant, time.monotonic() + limit, home)
            return
        trouble = _TROUBLE
        try:
            os.setsid()
            out = os.open(home / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(out, 1)
            os.dup2(out, 2)
            os.environ["PYTEST_DEBUG_TEMPROOT"] = str(home)
            leaks.SETTLE = 3.0
            if mutant.before != mutant.after:
                self._put_in(mutant)
            trouble = 1  # what an interrupt leaves unfinished has failed
            items = [self._items[test] for test in tests]
            following: list[pytest.Item | None] = [*items[1:], None]
            for item, nextitem in zip(items, following, strict=True):
                item.ihook.pytest_runtest_protocol(item=item, nextitem=nextitem)
                if session.testsfailed:
                    os._exit(1)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        os._exit(trouble)

    def _put_in(self, mutant: Mutant) -> None:
        """Gives the function its faulty code, wherever the program holds on to it."""
        path = str(ROOT / mutant.path)
        source = self._sources[mutant.path]
        codes = [
            list(_functions(compile(text, path, "exec", dont_inherit=True))) for text in (source, mutant.apply(source))
        ]
        right, wrong = [(a, b) for a, b in zip(*codes, strict=True) if a.co_firstlineno <= mutant.line][-1]
        if not wrong.co_freevars:
            wrong = wrong.replace(co_freevars=right.co_freevars)  # without `super()` it needs no `__class__`
        assert self._functions[path, right.co_firstlineno, right.co_name], f"{mutant.name}: no such function"
        # And those within it that were made as the module was imported.
        for former, following in _with_inner(right, wrong):
            for function in self._functions[path, former.co_firstlineno, former.co_name]:
                function.__code__ = following


def _functions(code: CodeType) -> Iterator[CodeType]:
    """Yields the functions of a module or class, in their order, without those within them."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_flags & _OPTIMIZED:
                yield constant
            else:
                yield from _functions(constant)


def _with_inner(right: CodeType, wrong: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    """Yields a function with and without its fault, then those within it, as far as they correspond."""
    yield right, wrong
    inner = [[code for code in outer.co_consts if isinstance(code, CodeType)] for outer in (right, wrong)]
    for former, following in zip(*inner, strict=False):
        if former.co_name == following.co_name and former.co_freevars == following.co_freevars:
            yield from _with_inner(former, following)
