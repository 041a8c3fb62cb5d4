"""The tenants file: read and checked with line numbers, or made with random secrets on a first start.

The plaintext of generated API keys is written once, beside it, for the operator; both files are readable by their owner only.
"""

import hashlib
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from api.tenants import ApiKey, Role, ShopAccess, Tenant, Tenants
from domain.errors import ConfigError
from domain.ids import TenantId
from domain.order import Channel

TENANTS_FILE = "tenants.yaml"
KEYS_FILE = "keys.txt"
_HEADER = "# Tenants of this installation. API keys are stored as SHA-256; put this file nowhere public, it holds signing secrets.\n"
_KEYS_HEADER = (
    "# API keys of the tenant 'default', one per role. Move them to where they are used, then delete this file.\n"
)
_TENANTS: TypeAdapter[tuple[Tenant, ...]] = TypeAdapter(tuple[Tenant, ...])


def open_tenants(path: Path | None, home: Path) -> Tenants:
    """The tenants of the file at ``path``; without one, those generated under ``home`` (made on the first start).

    Raises:
        ConfigError: the file is missing, unreadable or wrong; says where.
    """
    if path is not None:
        return load(path)
    if not (home / TENANTS_FILE).exists():
        generate(home)
    return load(home / TENANTS_FILE)


def load(path: Path) -> Tenants:
    """Read and check a tenants file.

    Raises:
        ConfigError: the file is missing, unreadable or wrong; names the file, the line and the field.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"SIGNALBOX_TENANTS_FILE: {path} cannot be read: {error}") from error
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {error}") from error
    _refuse_duplicates(path, root)
    if not isinstance(document, dict) or list(document) != ["tenants"] or not document["tenants"]:
        raise ConfigError(f"{path}:1: the file must hold exactly one key, 'tenants', with at least one tenant")
    try:
        return Tenants(_TENANTS.validate_python(document["tenants"]))
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        first = min(found, key=lambda each: each["type"] != "extra_forbidden")  # a misspelt name explains a missing one
        location = ("tenants", *first["loc"])
        field = ".".join(str(part) for part in location)
        raise ConfigError(
            f"{path}:{_line(root, location)}: {field}: {first['msg'].removeprefix('Value error, ')}"
        ) from None
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None


def _refuse_duplicates(path: Path, node: yaml.Node | None, depth: int = 0) -> None:
    """YAML readers keep the last of two equal keys in silence; here that would hide a secret or a role."""
    if depth > 20:
        raise ConfigError(f"{path}: nested deeper than a tenants file ever is")
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            _refuse_duplicates(path, child, depth + 1)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise ConfigError(f"{path}:{key.start_mark.line + 1}: {key.value!r} is given twice")
            seen.add(key.value)
            _refuse_duplicates(path, value, depth + 1)


def _line(node: yaml.Node | None, location: Sequence[int | str]) -> int:
    """The line (from 1) of the deepest node on the way to ``location`` that exists."""
    line = node.start_mark.line + 1 if node else 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == part), None)
            if found is None:
                return line
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            return line
    return line


DEMO_SHOPS: Mapping[Channel, str] = {Channel.SHOPIFY: "signalbox-demo.myshopify.com", Channel.SHOPEE: "220000001"}
DEMO_CALLBACK_URL = "http://127.0.0.1:8000/v1/channels/shopee/webhooks"


def generate(home: Path, *, shops: Sequence[ShopAccess] = ()) -> None:
    """Make the tenant ``default`` with one random key per role and random signing secrets, unless a file is there.

    Of processes that start together one wins; the others use its file. ``shops`` are added to the generated ones.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = {role: f"sbk_{role.value}_{secrets.token_urlsafe(32)}" for role in Role}
    tenant = Tenant(
        tenant=TenantId("default"),
        settlement_currency="USD",
        locale="en",
        timezone="Asia/Hong_Kong",
        api_keys=tuple(
            ApiKey(key_id=role.value, sha256=hashlib.sha256(key.encode()).hexdigest(), roles=frozenset({role}))
            for role, key in keys.items()
        ),
        shops=tuple(
            ShopAccess(
                channel=channel,
                shop=shop,
                secrets=(secrets.token_hex(24),),
                callback_url=DEMO_CALLBACK_URL if channel is Channel.SHOPEE else "",
            )
            for channel, shop in DEMO_SHOPS.items()
        )
        + tuple(shops),
    )
    document = {"tenants": [tenant.model_dump(mode="json", exclude_defaults=True)]}
    drafted = _private(home, TENANTS_FILE, _HEADER + yaml.safe_dump(document, sort_keys=False))
    listed = _private(home, KEYS_FILE, _KEYS_HEADER + "".join(f"{role.value} {key}\n" for role, key in keys.items()))
    try:
        os.link(drafted, home / TENANTS_FILE)
    except FileExistsError:
        listed.unlink()
    else:
        listed.replace(home / KEYS_FILE)
    finally:
        drafted.unlink()


def _private(home: Path, name: str, text: str) -> Path:
    path = home / f".{name}.{secrets.token_hex(6)}"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    return path


def operator_keys(home: Path) -> dict[Role, str]:
    """The plaintext keys that ``generate`` left for the operator, by role; none once the file is deleted."""
    try:
        lines = (home / KEYS_FILE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.split(" ", 1) for line in lines if line and not line.startswith("#"))
    return {Role(role): key for role, key in pairs}
