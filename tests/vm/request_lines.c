/* Says what the guest's agent takes each line of stdin for. */
#include "../../harness/vm/guest/base64.h"
#include "../../harness/vm/guest/request.h"

#include <stdio.h>
#include <string.h>

static char line[1 << 20];

int main(void)
{
	while (fgets(line, sizeof line, stdin) != NULL) {
		struct request request;
		line[strcspn(line, "\n")] = '\0';
		if (request_parse(line, &request) != 0) {
			puts("refused");
			continue;
		}
		for (int i = 0; i < request.count; i++) {
			struct request_field *field = &request.fields[i];
			if (field->text == NULL) {
				printf("%s:%llu ", field->name, field->number);
				continue;
			}
			printf("%s:\"%s\"", field->name, field->text);
			long bytes = base64_decode(field->text, field->length);
			printf("%ld=", bytes);
			for (long j = 0; j < bytes; j++)
				printf("%02x", (unsigned char)field->text[j]);
			putchar(' ');
		}
		putchar('\n');
	}
	return 0;
}
