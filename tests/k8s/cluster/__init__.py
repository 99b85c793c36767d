"""A real Kubernetes on this machine, of one node, and what is tried on it: k8s/ as it is applied, load, faults and their end."""
