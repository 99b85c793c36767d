/* A load generator: some clients on one thread. In a closed loop each of them sends its next call when its last one is
 * answered; in an open loop calls are due at a rate whatever becomes of those before, latencies count from then, and CLIENTS
 * is only the most that may be in flight. It is in C so that it takes next to nothing of the cores that it shares with the
 * server it measures, and it judges no answer: it keeps them all, for the program that started it to look at afterwards.
 *
 *     loadgen grpc|http HOST PORT PATH CLIENTS CONNECTIONS WARM_UP_SECONDS SECONDS RATE TIMEOUT_MS
 *
 * RATE is calls a second in an open loop, 0 for a closed one; TIMEOUT_MS the deadline of each gRPC call, 0 for none.
 * grpc is HTTP/2 without TLS; its calls share CONNECTIONS. http is HTTP/1.1, where every client has a connection of its
 * own, and CONNECTIONS and PATH go unused. All numbers in binary are little-endian, as on every machine it runs on.
 *
 *   standard input   u32 count, then for each request u32 size and its bytes: for grpc a message with its 5-byte prefix,
 *                    for http the whole request. The calls go through them in turn.
 *   standard output  "ready\n" after warming up with the same calls, of which nothing is kept
 *   standard input   "go\n"
 *   standard output  "done SECONDS CPU_SECONDS CALLS\n": from the first call to the last answer; this program's own CPU
 *                    time; the number of answers. Then for each answer, in order of arrival:
 *                    f64 latency in seconds, u32 request (which of them), i32 HTTP status, i32 gRPC status (-1: none
 *                    came, and always for http), u32 size and the bytes of the answer; for a call that failed those of
 *                    grpc-message.
 *
 * A call that fails is an answer like others. Whatever else goes wrong (no connection, a connection that is closed, no
 * answer to anything for half a minute) ends the program: a line on standard error, exit status 1. */
#include "loadgen.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum {
	LONGEST_SILENCE_MS = 30000,
	MOST_EVENTS = 64,
};

struct options {
	const struct transport *transport;
	const char *host, *port, *path;
	size_t clients, connections;
	double warm_up_seconds, seconds, rate;
	unsigned long timeout_ms;
};

_Noreturn void die(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fputs("loadgen: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	exit(1);
}

static void *zeros(size_t count, size_t size)
{
	void *made = calloc(count, size);
	if (made == NULL)
		die("no memory for %zu times %zu bytes", count, size);
	return made;
}

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static double cpu_seconds(void)
{
	struct timespec time;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* ---- calls ---- */

static void start_call(struct client *client, double due)
{
	struct load *load = client->connection->load;
	client->request = load->next_request;
	load->next_request = (load->next_request + 1) % load->request_count;
	client->http_status = 0;
	client->grpc_status = -1;
	client->answer.size = 0;
	client->started = due;
	load->in_flight++;
	load->transport->submit(client);
}

static void record(struct load *load, const struct client *client, double latency)
{
	uint32_t size = (uint32_t)client->answer.size;
	buffer_append(&load->records, &latency, sizeof latency);
	buffer_append(&load->records, &client->request, sizeof client->request);
	buffer_append(&load->records, &client->http_status, sizeof client->http_status);
	buffer_append(&load->records, &client->grpc_status, sizeof client->grpc_status);
	buffer_append(&load->records, &size, sizeof size);
	buffer_append(&load->records, client->answer.data, size);
}

void finish_call(struct client *client)
{
	struct load *load = client->connection->load;
	double finished = now();
	load->in_flight--;
	load->answers++;
	if (load->recording)
		record(load, client, finished - client->started);
	if (load->rate > 0)
		load->idle[load->idle_count++] = client;
	else if (finished < load->deadline)
		start_call(client, finished);
}

/* ---- the load ---- */

static void wait_and_receive(struct load *load, int milliseconds)
{
	struct epoll_event events[MOST_EVENTS];
	int count = epoll_wait(load->poller, events, MOST_EVENTS, milliseconds);
	if (count < 0 && errno != EINTR)
		die("epoll: %s", strerror(errno));
	if (count == 0 && milliseconds == LONGEST_SILENCE_MS)
		die("no answer for %d seconds, after %" PRIu64, LONGEST_SILENCE_MS / 1000, load->answers);
	for (int i = 0; i < count; i++)
		if (events[i].events & ~(uint32_t)EPOLLOUT)
			receive_some(events[i].data.ptr);
}

static void send_all_waiting(struct load *load)
{
	for (size_t i = 0; i < load->connection_count; i++)
		send_waiting(&load->connections[i]);
}

/* Keeps every client calling until the deadline, and returns when the last answer is there. */
static void run_closed(struct load *load)
{
	for (size_t i = 0; i < load->client_count; i++)
		start_call(&load->clients[i], now());
	while (load->in_flight > 0) {
		send_all_waiting(load);
		wait_and_receive(load, LONGEST_SILENCE_MS);
	}
}

/* Calls at the rate until the deadline, and returns when the last answer is there. */
static void run_open(struct load *load)
{
	double due = now();
	while (due < load->deadline || load->in_flight > 0) {
		for (; due < load->deadline && due <= now(); due += 1 / load->rate) {
			if (load->idle_count == 0)
				die("all %zu clients have a call in flight: allow more, or lower the rate", load->client_count);
			start_call(load->idle[--load->idle_count], due);
		}
		send_all_waiting(load);
		wait_and_receive(load, due < load->deadline ? 1 : LONGEST_SILENCE_MS);
	}
}

static void run(struct load *load, double seconds)
{
	load->deadline = now() + seconds;
	if (load->rate > 0)
		run_open(load);
	else
		run_closed(load);
}

static struct load *new_load(const struct options *options)
{
	struct load *load = zeros(1, sizeof *load);
	load->path = options->path;
	load->transport = options->transport;
	int size = snprintf(load->authority, sizeof load->authority, "%s:%s", options->host, options->port);
	if (size < 0 || (size_t)size >= sizeof load->authority)
		die("the name of the server is too long");
	load->poller = epoll_create1(EPOLL_CLOEXEC);
	if (load->poller < 0)
		die("epoll: %s", strerror(errno));
	load->client_count = options->clients;
	load->clients = zeros(load->client_count, sizeof *load->clients);
	load->idle = zeros(load->client_count, sizeof(struct client *));
	load->rate = options->rate;
	if (options->timeout_ms > 0)
		snprintf(load->timeout, sizeof load->timeout, "%lum", options->timeout_ms);
	load->connection_count = options->transport == &http1 ? options->clients : options->connections;
	load->connections = zeros(load->connection_count, sizeof *load->connections);
	for (size_t i = 0; i < load->connection_count; i++)
		open_connection(&load->connections[i], load, options->host, options->port);
	for (size_t i = 0; i < load->client_count; i++)
		load->clients[i].connection = &load->connections[i % load->connection_count];
	for (size_t i = 0; i < load->client_count; i++)
		load->idle[load->idle_count++] = &load->clients[i];
	return load;
}

static void free_load(struct load *load)
{
	for (size_t i = 0; i < load->connection_count; i++)
		close_connection(&load->connections[i]);
	for (size_t i = 0; i < load->client_count; i++)
		buffer_free(&load->clients[i].answer);
	for (uint32_t i = 0; i < load->request_count; i++)
		buffer_free(&load->requests[i]);
	buffer_free(&load->records);
	close(load->poller);
	free(load->connections);
	free(load->idle);
	free(load->clients);
	free(load->requests);
	free(load);
}

/* ---- the program that started this one ---- */

static void read_exactly(void *to, size_t size)
{
	if (fread(to, 1, size, stdin) != size)
		die("standard input ended early");
}

static void read_request(struct buffer *request)
{
	uint32_t size;
	read_exactly(&size, sizeof size);
	request->data = zeros(size, 1);
	request->size = request->capacity = size;
	read_exactly(request->data, size);
}

static void read_requests(struct load *load)
{
	read_exactly(&load->request_count, sizeof load->request_count);
	if (load->request_count == 0)
		die("no requests");
	load->requests = zeros(load->request_count, sizeof *load->requests);
	for (uint32_t i = 0; i < load->request_count; i++)
		read_request(&load->requests[i]);
}

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	if (vprintf(format, arguments) < 0 || fflush(stdout) != 0)
		die("standard output: %s", strerror(errno));
	va_end(arguments);
}

static void wait_for_go(void)
{
	char line[8];
	if (fgets(line, sizeof line, stdin) == NULL || strcmp(line, "go\n") != 0)
		die("expected \"go\" on standard input");
}

static void write_records(const struct load *load)
{
	const struct buffer *records = &load->records;
	if (fwrite(records->data, 1, records->size, stdout) != records->size || fflush(stdout) != 0)
		die("standard output: %s", strerror(errno));
}

static void measure(struct load *load, double seconds)
{
	load->answers = 0;
	load->recording = true;
	double started = now(), cpu_before = cpu_seconds();
	run(load, seconds);
	say("done %.9f %.9f %" PRIu64 "\n", now() - started, cpu_seconds() - cpu_before, load->answers);
	write_records(load);
}

static size_t positive(const char *name, const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);
	if (*end != '\0' || value == 0)
		die("%s: %s is not a positive number", name, text);
	return value;
}

static double number_of(const char *name, const char *text)
{
	char *end;
	double value = strtod(text, &end);
	if (end == text || *end != '\0' || !(value >= 0))
		die("%s: %s is not a number from 0", name, text);
	return value;
}

static struct options read_options(int count, char **arguments)
{
	if (count != 11)
		die("usage: loadgen grpc|http HOST PORT PATH CLIENTS CONNECTIONS WARM_UP_SECONDS SECONDS RATE TIMEOUT_MS");
	bool is_grpc = strcmp(arguments[1], "grpc") == 0;
	if (!is_grpc && strcmp(arguments[1], "http") != 0)
		die("%s: not one of grpc, http", arguments[1]);
	return (struct options){
		.transport = is_grpc ? &http2 : &http1,
		.host = arguments[2],
		.port = arguments[3],
		.path = arguments[4],
		.clients = positive("CLIENTS", arguments[5]),
		.connections = positive("CONNECTIONS", arguments[6]),
		.warm_up_seconds = number_of("WARM_UP_SECONDS", arguments[7]),
		.seconds = number_of("SECONDS", arguments[8]),
		.rate = number_of("RATE", arguments[9]),
		.timeout_ms = (unsigned long)number_of("TIMEOUT_MS", arguments[10]),
	};
}

int main(int count, char **arguments)
{
	const struct options options = read_options(count, arguments);
	struct load *load = new_load(&options);
	read_requests(load);
	run(load, options.warm_up_seconds);
	say("ready\n");
	wait_for_go();
	measure(load, options.seconds);
	free_load(load);
	return 0;
}
