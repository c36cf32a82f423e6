"""The exceptions of this package.

ModelsError
├── UnreadableModel        a model, run folder or checkpoint that cannot be read as one
│   └── DamagedCheckpoint  its bytes are not the ones that were written
├── UnsuitablePicture      a picture that cannot be trained on or edited (also a ValueError)
└── TrainingDiverged       the losses are no longer finite numbers

Wrong arguments raise ValueError, as everywhere in Python.
"""


class ModelsError(Exception):
    """Something about a model or a picture is wrong; the text says what, which value and what to
    do."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what} {remedy}".strip())
        self.what = what
        self.remedy = remedy


class UnreadableModel(ModelsError):
    """A file or folder does not hold a model that can be read."""


class DamagedCheckpoint(UnreadableModel):
    """A checkpoint is incomplete or its bytes have changed since it was written."""


class UnsuitablePicture(ModelsError, ValueError):
    """A picture is too small, has the wrong shape or holds values that are not numbers."""


class TrainingDiverged(ModelsError):
    """A loss became infinite or not a number; the model of this moment is of no use."""
