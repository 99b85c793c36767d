"""Which versions of which models there are, in which state, what they are called, and which one answers.

When a request names no version, the one labelled `stable` answers; without such a label, the highest in service. A version that is
refused stays here with its reason and takes nothing away from the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from server.errors import ModelNotFoundError, UnavailableError
from server.events import Events, ModelChanged, ModelForgotten, ModelState, RolesChanged
from server.serving.jobs import ModelStatus, Version
from server.serving.models import ServedClassifier, ServedModel, ServedTensors
from server.serving.roles import STABLE, Shadow

SERVED = (ServedClassifier, ServedTensors)


@dataclass(frozen=True)
class NotServed:
    """A version that does not answer, and why."""

    state: ModelState
    reason: str


Entry = ServedModel | NotServed


class Catalogue:
    """Finds models by name and version. Whoever fills it calls `enter`, `refuse`, `forget` and `assign`."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._models: dict[str, dict[int, Entry]] = {}
        self._labels: dict[str, dict[str, int]] = {}
        self._shadows: dict[str, Shadow] = {}
        self._role_refusals: dict[str, str] = {}
        self._refusals: dict[tuple[str, int], str] = {}  # of newer bundles of versions in service
        self._numbers: dict[tuple[str, Version], int] = {}  # what `number` has found since the last change

    def enter(self, name: str, version: int, entry: Entry, refusal: str = "") -> None:
        """A version is in this state from now on; an event tells it. `refusal` is as for `refuse`."""
        self._models.setdefault(name, {})[version] = entry
        self._refusals[name, version] = refusal
        self._numbers.clear()
        if isinstance(entry, SERVED):
            engine = entry.engine
            runs_on = (engine.name, engine.precision, engine.device)
            change = ModelChanged(name, str(version), ModelState.SERVING, refusal, *runs_on)
        else:
            change = ModelChanged(name, str(version), entry.state, entry.reason)
        self._events.emit(change)

    def forget(self, name: str, version: int) -> None:
        """A version that is not in service is as if it had never been; an event tells it."""
        del self._models[name][version]
        self._refusals.pop((name, version), None)
        self._numbers.clear()
        self._events.emit(ModelForgotten(name, str(version)))

    def refuse(self, name: str, version: int, reason: str) -> None:
        """A newer bundle of a version in service is no good, for this reason; empty: there is none any more."""
        if reason != self.refusal(name, version):
            self.enter(name, version, self._models[name][version], reason)

    def refusal(self, name: str, version: int) -> str:
        """Why a newer bundle of a version in service was refused; empty when there is none."""
        return self._refusals.get((name, version), "")

    def assign(self, name: str, labels: Mapping[str, int], shadow: Shadow | None, refusal: str = "") -> None:
        """A model's versions are called so from now on, and this one is tried in the shadow of another.

        With a `refusal`, that is what held before: what was to be from now on is no good, for this reason.
        """
        now = RolesChanged(name, dict(labels), shadow is not None, refusal)
        before = RolesChanged(name, self.labels(name), self.shadow(name) is not None, self._role_refusals.get(name, ""))
        if (now, shadow) == (before, self.shadow(name)):
            return
        self._labels[name] = dict(labels)
        self._role_refusals[name] = refusal
        self._shadows.pop(name, None)
        if shadow is not None:
            self._shadows[name] = shadow
        self._numbers.clear()
        self._events.emit(now)

    def labels(self, name: str) -> dict[str, int]:
        """What a model's versions are called."""
        return dict(self._labels.get(name, {}))

    def shadow(self, name: str) -> Shadow | None:
        """Which of a model's versions is tried in the shadow of which."""
        return self._shadows.get(name)

    def versions(self, name: str) -> dict[int, Entry]:
        """What is known of a model's versions; empty when there is no such model."""
        return dict(self._models.get(name, {}))

    def entries(self) -> list[tuple[str, int, Entry]]:
        """Every version of every model, by name and number."""
        return [
            (name, version, entry)
            for name, versions in sorted(self._models.items())
            for version, entry in sorted(versions.items())
        ]

    def served(self) -> list[ServedModel]:
        """The versions in service."""
        entries = (entry for versions in self._models.values() for entry in versions.values())
        return [entry for entry in entries if isinstance(entry, SERVED)]

    def serves(self, name: str, version: int) -> bool:
        """Whether this version is in service."""
        return isinstance(self._models.get(name, {}).get(version), SERVED)

    def is_serving(self, name: str) -> bool:
        """Whether some version of the model is in service."""
        return any(isinstance(entry, SERVED) for entry in self._models.get(name, {}).values())

    def number(self, name: str, version: Version) -> int:
        """The number of the version that a request means, whatever its state. Raises ModelNotFoundError."""
        known = self._numbers.get((name, version))
        if known is None:
            known = self._numbers[name, version] = self._find(name, version)
        return known

    def _find(self, name: str, version: Version) -> int:
        versions, labels = self._models.get(name), self._labels.get(name, {})
        if not versions:
            raise ModelNotFoundError(f"no model {name!r}; there are: {', '.join(sorted(self._models)) or 'none'}")
        if version is None:
            if STABLE not in labels:
                return _highest(versions)
            version = STABLE
        called = f" {version}"
        if isinstance(version, str):
            if version not in labels:
                known = ", ".join(sorted(labels)) or "none"
                raise ModelNotFoundError(f"model {name!r} has no label {version!r}; there are: {known}")
            called = f" {labels[version]}, which is labelled {version!r}"
            version = labels[version]
        if version not in versions:
            known = ", ".join(str(number) for number in sorted(versions))
            raise ModelNotFoundError(f"model {name!r} has no version{called}; there are: {known}")
        return version

    def resolve(self, name: str, version: Version) -> ServedModel:
        """The version in service that a request means.

        Raises ModelNotFoundError when there is none of that name, number or label, UnavailableError when it is there but
        loading or refused.
        """
        number = self.number(name, version)
        entry = self._models[name][number]
        if isinstance(entry, SERVED):
            return entry
        is_only_the_highest = version is None and STABLE not in self._labels.get(name, {})
        which = f"model {name!r}" if is_only_the_highest else f"model {name!r} version {number}"
        raise UnavailableError(f"{which} is {entry.state}{': ' if entry.reason else ''}{entry.reason}")

    def status(self, name: str, version: Version) -> ModelStatus:
        """One version, whatever its state. Raises ModelNotFoundError."""
        number = self.number(name, version)
        return self._status(name, number, self._models[name][number])

    def statuses(self) -> list[ModelStatus]:
        """Every version of every model, by name and number."""
        return [self._status(*each) for each in self.entries()]

    def _status(self, name: str, version: int, entry: Entry) -> ModelStatus:
        known = self._labels.get(name, {})
        labels = tuple(sorted(label for label, number in known.items() if number == version))
        if isinstance(entry, SERVED):
            is_default = version == known.get(STABLE, _highest(self._models[name]))
            refusal = self.refusal(name, version)
            return ModelStatus(name, version, ModelState.SERVING, refusal, is_default, entry.running, labels)
        return ModelStatus(name, version, entry.state, entry.reason, False, None, labels)


def _highest(versions: dict[int, Entry]) -> int:
    """The highest version in service; without one, the highest, so that its reason can be told."""
    served = [version for version, entry in versions.items() if isinstance(entry, SERVED)]
    return max(served or versions)
