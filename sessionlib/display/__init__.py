"""How values look: terminal text, safe HTML and Markdown, tables, timelines and plots.

Everything here turns values into something to look at, and never changes them. It may not talk to an engine;
optional libraries (pandas, matplotlib) are imported when they are used.
"""
