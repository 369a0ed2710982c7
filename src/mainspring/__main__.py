"""``python -m mainspring`` is the command ``mainspring``."""

from mainspring.cli import main

main()
