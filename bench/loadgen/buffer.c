/* Growing bytes. */
#include "loadgen.h"

#include <stdlib.h>
#include <string.h>

void buffer_append(struct buffer *buffer, const void *data, size_t size)
{
	if (size == 0)
		return;
	if (size > buffer->capacity - buffer->size) {
		size_t capacity = 2 * (buffer->size + size);
		uint8_t *grown = realloc(buffer->data, capacity);
		if (grown == NULL)
			die("no memory for %zu bytes", capacity);
		buffer->data = grown;
		buffer->capacity = capacity;
	}
	memcpy(buffer->data + buffer->size, data, size);
	buffer->size += size;
}

void buffer_free(struct buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct buffer){0};
}
