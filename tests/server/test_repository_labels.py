"""What versions are called, and what follows from it."""

from pathlib import Path

import pytest

from server.errors import ModelNotFoundError, UnavailableError
from server.events import Events, RolesChanged
from server.serving import roles
from server.serving.repository import Repository
from server.serving.roles import Roles, RolesError, Shadow
from server.serving.watch import PATIENCE
from tests.bundles import make_bundle
from tests.contract.conftest import falsify_golden
from tests.server.test_repository import states
from tests.server.test_repository_watch import SERVING, UNLOADED, look, version_of, watching


def call(models: Path, text: str, model: str = "m") -> None:
    """Writes what a model's versions are called, as an editor does: whole."""
    partial = models / "versions.partial"
    partial.write_text(text)
    partial.rename(models / model / "versions.toml")


def made(models: Path, *versions: int) -> Path:
    """A repository of the model `m`."""
    for version in versions:
        make_bundle(models / f"m/{version}")
    return models


def labelled(loaded: Repository, label: str) -> int:
    return loaded.resolve("m", label).version


def test_the_whole_file_is_read(tmp_path: Path) -> None:
    text = '[labels]\nstable = 3\nnext.x-1_y = 4\n\n[shadow]\nversion = "stable"\nof = 4\nshare = 0.25\n'
    (tmp_path / "versions.toml").write_text(text.replace("next.x-1_y", '"next.x-1_y"'))
    assert roles.read(tmp_path) == Roles({"stable": 3, "next.x-1_y": 4}, Shadow("stable", 0.25, 4))


def test_without_a_file_nothing_has_a_name(tmp_path: Path) -> None:
    assert roles.read(tmp_path) == Roles()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[labels", "Expected ']'"),
        ("[label]\nstable = 1", "unknown field `label`"),
        ("labels = 3", "Expected `object`, got `int` - at `$.labels`"),
        ('[labels]\nstable = "3"', "label stable: '3' is no version; write stable = 3"),
        ("[labels]\nstable = true", "label stable: True is no version"),
        ("[labels]\nstable = 0", "label stable: 0 is no version"),
        ("[labels]\n12 = 1", "label '12': a label begins with a letter"),
        ('[labels]\n"a b" = 1', "label 'a b': a label begins with a letter"),
        ("[shadow]\nversion = 2", "missing required field `share`"),
        ("[shadow]\nversion = 2\nshare = 1.5", "`float` <= 1.0 - at `$.shadow.share`"),
        ("[shadow]\nversion = 2\nshare = 0", "`float` > 0.0 - at `$.shadow.share`"),
        ('[shadow]\nversion = "canary"\nshare = 1', "shadow: no label 'canary'; there are: none"),
        ("[shadow]\nversion = 2\nof = 2\nshare = 1", "both version 2"),
    ],
)
def test_a_file_that_is_not_exactly_as_described_is_refused_with_its_place(
    tmp_path: Path, text: str, reason: str
) -> None:
    (tmp_path / "versions.toml").write_text(text)
    with pytest.raises(RolesError) as refused:
        roles.read(tmp_path)
    assert str(refused.value).startswith(f"{tmp_path / 'versions.toml'}: ")
    assert reason in str(refused.value)


async def test_a_version_is_found_by_its_label_and_stable_answers_by_default(tmp_path: Path) -> None:
    call(made(tmp_path, 1, 2, 3), "[labels]\nstable = 1\ncanary = 2\n")
    async with watching(tmp_path) as loaded:
        assert (labelled(loaded, "stable"), labelled(loaded, "canary"), version_of(loaded)) == (1, 2, 1)
        told = {status.version: (status.version_labels, status.is_default) for status in loaded.statuses()}
        assert told == {1: (("stable",), True), 2: (("canary",), False), 3: ((), False)}


async def test_an_unknown_label_is_told_with_those_that_there_are(tmp_path: Path) -> None:
    call(made(tmp_path, 1), "[labels]\nstable = 1\nold = 1\n")
    async with watching(tmp_path) as loaded:
        with pytest.raises(ModelNotFoundError, match="model 'm' has no label 'canary'; there are: old, stable"):
            loaded.resolve("m", "canary")


async def test_labels_follow_their_file_and_go_with_it(tmp_path: Path) -> None:
    call(made(tmp_path, 1, 2), "[labels]\nstable = 1\n")
    async with watching(tmp_path) as loaded:
        call(tmp_path, "[labels]\nstable = 2\ncanary = 1\n")
        await look(loaded, 1)
        assert (labelled(loaded, "stable"), labelled(loaded, "canary")) == (2, 1)
        (tmp_path / "m/versions.toml").unlink()
        await look(loaded, 1)
        assert loaded.labels("m") == {}


async def test_a_label_moves_only_when_its_new_version_is_in_service(tmp_path: Path) -> None:
    call(made(tmp_path, 1), "[labels]\nstable = 1\n")
    async with watching(tmp_path) as loaded:
        call(tmp_path, "[labels]\nstable = 2\n")
        await look(loaded)
        assert version_of(loaded) == 1
        falsify_golden(make_bundle(tmp_path / "m/2"))
        await look(loaded)
        assert version_of(loaded) == 1
        call(tmp_path, "[labels]\nstable = 3\n")
        make_bundle(tmp_path / "m/3")
        await look(loaded)
        assert version_of(loaded) == 3


async def test_nothing_else_answers_when_the_stable_version_is_not_there(tmp_path: Path) -> None:
    call(made(tmp_path, 1), "[labels]\nstable = 5\n")
    async with watching(tmp_path) as loaded:
        with pytest.raises(ModelNotFoundError, match="no version 5, which is labelled 'stable'; there are: 1"):
            loaded.resolve("m", None)
        falsify_golden(make_bundle(tmp_path / "m/5"))
        await look(loaded)
        with pytest.raises(UnavailableError, match="version 5 is refused: golden check"):
            loaded.resolve("m", None)


async def test_a_bad_file_leaves_the_labels_as_they_are_and_is_told(tmp_path: Path) -> None:
    events, told = Events(), list[RolesChanged]()
    events.subscribe(RolesChanged, told.append)
    call(made(tmp_path, 1, 2), "[labels]\nstable = 1\n")
    async with watching(tmp_path, events=events) as loaded:
        call(tmp_path, "[labels]\nstable = two\n")
        await look(loaded, 3)
        assert version_of(loaded) == 1
        call(tmp_path, "[labels]\nstable = 2\n")
        await look(loaded, 1)
        assert version_of(loaded) == 2
    assert [(event.labels, bool(event.refusal)) for event in told] == [
        ({"stable": 1}, False),
        ({"stable": 1}, True),
        ({"stable": 2}, False),
    ]


async def test_versions_with_a_label_are_kept_however_old_or_gone_they_are(tmp_path: Path) -> None:
    call(made(tmp_path, 1, 2, 3), "[labels]\nstable = 1\n")
    async with watching(tmp_path, keep_versions=1) as loaded:
        assert states(loaded) == {("m", 1): SERVING, ("m", 2): UNLOADED, ("m", 3): SERVING}
        (tmp_path / "m/1").rename(tmp_path / "away")
        await look(loaded, 2 * PATIENCE)
        assert version_of(loaded) == 1
        call(tmp_path, "[labels]\nstable = 3\n")
        await look(loaded, 1)
        assert states(loaded)["m", 1] is UNLOADED


async def test_the_labels_of_a_single_model_lie_in_its_folder(tmp_path: Path) -> None:
    make_bundle(tmp_path / "m/1")
    make_bundle(tmp_path / "m/2")
    call(tmp_path, "[labels]\nstable = 1\n")
    async with watching(tmp_path / "m") as loaded:
        assert version_of(loaded) == 1
