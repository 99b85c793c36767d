# The server with ONNX Runtime on CPUs; models are mounted at /models. Nothing of training or export is in it.
#   docker build -t seethrough .
#   docker run --read-only -p 8001:8001 -p 8000:8000 -v "$PWD/models:/models:ro" seethrough
FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements/cpu.txt /requirements.txt
RUN python3 -m venv /opt/venv && /opt/venv/bin/pip install --require-hashes -r /requirements.txt

FROM python:3.11-slim-bookworm
COPY --from=build /opt/venv /opt/venv
COPY LICENSE /app/
COPY bundle /app/bundle
COPY proto /app/proto
COPY server /app/server
WORKDIR /app
# Compiled here, because a read-only container could not keep the result; the user that the server runs as owns nothing.
RUN /opt/venv/bin/python -m compileall -q bundle proto server
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 SEETHROUGH_MODELS=/models
USER 65532:65532
EXPOSE 8001 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
# In exec form, so that SIGTERM reaches the server itself and starts the drain.
ENTRYPOINT ["python", "-m", "server"]
