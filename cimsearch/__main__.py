"""``python -m cimsearch``."""

from cimsearch.cli import main

if __name__ == "__main__":
    main()
