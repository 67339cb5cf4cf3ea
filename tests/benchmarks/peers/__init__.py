"""The peers: each a program that does one task and prints what it measured as a line of JSON."""
