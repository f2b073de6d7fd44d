#include "base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const unsigned char *from, size_t length, char *into)
{
	for (size_t i = 0; i < length; i += 3) {
		size_t left = length - i;
		unsigned group = (unsigned)from[i] << 16;
		if (left > 1)
			group |= (unsigned)from[i + 1] << 8;
		if (left > 2)
			group |= from[i + 2];
		*into++ = digits[group >> 18];
		*into++ = digits[(group >> 12) & 63];
		*into++ = left > 1 ? digits[(group >> 6) & 63] : '=';
		*into++ = left > 2 ? digits[group & 63] : '=';
	}
}

static int digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

long base64_decode(char *text, size_t length)
{
	unsigned char *into = (unsigned char *)text;
	long bytes = 0;

	if (length % 4 != 0)
		return -1;
	for (size_t i = 0; i < length; i += 4) {
		unsigned group = 0;
		int padding = 0;
		for (int j = 0; j < 4; j++) {
			char c = text[i + j];
			int value = 0;
			if (c == '=' && i + 4 == length && j >= 2)
				padding++;
			else if (padding > 0 || (value = digit_value(c)) < 0)
				return -1;
			group = group << 6 | (unsigned)value;
		}
		into[bytes++] = (unsigned char)(group >> 16);
		if (padding < 2)
			into[bytes++] = (unsigned char)(group >> 8);
		if (padding < 1)
			into[bytes++] = (unsigned char)group;
	}
	return bytes;
}
