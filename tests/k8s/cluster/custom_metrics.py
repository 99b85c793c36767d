"""In the place of Prometheus and its adapter: custom.metrics.k8s.io, answered out of what each pod's /metrics says at that moment.

The API: https://github.com/kubernetes/metrics/blob/v0.20.0/pkg/apis/custom_metrics/v1beta1/types.go
"""

import json
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.certificates import Authority
from tests.k8s.cluster.kubectl import Document, Kubectl
from tests.k8s.cluster.programs import free_ports

_GROUP, _VERSION = "custom.metrics.k8s.io", "v1beta1"
_SAMPLES, _BETWEEN_SECONDS = 5, 0.1


def total(address: str, metric: str) -> float:
    """The sum over all labels of a metric that a server at `address`, host:port, has now. Raises OSError."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as page:
        families = text_string_to_metric_families(page.read().decode())
        return sum(sample.value for family in families for sample in family.samples if sample.name == metric)


@contextmanager
def custom_metrics(kubectl: Kubectl, folder: Path, pods: "Pods") -> Iterator[None]:
    """Answers the API server, and through it the autoscaler, for the block."""
    (port,) = free_ports(1)
    certificate, key = Authority("trial").issue("metrics").write(folder, "metrics")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer(("127.0.0.1", port), pods.handler())
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        kubectl.apply(*_registration(port, kubectl.namespace))
        yield
        server.shutdown()


def _registration(port: int, namespace: str) -> tuple[Document, Document]:
    """Tells the API server where to ask: on this machine, outside of the cluster."""
    service: Document = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "custom-metrics", "namespace": namespace},
        "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]},
    }
    where = {"name": "custom-metrics", "namespace": namespace, "port": port}
    priorities = {"groupPriorityMinimum": 100, "versionPriority": 100}
    return service, {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"{_VERSION}.{_GROUP}"},
        "spec": {"group": _GROUP, "version": _VERSION, "insecureSkipTLSVerify": True, "service": where, **priorities},
    }


class Pods:
    """Where the pods are whose metrics are asked for."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self.addresses: Mapping[str, str] = {}  # host:port of /metrics, by the name of the pod

    def values(self, metric: str) -> Document:
        """A metric of each pod, the mean of half a second: a gauge that is looked at once may find the moment between two batches."""
        return {
            "kind": "MetricValueList",
            "apiVersion": f"{_GROUP}/{_VERSION}",
            "metadata": {},
            "items": [self._value(name, metric, self._mean(at, metric)) for name, at in dict(self.addresses).items()],
        }

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """Answers requests out of `values`."""
        values = self.values

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # the name that http.server calls
                parts = self.path.partition("?")[0].strip("/").split("/")
                body = json.dumps(values(parts[-1]) if "pods" in parts else _resources()).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:  # the trial has its own report
                pass

        return Handler

    def _value(self, name: str, metric: str, value: float) -> Document:
        return {
            "describedObject": {"kind": "Pod", "namespace": self._namespace, "name": name, "apiVersion": "/v1"},
            "metricName": metric,
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "value": f"{round(value * 1000)}m",
        }

    def _mean(self, address: str, metric: str) -> float:
        values = []
        for _ in range(_SAMPLES):
            try:
                values.append(total(address, metric))
            except OSError:  # a pod that ends or begins
                return 0.0
            time.sleep(_BETWEEN_SECONDS)
        return sum(values) / len(values)


def _resources() -> Document:
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{_GROUP}/{_VERSION}",
        "resources": [
            {
                "name": "pods/seethrough_inflight_images",
                "singularName": "",
                "namespaced": True,
                "kind": "MetricValueList",
                "verbs": ["get"],
            }
        ],
    }
