"""The HTTP port as its callers see it: curl, tritonclient, schemathesis, and requests that are wrong."""
