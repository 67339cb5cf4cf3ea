"""``python -m sessionlib``: the command line."""

from sessionlib.cli import main

if __name__ == "__main__":
    main()
