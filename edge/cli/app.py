"""The program `paglets`: its commands, and how they end."""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from edge.cli import (
    adopting,
    backing_up,
    damage,
    draining,
    finding,
    hosting,
    letters,
    living,
    looking,
    messaging,
    options,
    serving,
    travelling,
    watching,
)
from edge.cli.failures import DONE, FAILED, INTERRUPTED, CommandError, sentence
from edge.cli.output import Output, warn
from edge.cli.session import RootOptions, run_here
from edge.logs import LEVEL_VARIABLE
from edge.settings import ApplianceSettings
from edge.version import VERSION
from paglets.core.errors import PagletError

logger = logging.getLogger(__name__)

PROGRAM = "paglets"

app = typer.Typer(
    name=PROGRAM,
    help="Small stateful Python objects that move between the machines of a site, while they work.",
    epilog="`paglets host` starts a host; every other command talks to the one on this machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_PANELS = {
    "Run": (hosting.host, serving.launch_config),
    "Look": (
        looking.status, looking.hosts, looking.ps, looking.info, looking.state, adopting.transfers,
        travelling.passport, watching.events, watching.logs, serving.services, finding.classes,
    ),
    "Act": (
        living.create, messaging.send, living.dispatch, living.clone, living.retract, living.deactivate,
        living.activate, living.dispose,
    ),
    "Maintain": (draining.drain, backing_up.backup, backing_up.restore, letters.outbox, letters.dead_letters,
                 adopting.quarantine, damage.damaged),
}  # fmt: skip
for _panel, _commands in _PANELS.items():
    for _command in _commands:
        app.command(rich_help_panel=_panel)(_command)


@app.callback(invoke_without_command=True)
def root(
    ctx: typer.Context,
    *,
    data_dir: options.DataDir = None,
    as_json: options.AsJson = False,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Small stateful Python objects that move between the machines of a site, while they work."""
    if version:
        out = Output(as_json=as_json)
        out.document({"version": VERSION}) if as_json else out.text(f"{PROGRAM} {VERSION}")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        raise typer.BadParameter(f"no command; `{PROGRAM} --help` lists them")
    ctx.obj = RootOptions(data_dir, as_json, ctx.obj or run_here)


def run(arguments: Sequence[str], *, run_host: Callable[[ApplianceSettings], int] = run_here) -> int:
    """Run one command line; its exit code. Errors have been told on stderr.

    ``run_host``: what is called with the settings of a host that is to be run.
    """
    try:
        code = app(args=list(arguments), prog_name=PROGRAM, standalone_mode=False, obj=run_host)
        sys.stdout.flush()
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except typer.TyperException as error:
        return _wrong_use(error)
    except BrokenPipeError:
        # Who read our output has gone; the interpreter would complain when it flushes what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (CommandError, PagletError, OSError) as error:
        warn(sentence(error))
        return error.exit_code if isinstance(error, CommandError) else FAILED
    except Exception as error:
        if os.environ.get(LEVEL_VARIABLE):
            logger.exception("a command failed in a way that nobody has foreseen")
        warn(
            f"{type(error).__name__}: {sentence(error)}. This is a fault of ours; {LEVEL_VARIABLE}=debug shows where."
        )
        return FAILED
    return code if isinstance(code, int) else DONE


def _wrong_use(error: typer.TyperException) -> int:
    """Tell what was wrong with the command line; a bare `paglets` shows its help instead."""
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(error.format_message() + "\n")
        return error.exit_code
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else PROGRAM
    text = error.format_message()
    end = "" if text.endswith(("?", ".")) else "."
    warn(f"{text}{end} `{command} --help` shows how it is used." if "--help" not in text else text)
    return error.exit_code
