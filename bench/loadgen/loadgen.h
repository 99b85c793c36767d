/* What the parts of the load generator share; main.c says what the program does and how one talks to it. */
#ifndef LOADGEN_H
#define LOADGEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that grow at the end. All zeros is an empty buffer. */
struct buffer {
	uint8_t *data;
	size_t size, capacity;
};

void buffer_append(struct buffer *buffer, const void *data, size_t size);
void buffer_free(struct buffer *buffer);

/* A TCP connection and what its protocol keeps for it. */
struct connection {
	struct load *load;
	int socket;
	bool wants_writing; /* epoll tells when the socket takes bytes again */
	struct buffer out;  /* to be written, of which `written` bytes are */
	size_t written;
	void *state; /* of the transport */
};

/* One caller, who has at most one call in flight. */
struct client {
	struct connection *connection;
	uint32_t request; /* which of the requests it has sent */
	double started;   /* seconds, monotonic; of an open loop the moment when the call was due */
	int32_t http_status, grpc_status;
	struct buffer answer;
};

/* How calls become bytes on a connection, and bytes answers. */
struct transport {
	void (*open)(struct connection *connection);
	void (*submit)(struct client *client);            /* starts to send the client's request */
	bool (*fill)(struct connection *connection);      /* adds bytes to `out`; false when there are none */
	void (*receive)(struct connection *connection, const uint8_t *data, size_t size);
	void (*close)(struct connection *connection);
};

extern const struct transport http1, http2; /* plain HTTP/1.1; gRPC over HTTP/2 without TLS */

/* Everything that is sent and measured. */
struct load {
	const struct transport *transport;
	char authority[256]; /* host:port */
	const char *path;    /* of the method, for gRPC */
	struct buffer *requests;
	uint32_t request_count, next_request;
	struct connection *connections;
	size_t connection_count;
	struct client *clients;
	struct client **idle; /* of an open loop: those without a call */
	size_t client_count, idle_count, in_flight;
	double rate;         /* calls a second; 0: a closed loop */
	char timeout[24];    /* grpc-timeout of every call; empty for none */
	int poller;
	double deadline;    /* no call starts after it */
	bool recording;     /* false while warming up */
	uint64_t answers;
	struct buffer records;
};

void open_connection(struct connection *connection, struct load *load, const char *host, const char *port);
void close_connection(struct connection *connection);
void send_waiting(struct connection *connection); /* as much as the socket takes */
void receive_some(struct connection *connection); /* what is there */

/* For transports: the client's answer is complete. Its next call may be submitted before this returns. */
void finish_call(struct client *client);

/* Ends the program with a line on standard error. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
