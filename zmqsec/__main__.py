"""``python -m zmqsec``: the command line (floor 13)."""

from .cli import main

if __name__ == "__main__":
    main()
