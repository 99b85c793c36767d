"""Files of tokens, what they admit to, and that they are read again when they change."""

import logging
from pathlib import Path

import pytest

from server.config import Security
from server.errors import PermissionDeniedError, UnauthenticatedError
from server.transport.security.access import Access, Need
from server.transport.security.watched import FileError

ALICE, BOB, ADMIN = "a" * 20, "b-._~+/" * 3 + "==", "c" * 64


@pytest.fixture
def ordinary(tmp_path: Path) -> Path:
    return write(tmp_path / "tokens", f"# who may ask\nalice {ALICE}\n\n{BOB}  # of the old client\n")


@pytest.fixture
def admin(tmp_path: Path) -> Path:
    return write(tmp_path / "admins", f"ops {ADMIN}\n")


def write(path: Path, text: str) -> Path:
    """In one step, as tools that keep secrets do."""
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.chmod(0o600)
    return beside.replace(path)


def bearer(token: str, scheme: str = "Bearer") -> bytes:
    return f"{scheme} {token}".encode()


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
@pytest.mark.parametrize(("token", "name"), [(ALICE, "alice"), (BOB, "line 4"), (ADMIN, "ops")])
def test_every_token_of_both_files_may_call(ordinary: Path, admin: Path, scheme: str, token: str, name: str) -> None:
    access = Access(Security(token_file=ordinary, admin_token_file=admin))
    access.admit(Need.TOKEN, bearer(token, scheme))
    assert access.name_of(bearer(token, scheme)) == name


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        b"",
        b"Bearer",
        b"Bearer ",
        bearer(ALICE[:-1]),
        bearer(ALICE + "a"),
        bearer("alice"),
        bearer(ALICE, "Basic"),
        ALICE.encode(),
    ],
)
@pytest.mark.parametrize("need", [Need.TOKEN, Need.ADMIN])
def test_whoever_has_no_token_of_ours_is_a_stranger(ordinary: Path, need: Need, authorization: bytes | None) -> None:
    access = Access(Security(token_file=ordinary))
    with pytest.raises(UnauthenticatedError) as refused:
        access.admit(need, authorization)
    assert ALICE[:-1] not in str(refused.value)
    assert access.name_of(authorization) == ""


def test_only_tokens_of_the_admin_file_may_administrate(ordinary: Path, admin: Path) -> None:
    access = Access(Security(token_file=ordinary, admin_token_file=admin))
    access.admit(Need.ADMIN, bearer(ADMIN))
    with pytest.raises(PermissionDeniedError):
        access.admit(Need.ADMIN, bearer(ALICE))


def test_without_an_admin_file_no_token_may_administrate(ordinary: Path) -> None:
    with pytest.raises(PermissionDeniedError):
        Access(Security(token_file=ordinary)).admit(Need.ADMIN, bearer(ALICE))


def test_with_an_admin_file_only_the_other_calls_stay_open(admin: Path) -> None:
    access = Access(Security(admin_token_file=admin))
    access.admit(Need.TOKEN, None)
    with pytest.raises(UnauthenticatedError):
        access.admit(Need.ADMIN, None)
    access.admit(Need.ADMIN, bearer(ADMIN))


@pytest.mark.parametrize("need", Need)
def test_without_files_everything_is_open(need: Need) -> None:
    Access(Security()).admit(need, None)


def test_nothing_needs_no_token(ordinary: Path) -> None:
    Access(Security(token_file=ordinary)).admit(Need.NOTHING, None)


def test_tokens_come_and_go_with_their_file(ordinary: Path) -> None:
    access = Access(Security(token_file=ordinary))
    write(ordinary, f"alice {ALICE}\nalice-new {ADMIN}\n")
    access.admit(Need.TOKEN, bearer(ALICE))
    access.admit(Need.TOKEN, bearer(ADMIN))
    write(ordinary, f"alice-new {ADMIN}\n")
    access.admit(Need.TOKEN, bearer(ADMIN))
    with pytest.raises(UnauthenticatedError):
        access.admit(Need.TOKEN, bearer(ALICE))


def test_a_file_behind_a_swapped_link_is_read_again(tmp_path: Path) -> None:
    """As Kubernetes swaps the secrets of a running pod."""
    for version, token in (("one", ALICE), ("two", BOB)):
        (tmp_path / version).mkdir()
        write(tmp_path / version / "tokens", token)
    (tmp_path / "data").symlink_to("one")
    access = Access(Security(token_file=tmp_path / "data/tokens"))
    (tmp_path / "data-new").symlink_to("two")
    (tmp_path / "data-new").rename(tmp_path / "data")
    access.admit(Need.TOKEN, bearer(BOB))
    with pytest.raises(UnauthenticatedError):
        access.admit(Need.TOKEN, bearer(ALICE))


@pytest.mark.parametrize("broken", ["", "short", None], ids=["empty", "broken", "gone"])
def test_a_file_that_breaks_leaves_the_old_tokens_and_is_told_once(
    ordinary: Path, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    access = Access(Security(token_file=ordinary))
    if broken is None:
        ordinary.unlink()
    else:
        write(ordinary, broken)
    with caplog.at_level(logging.INFO):
        access.admit(Need.TOKEN, bearer(ALICE))
        access.admit(Need.TOKEN, bearer(ALICE))
    (told,) = caplog.messages
    assert str(ordinary) in told
    assert "stays in use" in told


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("# nothing\n", "has no token"),
        (f"alice {ALICE}\nbob tooshort\n", "line 2: a token has at least 16 characters"),
        (f"my old {ALICE}\n", "line 1 has 3 words"),
        (f"{ALICE} alice\n", "line 1: a token has at least 16 characters"),
        (f"{ADMIN} {ALICE}\n", "line 1: a name has up to 40"),
        (f"alice {ALICE}!\n", "line 1: a token has only letters"),
        (f"alice {ALICE}ü\n", "line 1: a token has only letters"),
    ],
)
def test_a_wrong_line_is_named_and_not_quoted(tmp_path: Path, text: str, reason: str) -> None:
    path = write(tmp_path / "tokens", text)
    with pytest.raises(FileError, match=reason) as refused:
        Access(Security(token_file=path))
    assert f"--token-file {path}: " in str(refused.value)
    assert not any(secret in str(refused.value) for secret in (ALICE, ADMIN, "tooshort"))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_bytes(b"\xff" * 40)
    with pytest.raises(FileError, match="is not a text file"):
        Access(Security(token_file=path))


def test_a_file_that_everyone_can_write_is_refused(ordinary: Path) -> None:
    ordinary.chmod(0o602)
    with pytest.raises(FileError, match="every user of this machine can write it"):
        Access(Security(token_file=ordinary))
