"""gRPC and HTTP. A handler is convert, call, convert: `convert` holds the pure functions between protobuf and jobs,
`status` the one table from errors to codes; `classifier`, `health` and `http` are the services, `grpc_server` joins them.
"""
