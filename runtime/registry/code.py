"""Finding Python by name: a user's recipe or architecture, given as a file or as a dotted module.

A model's package names its architecture but never carries code: what came from a store is data. The code must already be
here, in `runtime.models` or in a module that the person who started the process named (`--code`), and nothing else is
imported, so that a forged model.json cannot make a server import something of its choosing.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Collection
from pathlib import Path
from types import ModuleType
from typing import Any

from adapters.errors import Invalid, NotFound

BUNDLED = "runtime.models."


def load_module(place: str) -> ModuleType:
    """The module at `place`: `path/to/file.py`, known from then on by its stem, or a dotted name on Python's path.

    Raises NotFound, or Invalid when it cannot be imported or its stem already names another module.
    """
    if not place.endswith(".py"):
        return _import(place)
    path = Path(place).resolve()
    if not path.is_file():
        raise NotFound(
            "there is no such Python file", name=place, cure="give the path of the file that holds the recipe"
        )
    name = path.stem
    present = sys.modules.get(name)
    if present is not None and Path(getattr(present, "__file__", None) or "").resolve() == path:
        return present
    if present is not None or importlib.util.find_spec(name) is not None:
        raise Invalid(f"a module called {name!r} already exists", name=place, cure="rename the file")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None, "a .py file always has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise Invalid(
            f"cannot be imported: {type(error).__name__}: {error}", name=place, cure="mend the file"
        ) from error
    return module


def resolve(name: str, *, allowed: Collection[str] = ()) -> type[Any]:
    """The class behind `module:Class`, looked for in `runtime.models` and the modules `allowed`, and nowhere else.

    Raises Invalid with the cure when the module is not one of these, or does not define such a class.
    """
    module_name, _, attribute = name.partition(":")
    if not module_name.startswith(BUNDLED) and module_name not in allowed:
        raise Invalid(
            "this architecture is not bundled, and its code was not named",
            name=name,
            cure=f"start with --code {module_name} or --code path/to/{module_name.rpartition('.')[2]}.py",
        )
    found = getattr(_import(module_name), attribute, None)
    if not inspect.isclass(found) or found.__module__ != module_name:
        raise Invalid(
            f"{module_name} defines no class {attribute!r}", name=name, cure="use the code it was trained with"
        )
    return found


def name_of(architecture: type[Any]) -> str:
    """`module:Class`, by which `resolve` finds it again. Raises Invalid for a class that has no such name."""
    if architecture.__module__ == "__main__" or "." in architecture.__qualname__:
        raise Invalid(
            "a server could not find this class again",
            name=architecture.__qualname__,
            cure="define it at the top level of a module other than __main__",
        )
    return f"{architecture.__module__}:{architecture.__qualname__}"


def source_digest(*modules: str) -> str:
    """SHA-256 over the modules' names and source files, in the order given."""
    digest = hashlib.sha256()
    for name in modules:
        module = importlib.import_module(name)
        source = Path(module.__file__).read_bytes() if module.__file__ else b""
        digest.update(name.encode() + b"\0" + len(source).to_bytes(8, "little") + source)
    return digest.hexdigest()


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise NotFound(
            f"there is no module {error.name!r}", name=name, cure="check the spelling, or give the path of a .py file"
        ) from error
    except Exception as error:
        raise Invalid(
            f"cannot be imported: {type(error).__name__}: {error}", name=name, cure="mend the module"
        ) from error
