"""Callers of every kind: good ones, and those who send rubbish, leave early, want the impossible or do not read their answers.

Each call ends in one word: "answered", the name of a gRPC code, an HTTP status, or what the caller did to end it himself.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import grpc
import numpy as np
from PIL import Image

from proto import classifier_pb2 as pb
from proto import classifier_pb2_grpc as rpc
from proto import open_inference_pb2 as v2
from proto import open_inference_pb2_grpc as v2_rpc
from tests.bundle.pictures import encode, noise

MODEL = "shapes"
HEIGHT, WIDTH = 12, 16

# No call may take longer, whatever happens.
PATIENCE_SECONDS = 60.0


@dataclass
class Callers:
    """Makes calls to one server, and counts how they end."""

    grpc_address: str
    http_address: str
    chance: random.Random
    ends: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._channel = grpc.aio.insecure_channel(self.grpc_address)
        self._classifier: rpc.ImageClassifierAsyncStub = rpc.ImageClassifierStub(self._channel)
        self._inference: v2_rpc.GRPCInferenceServiceAsyncStub = v2_rpc.GRPCInferenceServiceStub(self._channel)
        self._picture = encode(Image.fromarray(noise(60, 40)), "PNG")
        self._large = encode(Image.fromarray(noise(900, 600)), "JPEG")
        self._kinds: list[tuple[Callable[[], Awaitable[str]], int]] = [
            (self.pixels, 30),
            (self.picture, 15),
            (self.explained, 10),
            (self.many, 5),
            (self.open_inference, 15),
            (self.stream, 3),
            (self.over_http, 10),
            (self.broken_picture, 8),
            (self.wrong_shape, 4),
            (self.unknown_model, 3),
            (self.broken_http, 3),
            (self.cancelled, 8),
            (self.impatient, 8),
            (self.left_in_the_middle, 3),
            (self.stream_abandoned, 2),
            (self.slow_reader, 2),
        ]

    async def close(self) -> None:
        """Leaves."""
        await self._channel.close()

    async def run(self, calls: int, at_once: int) -> None:
        """So many calls of kinds by chance, `at_once` of them at the same time."""
        kinds = [kind for kind, weight in self._kinds for _ in range(weight)]
        room = asyncio.Semaphore(at_once)

        async def call(kind: Callable[[], Awaitable[str]]) -> None:
            async with room:
                self.ends[kind.__name__, await self.attempt(kind)] += 1

        await asyncio.gather(*(call(self.chance.choice(kinds)) for _ in range(calls)))

    async def attempt(self, kind: Callable[[], Awaitable[str]]) -> str:
        """One call, and how it ended."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await kind()
        except grpc.aio.AioRpcError as error:
            return error.code().name
        except TimeoutError:
            return "hung"

    # Those who behave well.

    async def pixels(self) -> str:
        """One picture as pixels."""
        answer = await self._classifier.Classify(_request(_pixels(self.chance.randrange(256))))
        return _checked(answer)

    async def picture(self) -> str:
        """One picture as a file."""
        return _checked(await self._classifier.Classify(_request(pb.Image(encoded=self._picture))))

    async def explained(self) -> str:
        """One picture with its heatmap."""
        request = _request(_pixels(7))
        request.explain.SetInParent()
        return _checked(await self._classifier.Classify(request))

    async def many(self) -> str:
        """Several pictures, one of them no picture."""
        images = [*(_pixels(value) for value in range(5)), pb.Image(encoded=b"no picture")]
        answer = await self._classifier.Classify(_request(*images))
        assert len(answer.results) == len(images)
        return "answered"

    async def open_inference(self) -> str:
        """Pixels by the other protocol."""
        request = v2.ModelInferRequest(model_name=MODEL, raw_input_contents=[bytes(2 * HEIGHT * WIDTH * 3)])
        request.inputs.add(name="pixels", datatype="UINT8", shape=[2, HEIGHT, WIDTH, 3])
        answer = await self._inference.ModelInfer(request)
        probabilities = np.frombuffer(answer.raw_output_contents[0], np.float32).reshape(2, -1)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-4)
        return "answered"

    async def stream(self) -> str:
        """Five pictures on a stream."""
        call = self._classifier.ClassifyStream()
        for value in range(5):
            await call.write(_request(_pixels(value)))
        await call.done_writing()
        answers = [answer async for answer in call]
        assert len(answers) == 5
        return "answered"

    async def over_http(self) -> str:
        """A picture by HTTP."""
        return await self._post(self._picture)

    # Those who do not.

    async def broken_picture(self) -> str:
        """A picture that ends too early."""
        cut = self.chance.randrange(len(self._picture))
        return _checked(await self._classifier.Classify(_request(pb.Image(encoded=self._picture[:cut]))))

    async def wrong_shape(self) -> str:
        """Pixels that are too few."""
        image = pb.Image(pixels=pb.RawPixels(height=HEIGHT, width=WIDTH, channels=3, data=b"abc"))
        return _checked(await self._classifier.Classify(_request(image)))

    async def unknown_model(self) -> str:
        """A model that is not there."""
        return _checked(await self._classifier.Classify(pb.ClassifyRequest(model="nobody", images=[_pixels(0)])))

    async def broken_http(self) -> str:
        """Rubbish instead of a picture."""
        return await self._post(self.chance.randbytes(self.chance.randrange(1, 2000)))

    async def cancelled(self) -> str:
        """Leaves after a moment."""
        call = self._classifier.Classify(_request(pb.Image(encoded=self._large)))
        await asyncio.sleep(self.chance.random() * 0.01)
        call.cancel()
        try:
            return _checked(await call)
        except asyncio.CancelledError:
            return "left"

    async def impatient(self) -> str:
        """Wants the answer within a millisecond or five."""
        timeout = self.chance.uniform(0.001, 0.005)
        return _checked(await self._classifier.Classify(_request(_pixels(1)), timeout=timeout))

    async def left_in_the_middle(self) -> str:
        """Sends half of a body, and leaves."""
        reader, writer = await self._connected()
        writer.write(_head(len(self._large)) + self._large[: self.chance.randrange(len(self._large))])
        await writer.drain()
        await _leave(writer)
        del reader
        return "left"

    async def stream_abandoned(self) -> str:
        """Begins a stream, reads one answer, and leaves."""
        call = self._classifier.ClassifyStream()
        for value in range(20):
            await call.write(_request(_pixels(value)))
        await call.read()
        call.cancel()
        return "left"

    async def slow_reader(self) -> str:
        """Asks for a large answer, reads a little of it, and leaves."""
        reader, writer = await self._connected()
        writer.write(_head(len(self._large), "?explain=overlay") + self._large)
        await writer.drain()
        await reader.read(10)
        await asyncio.sleep(0.05)
        await _leave(writer)
        return "left"

    async def _post(self, body: bytes) -> str:
        reader, writer = await self._connected()
        writer.write(_head(len(body)) + body)
        await writer.drain()
        status = (await reader.readline()).split()[1].decode()
        await reader.read()
        await _leave(writer)
        return "answered" if status == "200" else status

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self.http_address.rsplit(":", 1)
        return await asyncio.open_connection(host, int(port))


def _head(length: int, query: str = "") -> bytes:
    return (
        f"POST /v1/models/{MODEL}:classify{query} HTTP/1.1\r\nhost: here\r\ncontent-type: application/octet-stream\r\n"
        f"content-length: {length}\r\nconnection: close\r\n\r\n"
    ).encode()


async def _leave(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        await writer.wait_closed()
    except ConnectionError:  # the server was faster
        return


def _pixels(value: int) -> pb.Image:
    data = bytes([value]) * (HEIGHT * WIDTH * 3)
    return pb.Image(pixels=pb.RawPixels(height=HEIGHT, width=WIDTH, channels=3, data=data))


def _request(*images: pb.Image) -> pb.ClassifyRequest:
    return pb.ClassifyRequest(model=MODEL, images=images)


def _checked(answer: pb.ClassifyResponse) -> str:
    assert all(result.predictions for result in answer.results)
    return "answered"
