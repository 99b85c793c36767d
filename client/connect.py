"""How the commands reach a server: its address, TLS, the token, and what is said when it cannot be reached."""

import os
from pathlib import Path
from typing import Annotated, NoReturn

import grpc
import typer

from client.client import Client
from client.errors import ClassifyError
from client.security import Tls, authorization

TOKEN_VARIABLE = "SEETHROUGH_TOKEN"  # noqa: S105  the name of one

Target = Annotated[
    str,
    typer.Option(
        help="Address of the server, host:port; dns:///name:port for all servers behind a name.",
        envvar="SEETHROUGH_TARGET",
        show_envvar=True,
    ),
]
Timeout = Annotated[float, typer.Option(help="Seconds after which one call is given up, retries included.", min=0.001)]
TlsFlag = Annotated[
    bool,
    typer.Option(
        "--tls",
        help="Encrypt the connection and make sure who the server is; --ca, --cert and --server-name imply it.",
        envvar="SEETHROUGH_TLS",
        show_envvar=True,
    ),
]
Ca = Annotated[
    Path | None,
    typer.Option(
        help="Trust servers whose certificate is of an authority in this file (PEM), and no others.",
        envvar="SEETHROUGH_CA",
        show_envvar=True,
        metavar="FILE",
    ),
]
Cert = Annotated[
    Path | None,
    typer.Option(
        help="Own certificate (PEM), for servers that ask for one.",
        envvar="SEETHROUGH_CERT",
        show_envvar=True,
        metavar="FILE",
    ),
]
Key = Annotated[
    Path | None,
    typer.Option(
        help="Private key of that certificate (PEM).", envvar="SEETHROUGH_KEY", show_envvar=True, metavar="FILE"
    ),
]
ServerName = Annotated[
    str,
    typer.Option(
        help="Name that the server's certificate must have, where it is not that of the address.", metavar="NAME"
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        help=f"File with the token to show the server; without it, the variable {TOKEN_VARIABLE} may have the token.",
        metavar="FILE",
    ),
]


def secured(tls: bool, ca: Path | None, cert: Path | None, key: Path | None, server_name: str) -> Tls | None:
    """What the options say, None for a connection without TLS."""
    return Tls(ca, cert, key, server_name) if tls or ca or cert or key or server_name else None


def connect(target: str, timeout: float, tls: Tls | None, token_file: Path | None) -> Client:
    """A client. Ends the command with a usage error for files that cannot be used."""
    token = _token(token_file)
    try:
        return Client(target, timeout=timeout, tls=tls, token=token)
    except OSError as error:
        raise typer.BadParameter(f"{error.filename}: {error.strerror}", param_hint="--ca, --cert, --key") from error
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--ca, --cert, --key") from error


def give_up(client: Client, error: ClassifyError, tls: Tls | None) -> NoReturn:
    """Ends the command with one line."""
    if error.code is grpc.StatusCode.UNAVAILABLE:
        line = f"no service at {client.target}; {_advice(error.message, tls)} ({error.message})"
    elif error.code is grpc.StatusCode.UNAUTHENTICATED:
        line = f"{client.target}: {error}; --token-file or {TOKEN_VARIABLE} name it"
    else:
        line = f"{client.target}: {error}"
    typer.echo(f"error: {line}", err=True)
    raise typer.Exit(1) from error


def _advice(message: str, tls: Tls | None) -> str:
    """What to do about a server that cannot be reached, from what gRPC says of the attempt."""
    if "CERTIFICATE_VERIFY_FAILED" in message:
        return "its certificate is not of an authority that is trusted here, which --ca names, or is not valid now"
    if "Hostname Verification" in message:
        return "its certificate has another name, which --server-name may give"
    if "WRONG_VERSION_NUMBER" in message:
        return "what answers there does not speak TLS; leave out --tls and what implies it"
    if tls is not None:
        return "if a server is there, it may ask for another certificate than that of --cert, or for none of TLS"
    if "Socket closed" in message:
        return "if a server is there, it may speak TLS only: take --tls or --ca"
    return "start a server with `python -m server --models DIR`, or name another one with --target"


def _token(file: Path | None) -> str:
    """Never shown, whatever is wrong with it."""
    hint = TOKEN_VARIABLE if file is None else "--token-file"
    try:
        words = os.environ.get(TOKEN_VARIABLE, "").split() if file is None else file.read_text().split()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise typer.BadParameter(f"{file}: {reason}", param_hint=hint) from error
    if len(words) > 1 or (file is not None and not words):
        raise typer.BadParameter(f"it has {len(words)} words; it takes the token and nothing else", param_hint=hint)
    token = "".join(words)
    try:
        authorization(token)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=hint) from error
    return token
