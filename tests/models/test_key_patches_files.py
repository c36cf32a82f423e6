"""Models of parts from the command line, as packs, and from files of the public code."""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import Tensor, nn
from torch.testing import assert_close

from intarsia_models.checkpoints import file_hash
from intarsia_models.errors import UnreadableModel
from intarsia_models.key_patches.commands import main
from intarsia_models.key_patches.model import KeyPatchModel, load_key_patches

QUICK = ("width=2", "critic_width=2", "embedding=4", "batch=4", "iterations=2")


def _folder(place: Path, count: int = 10) -> Path:
    place.mkdir()
    rows = ["path,label,split"]
    for index in range(count):
        name = f"{index}.png"
        picture = Image.effect_noise((40, 40), 60).convert("RGB")
        picture.save(place / name)
        rows += [f"{name},coat,train"]
    for index in range(8):
        Image.effect_noise((64, 64), 60).convert("RGB").save(place / f"v{index}.png")
        rows += [f"v{index}.png,coat,val"]
    (place / "labels.csv").write_text("\n".join(rows) + "\n")
    return place


def _run(*arguments: object) -> str:
    done = CliRunner().invoke(main, [str(part) for part in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def _settings(*values: str) -> list[str]:
    return [part for value in values for part in ("--set", value)]


def test_the_train_command_leaves_a_model(tmp_path: Path) -> None:
    pictures = _folder(tmp_path / "pictures")
    told = _run(
        "train", pictures, "--out", tmp_path / "run", "--quality", "draft", *_settings(*QUICK)
    )
    assert "10 pictures: coat 10" in told
    model = load_key_patches(tmp_path / "run" / "model")
    assert model.settings.width == 2 and model.labels == ("coat",)
    assert (tmp_path / "run" / "samples.png").is_file()
    assert (tmp_path / "run" / "checkpoints").is_dir()


def test_the_pack_command_writes_all_that_a_pack_needs(tmp_path: Path) -> None:
    pictures, pack = _folder(tmp_path / "pictures"), tmp_path / "coats"
    note = tmp_path / "NOTE.md"
    note.write_text("Only noise.")
    _run(
        "pack", pictures, "--out", tmp_path / "run", "--pack", pack, "--title", "Coats",
        "--licence", "CC0", "--note", note, "--device-name", "a desk", "--quality", "draft",
        *_settings(*QUICK, "variable_parts=true"),
    )  # fmt: skip
    card = json.loads((pack / "card.json").read_text())
    assert (card["family"], card["task"]) == ("key-patches", "key_patches")
    assert card["capabilities"] == ["features", "key_patches"] and card["resolution"] == 64
    for name, entry in card["files"].items():
        assert entry["sha256"] == file_hash(pack / "model" / name)
    model = KeyPatchModel.load(pack / "model")
    assert model.settings.variable_parts
    about = json.loads((pack / "model" / "card.json").read_text())
    assert set(about["metrics"]) == {"key patches", "random patches", "one key patch"}
    text = (pack / "README.md").read_text()
    assert "Only noise." in text and "On 8 pictures that were not trained with" in text
    for picture in ("thumbnail", "key_patches", "random_patches", "recombined", "curves"):
        with Image.open(pack / f"{picture}.png") as opened:
            assert min(opened.size) >= 64


def test_wrong_settings_end_the_command_with_a_sentence(tmp_path: Path) -> None:
    pictures = _folder(tmp_path / "pictures")
    done = CliRunner().invoke(
        main, ["train", str(pictures), "--out", str(tmp_path / "run"), "--set", "colour=1"]
    )
    assert done.exit_code and "There is no setting 'colour'" in done.output


# --- files of the public code


def _stage(layer: nn.Module, count: int | None, activation: nn.Module) -> nn.Module:
    rest = [nn.BatchNorm2d(count), activation] if count else [activation]
    return nn.Sequential(layer, nn.Sequential(*rest))


class _PublicEncoder(nn.Module):
    """Layers as the public code's files name them."""

    def __init__(self) -> None:
        super().__init__()
        widths = (2, 4, 8, 16)
        stages = []
        for level, (a, b) in enumerate(zip((3, *widths[:-1]), widths, strict=True)):
            layer = nn.Conv2d(a, b, 5, 2, 2)
            stages.append(_stage(layer, b if level else None, nn.LeakyReLU(0.2)))
        stages.append(_stage(nn.Conv2d(16, 6, 4), None, nn.LeakyReLU(0.2)))
        self.model = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        found = []
        for stage in self.model:
            x = stage(x)
            found.append(x)
        return found


class _PublicDecoder(nn.Module):
    def __init__(self, numbers: int, joined: int, outputs: int) -> None:
        super().__init__()
        widths = (16, 8, 4, 2)
        stages: list[nn.Module] = [
            nn.ConvTranspose2d(numbers, 16, 4),
            nn.Sequential(nn.BatchNorm2d(16), nn.ReLU()),
        ]
        for own, after in zip(widths, (*widths[1:], outputs), strict=True):
            stages.append(nn.ConvTranspose2d((1 + joined) * own, after, 5, 2, 2, 1))
            stages.append(nn.Sequential(nn.BatchNorm2d(after), nn.ReLU()))
        self.model = nn.ModuleList(stages[:-1])
        self.last = nn.Sigmoid() if outputs == 1 else nn.Tanh()

    def forward(self, numbers: Tensor, sources: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        x, seen = numbers, []
        for level in range(5):
            x = self.model[2 * level](x)
            if level < 4:
                x = torch.cat([self.model[2 * level + 1](x), sources[level]], 1)
                seen.append(x)
        return self.last(x), seen


class _PublicCritic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        widths = (2, 4, 8, 16)
        stages: list[nn.Module] = []
        for level, (a, b) in enumerate(zip((3, *widths[:-1]), widths, strict=True)):
            rest = [nn.BatchNorm2d(b), nn.LeakyReLU(0.2)] if level else [nn.LeakyReLU(0.2)]
            stages += [nn.Conv2d(a, b, 5, 2, 2), nn.Sequential(*rest)]
        self.model = nn.Sequential(*stages, nn.Conv2d(16, 1, 4), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)[:, 0, 0, 0]


Public = tuple[_PublicEncoder, _PublicDecoder, _PublicDecoder, _PublicCritic]


def _public(folder: Path, *, prefix: str, epoch: int = 7, legacy: bool = False) -> Public:
    networks = _PublicEncoder(), _PublicDecoder(6, 1, 1), _PublicDecoder(10, 2, 3), _PublicCritic()
    source = torch.Generator().manual_seed(0)
    folder.mkdir(exist_ok=True)
    for name, network in zip(("partenc", "maskgen", "imggen", "disc"), networks, strict=True):
        for key, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                tensor.normal_(0, 0.25, generator=source)
                if "running_var" in key:
                    tensor.abs_().add_(0.5)
        state = OrderedDict((f"{prefix}{k}", v) for k, v in network.state_dict().items())
        place = folder / f"epoch_{epoch}_net_net_{name}.pth"
        torch.save(state, place, _use_new_zipfile_serialization=not legacy)
        network.eval().requires_grad_(False)
    return networks


@pytest.mark.parametrize(("prefix", "legacy"), [("module.", False), ("", True)])
def test_public_files_compute_what_their_own_networks_do(
    tmp_path: Path, prefix: str, legacy: bool
) -> None:
    encoder, mask, image, critic = _public(tmp_path / "o64", prefix=prefix, legacy=legacy)
    model = load_key_patches(tmp_path / "o64")
    settings = model.settings
    assert (settings.resolution, settings.width, settings.kernel) == (64, 2, 5)
    assert (settings.embedding, settings.z_dim, settings.parts) == (6, 4, 3)
    source = torch.Generator().manual_seed(1)
    patches = torch.rand(2, 3, 3, 64, 64, generator=source) - 0.5
    z = torch.rand(2, 4, generator=source) - 0.5
    features = [sum(kind) for kind in zip(*(encoder(patches[:, n]) for n in range(3)), strict=True)]
    embedding, rest = features[-1], features[-2::-1]
    assert isinstance(embedding, Tensor)
    placement, seen = mask(embedding, rest)  # pyright: ignore[reportArgumentType]
    picture, _ = image(torch.cat([embedding, z[:, :, None, None]], 1), seen)
    made = model.generate(patches, z)
    assert made[1] is not None
    assert_close(made[0], picture, atol=1e-5, rtol=1e-5)
    assert_close(made[1], placement, atol=1e-5, rtol=1e-5)
    assert_close(model.scores(patches[:, 0]), critic(patches[:, 0]), atol=1e-5, rtol=1e-5)
    assert "no licence" in model.card()["licence"]


def test_the_last_whole_epoch_of_a_folder_counts(tmp_path: Path) -> None:
    folder = tmp_path / "o64"
    _public(folder, prefix="module.", epoch=3)
    _public(folder, prefix="module.", epoch=12)
    (folder / "epoch_12_net_net_maskgen.pth").unlink()
    earlier = load_key_patches(folder)
    named = load_key_patches(folder / "epoch_3_net_net_imggen.pth")
    patches = torch.zeros(1, 3, 3, 64, 64)
    z = torch.zeros(1, 4)
    assert torch.equal(earlier.generate(patches, z)[0], named.generate(patches, z)[0])
    with pytest.raises(UnreadableModel, match="of one epoch"):
        load_key_patches(folder / "epoch_12_net_net_imggen.pth")


def test_a_critic_may_be_missing(tmp_path: Path) -> None:
    _public(tmp_path / "o64", prefix="")
    (tmp_path / "o64" / "epoch_7_net_net_disc.pth").unlink()
    assert load_key_patches(tmp_path / "o64").critic is None


def test_files_that_are_laid_out_in_another_way_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "o64"
    _public(folder, prefix="")
    place = folder / "epoch_7_net_net_maskgen.pth"
    state = torch.load(place, weights_only=True)
    state["2.weight"] = state.pop("model.2.weight")[:3].clone()
    torch.save(state, place)
    with pytest.raises(
        UnreadableModel, match=r"not laid out as the public KeyPatchGan's .*2\.weight"
    ):
        load_key_patches(folder)
    with pytest.raises(UnreadableModel, match="no model of the public KeyPatchGan"):
        load_key_patches(tmp_path / "o64" / ".." / "o64" / "epoch_9_net_net_maskgen.pth")
