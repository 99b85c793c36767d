"""The server as its callers see it: a real process, real sockets, clients that we did not write where there are some."""
