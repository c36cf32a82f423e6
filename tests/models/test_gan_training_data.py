"""Pictures from folders, batches, augmentation, settings and costs of the trainings."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from intarsia_models.errors import UnsuitablePicture
from intarsia_models.gan_training import (
    PictureSet,
    TrainingReport,
    expected_seconds,
    gan_settings,
    read_pictures,
    stored_size,
)
from intarsia_models.gan_training.augmentation import CHANGES, augment, draw
from intarsia_models.gan_training.batches import Batches
from intarsia_models.gan_training.cost import critic_operations, generator_operations
from intarsia_models.gan_training.loop import TrainingProgress
from intarsia_models.gan_training.settings import encoder_training


def write_picture(
    path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (40, 30)
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(6):
        write_picture(tmp_path / "lemon" / f"{number}.png", (250, 220, 10))
        write_picture(tmp_path / "lime" / f"{number}.jpg", (20, 160, 30))
    return tmp_path


def test_sub_folders_are_classes_in_alphabetical_order(folder: Path) -> None:
    found = read_pictures(folder, 16)
    assert found.labels == ("lemon", "lime")
    assert found.pixels.shape == (12, 3, 16, 16)
    assert found.y.tolist() == [0] * 6 + [1] * 6
    assert found.pixels[0, :, 8, 8].tolist() == [250, 220, 10]


def test_pictures_without_folders_have_no_classes(tmp_path: Path) -> None:
    for number in range(8):
        write_picture(tmp_path / f"{number}.png", (1, 2, 3))
    found = read_pictures(tmp_path, 16)
    assert found.labels == ()
    assert found.num_classes == 0


def test_a_zip_file_reads_as_its_folder(folder: Path, tmp_path: Path) -> None:
    packed = tmp_path / "set.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in folder.glob("*/*"):
            archive.write(path, path.relative_to(folder).as_posix())
    assert read_pictures(packed, 16).fingerprint() == read_pictures(folder, 16).fingerprint()


def test_a_table_chooses_split_and_purity(folder: Path) -> None:
    rows = ["path,label,split,purity"]
    rows += [f"lemon/{n}.png,yellow,train,{n / 10}" for n in range(6)]
    rows += [f"lime/{n}.jpg,green,{'val' if n > 4 else 'train'},1.0" for n in range(6)]
    (folder / "labels.csv").write_text("\n".join(rows))
    found = read_pictures(folder, 16, least_purity=0.2)
    assert found.labels == ("green", "yellow")
    assert torch.bincount(found.y).tolist() == [5, 4]
    only = read_pictures(folder, 16, classes=("yellow", "green"), split="")
    assert only.labels == ("yellow", "green")


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda place: place.rmdir(), "no folder"),
        (lambda place: None, "holds no pictures"),
        (lambda place: write_picture(place / "a.png", (0, 0, 0)), "holds 1 picture to"),
        (
            lambda place: (
                [write_picture(place / "lemon" / f"{n}.png", (0, 0, 0)) for n in range(9)]
                and (place / "lime").mkdir()
            ),
            "class folder lime",
        ),
        (
            lambda place: (
                [write_picture(place / "lemon" / f"{n}.png", (0, 0, 0)) for n in range(9)]
                and (place / "lemon" / "bad.png").write_bytes(b"\x89PNG no")
            ),
            "bad.png cannot be read",
        ),
        (
            lambda place: [
                write_picture(place / name, (0, 0, 0)) for name in ("a.png", "lemon/b.png")
            ],
            "beside them",
        ),
    ],
)
def test_folders_that_cannot_teach_are_refused_with_a_sentence(
    tmp_path: Path, prepare: object, said: str
) -> None:
    place = tmp_path / "set"
    place.mkdir()
    assert callable(prepare)
    prepare(place)
    with pytest.raises(UnsuitablePicture, match=said) as caught:
        read_pictures(place, 16)
    assert caught.value.remedy


def test_a_class_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(UnsuitablePicture, match="'plum'"):
        read_pictures(folder, 16, classes=("lemon", "plum"))


# --- batches


def gradient_set(counts: tuple[int, ...], size: int) -> PictureSet:
    row = torch.arange(size, dtype=torch.uint8)
    picture = torch.stack(
        (row.expand(size, size), row[:, None].expand(size, size), row.expand(size, size))
    )
    y = torch.cat([torch.full((n,), k) for k, n in enumerate(counts)])
    labels = tuple(str(k) for k in range(len(counts)))
    return PictureSet(picture.repeat(len(y), 1, 1, 1), y, labels, ())


def test_rare_classes_are_drawn_as_often_as_common_ones() -> None:
    batches = Batches(gradient_set((2, 200), 8), 8, flips="none", device="cpu")
    batch = batches.draw(4000, torch.Generator().manual_seed(0))
    assert batch.y is not None
    assert 0.47 < float((batch.y == 0).float().mean()) < 0.53


def test_crops_and_flips_stay_inside_the_picture() -> None:
    batches = Batches(gradient_set((4,), 12), 8, flips="both", device="cpu")
    batch = batches.draw(64, torch.Generator().manual_seed(0))
    levels = ((batch.x + 1) * 127.5).round()
    across = levels[:, 0, 0]  # (B, 8): columns of the source
    down = levels[:, 1, :, 0]
    for steps in (across, down):
        differences = steps.diff(dim=1)
        assert differences.abs().eq(1).all()  # neighbours stay neighbours, in one direction
        assert (differences > 0).all(1).any()
        assert (differences < 0).all(1).any()
        assert steps.min() == 0
        assert steps.max() == 11


def test_pictures_are_kept_as_large_as_the_crops_need() -> None:
    assert stored_size(64, 0.0) == 64
    assert stored_size(64, 0.1) == 71


# --- augmentation


def random_pictures(count: int = 3, size: int = 16) -> Tensor:
    source = torch.Generator().manual_seed(2)
    return torch.rand(count, 3, size, size, generator=source, dtype=torch.float64) * 2 - 1


@pytest.mark.parametrize("change", CHANGES)
def test_every_augmentation_is_differentiable(change: str) -> None:
    draws = draw(1, 4, (change,), torch.Generator().manual_seed(0))
    x = random_pictures(1, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda picture: augment(picture, draws), (x,))


def test_real_and_generated_pictures_get_the_same_change() -> None:
    draws = draw(3, 16, CHANGES, torch.Generator().manual_seed(0))
    x = random_pictures()
    assert torch.equal(augment(x, draws), augment(x.clone(), draws))
    assert not torch.equal(augment(x, draws), x)


def test_a_translation_moves_and_continues_by_reflection() -> None:
    draws = draw(3, 16, ("translation",), torch.Generator().manual_seed(3))
    x = random_pictures()
    found = augment(x, draws)
    assert draws.shift is not None
    for picture, moved, (dx, dy) in zip(x, found, draws.shift.tolist(), strict=True):
        padded = torch.nn.functional.pad(picture[None], (2, 2, 2, 2), mode="reflect")[0]
        expected = padded[:, 2 - dy : 18 - dy, 2 - dx : 18 - dx]
        assert torch.equal(moved, expected)
    assert draws.shift.abs().max() > 0


def test_a_cutout_greys_half_of_the_side_at_most() -> None:
    draws = draw(3, 16, ("cutout",), torch.Generator().manual_seed(3))
    found = augment(random_pictures() + 5, draws)
    grey = (found == 0).all(1)
    assert 0 < int(grey.sum((1, 2)).max()) <= 8 * 8


def test_an_unknown_augmentation_is_refused() -> None:
    with pytest.raises(ValueError, match="'swirl'"):
        draw(1, 8, ("swirl",), torch.Generator())


# --- settings, costs, reports


def test_small_sets_get_stronger_augmentation() -> None:
    assert gan_settings("draft", 64, pictures=200).augmentation == CHANGES
    assert gan_settings("draft", 64, pictures=9000).augmentation == ("translation",)


@pytest.mark.parametrize(
    "wrong",
    [{"resolution": 48}, {"batch": 1}, {"crop": 0.9}, {"flips": "vertical"}, {"iterations": 0}],
)
def test_settings_that_cannot_be_trained_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        gan_settings("draft", **{"resolution": 64, **wrong})  # pyright: ignore[reportArgumentType]


def test_operations_are_those_that_a_run_counts() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    from intarsia_models.families.sngan.networks import SNGANDiscriminator, SNGANGenerator

    settings = gan_settings("draft", 32, width=8, critic_width=8, small=True)
    generator = SNGANGenerator(settings.generator(2)).eval()
    critic = SNGANDiscriminator(settings.critic(2)).eval()
    y = torch.zeros(1, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        x = generator(torch.zeros(1, 128), y)
    assert generator_operations(settings.generator(2)) == pytest.approx(
        counter.get_total_flops(), rel=0.15
    )
    with torch.no_grad():
        critic.logits(x, y)  # the weights' norms are computed once
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        critic.logits(x, y)
    assert critic_operations(settings.critic(2), 32) == pytest.approx(
        counter.get_total_flops(), rel=0.15
    )


def test_better_qualities_and_slower_machines_take_longer() -> None:
    draft, fine = gan_settings("draft", 64), gan_settings("fine", 64)
    assert expected_seconds(draft) < expected_seconds(fine)
    assert expected_seconds(draft, speed=0.5) == pytest.approx(2 * expected_seconds(draft))
    assert expected_seconds(encoder_training("draft"), resolution=32) < expected_seconds(
        encoder_training("draft"), resolution=128
    )


def test_a_report_writes_grids_and_curves(tmp_path: Path) -> None:
    grid = torch.zeros(1, 3, 8, 16)
    with TrainingReport(tmp_path, every_s=0, tensorboard=False) as report:
        for iteration in (1, 2, 3):
            losses = {"critic": 1.0 / iteration, "generator": 0.5}
            report.follow(TrainingProgress(iteration, 3, iteration / 3, losses, lambda: grid))
    assert (tmp_path / "samples" / "0000002.png").is_file()
    with (
        Image.open(tmp_path / "samples.png") as samples,
        Image.open(tmp_path / "curves.png") as curves,
    ):
        assert samples.size == (16, 8)
        assert curves.width > 300
