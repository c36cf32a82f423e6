"""Trainings of regressors: ``python -m intarsia_models.latent_composition --help``."""

from __future__ import annotations

from intarsia_models.latent_composition.commands import main

if __name__ == "__main__":
    main()
