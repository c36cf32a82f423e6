"""Files of the public KeyPatchGan, as models of ours.

One training leaves four files per epoch, ``epoch_<e>_net_net_partenc.pth``, ``…_maskgen.pth``,
``…_imggen.pth`` and ``…_disc.pth``: bare state dicts, whose names begin with ``module.`` where
several devices trained. The encoder's layers are ``model.<i>.0`` (a convolution) with norms
``model.<i>.1.0``, the other networks' are ``model.<2 i>`` with norms ``model.<2 i + 1>.0``.

The files hold no sizes: they follow from the shapes, the number of parts excepted, which the public
code fixes at three.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from intarsia_models.errors import UnreadableModel
from intarsia_models.foreign_files import open_foreign
from intarsia_models.key_patches.model import KeyPatchModel
from intarsia_models.key_patches.networks import Decoder, Halvings, PartCritic, PartGenerator
from intarsia_models.key_patches.settings import KeyPatchSettings

PARTS = 3
NETWORKS = ("partenc", "maskgen", "imggen", "disc")
"""Part encoder, mask network, image network and critic, as the files are named."""
LICENCE = "The public KeyPatchGan states no licence; what its weights may be used for is not known."
_NAME = re.compile(r"epoch_(\d+)_net_(?:net_)?(partenc|maskgen|imggen|disc)\.pth")
_NORM = ("weight", "bias", "running_mean", "running_var")


def read_public_model(path: Path) -> KeyPatchModel:
    """Read the files of one epoch.

    Args:
        path: One of the files, or their folder; there the last epoch that has them all counts.
            A critic may be missing.

    Raises:
        UnreadableModel: A file is missing or is laid out in another way.
    """
    files = _epoch(path)
    tensors = {name: _own_tensors(file) for name, file in files.items()}
    try:
        settings = _settings(tensors)
        generator = PartGenerator(settings, seed=None)
        assert generator.mask_network is not None
        _fill_encoder(generator.encoder.trunk, generator.encoder.embed, tensors["partenc"])
        _fill_decoder(generator.mask_network, tensors["maskgen"])
        _fill_decoder(generator.image_network, tensors["imggen"])
        critic = None
        if "disc" in tensors:
            critic = PartCritic(settings, seed=None)
            _fill_critic(critic, tensors["disc"])
    except (KeyError, ValueError, RuntimeError, IndexError) as error:
        raise UnreadableModel(
            f"{path} is not laid out as the public KeyPatchGan's files ({error})."
        ) from error
    return KeyPatchModel(generator, critic, facts={"licence": LICENCE})


def _epoch(path: Path) -> dict[str, Path]:
    """The files of one epoch by network."""
    folder = path if path.is_dir() else path.parent
    named = _NAME.fullmatch(path.name)
    epochs: dict[int, dict[str, Path]] = {}
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        if found := _NAME.fullmatch(file.name):
            epochs.setdefault(int(found[1]), {})[found[2]] = file
    wanted = sorted(epochs) if path.is_dir() else [int(named[1])] if named else []
    for epoch in reversed(wanted):
        files = epochs.get(epoch, {})
        if all(name in files for name in NETWORKS[:3]):
            return files
    raise UnreadableModel(
        f"{path} is no model of the public KeyPatchGan: it needs the files "
        "epoch_<number>_net_net_partenc.pth, …_maskgen.pth and …_imggen.pth of one epoch.",
        "Put the files of one training into one folder, with the names they had.",
    )


def _own_tensors(file: Path) -> dict[str, Tensor]:
    """By the names below ``model.``, in float32."""
    found = {
        name.removeprefix("module.").removeprefix("model."): tensor.float().clone()
        for name, tensor in open_foreign(file).tensors.items()
    }
    if not found:
        raise UnreadableModel(f"{file} holds no tensors.")
    return found


def _settings(tensors: Mapping[str, Mapping[str, Tensor]]) -> KeyPatchSettings:
    encoder = tensors["partenc"]
    layers = 0
    while f"{layers}.0.weight" in encoder:
        layers += 1
    first, last = encoder["0.0.weight"], encoder[f"{layers - 1}.0.weight"]
    numbers = tensors["imggen"]["0.weight"].shape[0]
    critic = tensors.get("disc")
    return KeyPatchSettings(
        resolution=4 << (layers - 1),
        width=first.shape[0],
        critic_width=first.shape[0] if critic is None else critic["0.weight"].shape[0],
        embedding=last.shape[0],
        z_dim=numbers - last.shape[0],
        kernel=first.shape[-1],
        parts=PARTS,
    )


def _fill_encoder(trunk: Halvings, embed: nn.Conv2d, tensors: Mapping[str, Tensor]) -> None:
    for level, convolution in enumerate(trunk.convolutions):
        _fill(convolution, tensors, f"{level}.0")
        if level:
            _fill_norm(trunk.norms[level - 1], tensors, f"{level}.1.0")
    _fill(embed, tensors, f"{len(trunk.convolutions)}.0")


def _fill_critic(critic: PartCritic, tensors: Mapping[str, Tensor]) -> None:
    for level, convolution in enumerate(critic.trunk.convolutions):
        _fill(convolution, tensors, f"{2 * level}")
        if level:
            _fill_norm(critic.trunk.norms[level - 1], tensors, f"{2 * level + 1}.0")
    _fill(critic.score, tensors, f"{2 * len(critic.trunk.convolutions)}")


def _fill_decoder(decoder: Decoder, tensors: Mapping[str, Tensor]) -> None:
    for level, layer in enumerate((decoder.start, *decoder.doublings)):
        _fill(layer, tensors, f"{2 * level}")
        if level < len(decoder.norms):
            _fill_norm(decoder.norms[level], tensors, f"{2 * level + 1}.0")


@torch.no_grad()
def _fill(layer: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    """A convolution; files without biases have none there."""
    assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.bias is not None
    _copy(layer.weight, tensors[f"{name}.weight"], f"{name}.weight")
    if f"{name}.bias" in tensors:
        _copy(layer.bias, tensors[f"{name}.bias"], f"{name}.bias")
    else:
        layer.bias.zero_()


@torch.no_grad()
def _fill_norm(norm: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    for part in _NORM:
        _copy(getattr(norm, part), tensors[f"{name}.{part}"], f"{name}.{part}")


def _copy(into: Tensor, tensor: Tensor, name: str) -> None:
    if into.shape != tensor.shape:
        raise ValueError(f"{name} is {tuple(tensor.shape)}, not {tuple(into.shape)}")
    into.copy_(tensor)
