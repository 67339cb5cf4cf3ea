"""What is special about notebooks: turns that stream into cells, and asking a person while cells come and go."""

from sessionlib.notebook.approvals import approvals, ask_notebook
from sessionlib.notebook.beside import LiveReply, begin
from sessionlib.notebook.turns import show_turn

__all__ = ["LiveReply", "approvals", "ask_notebook", "begin", "show_turn"]
