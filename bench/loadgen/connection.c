/* A socket that is read when there is something, and written as far as it takes it. */
#include "loadgen.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_SIZE = 1 << 18 };

static int connect_to(const char *host, const char *port)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	int error = getaddrinfo(host, port, &hints, &found);
	if (error != 0)
		die("%s:%s: %s", host, port, gai_strerror(error));
	int made = -1;
	for (struct addrinfo *each = found; each != NULL; each = each->ai_next) {
		made = socket(each->ai_family, each->ai_socktype | SOCK_CLOEXEC, each->ai_protocol);
		if (made >= 0 && connect(made, each->ai_addr, each->ai_addrlen) == 0)
			break;
		error = errno;
		if (made >= 0)
			close(made);
		made = -1;
	}
	if (made < 0)
		die("%s:%s: %s", host, port, strerror(error));
	freeaddrinfo(found);
	return made;
}

void open_connection(struct connection *connection, struct load *load, const char *host, const char *port)
{
	const int on = 1;
	connection->load = load;
	connection->socket = connect_to(host, port);
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
	if (setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
	    fcntl(connection->socket, F_SETFL, O_NONBLOCK) < 0 ||
	    epoll_ctl(load->poller, EPOLL_CTL_ADD, connection->socket, &event) < 0)
		die("socket: %s", strerror(errno));
	load->transport->open(connection);
}

void close_connection(struct connection *connection)
{
	connection->load->transport->close(connection);
	buffer_free(&connection->out);
	close(connection->socket);
}

static void want_writing(struct connection *connection, bool wanted)
{
	if (connection->wants_writing == wanted)
		return;
	connection->wants_writing = wanted;
	struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0U), .data.ptr = connection};
	if (epoll_ctl(connection->load->poller, EPOLL_CTL_MOD, connection->socket, &event) < 0)
		die("epoll: %s", strerror(errno));
}

/* Writes what is in `out`; false when the socket takes no more for now. */
static bool write_out(struct connection *connection)
{
	struct buffer *out = &connection->out;
	while (connection->written < out->size) {
		ssize_t size = send(connection->socket, out->data + connection->written, out->size - connection->written,
				    MSG_NOSIGNAL);
		if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return false;
		if (size < 0 && errno != EINTR)
			die("after %" PRIu64 " answers: %s", connection->load->answers, strerror(errno));
		connection->written += size < 0 ? 0 : (size_t)size;
	}
	out->size = connection->written = 0;
	return true;
}

void send_waiting(struct connection *connection)
{
	bool writable = write_out(connection);
	while (writable && connection->load->transport->fill(connection))
		writable = write_out(connection);
	want_writing(connection, !writable);
}

void receive_some(struct connection *connection)
{
	static uint8_t data[READ_SIZE];
	ssize_t size = recv(connection->socket, data, sizeof data, 0);
	if (size > 0)
		connection->load->transport->receive(connection, data, (size_t)size);
	else if (size == 0)
		die("the server closed the connection after %" PRIu64 " answers", connection->load->answers);
	else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
		die("after %" PRIu64 " answers: %s", connection->load->answers, strerror(errno));
}
