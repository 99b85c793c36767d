"""AsyncClient behind the methods of Client, so that one test holds for both."""

import asyncio
from collections.abc import AsyncIterator, Generator, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from client import AsyncClient, Classification, Client, ModelInfo, Request, StreamAnswer, TensorModel
from client.tensors import Array


class Blocking:
    """An AsyncClient with an event loop of its own."""

    def __init__(self, target: str, **options: Any) -> None:
        self._runner = asyncio.Runner()

        async def connect() -> AsyncClient:
            return AsyncClient(target, **options)

        self._client = self._runner.run(connect())

    def classify(self, *arguments: Any, **options: Any) -> Classification:
        """AsyncClient.classify."""
        return self._runner.run(self._client.classify(*arguments, **options))

    def classify_stream(
        self, requests: Iterable[Request], *, timeout: float | None = None
    ) -> Generator[StreamAnswer, None, None]:
        """AsyncClient.classify_stream."""
        answers = self._client.classify_stream(_each(requests), timeout=timeout)

        async def following() -> StreamAnswer | None:
            return await anext(answers, None)

        try:
            while (answer := self._runner.run(following())) is not None:
                yield answer
        finally:
            self._runner.run(answers.aclose())

    def models(self) -> list[ModelInfo]:
        """AsyncClient.models."""
        return self._runner.run(self._client.models())

    def get_model(self, model: str, version: int | str = 0) -> ModelInfo:
        """AsyncClient.get_model."""
        return self._runner.run(self._client.get_model(model, version))

    def infer(self, inputs: Mapping[str, Array], model: str, *, version: int | str = 0) -> dict[str, Array]:
        """AsyncClient.infer."""
        return self._runner.run(self._client.infer(inputs, model, version=version))

    def tensor_model(self, model: str, version: int | str = 0) -> TensorModel:
        """AsyncClient.tensor_model."""
        return self._runner.run(self._client.tensor_model(model, version))

    def ready(self, model: str = "") -> bool:
        """AsyncClient.ready."""
        return self._runner.run(self._client.ready(model))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._runner:
            self._runner.run(self._client.close())


async def _each(requests: Iterable[Request]) -> AsyncIterator[Request]:
    for request in requests:
        yield request


Connect = type[Client] | type[Blocking]
