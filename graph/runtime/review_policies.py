"""Reads the review policy: the shipped file, or the operator's own."""

from functools import cache
from pathlib import Path

import yaml
from pydantic import ValidationError

from domain.errors import ConfigError
from domain.review_policy import ReviewPolicy

POLICY_FILE = Path(__file__).with_name("review_policy.yaml")


def read_policy(path: Path) -> ReviewPolicy:
    """The policy of a file.

    Raises:
        ConfigError: the file is missing, unreadable or wrong; says where.
    """
    try:
        return ReviewPolicy.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"the review policy {path} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}") from None


@cache
def shipped_policy() -> ReviewPolicy:
    """The policy that ships with this version."""
    return read_policy(POLICY_FILE)
