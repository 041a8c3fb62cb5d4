"""What a browser posts: one URL-encoded form, bounded, with every value as text to be judged by whoever reads it."""

from collections.abc import Sequence
from urllib.parse import parse_qsl

from starlette.requests import Request

from domain.errors import Forbidden, MalformedPayload, PayloadTooLarge

MAX_BYTES = 256 * 1024
MAX_FIELDS = 2000


class Form:
    """The fields of a form, in the order they were sent."""

    def __init__(self, pairs: Sequence[tuple[str, str]] = ()) -> None:
        """``pairs`` are (name, value)."""
        self.pairs = tuple(pairs)

    def one(self, name: str) -> str:
        """The first value under a name without the white space around it; empty when there is none."""
        return next((value.strip() for key, value in self.pairs if key == name), "")

    def many(self, name: str) -> list[str]:
        """Every value under a name."""
        return [value for key, value in self.pairs if key == name]

    def under(self, prefix: str) -> dict[str, str]:
        """First values of the fields whose names begin with ``prefix``, by the rest of the name."""
        found: dict[str, str] = {}
        for key, value in self.pairs:
            if key.startswith(prefix):
                found.setdefault(key.removeprefix(prefix), value.strip())
        return found


async def read_form(request: Request) -> Form:
    """The posted form.

    Raises:
        Forbidden: the body is no URL-encoded form, so it is none of ours.
        PayloadTooLarge: it is larger than any form of ours.
        MalformedPayload: it is not UTF-8, or has too many fields.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise Forbidden("This is not one of the console's own forms; nothing was done")
    body = await request.body()
    if len(body) > MAX_BYTES:
        raise PayloadTooLarge(f"The form is larger than {MAX_BYTES} bytes; shorten the texts in it")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise MalformedPayload("The form cannot be read: it is not UTF-8, or it has too many fields") from error
    return Form([(name, value.replace("\r\n", "\n")) for name, value in pairs if "\x00" not in name + value])
