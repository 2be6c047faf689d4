"""Whether and how the gateway is there for others than this machine: where, with which certificate, by which keys.

Nothing of it happens unless SEATRIAL_PUBLIC_HOST is set. A certificate is looked at before Envoy gets it: one that
cannot be used is told, and the gateway goes on with the one that it has.
"""

import json
import ssl
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from deployments.errors import BadInput
from deployments.local_platform.gateway_keys import GatewayKeys
from deployments.printable import said_by
from deployments.routers.envoy import EnvoyFiles, read_rate, write_certificate, write_keys, write_rates
from deployments.settings import Settings

# So long before its end a certificate is told of.
ENDS_SOON: Final = timedelta(days=14)
_HOW: Final = "set SEATRIAL_PUBLIC_CERTIFICATE and SEATRIAL_PUBLIC_PRIVATE_KEY to files with the pair, as PEM"


def public_address(settings: Settings) -> tuple[str, int] | None:
    """Host and port on which others are listened to; None: on none."""
    return None if settings.public_host is None else (settings.public_host, settings.public_port)


def check_listening(settings: Settings) -> None:
    """Raises `BadInput` where others would reach the gateway without TLS and keys, and nobody said that they may."""
    if settings.gateway_open or is_loopback(settings.gateway_host):
        return
    raise BadInput(
        f"SEATRIAL_GATEWAY_HOST={settings.gateway_host} would let others ask every product without TLS or a key: "
        "leave it, and set SEATRIAL_PUBLIC_HOST (docs/gateway.md); or set SEATRIAL_GATEWAY_OPEN=true if that is meant"
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bring(settings: Settings, now: datetime) -> None:
    """Certificate, keys and rates as Envoy reads them, for its start.

    Raises `BadInput` for a pair that cannot be used, unless there is an earlier one: users come first.
    """
    if settings.public_host is None:
        return
    bring_keys(settings, settings.public_rate)
    try:
        bring_certificate(settings, now)
    except BadInput:
        if not _files(settings).certificate.is_file():
            raise


def bring_keys(settings: Settings, a_second: int | None = None) -> None:
    """The keys as they are now; Envoy has them at once, if it runs.

    `a_second` is how often each product may be asked; None: as often as before, for whoever makes a key need not have
    the platform's settings.
    """
    files = _files(settings)
    a_second = a_second or read_rate(files) or settings.public_rate
    keys: dict[str, list[str]] = {}
    for each in GatewayKeys(settings.keys_folder).all():
        keys.setdefault(each.product, []).append(each.secret)
    files.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_rates(files, a_second, keys)
    write_keys(files, keys)


def bring_certificate(settings: Settings, now: datetime) -> bool:
    """Whether the pair is another one than before; Envoy has it at once, if it runs."""
    chain, private_key = read_pair(settings, now)
    files = _files(settings)
    files.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    before = files.certificate.read_bytes() if files.certificate.is_file() else b""
    write_certificate(files, chain, private_key)
    after: bytes = files.certificate.read_bytes()
    return after != before


def read_pair(settings: Settings, now: datetime) -> tuple[str, str]:
    """Certificate chain and private key (PEM).

    Raises `BadInput` where either is missing, not readable, open to others, over, not begun, or not of the other.
    """
    chain, key = settings.public_certificate, settings.public_private_key
    if chain is None or key is None:
        raise BadInput(f"SEATRIAL_PUBLIC_HOST needs a certificate: {_HOW}")
    texts = _text(chain), _text(key)
    if key.stat().st_mode & 0o077:
        raise BadInput(f"others may read the private key {key}: `chmod 600` it")
    _check_pair(chain, key)
    begins, ends = validity(texts[0], chain)
    if now >= ends:
        raise BadInput(f"the certificate {chain} was good until {ends:%Y-%m-%d %H:%M} UTC: put a new one there")
    if now < begins:
        raise BadInput(
            f"the certificate {chain} is good from {begins:%Y-%m-%d %H:%M} UTC on: see whether the clock is right"
        )
    return texts


def validity(chain: str, path: Path) -> tuple[datetime, datetime]:
    """From when and until when (UTC) the first certificate of a chain is good. Raises `BadInput` if there is none."""
    from cryptography import x509

    try:
        first = x509.load_pem_x509_certificate(chain.encode())
    except ValueError:
        raise BadInput(f"{path} holds no certificate in PEM: {_HOW}") from None
    return first.not_valid_before_utc, first.not_valid_after_utc


def listens_to_others(settings: Settings) -> bool:
    """Whether the gateway was started with its listener for others, where the settings have it now."""
    try:
        listeners = json.loads(_files(settings).bootstrap.read_bytes())["static_resources"]["listeners"]
        found = [each["address"]["socket_address"] for each in listeners if each["name"] == "public"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return [(each["address"], each["port_value"]) for each in found] == [public_address(settings)]


def _check_pair(chain: Path, key: Path) -> None:
    def no_password() -> str:
        raise BadInput(f"the private key {key} is encrypted: put one without a password there, for its owner alone")

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(chain, key, no_password)
    except (ssl.SSLError, OSError) as error:
        raise BadInput(
            f"{chain} and {key} are no pair of certificate and private key ({said_by(error)}): {_HOW}"
        ) from None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read ({said_by(error)}): {_HOW}") from None


def _files(settings: Settings) -> EnvoyFiles:
    return EnvoyFiles((settings.home / "gateway").resolve(), settings.run_folder.resolve())
