"""The contract on the wire: .proto files and the stubs that `make stubs` generates from them."""
