"""The plug-ins are put where the editors look, ready to be used, and taken out again."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Called
from tests.support import ROOT

from intarsia_client.version import __version__
from intarsia_daemon import plugins
from intarsia_daemon.editors import Place, places, targets

Intarsia = Callable[..., Called]
KRITA, GIMP = Path(".local/share/krita/pykrita"), Path(".config/GIMP/3.0/plug-ins")


@pytest.mark.parametrize(
    ("system", "krita", "kritarc", "gimp"),
    [
        ("linux", KRITA, ".config/kritarc", GIMP),
        (
            "win32",
            "AppData/Roaming/krita/pykrita",
            "AppData/Local/kritarc",
            "AppData/Roaming/GIMP/3.0/plug-ins",
        ),
        (
            "darwin",
            "Library/Application Support/krita/pykrita",
            "Library/Preferences/kritarc",
            "Library/Application Support/GIMP/3.0/plug-ins",
        ),
    ],
)
def test_the_folders_of_each_system(
    tmp_path: Path, system: str, krita: str, kritarc: str, gimp: str
) -> None:
    first = places("krita", home=tmp_path, system=system)[0]

    assert (first.folder, first.settings) == (tmp_path / krita, tmp_path / kritarc)
    assert places("gimp", home=tmp_path, system=system, environment={})[0].folder == tmp_path / gimp


def test_flatpaks_krita_is_only_used_where_it_is(tmp_path: Path) -> None:
    assert [p.variant for p in targets("krita", home=tmp_path, system="linux")] == ["Krita"]
    (tmp_path / ".var/app/org.kde.krita/data/krita").mkdir(parents=True)

    found = targets("krita", home=tmp_path, system="linux")

    assert [p.variant for p in found] == ["Krita (Flatpak)"]
    assert found[0].settings == tmp_path / ".var/app/org.kde.krita/config/kritarc"


def test_every_gimp_3_profile_gets_the_plug_in(tmp_path: Path) -> None:
    for name in ("2.10", "3.2", "3.4"):
        (tmp_path / ".config/GIMP" / name).mkdir(parents=True)

    found = targets("gimp", home=tmp_path, system="linux", environment={})

    assert [p.variant for p in found] == ["GIMP 3.2", "GIMP 3.4"]


def test_gimps_own_variable_wins(tmp_path: Path) -> None:
    found = targets("gimp", home=tmp_path, environment={"GIMP3_DIRECTORY": str(tmp_path / "own")})

    assert [p.folder for p in found] == [tmp_path / "own" / "plug-ins"]


def test_kritas_plug_in_is_whole_and_switched_on(intarsia: Intarsia, own_home: Path) -> None:
    assert intarsia("plugins", "install", "krita").code == 0

    folder = own_home / KRITA
    assert "X-KDE-Library=intarsia_krita" in (folder / "intarsia_krita.desktop").read_text()
    assert (folder / "intarsia_krita/_vendor/intarsia_client/catalog.json").is_file()
    assert (folder / "intarsia_krita/_vendor/intarsia_client/_vendor/msgpack/fallback.py").is_file()
    assert (own_home / ".config/kritarc").read_text() == "[python]\nenable_intarsia_krita=true\n"
    compiled = [p for p in folder.rglob("*") if p.suffix in (".so", ".pyd", ".pyc")]
    assert compiled == []


def test_gimps_plug_in_can_be_started_by_gimp(intarsia: Intarsia, own_home: Path) -> None:
    assert intarsia("plugins", "install", "gimp").code == 0

    for profile in ("3.0", "3.2"):
        script = own_home / ".config/GIMP" / profile / "plug-ins/intarsia_gimp/intarsia_gimp.py"
        assert script.read_text().startswith("#!/usr/bin/env python3\n")
        assert os.name != "posix" or script.stat().st_mode & stat.S_IXUSR


@pytest.mark.parametrize("editor", ["krita", "gimp"])
def test_the_vendored_client_works_alone(intarsia: Intarsia, own_home: Path, editor: str) -> None:
    """As inside an editor: no site-packages, only the folder that was installed."""
    intarsia("plugins", "install", editor)
    folder = own_home / (KRITA if editor == "krita" else GIMP) / f"intarsia_{editor}" / "_vendor"
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from intarsia_client import catalog, client, wire\n"
        "assert wire.msgpack.Packer.__module__.endswith('msgpack.fallback'), wire.msgpack\n"
        "assert 'numpy' not in sys.modules and 'msgpack' not in sys.modules\n"
        "print(','.join(catalog.operations()))\n"
    )

    done = subprocess.run(
        [sys.executable, "-S", "-I", "-c", code, str(folder)], capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert "blend" in done.stdout.strip().split(",")


def test_status_tells_missing_current_and_stale(intarsia: Intarsia, own_home: Path) -> None:
    def row() -> dict[str, object]:
        return intarsia("plugins", "status", "krita", "--json").json["plugins"][0]

    assert row()["installed"] is False
    intarsia("plugins", "install", "krita")
    fresh = row()
    assert (fresh["version"], fresh["current"], fresh["problem"]) == (__version__, True, "")
    with (own_home / KRITA / "intarsia_krita/_vendor/intarsia_client/schema.py").open("a") as file:
        file.write("# changed\n")
    assert "stale" in str(row()["problem"])
    (own_home / KRITA / "intarsia_krita/_vendor/intarsia_client/wire.py").unlink()
    assert row()["problem"] == "1 files are missing."
    intarsia("plugins", "install", "krita")
    assert row()["current"] is True
    (own_home / ".config/kritarc").write_text("[python]\nenable_intarsia_krita=false\n")
    assert "not switched on" in str(row()["problem"])


def test_status_notices_a_lost_exec_bit(intarsia: Intarsia, own_home: Path) -> None:
    intarsia("plugins", "install", "gimp")
    (own_home / GIMP / "intarsia_gimp/intarsia_gimp.py").chmod(0o644)

    rows = intarsia("plugins", "status", "gimp", "--json").json["plugins"]

    assert "not executable" in rows[0]["problem"]


def test_caches_of_the_editors_python_do_not_count(intarsia: Intarsia, own_home: Path) -> None:
    intarsia("plugins", "install", "krita")
    cache = own_home / KRITA / "intarsia_krita/__pycache__"
    cache.mkdir()
    (cache / "docker.cpython-313.pyc").write_bytes(b"x")

    assert intarsia("plugins", "status", "krita", "--json").json["plugins"][0]["current"] is True


def test_installing_again_removes_what_an_older_release_left(
    intarsia: Intarsia, own_home: Path
) -> None:
    intarsia("plugins", "install", "krita")
    old = own_home / KRITA / "intarsia_krita/from_an_older_release.py"
    old.write_text("")

    intarsia("plugins", "install", "krita")

    assert not old.exists()


def test_a_developers_link_is_replaced_without_touching_its_target(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "keep.py").write_text("")
    folder = tmp_path / "pykrita"
    folder.mkdir()
    (folder / "intarsia_krita").symlink_to(source)

    plugins.install(Place("krita", "Krita", folder, None, True))

    assert (source / "keep.py").exists()
    assert not (folder / "intarsia_krita").is_symlink()


def test_other_settings_of_krita_stay_as_they_are(tmp_path: Path) -> None:
    settings = tmp_path / "kritarc"
    before = (
        "[advancedColorSelector]\ngamut=a[1]\\nb\n\n"
        "[python]\nenable_other=true\n\n[theme]\nTheme=Krita dark\n"
    )
    settings.write_text(before)

    plugins.switch(settings, on=True)
    assert plugins.is_switched_on(settings)
    assert settings.read_text() == before.replace(
        "[python]\n", "[python]\nenable_intarsia_krita=true\n"
    )
    plugins.switch(settings, on=False)
    assert settings.read_text() == before


def test_a_switch_in_another_group_does_not_count(tmp_path: Path) -> None:
    settings = tmp_path / "kritarc"
    settings.write_text("[other]\nenable_intarsia_krita=true\n")

    assert not plugins.is_switched_on(settings)


def test_remove_takes_everything_out_and_nothing_else(intarsia: Intarsia, own_home: Path) -> None:
    other = own_home / KRITA / "someone_else.desktop"
    other.parent.mkdir(parents=True)
    other.write_text("")
    intarsia("plugins", "install")

    assert intarsia("plugins", "remove").code == 0

    assert [p.name for p in (own_home / KRITA).iterdir()] == ["someone_else.desktop"]
    assert list((own_home / GIMP).iterdir()) == []
    assert "enable_intarsia_krita" not in (own_home / ".config/kritarc").read_text()


def test_another_folder_is_used_and_kritas_settings_are_left_alone(
    intarsia: Intarsia, own_home: Path, tmp_path: Path
) -> None:
    called = intarsia("plugins", "install", "krita", "--folder", tmp_path / "pykrita")

    assert (tmp_path / "pykrita/intarsia_krita/__init__.py").is_file()
    assert "Python Plugin Manager" in called.out
    assert not (own_home / ".config").exists()


def test_a_folder_that_cannot_be_written_is_named(intarsia: Intarsia, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    called = intarsia("plugins", "install", "gimp", "--folder", tmp_path / "file" / "plug-ins")

    assert called.code == 1
    assert "cannot be written" in called.err
    assert "--folder" in called.err


def test_the_packages_hold_the_same_files(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, ROOT / "tools/package.py", "--no-wheel", "--out", tmp_path],
        check=True,
        capture_output=True,
    )

    for editor in ("krita", "gimp"):
        with zipfile.ZipFile(tmp_path / f"intarsia-{editor}-{__version__}.zip") as container:
            files = {info.filename: container.read(info) for info in container.infolist()}
            modes = {info.filename: info.external_attr >> 16 for info in container.infolist()}
        assert files == plugins.plugin_files(editor)
        executable = [name for name, mode in modes.items() if mode & stat.S_IXUSR]
        assert executable == ([plugins.EXECUTABLE] if editor == "gimp" else [])
    assert "intarsia_krita.desktop" in plugins.plugin_files("krita"), "at the zip's root"
