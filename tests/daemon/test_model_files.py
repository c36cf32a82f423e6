"""Which files make up a foreign model, and the names of its classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.class_labels import read_labels
from intarsia_daemon.model_files import find_files


def _folder(folder: Path, names: Sequence[str]) -> Path:
    for name in names:
        (folder / name).write_bytes(b"x")
    return folder


@pytest.mark.parametrize(
    ("names", "main", "companions"),
    [
        (
            [
                "ResNetGenerator_450000.npz",
                "SNResNetProjectionDiscriminator_450000.npz",
                "ResNetEncoder_450000.npz",
                "ResNetAuxABGenerator_450000.npz",
                "io.npz",
            ],
            "ResNetGenerator_450000.npz",
            {
                "discriminator": "SNResNetProjectionDiscriminator_450000.npz",
                "encoder": "ResNetEncoder_450000.npz",
                "auxiliary": "ResNetAuxABGenerator_450000.npz",
            },
        ),
        (
            [
                "ResNetGenerator_90000.npz",
                "ResNetGenerator_450000.npz",
                "SNResNetProjectionDiscriminator_90000.npz",
            ],
            "ResNetGenerator_450000.npz",
            {"discriminator": "SNResNetProjectionDiscriminator_90000.npz"},
        ),
        (["G.pth", "G_ema.pth", "G_optim.pth", "D.pth", "D_optim.pth"], "G_ema.pth", "D.pth"),
        (["G.pth", "G_optim.pth", "D_optim.pth"], "G.pth", {}),
        (
            ["G_ema_best0.pth", "D_best0.pth", "G_ema.pth", "D.pth"],
            "G_ema_best0.pth",
            "D_best0.pth",
        ),
        (["network-snapshot-000100.pkl", "network-snapshot-000240.pkl"], "-000240.pkl", {}),
        (["only.pt", "README.md"], "only.pt", {}),
        (["config.json", "pytorch_model.bin"], "", {}),
        (
            ["proggan_livingroom-1.pth", "pgan_encoders_livingroom_RGBM_model_final.pth"],
            "proggan_livingroom-1.pth",
            {"regressor": "pgan_encoders_livingroom_RGBM_model_final.pth"},
        ),
        (
            [
                "proggan_livingroom-1.pth",
                "pgan_encoders_church_RGBM_model_final.pth",
                "pgan_encoders_livingroom_RGB_model_final.pth",
                "pgan_encoders_livingroom_RGBM_model_final.pth",
            ],
            "proggan_livingroom-1.pth",
            {"regressor": "pgan_encoders_livingroom_RGBM_model_final.pth"},
        ),
        (
            [
                "sgans_stylegan2-horse-config-f.pt",
                "pgan_encoder_RGBM_model_final.pth",
                "sgan_encoder_RGBM_model_final.pth",
            ],
            "horse-config-f.pt",
            {"regressor": "sgan_encoder_RGBM_model_final.pth"},
        ),
    ],
)
def test_a_folder_gives_the_generator_and_its_companions(
    tmp_path: Path, names: list[str], main: str, companions: str | dict[str, str]
) -> None:
    found = find_files(_folder(tmp_path, names), {})
    wanted = {"discriminator": companions} if isinstance(companions, str) else companions
    assert str(found.main).endswith(main) and (main or found.main == tmp_path)
    assert {role: path.name for role, path in found.companions.items()} == wanted


def test_files_that_are_given_count_before_those_found(tmp_path: Path) -> None:
    folder = _folder(tmp_path, ["G_ema.pth", "D.pth", "other.pth"])
    found = find_files(folder, {"discriminator": folder / "other.pth"})
    assert found.companions == {"discriminator": folder / "other.pth"}
    assert find_files(folder / "G_ema.pth", {}).companions == {}, "a file is taken alone"


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (["a.pt", "b.pt"], r"several models.*a\.pt, b\.pt"),
        (["notes.txt"], "no model that is known"),
    ],
)
def test_a_folder_that_says_nothing_is_refused_with_its_files(
    tmp_path: Path, names: list[str], match: str
) -> None:
    with pytest.raises(InvalidRequest, match=match):
        find_files(_folder(tmp_path, names), {})


def test_of_several_masked_encoders_one_must_be_named(tmp_path: Path) -> None:
    names = ["pgan_encoders_church_RGBM.pth", "pgan_encoders_bedroom_RGBM.pth"]
    folder = _folder(tmp_path, ["mine.pth", *names])
    with pytest.raises(InvalidRequest, match=r"several masked encoders.*--regressor: pgan_enc"):
        find_files(folder, {})
    chosen = folder / names[0]
    assert find_files(folder, {"regressor": chosen}).companions == {"regressor": chosen}
    assert find_files(folder, {"regressor": chosen}).main == folder / "mine.pth"


def test_a_missing_companion_is_named(tmp_path: Path) -> None:
    folder = _folder(tmp_path, ["G_ema.pth"])
    with pytest.raises(InvalidRequest, match=r"The encoder .*gone\.npz is not a file"):
        find_files(folder, {"encoder": tmp_path / "gone.npz"})


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("lemon\nlime\n", ["lemon", "lime"]),
        ("n01440764 tench, Tinca tinca\r\nn01443537 goldfish", ["tench, Tinca tinca", "goldfish"]),
        ("\ufeffZitrone\nLimette", ["Zitrone", "Limette"]),
        ('["lemon", "lime"]', ["lemon", "lime"]),
        ('{"1": "lime", "0": "lemon"}', ["lemon", "lime"]),
        ('{"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"]}', ["tench", "goldfish"]),
    ],
)
def test_class_names_are_read_as_people_have_them(
    tmp_path: Path, text: str, names: list[str]
) -> None:
    path = tmp_path / "labels"
    path.write_text(text, "utf-8", newline="")
    assert read_labels(path) == names


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lemon\n\nlime",
        "[3]",
        '{"0": "a", "2": "b"}',
        '{"a": "b"}',
        "[" * 100_000,
        "a\x1bb",
        "x" * 301,
        '{"0": {}}',
        "[[]]",
    ],
)
def test_what_holds_no_class_names_is_refused_with_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.txt"
    path.write_text(text, "utf-8")
    with pytest.raises(InvalidRequest, match=r"labels\.txt cannot be read") as caught:
        read_labels(path)
    assert "one name per line" in caught.value.remedy


def test_class_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidRequest, match="cannot be read"):
        read_labels(path)
    with pytest.raises(InvalidRequest, match="cannot be read"):
        read_labels(tmp_path / "gone.txt")
