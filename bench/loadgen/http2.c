/* gRPC: each call a stream of an HTTP/2 connection, by nghttp2. The requests are length-prefixed messages
 * (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md); so are the answers. */
#include "loadgen.h"

#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

enum {
	STREAM_WINDOW = 1 << 20,     /* bytes of answer on the way, of a call */
	CONNECTION_WINDOW = 1 << 24, /* and of all calls */
	MOST_QUEUED = 1 << 18,       /* bytes made ready for writing at a time */
};

/* Of a stream: what of the client's request is still to be sent. */
struct stream {
	struct client *client;
	size_t sent;
};

static void check(const char *what, int result)
{
	if (result < 0)
		die("%s: %s", what, nghttp2_strerror(result));
}

static bool is(const uint8_t *name, size_t size, const char *expected)
{
	return size == strlen(expected) && memcmp(name, expected, size) == 0;
}

/* Gives nghttp2 the next part of a request. */
static ssize_t read_request(nghttp2_session *session, int32_t id, uint8_t *to, size_t room, uint32_t *flags,
			    nghttp2_data_source *source, void *user)
{
	(void)session, (void)id, (void)user;
	struct stream *stream = source->ptr;
	const struct client *client = stream->client;
	const struct buffer *request = &client->connection->load->requests[client->request];
	size_t left = request->size - stream->sent;
	size_t size = left < room ? left : room;
	memcpy(to, request->data + stream->sent, size);
	stream->sent += size;
	if (size == left)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)size;
}

/* Headers and trailers. nghttp2 ends every value with a zero. */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_size,
		     const uint8_t *value, size_t value_size, uint8_t flags, void *user)
{
	(void)flags, (void)user;
	struct stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (stream == NULL)
		return 0;
	if (is(name, name_size, ":status"))
		stream->client->http_status = atoi((const char *)value);
	else if (is(name, name_size, "grpc-status"))
		stream->client->grpc_status = atoi((const char *)value);
	else if (is(name, name_size, "grpc-message"))
		buffer_append(&stream->client->answer, value, value_size);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t size, void *user)
{
	(void)flags, (void)user;
	struct stream *stream = nghttp2_session_get_stream_user_data(session, id);
	if (stream != NULL)
		buffer_append(&stream->client->answer, data, size);
	return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
	(void)error, (void)user;
	struct stream *stream = nghttp2_session_get_stream_user_data(session, id);
	if (stream == NULL)
		return 0;
	struct client *client = stream->client;
	free(stream);
	finish_call(client);
	return 0;
}

static nghttp2_session *new_session(struct connection *connection)
{
	nghttp2_session_callbacks *callbacks;
	nghttp2_session *session;
	check("nghttp2", nghttp2_session_callbacks_new(&callbacks));
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
	check("nghttp2", nghttp2_session_client_new(&session, callbacks, connection));
	nghttp2_session_callbacks_del(callbacks);
	return session;
}

static void open_http2(struct connection *connection)
{
	nghttp2_session *session = new_session(connection);
	const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
	};
	size_t count = sizeof settings / sizeof *settings;
	check("settings", nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, count));
	check("window", nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW));
	connection->state = session;
}

static void close_http2(struct connection *connection)
{
	nghttp2_session_del(connection->state);
}

static nghttp2_nv pair(const char *name, const char *value)
{
	return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static void submit(struct client *client)
{
	const struct load *load = client->connection->load;
	const nghttp2_nv headers[] = {
		pair(":method", "POST"),
		pair(":scheme", "http"),
		pair(":path", load->path),
		pair(":authority", load->authority),
		pair("te", "trailers"),
		pair("content-type", "application/grpc"),
		pair("grpc-timeout", load->timeout),
	};
	struct stream *stream = calloc(1, sizeof *stream);
	if (stream == NULL)
		die("no memory for a call");
	stream->client = client;
	const nghttp2_data_provider body = {.source.ptr = stream, .read_callback = read_request};
	size_t count = sizeof headers / sizeof *headers - (load->timeout[0] == '\0');
	check("call", nghttp2_submit_request(client->connection->state, NULL, headers, count, &body, stream));
}

static bool fill(struct connection *connection)
{
	size_t before = connection->out.size;
	while (connection->out.size < MOST_QUEUED) {
		const uint8_t *data;
		ssize_t size = nghttp2_session_mem_send(connection->state, &data);
		check("send", (int)size);
		if (size == 0)
			break;
		buffer_append(&connection->out, data, (size_t)size);
	}
	return connection->out.size > before;
}

static void receive(struct connection *connection, const uint8_t *data, size_t size)
{
	check("receive", (int)nghttp2_session_mem_recv(connection->state, data, size));
}

const struct transport http2 = {open_http2, submit, fill, receive, close_http2};
