"""What must hold of a site in operation, step by step; each tells in a few words what was seen. Raises AssertionError or TimeoutError."""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from client import Client
from client.results import ModelState
from tests.containers.scans import digits
from tests.k8s.cluster.callers import Callers
from tests.k8s.cluster.custom_metrics import Pods, custom_metrics, total
from tests.k8s.cluster.programs import until
from tests.k8s.cluster.site import MODEL, OVERLAY, SELECTOR, Site

_DEPLOYMENT = "deployment/seethrough"


def is_applied_and_becomes_ready(site: Site) -> str:
    """`kubectl apply -k`, and two pods, which the autoscaler asks for, serve."""
    site.publish(1)
    site.kubectl("apply", "--kustomize", OVERLAY)
    return f"2 pods ready after {site.wait_for_pods(2):.0f} s"


def answers_through_the_endpoints(site: Site) -> str:
    """Real pictures get their class, and every pod has its share of the calls."""
    images, truths = digits(100)
    with site.client() as client:
        labels = [client.classify([image], MODEL).results[0].predictions[0].label for image in images]
    right = sum(label == truth for label, truth in zip(labels, truths, strict=True))
    assert right >= 95, f"{right} of 100 right"
    shares = [round(total(pod.http, "seethrough_images_total")) for pod in site.pods()]
    assert max(shares) - min(shares) <= 10, f"shares {shares}"
    return f"{right} of 100 digits right; pods had {' and '.join(map(str, shares))} of them"


def loses_nothing_in_a_rolling_update(site: Site) -> str:
    """All pods are replaced under load, and no call fails, without a retry."""
    before = site.pods()
    with Callers(site.pods, digits(1)[0]) as callers:
        callers.wait_for_more(100)
        site.kubectl("rollout", "restart", _DEPLOYMENT)
        site.kubectl("rollout", "status", _DEPLOYMENT, "--timeout=900s")
        until(lambda: not {pod.name for pod in before} & _names(site), "old pods do not go")
        callers.wait_for_more(100)
    assert not set(before) & set(site.pods())
    return _counted(callers)


def keeps_the_old_version_when_a_new_one_is_bad(site: Site) -> str:
    """A damaged bundle in the volume is refused by every pod; the version in service answers on."""
    site.publish(2, damaged=True)
    reasons = [_refusal(pod.grpc) for pod in site.pods()]
    images, _ = digits(20)
    with site.client() as client:
        assert {client.classify([image], MODEL).version for image in images} == {1}
    assert len(site.pods()) == len(reasons) == 2
    return f"2 pods refused version 2 ({reasons[0].partition(': SHA')[0]}) and answer by version 1"


def _refusal(address: str) -> str:
    """Waits until a pod has refused version 2; why it did."""
    with Client(address) as client:

        def refused() -> str:
            found = [each for each in client.models() if each.version == 2 and each.state is ModelState.REFUSED]
            return found[0].reason if found else ""

        until(lambda: bool(refused()), "version 2 is not refused")
        return refused()


def recovers_when_memory_runs_out(site: Site) -> str:
    """The kernel kills a server at its memory limit; the kubelet starts it again, and callers hardly notice."""
    victim = site.pods()[0]
    with Callers(site.pods, digits(1)[0], retries=3) as callers:
        callers.wait_for_more(20)
        with _all_memory_taken(site, victim.name):
            until(lambda: _ended(site, victim.name) == "OOMKilled", "the server is not killed")
        seconds = site.wait_for_pods(2)
        callers.wait_for_more(20)
    return f"OOMKilled, ready again {seconds:.0f} s later; {_counted(callers)}"


@contextmanager
def _all_memory_taken(site: Site, pod: str) -> Iterator[None]:
    """Processes in the pod take more memory than it may have, each of them less than the server: the kernel kills the largest."""
    taking = "import os, time\nwhile os.fork(): time.sleep(0.1)\nheld = b'x' * (48 << 20)\ntime.sleep(600)"
    with subprocess.Popen(site.kubectl.command("exec", pod, "--", "python", "-c", taking)) as taker:
        try:
            yield
        finally:
            taker.kill()


def _ended(site: Site, pod: str) -> str:
    """Why the server's container in a pod ended last; empty when it never has."""
    (status,) = site.kubectl.get("pod", pod)["status"]["containerStatuses"]
    return str(status["lastState"].get("terminated", {}).get("reason", ""))


def is_held_by_its_budget_when_a_node_is_drained(site: Site) -> str:
    """One node, so the first pod that is evicted finds no other place: the budget keeps the second one, which serves on."""
    with Callers(site.pods, digits(1)[0]) as callers:
        callers.wait_for_more(20)
        drained = site.kubectl.ran(
            "drain", "localhost", "--ignore-daemonsets", "--pod-selector", SELECTOR, "--timeout=45s"
        )
        assert drained.returncode
        assert "disruption budget" in drained.stderr, drained.stderr
        assert len(site.pods()) == 1
        callers.wait_for_more(20)
        site.kubectl("uncordon", "localhost")
        seconds = site.wait_for_pods(2)
    return f"1 of 2 pods evicted, the other kept; 2 again {seconds:.0f} s after uncordon; {_counted(callers)}"


def follows_its_load(site: Site) -> str:
    """The autoscaler, which reads images in work out of the pods' own metrics, adds a pod under load and takes it away after."""
    pods = Pods(site.kubectl.namespace)
    with custom_metrics(site.kubectl, site.models.parent, pods):
        with Callers(site.pods, digits(16)[0], count=6, retries=3) as callers:
            up = until(lambda: _follow(site, pods, 3), "no third pod under load")
        down = until(lambda: _follow(site, pods, 2), "the third pod does not go")
    return f"2 to 3 pods after {up:.0f} s of load, back after {down:.0f} s; {_counted(callers)}"


def _follow(site: Site, pods: Pods, count: int) -> bool:
    """Tells the metrics where the pods are; whether there are `count`."""
    there = site.pods()
    pods.addresses = {pod.name: pod.http for pod in there}
    return len(there) == count


def _names(site: Site) -> set[str]:
    return {each["metadata"]["name"] for each in site.kubectl.get("pods", "--selector", SELECTOR)["items"]}


def _counted(callers: Callers) -> str:
    """How many calls there were. Raises AssertionError when one failed."""
    assert set(callers.ends) == {"OK"}, callers.ends
    return f"{callers.ends.total()} calls, 0 failed, the slowest took {callers.slowest_seconds:.1f} s"


Step = Callable[[Site], str]
# In this order: the first brings the site up, and each leaves two pods in service.
STEPS: Sequence[Step] = (
    is_applied_and_becomes_ready,
    answers_through_the_endpoints,
    loses_nothing_in_a_rolling_update,
    keeps_the_old_version_when_a_new_one_is_bad,
    recovers_when_memory_runs_out,
    is_held_by_its_budget_when_a_node_is_drained,
    follows_its_load,
)
