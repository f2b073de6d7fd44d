/*
 * Reads and writes device registers through a mapping of /dev/mem, or of a BAR's
 * resource file: one access of exactly the width asked for.
 *
 *	mmio [-f FILE] read WIDTH ADDRESS
 *	mmio [-f FILE] write WIDTH ADDRESS VALUE
 *	mmio [-f FILE] time WIDTH ADDRESS COUNT    reads COUNT times; nanoseconds each
 *	mmio [-f FILE] serve                       the first two, one a line on stdin
 *
 * WIDTH is 1, 2, 4 or 8 bytes. Exit code 2: misuse; 1: the access cannot be made.
 */
#define _GNU_SOURCE
#include "register.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ULL
#define WORDS 5

static const char *file = "/dev/mem";
static int fd = -1;

/* The page mapped last: registers are mostly read in a row. */
static volatile char *mapped;
static uint64_t mapped_at;

static volatile void *reach(uint64_t address)
{
	uint64_t page = address & ~(PAGE - 1);

	if (fd < 0 && (fd = open(file, O_RDWR | O_SYNC | O_CLOEXEC)) < 0)
		return NULL;
	if (mapped == NULL || mapped_at != page) {
		void *new = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)page);
		if (new == MAP_FAILED)
			return NULL;
		if (mapped != NULL)
			munmap((void *)mapped, PAGE);
		mapped = new;
		mapped_at = page;
	}
	return mapped + (address - page);
}

static int number(const char *text, uint64_t *value)
{
	char *end;
	errno = 0;
	*value = strtoull(text, &end, 0);
	return *text != '-' && end != text && *end == '\0' && errno == 0;
}

static void time_reads(volatile void *at, unsigned width, uint64_t count)
{
	struct timespec start, end;
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (uint64_t i = 0; i < count; i++)
		register_load(at, width);
	clock_gettime(CLOCK_MONOTONIC, &end);
	double ns = (double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec);
	printf("%.1f\n", ns / (double)count);
}

/* Does one command and prints its answer. Returns the exit code. */
static int command(char **words, int count)
{
	uint64_t width, address, value = 0;
	volatile void *at;
	int reading = count == 3 && strcmp(words[0], "read") == 0;
	int writing = count == 4 && strcmp(words[0], "write") == 0;
	int timing = count == 4 && strcmp(words[0], "time") == 0;

	if (!reading && !writing && !timing) {
		printf("error: want read WIDTH ADDRESS, write WIDTH ADDRESS VALUE or time WIDTH ADDRESS COUNT\n");
		return 2;
	}
	if (!number(words[1], &width) || (width != 1 && width != 2 && width != 4 && width != 8) ||
	    !number(words[2], &address) || address % width != 0 ||
	    (!reading && !number(words[3], &value)) || (timing && value == 0)) {
		printf("error: the width is 1, 2, 4 or 8, the address a multiple of it\n");
		return 2;
	}
	if (writing && width < 8 && value >> (8 * width) != 0) {
		printf("error: the value is wider than %u bytes\n", (unsigned)width);
		return 2;
	}
	at = reach(address);
	if (at == NULL) {
		printf("error: cannot map 0x%llx of %s: %s\n", (unsigned long long)address, file,
		       strerror(errno));
		return 1;
	}
	if (timing) {
		time_reads(at, (unsigned)width, value);
	} else if (writing) {
		register_store(at, (unsigned)width, value);
		printf("ok\n");
	} else {
		printf("0x%0*llx\n", (int)width * 2,
		       (unsigned long long)register_load(at, (unsigned)width));
	}
	return 0;
}

static int serve(void)
{
	char line[256];

	while (fgets(line, sizeof line, stdin) != NULL) {
		char *words[WORDS], *rest = line, *word;
		int count = 0;
		while (count < WORDS && (word = strtok_r(rest, " \n", &rest)) != NULL)
			words[count++] = word;
		command(words, count);
		fflush(stdout);
	}
	return 0;
}

int main(int count, char **words)
{
	words++;
	count--;
	if (count >= 2 && strcmp(words[0], "-f") == 0) {
		file = words[1];
		words += 2;
		count -= 2;
	}
	if (count == 1 && strcmp(words[0], "serve") == 0)
		return serve();
	return command(words, count);
}
