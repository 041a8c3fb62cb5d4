"""Which addresses a connector may be pointed at, and how its paths are built. Checked before anything is sent."""

import ipaddress
from urllib.parse import quote, urlsplit

from domain.errors import ConfigError


def checked_base_url(url: str) -> str:
    """The base address without a trailing slash.

    Loopback and private networks are allowed: a warehouse system usually lives there. Link-local addresses (cloud
    metadata), disguised numeric hosts, credentials in the address and other schemes are not.

    Raises:
        ConfigError: the address may not be used; the message says why.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"the connector address is not an address ({error}); write scheme, host and port") from None
    shown = f"connector address {parts.scheme}://{parts.hostname or ''}"
    if parts.scheme not in ("http", "https"):
        raise ConfigError(f"{shown}: only http and https are allowed")
    if not parts.hostname:
        raise ConfigError(f"{shown}: the host is missing")
    if parts.username is not None or parts.password is not None:
        raise ConfigError(f"{shown}: credentials do not belong into the address; set the token instead")
    if parts.query or parts.fragment or any(ord(sign) <= 32 or sign == "\\" for sign in url.strip()):
        raise ConfigError(f"{shown}: only scheme, host, port and path are allowed")
    _check_host(parts.hostname, shown)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}"


def _check_host(host: str, shown: str) -> None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        last = host.rstrip(".").rpartition(".")[2]
        if last.isdigit() or last.startswith("0x"):
            # 2130706433, 0x7f.1 and 127.1 are addresses to the resolver, whatever they look like
            raise ConfigError(f"{shown}: write the IP address in full, or use a name") from None
        return
    mapped = getattr(address, "ipv4_mapped", None) or address
    if mapped.is_loopback:
        return
    if mapped.is_link_local or mapped.is_multicast or mapped.is_unspecified or mapped.is_reserved:
        raise ConfigError(f"{shown}: link-local, multicast and reserved addresses are not allowed")


def path_of(*segments: str) -> str:
    """A path of percent-encoded segments: an id with a slash, a question mark or dots stays one segment."""
    return "".join(f"/{_segment(segment)}" for segment in segments)


def _segment(text: str) -> str:
    return text.replace(".", "%2E") if text in (".", "..") else quote(text, safe=":")
