"""The commands and their options; what they end with stands in docs/architecture.md."""

from __future__ import annotations

import base64
import difflib
import errno
import json
import logging
import secrets
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Annotated

import typer
from typer import Argument, Option

from pipeline.concurrency.signals import Interrupt
from pipeline.config.load import of_any
from pipeline.config.models import Model
from pipeline.config.overrides import Override
from pipeline.config.root import Config
from pipeline.config.sources import is_source
from pipeline.errors import ConfigError, ModelError, PipelineError, SourceError, unwritable
from pipeline.redaction import guard_logs, guarded_tracebacks, redacted, scrub
from pipeline.version import __version__

from . import COMMANDS
from .log_format import JsonLines, LogFormat, logging_to
from .options import overrides
from .run import watch
from .status_line import Terminal
from .streams import silence

# Typer hides its copy of click; the root of its usage errors is still reachable from this one.
_USAGE_ERROR: type[BaseException] = typer.BadParameter.__bases__[0]

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Watch the people in front of your cameras, boxed live.",
    epilog="Without a command: run. Its options: lookout run --help.",
)
models = typer.Typer(help="The models that Lookout knows by name.")
app.add_typer(models, name="models")

ConfigFile = Annotated[
    str | None,
    Argument(metavar="CONFIG", help="YAML file, or a camera number, address or video; without one, a drawn demo."),
]
Verbose = Annotated[bool, Option("--verbose", "-v", help="Show where in the program an error came from.")]
Settings = Annotated[
    list[str] | None, Option("--set", metavar="KEY.PATH=VALUE", help="Any other key; may be repeated.")
]


def _note_format(chosen: LogFormat) -> LogFormat:
    """Remember what errors must look like that end the program."""
    global _format
    _format = chosen
    return chosen


LogFormatOption = Annotated[
    LogFormat,
    Option(
        "--log-format",
        envvar="LOOKOUT_LOG_FORMAT",
        callback=_note_format,
        is_eager=True,
        help="What is logged: text, or json with an object a line.",
    ),
]
_format = LogFormat.TEXT


@app.command()
def run(
    config: ConfigFile = None,
    source: Annotated[
        list[str] | None,
        Option("-i", "--source", metavar="ADDRESS", help="Camera number, address or file; may be repeated."),
    ] = None,
    model: Annotated[str | None, Option("-m", "--model", metavar="NAME", help="Known model, or path of one.")] = None,
    device: Annotated[str | None, Option("-d", "--device", metavar="NAME", help="CPU, GPU, NPU, AUTO, ...")] = None,
    threshold: Annotated[str | None, Option("-t", "--threshold", metavar="SCORE", help="Least score, 0 to 1.")] = None,
    output: Annotated[str | None, Option("-o", "--output", metavar="FILE", help="Video file to write.")] = None,
    window: Annotated[bool | None, Option("--window/--no-window", help="Show a window.", show_default=False)] = None,
    web: Annotated[str | None, Option("--web", metavar="[HOST:]PORT", help="Serve a page.")] = None,
    no_web: Annotated[bool, Option("--no-web", help="Serve no page.")] = False,
    events: Annotated[
        str | None, Option("--events", metavar="FILE", help="JSON lines to append to; - to print.")
    ] = None,
    loop: Annotated[bool, Option("--loop", help="Start files again at their end.")] = False,
    duration: Annotated[
        float, Option("--duration", metavar="SECONDS", min=0, show_default=False, help="End after so long.")
    ] = 0.0,
    frames: Annotated[
        int, Option("--frames", metavar="N", min=0, show_default=False, help="Results a camera until the end.")
    ] = 0,
    summary: Annotated[str | None, Option("--summary", metavar="FILE", help="Write the numbers as JSON.")] = None,
    log_format: LogFormatOption = LogFormat.TEXT,
    settings: Settings = None,
    verbose: Verbose = False,
) -> int:
    """Watch: the cameras of CONFIG, or the ones given with -i. Naming any output leaves the automatic one out."""
    changes = overrides(
        sources=source or (),
        model=model,
        device=device,
        threshold=threshold,
        video=output,
        window=window,
        web=web,
        no_web=no_web,
        events=events,
        loop=loop,
    )
    return watch(_loaded(config, (*changes, *(settings or ()))), frames, duration, summary, log_format=log_format)


@app.command()
def check(
    config: Annotated[str, Argument(metavar="CONFIG")], settings: Settings = None, verbose: Verbose = False
) -> int:
    """Say what a configuration means, or everything that is wrong with it."""
    loaded = _loaded(config, tuple(settings or ()))
    count = len(loaded.cameras)
    outputs = "automatic output" if loaded.outputs is None else ", ".join(each.kind for each in loaded.outputs)
    cameras = f"{count} camera{'s' * (count != 1)}"
    detector = f"model {loaded.model.name}, device {loaded.infer.device}"
    _say(f"{redacted(str(config))}: good: {cameras}, {detector}, {outputs or 'no output'}")
    return 0


@app.command()
def doctor(
    address: Annotated[str, Argument(metavar="ADDRESS", help="Camera number, address or file.")],
    seconds: Annotated[float, Option("--seconds", metavar="SECONDS", min=1, max=3600, help="How long to look.")] = 20.0,
    machine: Annotated[bool, Option("--json", help="Print JSON for programs.")] = False,
    settings: Settings = None,
    verbose: Verbose = False,
) -> int:
    """Look at one camera for 20 s and say what to change in it; ends with 3 if no picture comes."""
    if address.lower().endswith((".yaml", ".yml")):
        raise ConfigError(f"{redacted(address)}: is a configuration; give the address of one camera")
    loaded = _loaded(None, (*overrides(sources=[address]), *(settings or ())))
    name, camera = next(iter(loaded.cameras.items()))
    from pipeline.doctor.report import consult

    text, code = consult(name, camera, address, seconds, Terminal(stderr=True), machine=machine)
    _say(text)
    return code


@app.command()
def devices(verbose: Verbose = False) -> int:
    """List the devices that OpenVINO finds on this machine."""
    from pipeline.infer.backends.openvino.devices import devices as found

    for name, title in found():
        _say(f"{name}  {title}")
    return 0


@app.command()
def play(
    recording: Annotated[list[str], Argument(metavar="RECORDING...", help="Videos, each with a .jsonl beside it.")],
    output: Annotated[str | None, Option("-o", "--output", metavar="FILE", help="Video file to write.")] = None,
    window: Annotated[bool | None, Option("--window/--no-window", help="Show a window.", show_default=False)] = None,
    web: Annotated[str | None, Option("--web", metavar="[HOST:]PORT", help="Serve a page.")] = None,
    log_format: LogFormatOption = LogFormat.TEXT,
    settings: Settings = None,
    verbose: Verbose = False,
) -> int:
    """Play recordings with the boxes that were found when they were made, without detecting anything."""
    changes = overrides(sources=recording, video=output, window=window, web=web)
    config = _loaded(None, (*changes, *(settings or ())))
    paths = {name: Path(camera.source) for name, camera in config.cameras.items()}
    for path in paths.values():
        if not path.is_file():
            raise SourceError(f"{path}: no such file", "not found")
    return watch(config, 0, 0.0, None, paths, log_format)


@app.command()
def schema() -> int:
    """Print the JSON Schema of the configuration, for editors."""
    from pipeline.config.json_schema import schema as described

    _say(json.dumps(described(), indent=2))
    return 0


@app.command()
def token() -> int:
    """Make a token for the page: what viewers from other machines must know."""
    letters = base64.b32encode(secrets.token_bytes(15)).decode().lower()
    _say("-".join(letters[at : at + 4] for at in range(0, len(letters), 4)))
    return 0


@app.command()
def version() -> int:
    """Print the version."""
    _say(f"lookout {__version__}")
    return 0


@models.callback(invoke_without_command=True)
def list_models(context: typer.Context) -> int:
    """List, fetch and verify the models that Lookout knows by name."""
    return 0 if context.invoked_subcommand else list_known()


@models.command("list")
def list_known() -> int:
    """List the known models with their precisions, input sizes and labels."""
    from pipeline.infer.models.catalogue import known

    for each in known():
        _say(f"{each.name}  {each.width}x{each.height}  {' '.join(each.releases)}  {', '.join(each.labels)}")
    return 0


@models.command("fetch")
def fetch_model(name: str, precision: str = "FP16-INT8", verbose: Verbose = False) -> int:
    """Fetch a known model into the cache, so that no network is needed later."""
    from pipeline.infer.models.catalogue import fetch

    stopping = threading.Event()
    with logging_to(_complain, LogFormat.TEXT), Interrupt(stopping.set) as interrupt:
        try:
            _say(str(fetch(name, precision, stopping).xml))
        except ModelError:
            if not interrupt.number:
                raise
    return 128 + interrupt.number if interrupt.number else 0


@models.command("verify")
def verify_models(folder: str | None = None, verbose: Verbose = False) -> int:
    """Check the files of all known models on this machine against their official size and SHA-384."""
    from pipeline.infer.models.catalogue import verify

    faults = 0
    for found in verify(Model(folder=folder)):
        _say(f"{found.name}  {found.precision}  {found.folder}  {found.fault or 'good'}")
        faults += bool(found.fault)
    return 4 if faults else 0


def main(arguments: Sequence[str]) -> int:
    """Run a command line; returns the exit code, after one line for each problem and never a traceback unasked."""
    given = list(arguments)
    program = "run.py" if Path(sys.argv[0]).name == "run.py" else "lookout"
    guard_logs()
    _note_format(LogFormat.TEXT)
    with guarded_tracebacks():
        try:
            code = int(app(_with_command(given), prog_name=program, standalone_mode=False) or 0)
            sys.stdout.flush()
            return code
        except (SystemExit, BrokenPipeError):
            # Nobody reads the rest of our output; Typer exits where that is a help page.
            silence(sys.stdout)
            return 0
        except (Exception, KeyboardInterrupt) as error:
            if {"-v", "--verbose"} & set(given):
                _complain("".join(traceback.format_exception(error)).rstrip())
            return _report(error, program)


def _report(error: BaseException, program: str) -> int:
    """Print what a person needs to know of an error; returns the exit code."""
    if isinstance(error, OSError) and not isinstance(error, PipelineError) and _is_of_a_stream(error):
        silence(sys.stdout)
        error = unwritable("standard output", error)
    if isinstance(error, PipelineError):
        _complain(str(error), error.exit_code)
        return error.exit_code
    if isinstance(error, _USAGE_ERROR):
        _complain(f"{program}: {getattr(error, 'format_message', error.__str__)()}")
        return 2
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return 128 + signal.SIGINT
    _complain(f"{program}: unexpected {type(error).__name__}: {' '.join(str(error).split())}; -v shows where")
    return 1


def _say(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        silence(sys.stdout)


def _is_of_a_stream(error: OSError) -> bool:
    """Tell whether standard output cannot be written: all that write files say so themselves, and which."""
    return error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def _complain(text: str, exit_code: int | None = None) -> None:
    lines = text.splitlines() if _format is LogFormat.JSON else [scrub(text)]
    if _format is LogFormat.JSON:
        records = [logging.LogRecord(__name__, logging.ERROR, __file__, 0, "%s", (line,), None) for line in lines]
        for record in records:
            record.exit_code = exit_code
        lines = [JsonLines().format(record) for record in records]
    try:
        print("\n".join(lines), file=sys.stderr, flush=True)
    except OSError:
        silence(sys.stderr)


def _with_command(arguments: list[str]) -> list[str]:
    """The arguments with `run` in front where no command is named."""
    first = arguments[0] if arguments else ""
    if first in COMMANDS or first in ("--help", "-h"):
        return ["--help"] if first == "-h" else arguments
    if first and not first.startswith("-") and len(arguments) > 1 and not arguments[1].startswith("-"):
        raise _no_such(first)
    return ["run", *arguments]


def _no_such(word: str) -> ConfigError:
    names = {each: each for each in COMMANDS} | {each.stem: each.name for each in sorted(Path().glob("*.y*ml"))}
    near = difflib.get_close_matches(word, names, n=1)
    hint = f"did you mean {names[near[0]]}?" if near else f"commands: {', '.join(COMMANDS)}"
    return ConfigError(f"{redacted(word)}: no such command or file; {hint}")


def _loaded(config: str | None, changes: tuple[Override | str, ...]) -> Config:
    if config is None or is_source(config):
        return of_any(config, changes)
    if not Path(config).exists() and PurePath(config).name == config and not PurePath(config).suffix:
        raise _no_such(config)
    return of_any(config, changes)
