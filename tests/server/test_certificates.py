"""What is said of certificates, keys and options that cannot work, before the server starts and when files change."""

import logging
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from server.config import Security, StartError
from server.events import CertificateRead, Events
from server.transport.security.certificates import Certificates
from server.transport.security.check import check
from tests.certificates import HOST, Authority
from tests.server.gated import metered

AUTHORITY = Authority("authority")
TOKEN = "t" * 20


@pytest.fixture
def tls(tmp_path: Path) -> Security:
    """A certificate with its key, and an authority for clients."""
    cert, key = AUTHORITY.issue("server").write(tmp_path, "server")
    return Security(tls_cert=cert, tls_key=key, client_ca=AUTHORITY.write(tmp_path, "clients"))


def refusal(security: Security) -> str:
    with pytest.raises(StartError) as refused:
        check(security, HOST)
    return str(refused.value)


def test_options_that_lack_each_other_are_refused(tls: Security) -> None:
    assert refusal(Security(tls_cert=tls.tls_cert)) == "--tls-cert is nothing without --tls-key; set both"
    assert refusal(Security(tls_key=tls.tls_key)) == "--tls-key is nothing without --tls-cert; set both"
    assert refusal(Security(client_ca=tls.client_ca)).startswith("--client-ca asks clients for certificates")
    assert refusal(Security(metrics_need_token=True)).startswith("--metrics-need-token takes tokens")


def test_files_that_are_not_there_are_refused_by_name(tls: Security, tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    reason = "cannot be read: No such file or directory"
    assert refusal(replace(tls, tls_cert=missing)) == f"--tls-cert {missing}: {reason}"
    assert refusal(replace(tls, tls_key=missing)) == f"--tls-key {missing}: {reason}"
    assert refusal(replace(tls, client_ca=missing)) == f"--client-ca {missing}: {reason}"
    assert refusal(Security(token_file=missing)) == f"--token-file {missing}: {reason}"
    assert refusal(Security(admin_token_file=missing)) == f"--admin-token-file {missing}: {reason}"
    assert refusal(replace(tls, tls_cert=tmp_path)) == f"--tls-cert {tmp_path}: cannot be read: Is a directory"


def test_files_that_hold_something_else_are_refused(tls: Security) -> None:
    assert "has no certificate in PEM form" in refusal(replace(tls, tls_cert=tls.tls_key))
    assert "has no certificate in PEM form" in refusal(replace(tls, client_ca=tls.tls_key))
    assert "is no private key in PEM form" in refusal(replace(tls, tls_key=tls.tls_cert))


def test_a_key_of_another_certificate_is_refused(tls: Security, tmp_path: Path) -> None:
    _, other = AUTHORITY.issue("other").write(tmp_path, "other")
    assert refusal(replace(tls, tls_key=other)) == (
        f"--tls-key {other}: does not belong to the certificate {tls.tls_cert}"
    )


def test_an_encrypted_key_is_refused(tls: Security, tmp_path: Path) -> None:
    encrypted = tmp_path / "encrypted.key"
    command = ["openssl", "pkey", "-in", str(tls.tls_key), "-aes256", "-passout", "pass:secret", "-out", str(encrypted)]
    subprocess.run(command, check=True)
    assert f"--tls-key {encrypted}: is encrypted" in refusal(replace(tls, tls_key=encrypted))


def test_a_key_that_everyone_can_write_is_refused(tls: Security) -> None:
    assert tls.tls_key is not None
    tls.tls_key.chmod(0o606)
    assert "every user of this machine can write it" in refusal(tls)


def test_secrets_that_everyone_can_read_are_warned_of(
    tls: Security, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert tls.tls_key is not None
    tokens = tmp_path / "tokens"
    tokens.write_text(TOKEN)
    tokens.chmod(0o604)
    tls.tls_key.chmod(0o604)
    check(replace(tls, token_file=tokens), HOST)
    assert [message.partition(":")[0] for message in caplog.messages] == [
        f"--tls-key {tls.tls_key}",
        f"--token-file {tokens}",
    ]


@pytest.mark.parametrize(
    ("host", "warnings"),
    [("0.0.0.0", 1), ("::", 1), ("::1", 0), ("127.0.0.1", 0), ("localhost", 0)],  # noqa: S104  nothing is bound
)
def test_tokens_without_tls_are_warned_of_where_others_can_listen(
    tmp_path: Path, host: str, warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(TOKEN)
    tokens.chmod(0o600)
    check(Security(admin_token_file=tokens), host)
    assert len(caplog.messages) == warnings
    assert all("tokens travel unencrypted" in message for message in caplog.messages)


def test_the_date_of_expiry_is_in_the_metrics_and_an_expired_certificate_in_the_log(
    tls: Security, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    events, metrics = metered()
    expired = AUTHORITY.issue("server", expired=True)
    expired.write(tmp_path, "server")
    with caplog.at_level(logging.WARNING):
        Certificates(tls, events)
    date = f"{expired.certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    assert caplog.messages == [f"certificate {tls.tls_cert} expired on {date}"]
    page, _ = metrics.page(0, [])
    seconds = expired.certificate.not_valid_after_utc.timestamp()
    name = "seethrough_certificate_expiry_timestamp_seconds"
    (line,) = (line for line in page.decode().splitlines() if line.startswith(name))
    assert line.startswith(f'{name}{{file="{tls.tls_cert}"}} ')
    assert float(line.split()[-1]) == seconds


def test_of_a_chain_the_first_certificate_to_expire_counts(tls: Security) -> None:
    assert tls.tls_cert is not None
    tls.tls_cert.write_bytes(tls.tls_cert.read_bytes() + AUTHORITY.issue("other", expired=True).chain)
    read: list[CertificateRead] = []
    events = Events()
    events.subscribe(CertificateRead, read.append)
    loaded = Certificates(tls, events).current()
    assert [each.expires for each in read] == [loaded.expires.timestamp()]
    assert loaded.expires < AUTHORITY.certificate.not_valid_after_utc


def test_a_certificate_is_replaced_when_both_its_files_are(
    tls: Security, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificates = Certificates(tls, Events())
    before = certificates.current()
    successor = AUTHORITY.issue("successor")
    assert tls.tls_cert is not None
    tls.tls_cert.write_bytes(successor.chain)  # the key is still the old one
    assert certificates.current() is before
    assert certificates.current() is before
    assert [message for message in caplog.messages if "does not belong" in message] == [
        f"--tls-key {tls.tls_key}: does not belong to the certificate {tls.tls_cert}; what was read before stays in use"
    ]
    successor.write(tmp_path, "server")
    assert certificates.current().chain == successor.chain
    assert certificates.current() is certificates.current()
