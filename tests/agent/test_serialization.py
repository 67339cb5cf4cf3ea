"""Placeholders in the texts of functional agents."""

import pytest

from sessionlib.agent.serialization import resolve
from sessionlib.errors import SessionlibError, TemplateReferenceError

NAMES = {
    "inputs": {"topic": "input_1", "paperFile": "input_2"},
    "outputs": {"brief": "output_1"},
    "tools": {"Web Search": "search_1", "search": "search_2"},
}


@pytest.mark.parametrize(
    ("text", "resolved"),
    [
        ("", ""),
        ("nothing [to] [[1st]] {{inputs.x}} [[ ]] [[a b]]", "nothing [to] [[1st]] {{inputs.x}} [[ ]] [[a b]]"),
        ("[[inputs.topic]]", "{{inputs.input_1}}"),
        ("[[  inputs.topic\t]]!", "{{inputs.input_1}}!"),
        ("[[inputs.TOPIC]]", "{{inputs.input_1}}"),
        ("[[inputs.paper_file]]", "{{inputs.input_2}}"),
        ("[[inputs.PaperFile]]", "{{inputs.input_2}}"),
        ("[[inputs.input_1]]", "{{inputs.input_1}}"),
        ("[[outputs.brief]] of [[inputs.topic]]", "{{outputs.output_1}} of {{inputs.input_1}}"),
        ("[[tools.search]] [[tools.search_1]]", "{{tools.search_2}} {{tools.search_1}}"),
    ],
)
def test_resolved(text: str, resolved: str) -> None:
    assert resolve(text, NAMES, "the text") == resolved


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[topic]]", r"\[\[topic\]\] in the text does not name what it refers to"),
        ("[[files.topic]]", "does not name what it refers to"),
        ("[[inputs.]]", "does not name what it refers to"),
        ("[[inputs.topc]]", r"names none of the agent's inputs \(topic, paperFile\)\. Did you mean topic\?"),
        ("[[outputs.topic]]", r"outputs \(brief\)"),
        ("[[tools.none]]", r"tools \(Web Search, search\)"),
    ],
)
def test_refused(text: str, told: str) -> None:
    with pytest.raises(TemplateReferenceError, match=told) as caught:
        resolve(text, NAMES, "the text")
    assert isinstance(caught.value, SessionlibError)
    assert isinstance(caught.value, ValueError)
