"""The request parameters that have a meaning here; others are for other servers, and left alone as the protocol wants it.

timeout    microseconds until the answer is worthless (Triton's schedule policy); 0 is none
priority   1 is high, 2 normal, 3 and above low; 0 is the default, normal (Triton's schedule policy, with three levels)
method     which of the model's explanations makes the heatmaps (ours)
"""

from collections.abc import Mapping

from server.batching.policy import Priority
from server.errors import InvalidRequestError
from server.transport.v2.tensors import shown
from server.transport.v2.values import Parameter

Parameters = Mapping[str, Parameter]

_LEVELS = (Priority.NORMAL, Priority.HIGH, Priority.NORMAL, Priority.LOW)


def shortened(deadline: float | None, received: float, parameters: Parameters) -> float | None:
    """The deadline with the parameter `timeout` applied, which can only shorten it. Raises InvalidRequestError."""
    microseconds = _count(parameters, "timeout")
    if not microseconds:
        return deadline
    own = received + microseconds / 1e6
    return own if deadline is None else min(own, deadline)


def priority(parameters: Parameters) -> Priority:
    """How urgent the request is. Raises InvalidRequestError when `priority` is there and not a whole number from 0."""
    return _LEVELS[min(_count(parameters, "priority"), len(_LEVELS) - 1)]


def method(parameters: Parameters, explanations: tuple[str, ...]) -> str:
    """One of the model's `explanations`, empty for its first. Raises InvalidRequestError for any other."""
    given = parameters.get("method", "")
    if given != "" and given not in explanations:
        raise InvalidRequestError(
            f"parameters: method {shown(str(given))}; the model explains by: {', '.join(explanations)}"
        )
    return str(given)


def _count(parameters: Parameters, name: str) -> int:
    value = parameters.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 64:
        raise InvalidRequestError(f"parameters: {name} {shown(str(value))}; it is a whole number from 0 to 2^64 - 1")
    return value
