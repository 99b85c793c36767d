# The server, for CPUs or for NVIDIA GPUs, and the programs that make its models. docs/containers.md has the how and the why.
#   docker build -t seethrough .                                  # for CPUs
#   docker build -t seethrough:gpu --build-arg FLAVOUR=gpu .      # for GPUs: the CUDA libraries come as wheels, no CUDA base image
#   docker build -t seethrough-tools --target tools .             # training and exporter, for jobs
ARG FLAVOUR=cpu
# A release sets it.
ARG VERSION=dev

FROM python:3.11-slim-bookworm AS python
# Bytecode is compiled below, once: a container that is read-only could not keep it.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app

# Packages go into a folder of their own, which is all that later stages take of this one: pip stays behind. Every file that is
# downloaded must have the hash in the lock file, which is complete (no-deps), and leaves out on purpose what OpenVINO reports its use by.
# What pip notes of each package stays, for scanners (SBOM).
FROM python AS server-packages
ARG FLAVOUR
COPY requirements/${FLAVOUR}.txt /requirements.txt
# OpenVINO serves on CPUs here, from ONNX files. Without its plug-ins for Intel's GPUs and NPUs, the readers of other formats and the headers
# for C++, the image is 80 MB smaller.
RUN python3 -m venv --without-pip /opt/venv \
 && pip --python /opt/venv/bin/python install --no-cache-dir --no-deps --require-hashes -r /requirements.txt \
 && find /opt/venv -type f \
      \( -path '*/openvino/libs/libopenvino_intel_[gn]pu_*' -o -path '*/openvino/libs/cache.json' -o -path '*/openvino/include/*' \
         -o -path '*/openvino/libs/libopenvino_*_frontend.so*' ! -name '*_onnx_*' \) -delete

FROM python AS tools-packages
COPY requirements/tools.txt /requirements.txt
RUN python3 -m venv --without-pip /opt/venv \
 && pip --python /opt/venv/bin/python install --no-cache-dir --no-deps --require-hashes -r /requirements.txt

# `docker run seethrough-tools training run digits --out /mnt/digits`: any of `training`, `exporter` and `bundle`.
FROM python AS tools
ARG VERSION
LABEL org.opencontainers.image.title="seethrough-tools" \
      org.opencontainers.image.description="Train image classifiers and export them as bundles for the Seethrough server" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=tools-packages /opt/venv /opt/venv
COPY LICENSE ./
COPY bundle ./bundle
COPY training ./training
COPY exporter ./exporter
RUN python -m compileall -q bundle training exporter
# Keras and Matplotlib keep files in the home folder, which must not be in the image's read-only part.
ENV HOME=/tmp TF_CPP_MIN_LOG_LEVEL=2
USER 65532:65532
ENTRYPOINT ["python", "-m"]
CMD ["training", "--help"]

FROM python AS server
ARG FLAVOUR
ARG VERSION
LABEL org.opencontainers.image.title="seethrough" \
      org.opencontainers.image.description="Serves image models that can be seen through: gRPC and HTTP inference with Grad-CAM (${FLAVOUR})" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=server-packages /opt/venv /opt/venv
COPY LICENSE ./
COPY bundle ./bundle
COPY proto ./proto
COPY server ./server
RUN python -m compileall -q bundle proto server
ENV SEETHROUGH_MODELS=/models
# By number, so that Kubernetes can tell that it is not root. It owns nothing in the image.
USER 65532:65532
EXPOSE 8001 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s CMD ["python", "-m", "server.healthcheck"]
ENTRYPOINT ["python", "-m", "server"]
