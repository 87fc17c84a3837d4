"""`isthmus`: one command line over both environments. Every command takes `--json` where a machine may read the answer."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cli.failure import INTERRUPTED, WRONG_INPUT, Failure
from cli.stack import DEFAULT, Stack, existing

app = typer.Typer(
    help="Machine learning on more than one cloud: lay the platform down, train, serve, move.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

StackName = Annotated[
    str, typer.Option("--stack", "-s", help="The environment: stacks/Pulumi.<name>.yaml.", callback=existing)
]
AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON document on standard output; progress goes to standard error.")
]
PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@app.command()
def up(stack: StackName = DEFAULT, as_json: AsJson = False) -> None:
    """Bring the environment up; on `local` also train the bundled models and prove that they are served."""
    from cli.up import up as bring_up

    bring_up(Stack(stack), as_json=as_json)


@app.command()
def down(
    stack: StackName = DEFAULT,
    data: Annotated[bool, typer.Option("--data", help="Remove what was stored, too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Needed for every stack but local.")] = False,
    as_json: AsJson = False,
) -> None:
    """End everything that runs in the environment."""
    from cli.down import down as bring_down

    bring_down(Stack(stack), data=data, confirmed=yes, as_json=as_json)


@app.command()
def status(stack: StackName = DEFAULT, as_json: AsJson = False) -> None:
    """What the environment is made of, and whether it runs."""
    from cli.status import status as show

    raise typer.Exit(show(Stack(stack), as_json=as_json))


@app.command()
def plan(stack: StackName = DEFAULT, as_json: AsJson = False) -> None:
    """What `up` would change, without changing it."""
    from cli.plan import plan as show

    show(Stack(stack), as_json=as_json)


@app.command()
def logs(
    process: Annotated[str, typer.Argument(help="A process of `isthmus status`.")],
    stack: StackName = DEFAULT,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many of the last lines.")] = 50,
) -> None:
    """The last lines a process printed."""
    from cli.logs import logs as show

    show(Stack(stack), process, lines)


@app.command()
def env(stack: StackName = DEFAULT) -> None:
    """Shell lines for typing `pulumi` by hand: eval "$(isthmus env)"; pulumi up -s local"""
    from cli.engine import exports

    print(exports(Stack(stack)))


@app.command()
def settings(
    stack: StackName = DEFAULT,
    cloud: Annotated[
        str, typer.Option("--cloud", help="Whose adapters; default: the stack's, or CLOUD_PROVIDER's.")
    ] = "",
) -> None:
    """The settings document that a process of the runtime reads."""
    from adapters.settings import known_cloud
    from cli.runtime import settings_file
    from cli.up import wanted

    try:
        cloud = cloud and known_cloud(cloud)
    except ValueError as error:
        raise Failure(str(error), code=WRONG_INPUT) from error
    print(settings_file(Stack(stack), cloud or wanted(Stack(stack))[1]).read_text(), end="")


@app.command()
def check(as_json: AsJson = False) -> None:
    """What this machine has of what is needed: versions, licences, and what to do."""
    from tools.check import main as show

    raise typer.Exit(show(["--json"] if as_json else []))


def _passed_on(name: str, module: str, help_text: str, *, asks_server: bool = False) -> None:
    """Add a command that runs a module of the runtime in its own environment, its arguments unread by us.

    One that `asks_server` is told where the local platform's is, unless the person says which.
    """

    @app.command(name, help=help_text, context_settings=PASSED_ON)
    def run_there(context: typer.Context) -> None:
        from cli import runtime

        arguments = list(context.args)
        path = None
        if "--help" not in arguments:
            stack = Stack()
            if not asks_server:
                from cli.up import wanted

                path = runtime.settings_file(stack, wanted(stack)[1])
            elif not any(argument.split("=")[0] == "--url" for argument in arguments):
                arguments += ["--url", runtime.endpoint(stack, "predict")]
        raise typer.Exit(runtime.run(module, arguments, settings=path))


_passed_on("train", "runtime.train.main", "Train a model and register it: isthmus train digits")
_passed_on("models", "runtime.registry.main", "The model registry: list, show, alias, search, copy.")
_passed_on("serve", "runtime.serve.main", "Run a model server in the foreground.")
_passed_on(
    "predict", "runtime.serve.predict", "Ask a running server: isthmus predict digits --sample 3", asks_server=True
)


def _of_system(error: OSError) -> str:
    from tools import home

    sentence = f"{error.filename or 'this machine'}: {error.strerror or error}"
    if str(error.filename).startswith(str(home())):
        sentence += "; ISTHMUS_HOME says where the platform's files go: let it name a folder that can be written"
    return sentence


def main() -> None:
    """The console script. A known failure is one line on standard error; only a defect of ours shows a traceback."""
    from tools import SetupFailed, ToolMissing

    try:
        app()
    except Failure as failure:
        code, sentence = failure.code, str(failure)
    except (ToolMissing, SetupFailed) as missing:
        code, sentence = 1, str(missing)
    except KeyboardInterrupt:
        code, sentence = INTERRUPTED, "interrupted"
    except OSError as error:
        code, sentence = 1, _of_system(error)
    else:
        return
    print(f"isthmus: {sentence}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
