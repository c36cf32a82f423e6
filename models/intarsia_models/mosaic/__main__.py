"""Trainings of mosaics: ``python -m intarsia_models.mosaic --help``."""

from __future__ import annotations

from intarsia_models.mosaic.commands import main

if __name__ == "__main__":
    main()
