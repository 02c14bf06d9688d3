"""The command line is quick to start, and ends with one message and a documented code."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import click
import pytest

from mmvae import __version__
from mmvae.cli import main
from mmvae.cli.offered import OpenGroup
from mmvae.foundations.errors import (
    CheckpointError,
    ConfigError,
    DataCheckError,
    Interrupted,
    PluginError,
    TrainingError,
)

HEAVY = {"torch", "datasets", "accelerate", "numpy", "pydantic", "pluggy", "rich", "matplotlib"}


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["trian"]])
def test_little_is_imported_before_a_command_is_called(args: list[str], install) -> None:
    install("toy-plugin", "toys")
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "mmvae", *args], capture_output=True, text=True
    )
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert "mmvae.cli.main" in imported
    assert not imported & (HEAVY | {"toy_plugin", "mmvae.plugins.loader", "mmvae.cli.info"})


def test_help_lists_every_command_and_gives_an_example(mmvae) -> None:
    result = mmvae("--help")
    assert result.code == 0
    for name, short in main.COMMANDS.items():
        assert name in result.out
        assert short in result.out
    assert "Example:\n    mmvae train" in result.out
    assert mmvae("-h").out == result.out


def commands(group: click.Group, name: str) -> dict[str, click.Command]:
    """Every command below a group that exists, by command line."""
    context = click.Context(group)
    found: dict[str, click.Command] = {}
    for word in group.list_commands(context):
        if group is main.cli and find_spec(f"mmvae.cli.{word}") is None:
            continue
        command = group.get_command(context, word)
        assert command is not None
        found[f"{name} {word}"] = command
        if isinstance(command, click.Group):
            found |= commands(command, f"{name} {word}")
    return found


def test_the_help_of_every_command_has_an_example(monkeypatch) -> None:
    monkeypatch.setattr(OpenGroup, "offered", lambda group: {})
    for line, command in commands(main.cli, "mmvae").items():
        text = command.get_help(click.Context(command, info_name=line))
        _, heading, examples = text.partition("Example:\n")
        assert heading, f"{line} --help shows no example"
        first = examples.splitlines()[0]
        assert "mmvae" in first, line


def test_short_helps_are_those_of_the_commands() -> None:
    for name in ("config", "plugins", "info"):
        command = main.cli.get_command(click.Context(main.cli), name)
        assert command is not None
        assert command.help == main.COMMANDS[name]


def test_version(mmvae) -> None:
    assert mmvae("--version").out == f"mmvae {__version__}\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["trian"], "error: No such command 'trian'. Did you mean 'train'? Try 'mmvae --help'."),
        (["config", "shwo"], "error: No such command 'shwo'. Did you mean 'show'?"),
        (["info", "--jsn"], "error: No such option '--jsn'. Did you mean '--json'?"),
        (["info", "x"], "error: Got unexpected extra argument (x) Try 'mmvae info --help'."),
        (["config", "show"], "error: Missing argument 'CONFIG'."),
    ],
)
def test_usage_errors_are_one_line_and_code_2(mmvae, args, message) -> None:
    result = mmvae(*args)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(message)
    assert result.err.count("\n") == 1


def test_no_command_shows_the_help(mmvae) -> None:
    result = mmvae()
    assert result.code == 2
    assert "Commands:" in result.err


def offer(monkeypatch, function) -> None:
    """Put a command ``fail`` on the command line for one test."""
    command = click.Command("fail", callback=function)
    found = main.LazyGroup.get_command
    monkeypatch.setitem(main.COMMANDS, "fail", "Fail.")
    monkeypatch.setattr(
        main.LazyGroup,
        "get_command",
        lambda self, ctx, name: command if name == "fail" else found(self, ctx, name),
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TrainingError("x"), 1),
        (ConfigError("x"), 2),
        (PluginError("x"), 3),
        (DataCheckError("x"), 4),
        (CheckpointError("x"), 5),
    ],
)
def test_our_errors_become_a_message_and_their_code(mmvae, monkeypatch, error, code) -> None:
    def fail() -> None:
        raise error

    offer(monkeypatch, fail)
    result = mmvae("fail")
    assert (result.code, result.out, result.err) == (code, "", "error: x\n")


@pytest.mark.parametrize("code", [75, 130])
def test_a_stop_that_was_asked_for_is_no_error(mmvae, monkeypatch, code) -> None:
    def stop() -> None:
        raise Interrupted("x", code)

    offer(monkeypatch, stop)
    result = mmvae("fail")
    assert (result.code, result.out, result.err) == (code, "", "x\n")


def test_ctrl_c_is_130(mmvae, monkeypatch) -> None:
    def fail() -> None:
        raise KeyboardInterrupt

    offer(monkeypatch, fail)
    result = mmvae("fail")
    assert result.code == 130
    assert result.err.strip() == "error: interrupted."


@pytest.mark.parametrize("error", [ZeroDivisionError, EOFError, OSError])
def test_our_bugs_keep_their_traceback(mmvae, monkeypatch, error) -> None:
    def fail() -> None:
        raise error("a bug")

    offer(monkeypatch, fail)
    with pytest.raises(error, match="a bug"):
        mmvae("fail")


def test_what_a_command_returns_is_no_failure(mmvae, monkeypatch) -> None:
    offer(monkeypatch, lambda: None)
    assert mmvae("fail").code == 0


COMMAND = "import click\n\n@click.command()\ndef command():\n    click.echo('hello')\n"


def test_a_plugin_command_is_listed_unloaded_and_loaded_when_called(mmvae, install) -> None:
    install("greeter", "greet", COMMAND, group="mmvae.commands")
    listing = mmvae("--help").out
    assert "Commands of plugins" in listing
    assert "greet" in listing
    assert "greeter" not in sys.modules
    assert mmvae("greet").out == "hello\n"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import surely_not_installed", "the module 'surely_not_installed' that it needs is not"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("class Stop(BaseException): ...\nraise Stop('here')", "Stop: here"),
        ("command = 3", "is 3; expected a click command"),
        ("x = 3", "cannot be resolved: module 'greeter' has no attribute 'command'"),
    ],
)
def test_a_broken_plugin_command_harms_only_itself(mmvae, install, code, message) -> None:
    install("greeter", "greet", code, group="mmvae.commands")
    result = mmvae("greet")
    assert result.code == 3
    assert result.err.startswith("error: command 'greet' (greeter 1.0) is broken: ")
    assert result.err.count("greeter 1.0") == 1
    assert "or leave it out with MMVAE_DISABLE_PLUGINS=greeter" in result.err
    assert message in result.err
    assert mmvae("--help").code == 0


def test_a_plugin_command_that_is_loaded_when_the_process_is_to_end_is_not_broken(
    mmvae, install
) -> None:
    stop = "from mmvae.foundations.errors import Terminated\nraise Terminated('stopped')"
    install("bad-command", "stopping", stop, group="mmvae.commands")
    result = mmvae("stopping")
    assert (result.code, result.err) == (75, "stopped\n")


def test_commands_that_clash_are_reported_not_hidden(mmvae, install) -> None:
    install("greeter", "greet", COMMAND, group="mmvae.commands")
    install("greeter-two", "greet", COMMAND, group="mmvae.commands")
    install("usurper", "train", COMMAND, group="mmvae.commands")
    listing = " ".join(mmvae("--help").out.split())
    assert "train usurper offers it, but the core has a command of this name" in listing
    assert "greet offered by several distributions: greeter, greeter-two" in listing
    result = mmvae("greet")
    assert result.code == 3
    assert "greeter, greeter-two" in result.err
    assert main.cli.offered().keys() >= {"greet"}
    assert "train" not in main.cli.offered()


def test_no_color_is_honoured(monkeypatch) -> None:
    def stderr(**environ: str) -> str:
        program = (
            "from mmvae.cli import streams; streams.Remarks.isatty = lambda self: True; "
            "from mmvae.cli.main import main; main(['nothing'])"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            env={"PATH": "", **environ},
        )
        return done.stderr

    assert "\x1b[" in stderr()
    assert "\x1b[" not in stderr(NO_COLOR="1")
