"""What a vendor's Pulumi SDK says of its resource types, read from its source without importing it.

Importing `pulumi_aws` for fifteen types takes seconds; reading the same facts off its files takes milliseconds. The SDK is
generated, so its shape is regular: `<Type>Args` holds the inputs, the resource class the outputs, `_inputs.py` the nested
objects, docstrings the values that are valid.

    library = Library.installed("aws")
    library.type("aws:s3/bucketVersioning:BucketVersioning").inputs["versioningConfiguration"].required
"""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import importlib.util
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Scalar = Literal["string", "number", "integer", "boolean", "any"]


@dataclass(frozen=True)
class Shape:
    """The type of a property: a scalar, `list` or `map` of an item, or `object` by the name of its class."""

    kind: Scalar | Literal["list", "map", "object"]
    item: Shape | None = None
    name: str = ""


@dataclass(frozen=True)
class Property:
    """One input or output."""

    shape: Shape
    required: bool
    values: tuple[str, ...] = ()
    """All that are valid, where the SDK says so; empty: not said."""
    replaces: bool = False
    """The SDK says that a change makes a new resource. That it does not say so means nothing."""


@dataclass(frozen=True)
class TypeSchema:
    """A resource type. `outputs` are those that are not inputs too: the provider makes them up."""

    token: str
    inputs: dict[str, Property]
    outputs: dict[str, Property] = field(default_factory=dict)


class UnknownType(LookupError):
    """The SDK has no such resource type."""


class Library:
    """One vendor's SDK on disk."""

    def __init__(self, package: str, folder: Path, version: str) -> None:
        self.package, self.folder, self.version = package, folder, version

    @classmethod
    @functools.cache
    def installed(cls, package: str) -> Library:
        """`pulumi_<package>` of this environment. Raises ModuleNotFoundError, which says how to install it."""
        name = f"pulumi_{package}"
        found = importlib.util.find_spec(name)  # finds a top-level package without running it
        if found is None or not found.submodule_search_locations:
            raise ModuleNotFoundError(f"{name} is not installed: run `python3 tools/bootstrap.py {package}`", name=name)
        return cls(package, Path(found.submodule_search_locations[0]), importlib.metadata.version(name))

    @functools.cached_property
    def tokens(self) -> dict[str, tuple[str, str]]:
        """Every resource type: token to (folder of its module inside the package, class name)."""
        text = (self.folder / "__init__.py").read_text()
        listed = re.search(r'resource_modules="""(.*?)"""', text, re.DOTALL)
        if listed is None:
            raise UnknownType(f"pulumi_{self.package} {self.version} lists no resource types")
        return {
            token: ("/".join(module["fqn"].split(".")[1:]), name)
            for module in json.loads(listed[1])
            for token, name in module["classes"].items()
        }

    @functools.cache  # noqa: B019 (a process has one library a vendor, for its whole life)
    def type(self, token: str) -> TypeSchema:
        """The schema of a type. Raises UnknownType."""
        if token not in self.tokens:
            raise UnknownType(f"pulumi_{self.package} {self.version} has no type {token!r}")
        folder, name = self.tokens[token]
        source = _resource_file(self.folder / folder, name)
        resource = _class(source, name)
        arguments = re.search(r"__props__ = (\w+)\.__new__\(\1\)", source)
        inputs = _properties(_class(source, arguments[1])) if arguments else {}
        outputs = {key: told for key, told in _properties(resource).items() if key not in inputs}
        return TypeSchema(token, inputs, outputs)

    @functools.cache  # noqa: B019
    def object(self, token: str, name: str) -> dict[str, Property]:
        """The properties of a nested object of the type `token`, by the name that a `Shape` gives."""
        folder, _ = self.tokens[token]
        source = (self.folder / folder / "_inputs.py").read_text()
        return _properties(_class(source, name))


def _resource_file(folder: Path, name: str) -> str:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    for path in [folder / f"{snake}.py", *sorted(folder.glob("*.py"))]:
        if path.is_file() and f"\nclass {name}(" in (text := path.read_text()):
            return text
    raise UnknownType(f"no file of {folder.name} holds class {name}")


def _class(source: str, name: str) -> ast.ClassDef:
    """The class of this name, parsed alone: `_inputs.py` can have thirty thousand lines."""
    begin = re.search(rf"^class {name}\b", source, re.MULTILINE)
    if begin is None:
        raise UnknownType(f"no class {name}")
    end = re.compile(r"^(?=[@\w])", re.MULTILINE).search(source, begin.end())
    parsed = ast.parse(source[begin.start() : end.start() if end else len(source)]).body[0]
    assert isinstance(parsed, ast.ClassDef)
    return parsed


def _properties(of: ast.ClassDef) -> dict[str, Property]:
    found: dict[str, Property] = {}
    for one in of.body:
        if isinstance(one, ast.FunctionDef) and one.returns is not None and (name := _wire_name(one)):
            told = ast.get_docstring(one) or ""
            optional, shape = _shape(one.returns)
            found[name] = Property(shape, not optional, _values(told), bool(_REPLACES.search(told)))
    return found


def _wire_name(function: ast.FunctionDef) -> str:
    """What the property is called on the wire, if this is a getter: `@pulumi.getter(name="bucketPrefix")`."""
    for decorator in function.decorator_list:
        if ast.unparse(decorator) == "pulumi.getter":
            return function.name
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pulumi.getter":
            return next(str(ast.literal_eval(word.value)) for word in decorator.keywords if word.arg == "name")
    return ""


_SCALARS: dict[str, Scalar] = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "Any": "any"}


def _shape(node: ast.expr) -> tuple[bool, Shape]:
    """(optional, shape) of an annotation such as `pulumi.Input[Optional[Sequence[pulumi.Input['RuleArgs']]]]`."""
    if isinstance(node, ast.Constant):
        return False, Shape("object", name=str(node.value).rpartition(".")[2])
    if not isinstance(node, ast.Subscript):
        return False, Shape(_SCALARS.get(ast.unparse(node).rpartition(".")[2], "any"))
    outer = ast.unparse(node.value).rpartition(".")[2]
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if outer in ("Input", "Output"):
        return _shape(inner[0])
    if outer == "Optional":
        return True, _shape(inner[0])[1]
    if outer == "Sequence":
        return False, Shape("list", _shape(inner[0])[1])
    if outer == "Mapping":
        return False, Shape("map", _shape(inner[1])[1])
    if outer == "Union":  # `Union[str, 'Enum']`: the wire carries the string
        return False, next((shape for _, shape in map(_shape, inner) if shape.kind != "object"), _shape(inner[0])[1])
    return False, Shape("any")


_REPLACES = re.compile(r"forces? (?:a )?(?:new resource|replacement|new)|trigger(?:s)? a replacement", re.IGNORECASE)
_SAID = re.compile(
    r"(?:valid|possible|allowed|supported|accepted) (?:values|options|types|states)(?: are| is| include)?:? (?P<list>[^.\n]*)",
    re.IGNORECASE,
)
_VALUE = re.compile(r"[`\"]([\w:/-]+)[`\"]")


def _values(told: str) -> tuple[str, ...]:
    """The valid values, where a sentence lists them and nothing else."""
    if not (said := _SAID.search(told)):
        return ()
    values = tuple(dict.fromkeys(_VALUE.findall(said["list"])))
    rest = re.sub(r"\b(?:and|or)\b|[,\s]", "", _VALUE.sub("", said["list"]))
    return values if len(values) > 1 and not rest else ()
