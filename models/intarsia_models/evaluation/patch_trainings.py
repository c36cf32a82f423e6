"""The models that the experiments on key patches compare, trained alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from intarsia_models.checkpoints import read_bundle, write_bundle
from intarsia_models.errors import UnreadableModel
from intarsia_models.evaluation.plain_gan import train_plain_gan
from intarsia_models.gan_training.pictures import PictureSet
from intarsia_models.key_patches.model import KeyPatchModel
from intarsia_models.key_patches.networks import PartCritic
from intarsia_models.key_patches.training import train_key_patches
from intarsia_models.key_patches.training_settings import KeyPatchTraining

FULL, RANDOM, FEWER = (
    "composites, with mask network",
    "trained on random parts",
    "trained on 1 to 3 parts",
)
PLAIN, NO_MASK, CONDITIONAL, AUTO = (
    "alternative objective (eq. 1)",
    "no mask network",
    "conditional GAN",
    "auto-encoder",
)
VARIANTS: dict[str, dict[str, object]] = {
    FULL: {},
    RANDOM: {"patches": "random"},
    FEWER: {"variable_parts": True},
    PLAIN: {"objective": "plain"},
    NO_MASK: {"structure": "no_mask"},
    CONDITIONAL: {"structure": "conditional_gan", "z_dim": 64},
    AUTO: {"structure": "auto_encoder"},
}
"""What differs from the published model, by name; the supplement's sections 3 and 5 to 7."""
NEEDED = (FULL, PLAIN, NO_MASK, CONDITIONAL, AUTO)
"""The others can be left out where time is short."""
_PLAIN_GAN = "plain-gan"


@dataclass(frozen=True)
class Trained:
    """All of them."""

    models: dict[str, KeyPatchModel]
    """By the names of `VARIANTS`; at least those of `NEEDED`."""
    plain: PartCritic
    """Of the GAN without parts."""
    untrained: PartCritic
    settings: KeyPatchTraining
    """Of the published model."""


def train_all(
    pictures: PictureSet,
    settings: KeyPatchTraining,
    *,
    variants: Sequence[str] = NEEDED,
    seed: int = 0,
    device: str = "cpu",
    folder: Path | None = None,
    say: Callable[[str], object] = lambda text: None,
) -> Trained:
    """Train the variants, with the same pictures, sizes and number of iterations.

    Args:
        pictures: Of ``settings.resolution``.
        settings: Of the published model.
        variants: Which ones, of `VARIANTS`.
        seed: Of every training.
        device: Where it computes.
        folder: Where trained models are kept and found again; None: nowhere.
        say: Told in a sentence what is done.
    """
    models = {}
    names = list(VARIANTS)
    for number, name in enumerate(variants, 1):
        wanted = replace(settings, **VARIANTS[name])  # pyright: ignore[reportArgumentType]
        place = None if folder is None else folder / f"variant-{names.index(name) + 1}"
        model = _kept(place, wanted, pictures)
        if model is None:
            say(f"training {number} of {len(variants) + 1}: {name}")
            done = train_key_patches(
                pictures,
                wanted,
                seed=seed,
                device=device,
                checkpoint_folder=None if place is None else place / "training",
            )
            model = done.model.to("cpu")
            if place is not None:
                model.save(place / "model", extra=done.card())
        models[name] = model
    plain = _plain(pictures, settings, seed, device, folder, say)
    untrained = PartCritic(settings.networks(), seed=seed).eval()
    return Trained(models, plain, untrained, settings)


def _kept(
    place: Path | None, wanted: KeyPatchTraining, pictures: PictureSet
) -> KeyPatchModel | None:
    """What an earlier run left of the same training."""
    if place is None:
        return None
    try:
        card = read_bundle(place / "model").card
    except UnreadableModel:
        return None
    same = (card.get("training"), card.get("pictures_sha256"))
    if same != (wanted.to_card(), pictures.fingerprint()):
        return None
    return KeyPatchModel.load(place / "model")


def _plain(
    pictures: PictureSet,
    settings: KeyPatchTraining,
    seed: int,
    device: str,
    folder: Path | None,
    say: Callable[[str], object],
) -> PartCritic:
    card = {"training": settings.to_card(), "pictures_sha256": pictures.fingerprint()}
    if folder is not None:
        try:
            kept = read_bundle(folder / _PLAIN_GAN)
            if kept.card == card:
                critic = PartCritic(settings.networks(), seed=None)
                critic.load_state_dict(kept.tensors)
                return critic.eval()
        except UnreadableModel:
            pass
    say("training the last one: a GAN without parts")
    critic = train_plain_gan(pictures, settings, seed=seed, device=device)
    if folder is not None:
        write_bundle(folder / _PLAIN_GAN, critic.state_dict(), card)
    return critic
