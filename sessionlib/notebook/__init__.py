"""What is special about notebooks: asking a person with buttons while cells come and go."""

from sessionlib.notebook.approvals import ask_notebook

__all__ = ["ask_notebook"]
