"""A conversation from end to end, offline: streamed answers, a tool that needs an approval, and what to try next."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from sessionlib.approvals import ApprovalRequest
from sessionlib.display.text import call_text, is_terminal
from sessionlib.errors import MissingExtraError
from sessionlib.events import SessionEventType

try:
    from sessionlib.engine import LocalEngine, tool
    from sessionlib.testing import ScriptedModel, call_tool, pause
    from sessionlib.testing.model import Output
except MissingExtraError as error:
    if __name__ != "__main__":
        raise
    sys.exit(f"sessionlib: {error}")

__all__ = ["main"]

_MESSAGES = ("Hello! My lamp came broken. May I have my money back? It was order 7.", "Thank you!")
_NEXT = (
    ('ask "What can you do?"', "one question, one answer"),
    ("chat", "a conversation; /help lists what can be typed"),
    ("doctor", "what is set up: key, network, engine"),
)
# SGR parameters: bold for who speaks, colours that are legible on dark and on light backgrounds.
_STYLES = {"you": "1;36", "Support": "1;35", "tool": "33", "approved": "32", "outcome": "32"}


@tool(approval="requires_approval")
def refund(order_id: str, amount: float) -> str:
    """Refund an order.

    Args:
        order_id: The order.
        amount: How much, in euros.
    """
    return f"{amount:.2f} EUR refunded for order {order_id}"


def below_50_euros(request: ApprovalRequest) -> bool:
    """Approves small refunds, and denies all other calls."""
    return bool(request.arguments["amount"] < 50)


def main() -> None:
    """Shows a conversation with an agent whose answers are scripted, then three commands to try."""
    model = ScriptedModel(
        [*_words("I am sorry about that. I will refund it."), call_tool("refund", order_id="7", amount=12.5)],
        _words("Done: the 12.50 EUR are on their way."),
        _words("You are welcome. Enjoy the next lamp!"),
    )
    _write("A support agent in this process: no network, no key. Its answers are scripted.\n")
    with LocalEngine(tools=[refund], model=model) as engine:
        agent = engine.agent(name="Support", instructions="Help with orders.")
        with agent.create_session() as session:
            session.on_approval(below_50_euros)
            for message in _MESSAGES:
                _write(f"\n{_label('you')}{message}")
                speaking = False
                for event in session.stream(message):
                    if event.delta:
                        _write(event.delta if speaking else f"\n{_label('Support')}{event.delta}")
                        speaking = True
                    elif event.type is SessionEventType.APPROVAL_REQUEST:
                        call = call_text(event.data["tool_name"], event.data["arguments"])
                        _write(f"\n{_label('tool')}{call} asks for approval")
                    elif event.type is SessionEventType.TOOL_RESULT:
                        _write(f"\n{_label('approved')}by {session.approvals[-1].by}, a function of this script")
                        _write(f"\n{_label('outcome')}{event.data['output']}")
                        speaking = False
                _write("\n")
            _write(f"\nThe session keeps its history: {len(session.get_messages())} messages, tool calls included.\n")
    _write("\nTry next:\n")
    # How a shell here starts the command line of this installation: another's command may come first on the path.
    script, program = Path(sys.executable).with_name("sessionlib"), f"{sys.executable} -m sessionlib"
    if shutil.which("sessionlib") == str(script):
        program = "sessionlib"
    elif script.is_relative_to(Path.cwd()) and script.exists():
        program = str(script.relative_to(Path.cwd()))
    commands = [f"{program} {arguments}" for arguments, _ in _NEXT]
    for command, (_, purpose) in zip(commands, _NEXT, strict=True):
        _write(f"  {command:<{max(map(len, commands))}}   # {purpose}\n")


def _words(text: str) -> Iterator[Output]:
    """Yields a text word by word, as slowly as models do."""
    for word in re.findall(r"\s*\S+", text):
        yield word
        # Else the answer would be there at once, and streaming could not be seen.
        yield pause(0.02)


def _label(name: str) -> str:
    """Returns the beginning of a line: who speaks, or what it is about; in colour on a terminal."""
    plain = not is_terminal(sys.stdout) or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return f"{name:<10}" if plain else f"\x1b[{_STYLES[name]}m{name:<10}\x1b[0m"


def _write(text: str) -> None:
    # None under pythonw, or where the parent has closed it.
    if sys.stdout is not None:
        sys.stdout.write(text)
        sys.stdout.flush()


def _run() -> int:
    """Returns the exit status, after one line for what kept it from being shown."""
    try:
        main()
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        # What is left to write is dropped, or Python would try it again at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"sessionlib: the output cannot be written: {error.strerror}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_run())
