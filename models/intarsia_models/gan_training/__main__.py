"""Trainings from the command line: ``python -m intarsia_models.gan_training --help``."""

from __future__ import annotations

from intarsia_models.gan_training.commands import main

if __name__ == "__main__":
    main()
