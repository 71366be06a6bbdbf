"""``python -m cargo_source`` is ``cargo-source``."""

from cargo_source.cli import main

main()
