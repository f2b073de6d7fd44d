/* Base64 (RFC 4648, section 4), so that any bytes fit into a line of JSON. */
#ifndef VIADUCT_BASE64_H
#define VIADUCT_BASE64_H

#include <stddef.h>

/* Characters that encode `length` bytes. */
#define BASE64_LENGTH(length) (((length) + 2) / 3 * 4)

/* Writes BASE64_LENGTH(length) characters, without a NUL. */
void base64_encode(const unsigned char *from, size_t length, char *into);

/* Decodes in place. Returns the bytes there are, or -1 when the text is not base64. */
long base64_decode(char *text, size_t length);

#endif
