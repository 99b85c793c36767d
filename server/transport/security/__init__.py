"""Who may call: certificates for TLS and mutual TLS, bearer tokens, and the audit log.

certificates   the server's certificate and the authorities of its clients, as their files have them now
tokens         a file of tokens
access         what a call needs, and whether its token has it
refusals       counting those who are turned away
audit          a line for each call that changes what is served
check          what can be told to be wrong before the server starts
grpc, http     both for a transport: TLS, and who a caller is
watched        reading files again when they change

Everything is off by default and then costs a call nothing. Files are looked at when somebody comes, not by a timer: a certificate at a
handshake, tokens at a call, so what holds is what is on disk at that moment.
"""
