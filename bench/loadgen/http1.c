/* HTTP/1.1 with one call at a time on a connection. The requests are whole already, head and body. */
#define _GNU_SOURCE /* memmem */
#include "loadgen.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char LINE_END[] = "\r\n";
static const char HEAD_END[] = "\r\n\r\n";

/* Of a connection: whose call is in flight, whether its request waits to be sent, and what has come of the answer. */
struct state {
	struct client *client;
	bool unsent;
	struct buffer in;
};

/* The head of an answer. `in` is ended with a zero while it is read. */
struct head {
	size_t size;
	int status;
	bool chunked;
	size_t length; /* of the body, if not chunked */
};

static void open_http1(struct connection *connection)
{
	connection->state = calloc(1, sizeof(struct state));
	if (connection->state == NULL)
		die("no memory for a connection");
}

static void close_http1(struct connection *connection)
{
	struct state *state = connection->state;
	buffer_free(&state->in);
	free(state);
}

static void submit(struct client *client)
{
	struct state *state = client->connection->state;
	state->client = client;
	state->unsent = true;
	state->in.size = 0;
}

static bool fill(struct connection *connection)
{
	struct state *state = connection->state;
	if (!state->unsent)
		return false;
	const struct buffer *request = &connection->load->requests[state->client->request];
	buffer_append(&connection->out, request->data, request->size);
	state->unsent = false;
	return true;
}

/* The text after `name` in the head, or NULL. `name` begins with the end of the line before and ends with the colon. */
static const char *header(const char *head, size_t size, const char *name)
{
	size_t length = strlen(name);
	for (const char *at = head; at + length <= head + size; at++)
		if (strncasecmp(at, name, length) == 0)
			return at + length + strspn(at + length, " ");
	return NULL;
}

/* False while the head is not complete. */
static bool read_head(const struct buffer *in, struct head *head)
{
	const char *text = (const char *)in->data;
	const char *end = memmem(text, in->size, HEAD_END, strlen(HEAD_END));
	if (end == NULL)
		return false;
	size_t lines = (size_t)(end - text) + strlen(LINE_END);
	head->size = lines + strlen(LINE_END);
	if (strncmp(text, "HTTP/1.1 ", 9) != 0)
		die("the server does not answer in HTTP/1.1");
	head->status = atoi(text + 9);
	const char *coding = header(text, lines, "\r\ntransfer-encoding:");
	const char *length = header(text, lines, "\r\ncontent-length:");
	head->chunked = coding != NULL && strncasecmp(coding, "chunked", 7) == 0;
	if (!head->chunked && length == NULL)
		die("the server answers without a length, which ends the connection");
	head->length = length != NULL ? strtoull(length, NULL, 10) : 0;
	return true;
}

/* Appends the chunks between `text` and `end` to `body`; false while the last one has not come (RFC 9112, 7.1). */
static bool read_chunks(const char *text, const char *end, struct buffer *body)
{
	for (;;) {
		const char *line_end = memmem(text, (size_t)(end - text), LINE_END, strlen(LINE_END));
		if (line_end == NULL)
			return false;
		size_t size = strtoull(text, NULL, 16);
		const char *chunk = line_end + strlen(LINE_END);
		size_t left = (size_t)(end - chunk);
		if (left < strlen(LINE_END) || size > left - strlen(LINE_END))
			return false;
		if (size == 0)
			return true;
		buffer_append(body, chunk, size);
		text = chunk + size + strlen(LINE_END);
	}
}

/* False while the answer is not complete. */
static bool read_answer(const struct buffer *in, struct client *client)
{
	struct head head;
	if (!read_head(in, &head))
		return false;
	const char *text = (const char *)in->data;
	client->http_status = head.status;
	client->answer.size = 0;
	if (head.chunked)
		return read_chunks(text + head.size, text + in->size, &client->answer);
	if (in->size - head.size < head.length)
		return false;
	buffer_append(&client->answer, text + head.size, head.length);
	return true;
}

static void receive(struct connection *connection, const uint8_t *data, size_t size)
{
	struct state *state = connection->state;
	buffer_append(&state->in, data, size);
	buffer_append(&state->in, "", 1); /* a zero, so that it can be read as text */
	state->in.size--;
	if (state->client == NULL || !read_answer(&state->in, state->client))
		return;
	struct client *client = state->client;
	state->client = NULL;
	finish_call(client);
}

const struct transport http1 = {open_http1, submit, fill, receive, close_http1};
