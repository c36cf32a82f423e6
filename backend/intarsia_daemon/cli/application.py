"""The ``intarsia`` command: its groups, its errors and its exit codes."""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import traceback
from typing import Any

import click

from intarsia_client.errors import IntarsiaError
from intarsia_client.version import __version__
from intarsia_daemon.cli import exit_codes

COMMANDS = {
    "demo": "engine:demo",
    "serve": "engine:serve",
    "run": "run:run",
    "train": "train:train",
    "batch": "batch:batch",
    "operations": "operations:operations",
    "models": "models:models",
    "plugins": "plugins:plugins",
    "jobs": "jobs:jobs",
    "doctor": "doctor:doctor",
    "stop": "engine:stop",
}
"""Command to module and function; a module is imported when its command is called, so that the
engine's router never loads what only reading pictures needs."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, function = COMMANDS[cmd_name].partition(":")
        return getattr(importlib.import_module(f"intarsia_daemon.cli.{module}"), function)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="intarsia")
def application() -> None:
    """Edit pictures with small generative models; the result is always a new layer."""
    remember_how_to_start()


def remember_how_to_start() -> None:
    """Tell the editors how this installation's engine is started (engine.json)."""
    from intarsia_client.endpoint import write_engine_file

    with contextlib.suppress(OSError):  # a full or read-only disk: `doctor` says so
        write_engine_file([sys.executable, "-m", "intarsia_daemon", "serve"])


def run(arguments: list[str]) -> int:
    """Run one command.

    Returns:
        The exit code; errors were printed as sentences (and as JSON with ``--json``).
    """
    as_json = "--json" in arguments
    try:
        result = application.main(arguments, prog_name="intarsia", standalone_mode=False)
        return result if isinstance(result, int) else exit_codes.OK
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return exit_codes.USAGE
    except click.UsageError as error:
        _tell(as_json, {"code": "BAD_REQUEST", "what": error.format_message()})
        if not as_json and error.ctx is not None:
            click.echo(f'"{error.ctx.command_path} --help" shows what it takes.', err=True)
        return exit_codes.USAGE
    except click.ClickException as error:
        _tell(as_json, {"code": "BAD_REQUEST", "what": error.format_message()})
        return exit_codes.USAGE
    except (click.Abort, KeyboardInterrupt):
        _tell(as_json, {"code": "CANCELLED", "what": "Cancelled."})
        return exit_codes.CANCELLED
    except IntarsiaError as error:
        _tell(as_json, error.to_dict())
        return exit_codes.of(error)
    except BrokenPipeError:
        sys.stderr.close()
        return exit_codes.FAILED
    except Exception as error:
        traceback.print_exc()
        what = f"Something unexpected went wrong ({type(error).__name__}: {error})."
        _tell(as_json, {"code": "INTERNAL", "what": what, "remedy": "Please report it."})
        return exit_codes.FAILED


def _tell(as_json: bool, error: dict[str, Any]) -> None:
    if as_json:
        click.echo(json.dumps({"error": error}, default=str, ensure_ascii=False))
        return
    click.echo(f"intarsia: {error['what']}", err=True)
    if error.get("remedy"):
        click.echo(f"  {error['remedy']}", err=True)
