#include "request.h"

#include <string.h>

static char *skip_blanks(char *at)
{
	while (*at == ' ' || *at == '\t' || *at == '\r')
		at++;
	return at;
}

static int is_plain(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '+' || c == '/' || c == '=' || c == '-';
}

/* Ends the string with a NUL where its closing quote was. */
static char *parse_string(char *at, char **text, size_t *length)
{
	if (*at++ != '"')
		return NULL;
	*text = at;
	while (is_plain(*at))
		at++;
	if (*at != '"')
		return NULL;
	*length = (size_t)(at - *text);
	*at = '\0';
	return at + 1;
}

static char *parse_number(char *at, unsigned long long *number)
{
	if (*at < '0' || *at > '9')
		return NULL;
	*number = 0;
	while (*at >= '0' && *at <= '9') {
		*number = *number * 10 + (unsigned)(*at++ - '0');
		if (*number > 1ULL << 53)
			return NULL;
	}
	return at;
}

int request_parse(char *line, struct request *request)
{
	char *at = skip_blanks(line);

	request->count = 0;
	if (*at++ != '{')
		return -1;
	for (;;) {
		struct request_field *field = &request->fields[request->count];
		size_t name_length;
		if (request->count == REQUEST_FIELDS)
			return -1;
		at = parse_string(skip_blanks(at), &field->name, &name_length);
		if (at == NULL)
			return -1;
		at = skip_blanks(at);
		if (*at++ != ':')
			return -1;
		at = skip_blanks(at);
		field->text = NULL;
		field->number = 0;
		at = *at == '"' ? parse_string(at, &field->text, &field->length) :
				  parse_number(at, &field->number);
		if (at == NULL)
			return -1;
		request->count++;
		at = skip_blanks(at);
		if (*at == '}')
			return *skip_blanks(at + 1) == '\0' ? 0 : -1;
		if (*at++ != ',')
			return -1;
	}
}

char *request_text(struct request *request, const char *name, size_t *length)
{
	for (int i = 0; i < request->count; i++) {
		struct request_field *field = &request->fields[i];
		if (field->text != NULL && strcmp(field->name, name) == 0) {
			*length = field->length;
			return field->text;
		}
	}
	return NULL;
}

unsigned long long request_number(const struct request *request, const char *name,
				  unsigned long long otherwise)
{
	for (int i = 0; i < request->count; i++) {
		const struct request_field *field = &request->fields[i];
		if (field->text == NULL && strcmp(field->name, name) == 0)
			return field->number;
	}
	return otherwise;
}
