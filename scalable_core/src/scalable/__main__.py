"""``python -m scalable``: the command line."""

from scalable_core.cli import main

if __name__ == "__main__":
    main()
