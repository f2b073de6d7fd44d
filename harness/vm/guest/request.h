/*
 * Requests of the harness: one JSON object a line. It is flat, its values are
 * integers from 0 to 2^53 or strings of the characters of base64 and `-`, so that
 * no string has an escape. Anything else is refused.
 */
#ifndef VIADUCT_REQUEST_H
#define VIADUCT_REQUEST_H

#include <stddef.h>

#define REQUEST_FIELDS 8

struct request_field {
	char *name;
	/* NULL for an integer. */
	char *text;
	size_t length;
	unsigned long long number;
};

struct request {
	struct request_field fields[REQUEST_FIELDS];
	int count;
};

/* Takes a line apart in place. Returns 0, or -1 when it is no request. */
int request_parse(char *line, struct request *request);

/* The string of a field, or NULL. */
char *request_text(struct request *request, const char *name, size_t *length);

/* The integer of a field, or `otherwise`. */
unsigned long long request_number(const struct request *request, const char *name,
				  unsigned long long otherwise);

#endif
