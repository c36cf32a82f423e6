"""Trainings from the command line: ``python -m intarsia_models.key_patches --help``."""

from __future__ import annotations

from intarsia_models.key_patches.commands import main

if __name__ == "__main__":
    main()
