"""The entry point ``mmvae``: commands imported when called, errors as one message and a code."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NoReturn

import click

from mmvae import __version__
from mmvae.cli.launched import end_launched
from mmvae.cli.offered import OpenGroup
from mmvae.cli.options import HELP, Verbosity, echo, example
from mmvae.cli.streams import open_streams
from mmvae.cli.warned import plugin_warnings, without_printed
from mmvae.foundations.errors import (
    Interrupted,
    MmvaeError,
    OutputError,
    Terminated,
    memory_error,
    out_of_memory,
)
from mmvae.foundations.signals import terminable
from mmvae.plugins.entry_points import COMMAND_ENTRIES

COMMANDS = {
    "train": "Train a model from a TOML file.",
    "resume": "Resume a run where it stopped.",
    "evaluate": "Compute bounds and coherence of a trained model.",
    "compare": "Compare evaluated runs, also with published results.",
    "reproduce": "Train and evaluate every row of a study, and print its tables.",
    "generate": "Generate modalities from others or from the prior.",
    "embed": "Write the joint representation of items.",
    "impute": "Impute the missing values of a table.",
    "retrieve": "Find the nearest items across modalities.",
    "score": "Write the bound of each item's log-likelihood.",
    "figures": "Draw one figure of a run, or of several side by side.",
    "report": "Write a run's report with its figures.",
    "data": "Describe, check and make data.",
    "config": "Show, check and document configurations.",
    "plugins": "List, check and start plugins.",
    "info": "Show versions, devices and threads.",
}
"""Each core command with its short help; stored here, so that listing them imports none."""


UNUSABLE_NAME = (errno.ENAMETOOLONG, errno.ELOOP)
"""The system's messages for a user's name that no file can have."""


NO_WORKING_FOLDER = (
    "The working folder of this process was removed. Change to a folder that exists (cd), then "
    "repeat the command."
)


class LazyGroup(OpenGroup):
    """Commands of the core, module ``mmvae.cli.NAME``, and of plugins, loaded when called."""

    def own(self) -> Mapping[str, str]:
        """See :meth:`OpenGroup.own`."""
        return COMMANDS

    def own_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import the core's command of this name."""
        command = importlib.import_module(f"mmvae.cli.{name}").command
        assert isinstance(command, click.Command)
        return command


@click.group(
    cls=LazyGroup,
    entries=COMMAND_ENTRIES,
    context_settings=HELP,
    epilog=example("mmvae train examples/digits.toml", "mmvae COMMAND --help"),
)
@click.version_option(__version__, prog_name="mmvae", message="%(prog)s %(version)s")
@click.option("-q", "--quiet", is_flag=True, help="Print results and errors only.")
@click.pass_context
def cli(ctx: click.Context, quiet: bool) -> None:
    """Multimodal variational autoencoders for any number of modalities."""
    ctx.obj = Verbosity(quiet=quiet)
    if os.environ.get("NO_COLOR"):
        ctx.color = False


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its documented code.

    Our own errors become one message, and so do exceptions of a plugin's code and a lack of
    memory. Any other exception
    is a bug of ours and keeps its traceback.
    """
    open_streams()
    with terminable():
        code = run(argv)
        try:
            sys.stdout.flush()
        except OutputError as error:
            code = _fail(str(error), error.exit_code)
    end_launched(code)
    sys.exit(code)


def run(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    args = None if argv is None else list(argv)
    printed: list[str] = []
    if not has_working_folder():
        return _fail(NO_WORKING_FOLDER, 2)
    try:
        with plugin_warnings() as printed, _as_in_a_fresh_process():
            code = cli.main(args, prog_name="mmvae", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f" Try '{context.command_path} --help'." if context else ""
        return _fail(f"{error.format_message()}{hint}", error.exit_code)
    except (Interrupted, Terminated) as stop:  # a clean stop that was asked for is no error
        echo(str(stop), err=True)
        return stop.exit_code
    except OSError as error:
        if not has_working_folder():
            return _fail(NO_WORKING_FOLDER, 2)
        if error.errno not in UNUSABLE_NAME or error.filename is None:
            raise
        return _fail(f"{error.filename}: {error.strerror}. Choose another name.", 2)
    except MmvaeError as error:
        return _fail(without_printed(str(error), printed), error.exit_code)
    except (KeyboardInterrupt, click.Abort) as error:
        if isinstance(error.__cause__, EOFError):  # click takes it for Ctrl-D; it is a bug of ours
            raise error.__cause__ from None
        where = str(error.__cause__ if isinstance(error, click.Abort) else error)
        return _fail(f"interrupted{f' {where}' if where else ''}.", 130)
    except Exception as error:
        if out_of_memory(error):
            lack = memory_error(error)
            return _fail(without_printed(str(lack), printed), lack.exit_code)
        if (told_of := _plugins_failure(error)) is None:
            raise
        return _fail(str(told_of), told_of.exit_code)
    return code if isinstance(code, int) else 0


def _as_in_a_fresh_process() -> AbstractContextManager[None]:
    """Put aside what a caller has set in torch; nothing is set before it is loaded."""
    if "torch" not in sys.modules:
        return nullcontext()
    from mmvae.foundations.surroundings import undisturbed

    return undisturbed()


def has_working_folder() -> bool:
    """True unless the folder that relative paths count from was removed."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _plugins_failure(error: Exception) -> MmvaeError | None:
    """The error for an exception that a plugin's code raised; None if it is a bug of ours."""
    from mmvae.plugins.guard import (  # they load torch, which most commands do without
        culprit,
        failed,
    )
    from mmvae.plugins.loader import load_registry

    plugin = culprit(error, load_registry(warn=False).plugins)
    return None if plugin is None else failed(plugin, error)


def _fail(message: str, code: int) -> int:
    color = False if os.environ.get("NO_COLOR") else None
    click.secho("error: ", fg="red", bold=True, nl=False, err=True, color=color)
    echo(message, err=True)
    return code
