"""What can be told to be wrong before the server starts: contradictions, files that cannot be used, tokens that anyone can overhear."""

import ipaddress
import logging
from pathlib import Path

from server.config import Security, StartError
from server.transport.security import certificates, tokens

log = logging.getLogger(__name__)


def check(security: Security, host: str) -> None:
    """Raises StartError; warns of what works and is not wise."""
    _refuse_contradictions(security)
    if security.tls_cert is not None:
        certificates.read(security)
        _warn_if_readable("--tls-key", security.tls_key)
    files = {"--token-file": security.token_file, "--admin-token-file": security.admin_token_file}
    for option, path in files.items():
        if path is not None:
            tokens.read(option, path)
            _warn_if_readable(option, path)
    if any(files.values()) and security.tls_cert is None and not _is_loopback(host):
        log.warning("tokens travel unencrypted over %s; set --tls-cert, or have a proxy in front that speaks TLS", host)


def _refuse_contradictions(security: Security) -> None:
    if (security.tls_cert is None) != (security.tls_key is None):
        there, missing = ("--tls-cert", "--tls-key") if security.tls_cert else ("--tls-key", "--tls-cert")
        raise StartError(f"{there} is nothing without {missing}; set both")
    if security.client_ca is not None and security.tls_cert is None:
        raise StartError(
            "--client-ca asks clients for certificates, which takes TLS: set --tls-cert and --tls-key, too"
        )
    if security.metrics_need_token and security.token_file is None:
        raise StartError("--metrics-need-token takes tokens: set --token-file, too")


def _warn_if_readable(option: str, path: Path | None) -> None:
    if path is not None and path.stat().st_mode & 0o004:
        log.warning(
            "%s %s: every user of this machine can read it; chmod o-r (defaultMode 0440 in Kubernetes)", option, path
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
