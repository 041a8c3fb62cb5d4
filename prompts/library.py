"""Reads and verifies every prompt of a folder at once, so that a broken one is a sentence at start, not a failed call.

``<prompt>/manifest.yaml`` declares the versions; ``<prompt>/<version>/`` holds ``system.j2``, ``user.j2``, ``schema.json``.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import StrictUndefined, Template, TemplateError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import Field, ValidationError

from domain.errors import ConfigError
from domain.json_schema import schema_problems
from domain.prompt import Prompt, PromptVersion, Turn
from domain.values import Document, Plain, canonical_json

SHIPPED = Path(__file__).parent
BUILT_IN = frozenset({"language"})
"""Variables every template has: the language the answer's texts must be in, named in English."""
_ROLES = ("system", "user")

_environment = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=False
)


class Manifest(Document):
    """One prompt's ``manifest.yaml``."""

    agent: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """Registry name of the agent that asks."""
    purpose: str
    current: str
    """The version in force."""
    versions: dict[str, PromptVersion] = Field(min_length=1)


@dataclass(frozen=True, kw_only=True)
class FilePrompt:
    """A prompt version read from files."""

    prompt_id: str
    agent: str
    version: str
    digest: str
    declared: PromptVersion
    schema: Mapping[str, Any]
    templates: Mapping[str, Template]

    def render(self, variables: Mapping[str, Plain], *, language: str) -> tuple[Turn, ...]:
        """The turns to send.

        Raises:
            ConfigError: the template cannot be filled with these values.
        """
        try:
            return tuple(
                Turn(role, self.templates[role].render(**variables, language=language).strip()) for role in _ROLES
            )
        except TemplateError as error:
            raise ConfigError(
                f"prompt {self.prompt_id} {self.version} cannot be filled in: {error.message}; "
                "its variables may have changed shape"
            ) from None


class PromptLibrary:
    """All prompts of one folder, verified."""

    def __init__(self, folder: Path = SHIPPED) -> None:
        """Read every prompt.

        Raises:
            ConfigError: one is wrong; the message names the file and what to change.
        """
        self._prompts: dict[str, dict[str, FilePrompt]] = {}
        self._current: dict[str, str] = {}
        for path in sorted(folder.glob("*/manifest.yaml")):
            manifest = _manifest(path)
            name = path.parent.name
            self._prompts[name] = {version: _read(path, manifest, version) for version in manifest.versions}
            self._current[name] = manifest.current

    def __iter__(self) -> Iterator[FilePrompt]:
        """Every version of every prompt."""
        for versions in self._prompts.values():
            yield from versions.values()

    def find(self, prompt_id: str, version: str | None = None) -> Prompt:
        """A prompt's named version, or the one in force.

        Raises:
            ConfigError: there is none; the message lists those there are.
        """
        versions = self._prompts.get(prompt_id)
        if versions is None:
            known = ", ".join(self._prompts) or "none"
            raise ConfigError(f"there is no prompt {prompt_id}; known prompts: {known}")
        named = version or self._current[prompt_id]
        if named not in versions:
            raise ConfigError(f"prompt {prompt_id} has no version {named}; known versions: {', '.join(versions)}")
        return versions[named]

    def in_force(self, prompt_id: str) -> bool:
        """Whether the prompt exists."""
        return prompt_id in self._current


@cache
def shipped_prompts() -> PromptLibrary:
    """The prompts of this release, read once.

    Raises:
        ConfigError: one of them is wrong.
    """
    return PromptLibrary(SHIPPED)


def _manifest(path: Path) -> Manifest:
    try:
        manifest = Manifest.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise ConfigError(f"{path}: {where}: {first['msg']}") from None
    if manifest.current not in manifest.versions:
        raise ConfigError(f"{path}: current names {manifest.current}, which is not among its versions")
    return manifest


def _read(path: Path, manifest: Manifest, version: str) -> FilePrompt:
    folder, declared = path.parent / version, manifest.versions[version]
    texts = {name: _text(folder / name) for name in ("system.j2", "user.j2", "schema.json")}
    schema = _schema(folder / "schema.json", texts["schema.json"])
    _check_fields(path, version, declared, schema)
    sources = {role: texts[f"{role}.j2"] for role in _ROLES}
    _check_variables(folder, declared, sources)
    whole = canonical_json([manifest.agent, declared.model_dump(mode="json"), texts])
    return FilePrompt(
        prompt_id=path.parent.name,
        agent=manifest.agent,
        version=version,
        digest=hashlib.sha256(whole.encode()).hexdigest()[:12],
        declared=declared,
        schema=schema,
        templates={role: _environment.from_string(source) for role, source in sources.items()},
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"{path} cannot be read ({why}); every declared version needs this file") from None


def _schema(path: Path, text: str) -> Mapping[str, Any]:
    try:
        schema = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}:{error.lineno}: not JSON: {error.msg}") from None
    for problem in schema_problems(schema):
        raise ConfigError(f"{path}: {problem}")
    return dict(schema)


def _check_fields(path: Path, version: str, declared: PromptVersion, schema: Mapping[str, Any]) -> None:
    for name in ("unmask", "texts"):
        for named in getattr(declared, name):
            if named not in schema["properties"]:
                raise ConfigError(f"{path}: version {version}: {name} names {named}, which its schema does not have")
    both = set(declared.trusted) & set(declared.untrusted)
    if both:
        raise ConfigError(f"{path}: version {version}: {sorted(both)[0]} is declared both trusted and untrusted")


def _check_variables(folder: Path, declared: PromptVersion, sources: Mapping[str, str]) -> None:
    known, used = {*declared.trusted, *declared.untrusted}, set()
    for role, source in sources.items():
        path = folder / f"{role}.j2"
        try:
            named = meta.find_undeclared_variables(_environment.parse(source))
        except TemplateError as error:
            line = getattr(error, "lineno", 1)
            raise ConfigError(f"{path}:{line}: the template cannot be read: {error.message}") from None
        for name in sorted(named - known - BUILT_IN):
            raise ConfigError(f"{path}: the variable {name} is not declared in the manifest")
        if role == "system" and named & set(declared.untrusted):
            raise ConfigError(
                f"{path}: {sorted(named & set(declared.untrusted))[0]} is untrusted and belongs into user.j2"
            )
        used |= named
    for name in sorted(known - used):
        raise ConfigError(f"{folder}: the manifest declares {name}, which no template uses")
