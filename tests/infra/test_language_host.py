"""Our own language host under the real engine: what a program says, how it fails, where it runs, when it ends."""

from __future__ import annotations

import textwrap

import pytest

from tests.deadline import until
from tests.infra.engine import ROOT, Project, gone

# A provider that the engine starts through the language host, because its folder has no executable.
ECHO = """
import sys
sys.path.insert(0, {root!r})
from infra.providers.base import Provider, Resource, State
from infra.providers.server import serve


class Echo(Resource):
    token = "echo:index:Echo"

    def create(self, call, inputs):
        call.log("info", f"made {{call.name}} in {{call.stack}}")
        return State("1", inputs, {{**inputs, "said": inputs["word"] + "!"}})

    def delete(self, call, old):
        return


serve(Provider.of("echo", "1.2.3", [Echo()]), watch_input=False)
"""


def test_what_a_program_prints_is_shown_and_its_own_error_without_the_frames_that_led_to_it(shared: Project) -> None:
    shared.write("""
        print("printed by the program")
        pulumi.log.warn("a warning of the program")
        raise LookupError("the reason")
    """)
    told = shared.preview(fails=True)
    assert "printed by the program" in told and "a warning of the program" in told
    assert "LookupError: the reason" in told and "__main__.py" in told
    assert "program.py" not in told and "runpy" not in told and "non-zero" not in told


def test_a_program_that_ends_itself_is_told_with_its_exit_code(shared: Project) -> None:
    shared.write("import os; os._exit(7)")
    assert "the program ended with exit code 7" in shared.preview(fails=True)


def test_a_program_gets_its_configuration_its_stack_and_its_own_folder(shared: Project) -> None:
    (shared.folder / "beside.py").write_text("WORD = 'imported'\n")
    shared.pulumi("config", "set", "size", "3")
    shared.pulumi("config", "set", "--secret", "password", "hush-hush")
    shared.write("""
        import sys, beside
        config = pulumi.Config()
        pulumi.export("told", [config.require_int("size"), pulumi.get_stack(), pulumi.get_project(), beside.WORD])
        pulumi.export("password", config.require_secret("password"))
        pulumi.export("hosts", [name for name in ("host", "program") if name in sys.modules])
    """)
    shown = shared.up()
    assert shared.outputs()["told"] == [3, shared.stack, shared.name, "imported"]
    assert shared.outputs()["hosts"] == []
    assert "hush-hush" not in shown and "hush-hush" not in str(shared.outputs())


def test_a_program_in_a_subfolder_runs_there_with_the_environment_named_from_pulumi_yaml(project: Project) -> None:
    inside = project.folder / "infra"
    inside.mkdir()
    (inside / "__main__.py").write_text("import os, pulumi, sys\npulumi.export('at', [os.getcwd(), sys.prefix])\n")
    (project.folder / "env").symlink_to(ROOT / ".venv")
    settings = project.folder / "Pulumi.yaml"
    settings.write_text(settings.read_text().replace(str(ROOT / ".venv"), "env") + "main: infra/\n")
    project.up()
    assert project.outputs()["at"] == [str(inside), str(project.folder / "env")]
    settings.write_text(settings.read_text().replace("virtualenv: env", "virtualenv: nowhere"))
    assert "virtualenv 'nowhere', but" in project.preview(fails=True)


def test_about_names_the_interpreter(shared: Project) -> None:
    assert str(ROOT / ".venv" / "bin" / "python") in shared.pulumi("about")


@pytest.mark.parametrize("end", ["kill", "interrupt"])
def test_a_program_ends_with_its_engine(project: Project, end: str) -> None:
    started = project.root / "started"
    project.write(f"""
        import pathlib, signal, time
        signal.alarm(60)
        pathlib.Path({str(started)!r}).touch()
        time.sleep(60)
    """)
    run = project.start("preview")
    until(started.exists, what="the program's start")
    plugins = run.plugins()
    assert len(plugins) >= 2
    getattr(run, end)()
    gone([*plugins], seconds=8)
    run.child.wait(8)


def test_a_provider_without_an_executable_is_run_by_the_language_host(project: Project) -> None:
    folder = project.root / "echo"
    folder.mkdir()
    (folder / "PulumiPlugin.yaml").write_text(
        f"runtime: {{name: python, options: {{virtualenv: {ROOT / '.venv'}}}}}\nversion: 1.2.3\n"
    )
    (folder / "__main__.py").write_text(textwrap.dedent(ECHO.format(root=str(ROOT))))
    settings = project.folder / "Pulumi.yaml"
    settings.write_text(settings.read_text().replace("providers: [", f"providers: [{{name: echo, path: {folder}}}, "))
    project.write("""
        class Echo(pulumi.CustomResource):
            said: pulumi.Output[str]

            def __init__(self, name, word):
                super().__init__("echo:index:Echo", name, {"word": word, "said": None})

        pulumi.export("said", Echo("echo", "hello").said)
    """)
    told = project.up()
    assert project.outputs()["said"] == "hello!"
    assert f"made echo in {project.qualified}" in told
    project.destroy()
