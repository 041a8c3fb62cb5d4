"""The tenants file: generated safe, read strictly, refused with the line."""

import concurrent.futures
import hashlib
import stat
from pathlib import Path

import pytest

from api.tenant_file import generate, load, open_tenants, operator_keys
from api.tenants import Role
from domain.errors import ConfigError, NotFound

GOOD = """\
tenants:
  - tenant: acme
    settlement_currency: HKD
    locale: zh-Hant-HK
    timezone: Asia/Hong_Kong
    api_keys:
      - key_id: shop
        sha256: {digest}
        roles: [storefront]
        expires_at: 2027-01-01T00:00:00Z
    shops:
      - channel: shopee
        shop: 220000001
        secrets: [5a2f8d13c07be94461a0d2c7, 77b0e1c95d3f4a8264ce19f0]
        callback_url: https://acme.example/push
    reviewers:
      - user: mei
        roles: [ops]
""".format(digest=hashlib.sha256(b"sbk_shop_Qx81mZr0").hexdigest())


def _write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "tenants.yaml"
    path.write_text(text)
    return path


def test_a_good_file(tmp_path: Path) -> None:
    """Keys are found by their plaintext, shops by channel, with every secret that is valid."""
    tenants = load(_write(tmp_path, GOOD))
    held = tenants.holder("sbk_shop_Qx81mZr0")
    assert held is not None
    assert held[0].tenant == "acme"
    assert held[1].roles == {Role.STOREFRONT}
    assert tenants.holder("sbk_shop_Qx81mZr1") is None
    found = [(secret.shop, secret.tenant, secret.callback_url) for secret in tenants.secrets("shopee")]
    assert found == [("220000001", "acme", "https://acme.example/push")] * 2
    assert tenants.secrets("shopify") == ()
    with pytest.raises(NotFound):
        tenants.get("bolt")


@pytest.mark.parametrize(
    ("old", "new", "line", "names"),
    [
        ("HKD", "XXX", 3, "settlement_currency"),
        ("Asia/Hong_Kong", "Hong Kong", 5, "timezone"),
        ("zh-Hant-HK", "cantonese!", 4, "locale"),
        ("[storefront]", "[boss]", 9, "roles"),
        ("[storefront]", "[]", 9, "roles"),
        ("2027-01-01T00:00:00Z", "soon", 10, "expires_at"),
        ("channel: shopee", "channel: myspace", 12, "channel"),
        ("5a2f8d13c07be94461a0d2c7", "changeme-changeme", 14, "secrets"),
        ("5a2f8d13c07be94461a0d2c7", "e1f2a3b4", 14, "secrets"),
        ("5a2f8d13c07be94461a0d2c7", "passwordpassword1", 14, "secrets"),
        ("5a2f8d13c07be94461a0d2c7", "aaaaaaaaaaaaaaaaaaaaaaaa", 14, "secrets"),
        ("    locale:", "    local:", 4, "local"),
        ("user: mei", "user: mei\n        user: tan", 18, "user"),
        ("tenant: acme", "tenant: Acme Inc", 2, "tenant"),
        ("roles: [ops]", "roles: [ops", 19, "not YAML"),
        ("    timezone: Asia/Hong_Kong\n", "", 2, "timezone"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, old: str, new: str, line: int, names: str) -> None:
    """reliability/S14 part: file, line and field are named; a weak or default secret refuses to start and is not shown."""
    path = _write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(ConfigError) as refusal:
        load(path)
    assert str(refusal.value).startswith(f"{path}:{line}:"), str(refusal.value)
    assert names in str(refusal.value)
    assert names != "secrets" or new not in str(refusal.value)


def test_a_key_that_anyone_could_guess_is_refused(tmp_path: Path) -> None:
    """reliability/S14 part: the digest of a default key is known, so it is no key."""
    guessable = hashlib.sha256(b"changeme").hexdigest()
    path = _write(tmp_path, GOOD.replace(hashlib.sha256(b"sbk_shop_Qx81mZr0").hexdigest(), guessable))
    with pytest.raises(ConfigError, match=f"{path}:8:.*guessable"):
        load(path)


@pytest.mark.parametrize("text", ["", "[]", "tenants: []", "tenant: x", "tenants: [1]", "a: &a [*a]", "\x00", "- {{"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, text: str) -> None:
    """Whatever the file holds, the answer is one sentence."""
    with pytest.raises(ConfigError):
        load(_write(tmp_path, text))


def test_two_of_a_kind_are_refused(tmp_path: Path) -> None:
    """One key, one shop, one tenant: a second entry would decide by chance."""
    second = GOOD.partition("\n")[2]
    for text, names in [
        (GOOD + second, "tenant 'acme'"),
        (GOOD + second.replace("tenant: acme", "tenant: bolt"), "API key 'shop'"),
        (
            GOOD + second.replace("tenant: acme", "tenant: bolt").partition("    api_keys")[0] + _shops(),
            "shop '220000001'",
        ),
    ]:
        with pytest.raises(ConfigError, match=names):
            load(_write(tmp_path, text))


def _shops() -> str:
    return "    shops:" + GOOD.partition("    shops:")[2]


def test_the_file_is_generated_once_and_private(tmp_path: Path) -> None:
    """A first start makes random keys and secrets readable by their owner alone; later starts keep them."""
    home = tmp_path / "home"
    tenants = open_tenants(None, home)
    keys = operator_keys(home)
    assert set(keys) == set(Role)
    for role, key in keys.items():
        held = tenants.holder(key)
        assert held is not None
        assert held[1].roles == {role}
        assert key not in (home / "tenants.yaml").read_text()
    for name in ("tenants.yaml", "keys.txt"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
    again = open_tenants(None, home)
    assert again.holder(keys[Role.OPS]) is not None
    assert again.secrets("shopify") == tenants.secrets("shopify")
    assert sorted(path.name for path in home.iterdir()) == ["keys.txt", "tenants.yaml"]
    (home / "keys.txt").unlink()
    assert operator_keys(home) == {}


def test_starts_at_the_same_time_agree(tmp_path: Path) -> None:
    """Whichever of several first starts wins, the listed keys belong to the file that stands."""
    for round_ in range(10):
        home = tmp_path / str(round_)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(generate, [home] * 4))
        tenants = load(home / "tenants.yaml")
        assert all(tenants.holder(key) for key in operator_keys(home).values())
        assert len(list(home.iterdir())) == 2


def test_a_missing_file_is_an_operators_error(tmp_path: Path) -> None:
    """The setting that names the file is named."""
    with pytest.raises(ConfigError, match="SIGNALBOX_TENANTS_FILE"):
        open_tenants(tmp_path / "nowhere.yaml", tmp_path)
