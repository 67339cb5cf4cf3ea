"""The rows of agents and chatbots."""

from __future__ import annotations

from sessionlib.engine.store import Store


def test_agents_and_chatbots_are_kept_found_changed_and_removed(store: Store) -> None:
    objects = store.objects
    first, second = objects.add("agent", "a", {"n": 1}), objects.add("agent", "a", {"n": 2})
    bot = objects.add("chatbot", "a", {"n": 3})
    assert objects.find("agent", first) == (first, {"n": 1})
    assert objects.find("agent", name="a") == (second, {"n": 2}), "the newest"
    assert objects.find("agent", bot) is objects.find("agent", "another") is objects.find("agent", name="b") is None
    assert objects.list_all("agent", 9, 0) == [(first, {"n": 1}), (second, {"n": 2})]
    assert objects.list_all("agent", 1, 1) == [(second, {"n": 2})]
    assert objects.update("agent", first, "b", {"n": 4})
    assert not objects.update("agent", bot, "b", {"n": 4})
    assert objects.find("agent", name="b") == (first, {"n": 4})
    assert objects.delete("agent", first)
    assert not objects.delete("agent", first)
    assert not objects.delete("agent", bot)
    assert objects.list_all("agent", 9, 0) == [(second, {"n": 2})]
    assert objects.list_all("chatbot", 9, 0) == [(bot, {"n": 3})]
