"""The Open Inference Protocol as its callers see it: clients of Triton and KServe, grpcurl, and requests that are wrong."""
