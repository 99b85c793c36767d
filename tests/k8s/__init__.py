"""Of k8s/: what can be known of manifests without a cluster. `cluster/` tries them on one."""
