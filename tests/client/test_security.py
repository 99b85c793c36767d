"""TLS and tokens, in the library and in the commands: what gets through, and what is said when it does not."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from typer.testing import CliRunner, Result

from client import ClassifyError, Explain, Request, Tls
from client.__main__ import cli
from client.security import credentials
from tests.certificates import Authority
from tests.client.blocking import Connect
from tests.client.fake import FakeServer, picture, running

AUTHORITY, STRANGERS = Authority("authority"), Authority("strangers")
SERVED, CLIENT = AUTHORITY.issue("server"), AUTHORITY.issue("shop")
TOKEN = "token-" + "t" * 20
Server = tuple[FakeServer, str]


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    """A client that is let in."""
    return Tls(AUTHORITY.write(tmp_path, "ca"), *CLIENT.write(tmp_path, "client"))


@pytest.fixture
def encrypted() -> Iterator[Server]:
    """A server that speaks TLS."""
    with running(grpc.ssl_server_credentials([(SERVED.key, SERVED.chain)])) as started:
        yield started


@pytest.fixture
def mutual() -> Iterator[Server]:
    """A server that asks for certificates, too, and for a token."""
    with running(grpc.ssl_server_credentials([(SERVED.key, SERVED.chain)], AUTHORITY.pem, True)) as started:
        started[0].token = TOKEN
        yield started


def models(server: Server, *options: str | Path, environment: dict[str, str] | None = None) -> Result:
    """`python -m client models`."""
    command = ["models", "--target", server[1], "--timeout", "20", *map(str, options)]
    return CliRunner().invoke(cli, command, env=environment)


def test_every_call_goes_through_mutual_tls_with_the_token(
    connect: Connect, mutual: Server, tls: Tls, tmp_path: Path
) -> None:
    red = picture(tmp_path, "red.png", "red")
    with connect(mutual[1], tls=tls, token=TOKEN) as client:
        assert client.ready()
        assert client.models()[0].name == "colours"
        assert client.get_model("colours").name == "colours"
        assert client.classify([red], "colours", explain=Explain(), request_id="one").results[0].ok
        assert next(client.classify_stream([Request([red], "colours")])).error is None
    assert mutual[0].headers[0]["x-request-id"] == "one"


def test_a_token_that_changes_is_asked_for_at_each_call(connect: Connect, server: Server) -> None:
    tokens = iter(["first-" + TOKEN, "second-" + TOKEN])
    with connect(server[1], token=lambda: next(tokens)) as client:
        for word in ("first-", "second-"):
            server[0].token = word + TOKEN
            assert client.models()


def test_a_wrong_token_is_an_error_of_its_own_and_is_not_tried_again(connect: Connect, server: Server) -> None:
    server[0].token = TOKEN
    with connect(server[1], token="wrong") as client, pytest.raises(ClassifyError) as refused:
        client.models()
    assert refused.value.code is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("token", ["line\nend", "two words", "naïve"])
def test_a_token_that_cannot_be_sent_is_refused_and_not_shown(connect: Connect, server: Server, token: str) -> None:
    with connect(server[1], token=token) as client, pytest.raises(ValueError, match="printable ASCII") as refused:
        client.models()
    assert token not in str(refused.value)


def test_a_server_of_an_unknown_authority_is_not_talked_to(connect: Connect, encrypted: Server, tmp_path: Path) -> None:
    tls = Tls(STRANGERS.write(tmp_path, "strangers"))
    with connect(encrypted[1], tls=tls, retries=0) as client, pytest.raises(ClassifyError) as refused:
        client.models()
    assert refused.value.code is grpc.StatusCode.UNAVAILABLE
    assert "CERTIFICATE_VERIFY_FAILED" in refused.value.message


def test_a_server_behind_a_forwarded_port_is_known_by_the_name_that_is_given(
    connect: Connect, encrypted: Server, tls: Tls
) -> None:
    with connect(encrypted[1], tls=Tls(tls.ca, server_name="localhost")) as client:
        assert client.models()
    wrong = Tls(tls.ca, server_name="shop.example")
    with connect(encrypted[1], tls=wrong, retries=0) as client, pytest.raises(ClassifyError, match="Hostname"):
        client.models()


def test_files_that_do_not_belong_together_are_refused_at_once(tls: Tls, tmp_path: Path) -> None:
    _, other = STRANGERS.issue("other").write(tmp_path, "other")
    with pytest.raises(ValueError, match="no certificate and its unencrypted key"):
        credentials(Tls(tls.ca, tls.cert, other))
    with pytest.raises(ValueError, match="name both"):
        credentials(Tls(tls.ca, tls.cert))
    with pytest.raises(ValueError, match="has no certificate in PEM form"):
        credentials(Tls(other))
    with pytest.raises(FileNotFoundError):
        credentials(Tls(tmp_path / "missing.pem"))


def options(tls: Tls) -> tuple[str, ...]:
    return "--ca", str(tls.ca), "--cert", str(tls.cert), "--key", str(tls.key)


def test_the_command_is_let_in_by_options_and_by_variables(mutual: Server, tls: Tls, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert models(mutual, *options(tls), "--token-file", file).exit_code == 0
    variables = {
        "SEETHROUGH_CA": str(tls.ca),
        "SEETHROUGH_CERT": str(tls.cert),
        "SEETHROUGH_KEY": str(tls.key),
        "SEETHROUGH_TOKEN": TOKEN,
    }
    assert models(mutual, environment=variables).exit_code == 0


def test_pictures_are_classified_through_tls_too(encrypted: Server, tls: Tls, tmp_path: Path) -> None:
    red = picture(tmp_path, "red.png", "red")
    command = ["classify", "--model", "colours", "--target", encrypted[1], "--ca", str(tls.ca), str(red)]
    assert CliRunner().invoke(cli, command).exit_code == 0


def failure(result: Result) -> str:
    """The one line of a command that failed."""
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def test_what_keeps_a_command_from_the_server_is_said_in_one_line(
    server: Server, encrypted: Server, mutual: Server, tls: Tls, tmp_path: Path
) -> None:
    strangers = STRANGERS.write(tmp_path, "strangers")
    assert "not of an authority that is trusted here, which --ca names" in failure(models(encrypted, "--ca", strangers))
    assert "not of an authority that is trusted here, which --ca names" in failure(models(encrypted, "--tls"))
    assert "another name" in failure(models(encrypted, "--ca", tls.ca or "", "--server-name", "shop.example"))
    assert "may speak TLS only: take --tls or --ca" in failure(models(encrypted))
    assert "does not speak TLS" in failure(models(server, "--ca", tls.ca or ""))
    assert "may ask for another certificate" in failure(models(mutual, "--ca", tls.ca or ""))


@pytest.mark.parametrize("variables", [{}, {"SEETHROUGH_TOKEN": "wrong-" + TOKEN}], ids=["none", "wrong"])
def test_a_missing_or_wrong_token_is_said_in_one_line(server: Server, variables: dict[str, str]) -> None:
    server[0].token = TOKEN
    line = failure(models(server, environment=variables))
    assert "UNAUTHENTICATED" in line
    assert "--token-file or SEETHROUGH_TOKEN" in line
    assert TOKEN not in line


def test_files_that_cannot_be_used_are_a_usage_error(server: Server, tls: Tls, tmp_path: Path) -> None:
    two = tmp_path / "two"
    two.write_text(f"alice {TOKEN}")
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff" * 20)
    missing = tmp_path / "missing"
    for wrong in (
        ("--token-file", two),
        ("--token-file", binary),
        ("--token-file", missing),
        ("--ca", missing),
        ("--ca", two),
        ("--cert", tls.cert or ""),
        ("--cert", tls.cert or "", "--key", missing),
    ):
        result = models(server, *wrong)
        assert (result.exit_code, wrong[0] in result.stderr) == (2, True)
        assert TOKEN not in result.stderr
