"""All networks of this family and their sizes, for trainings and notebooks."""

from intarsia_models.families.sngan.auxiliary import SNGANAuxiliary
from intarsia_models.families.sngan.discriminator import SNGANDiscriminator
from intarsia_models.families.sngan.encoder import SNGANEncoder
from intarsia_models.families.sngan.generator import SNGANCodes, SNGANGenerator
from intarsia_models.families.sngan.settings import (
    AuxiliarySettings,
    DiscriminatorSettings,
    EncoderSettings,
    GeneratorSettings,
)

__all__ = [
    "AuxiliarySettings",
    "DiscriminatorSettings",
    "EncoderSettings",
    "GeneratorSettings",
    "SNGANAuxiliary",
    "SNGANCodes",
    "SNGANDiscriminator",
    "SNGANEncoder",
    "SNGANGenerator",
]
