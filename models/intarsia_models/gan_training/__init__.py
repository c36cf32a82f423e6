"""Training generators of the SNGAN-projection family, encoders and auxiliary networks."""

from intarsia_models.gan_training.adversarial import TrainedGAN, train_gan
from intarsia_models.gan_training.auxiliary import train_auxiliary
from intarsia_models.gan_training.batches import stored_size
from intarsia_models.gan_training.cost import expected_seconds
from intarsia_models.gan_training.devices import Devices
from intarsia_models.gan_training.encoder import TrainedNetwork, train_encoder
from intarsia_models.gan_training.loop import TrainingProgress
from intarsia_models.gan_training.pictures import PictureSet, read_pictures
from intarsia_models.gan_training.reports import TrainingReport
from intarsia_models.gan_training.settings import (
    AuxiliaryTraining,
    EncoderTraining,
    GANSettings,
    auxiliary_training,
    encoder_training,
    gan_settings,
)

__all__ = [
    "AuxiliaryTraining",
    "Devices",
    "EncoderTraining",
    "GANSettings",
    "PictureSet",
    "TrainedGAN",
    "TrainedNetwork",
    "TrainingProgress",
    "TrainingReport",
    "auxiliary_training",
    "encoder_training",
    "expected_seconds",
    "gan_settings",
    "read_pictures",
    "stored_size",
    "train_auxiliary",
    "train_encoder",
    "train_gan",
]
