"""A post that arrives in the very moment in which a turn ends."""

from __future__ import annotations

from sessionlib.engine import LocalEngine


def test_a_post_at_the_end_of_a_turn_gets_its_turn() -> None:
    with LocalEngine() as engine, engine.agent(name="Quick").create_session() as session:
        for number in range(300):
            session.send(f"message {number}")
            for event in session.listen(timeout=10):
                if event.is_turn_end:
                    break
