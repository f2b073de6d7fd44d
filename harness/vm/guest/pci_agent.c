/*
 * Drives PCI functions for the harness: one command a line on stdin, one answer a line on
 * stdout, `ok …` or `error ERRNO`.
 *
 *	ram GPA LENGTH                      RAM that the kernel leaves alone
 *	mailbox GPA                         a page of it, for MSI without VFIO
 *	open vfio|sysfs ADDRESS             HANDLE
 *	close HANDLE
 *	cr HANDLE OFFSET SIZE               VALUE of configuration space
 *	cw HANDLE OFFSET SIZE VALUE
 *	br HANDLE BAR OFFSET SIZE           VALUE of a register
 *	bw HANDLE BAR OFFSET SIZE VALUE
 *	bar HANDLE BAR                      LENGTH
 *	map HANDLE IOVA GPA LENGTH ACCESS
 *	unmap HANDLE IOVA LENGTH            LENGTH
 *	arrived HANDLE                      VECTORS with a message to take, as bits
 *	take HANDLE VECTOR                  COUNT
 *	intx HANDLE                         0 or 1
 *	reset HANDLE
 */
#define _GNU_SOURCE
#include "pci_function.h"
#include "register.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FUNCTIONS 16
#define RANGES 4
#define WORDS 8

/* PCI-to-PCI Bridge 1.2, 3.2.5.18 */
#define BRIDGE_CONTROL 0x3e
#define BRIDGE_RESET 0x40

struct ram {
	uint64_t start, length;
	char *at;
};

static struct pci_function functions[FUNCTIONS];
static struct ram ram[RANGES];
static struct pci_mailbox mailbox;

/* An access that nothing decodes: VFIO takes mappings away while memory space is off. */
static sigjmp_buf undecoded;

static void on_bus_error(int signal)
{
	(void)signal;
	siglongjmp(undecoded, 1);
}

static void look_at_command(struct pci_function *function)
{
	uint32_t command = 0;
	function->way->config_read(function, PCI_COMMAND, 2, &command);
	function->decoding = (command & COMMAND_MEMORY) != 0;
}

/* Has the bridge above reset its bus. Linux would give the function its BARs back; this does not. */
static int reset_bus(struct pci_function *function)
{
	char path[96];
	uint16_t control = 0;
	int fd, result = 0;

	snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/../config", function->address);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (pread(fd, &control, sizeof control, BRIDGE_CONTROL) != sizeof control)
		result = -EIO;
	for (int on = 1; result == 0 && on >= 0; on--) {
		uint16_t value = on ? control | BRIDGE_RESET : control & ~BRIDGE_RESET;
		if (pwrite(fd, &value, sizeof value, BRIDGE_CONTROL) != sizeof value)
			result = -EIO;
		/* PCI 3.0, 4.3.2: 1 ms at least. */
		usleep(2000);
	}
	close(fd);
	function->decoding = 0;
	return result;
}

/* Where GPAs are mapped here, or NULL. */
static void *ram_at(uint64_t gpa, uint64_t length)
{
	for (int i = 0; i < RANGES; i++) {
		struct ram *range = &ram[i];
		if (range->at != NULL && gpa >= range->start && length <= range->length &&
		    gpa - range->start <= range->length - length)
			return range->at + (gpa - range->start);
	}
	return NULL;
}

static int add_ram(uint64_t start, uint64_t length)
{
	for (int i = 0; i < RANGES; i++) {
		int fd;
		void *at;
		if (ram[i].at != NULL)
			continue;
		fd = open("/dev/mem", O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		at = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)start);
		close(fd);
		if (at == MAP_FAILED)
			return -errno;
		ram[i] = (struct ram){ start, length, at };
		return 0;
	}
	return -ENOSPC;
}

static int open_function(const char *way, const char *address)
{
	struct pci_mailbox own = mailbox;

	for (int i = 0; i < FUNCTIONS; i++) {
		struct pci_function *function = &functions[i];
		int result;
		if (function->way != NULL)
			continue;
		memset(function, 0, sizeof *function);
		/* A part of the page for each. */
		own.at = mailbox.at == NULL ? NULL : mailbox.at + PCI_VECTORS * i;
		own.address = mailbox.address + PCI_VECTORS * sizeof *own.at * (uint64_t)i;
		function->container = function->group = function->device = -1;
		function->pin = function->config = -1;
		for (int vector = 0; vector < PCI_VECTORS; vector++)
			function->vectors[vector] = -1;
		for (int bar = 0; bar < PCI_BARS; bar++)
			function->bars[bar].file = -1;
		snprintf(function->address, sizeof function->address, "%s", address);
		result = strcmp(way, "vfio") == 0 ? pci_open_vfio(function) :
						    pci_open_sysfs(function, &own);
		if (result == 0) {
			look_at_command(function);
			return i;
		}
		if (function->way != NULL)
			function->way->close(function);
		function->way = NULL;
		return result;
	}
	return -ENFILE;
}

static uint64_t ones(unsigned size)
{
	return size == 8 ? UINT64_MAX : (1ULL << (8 * size)) - 1;
}

/* The BAR that has all of these bytes, or NULL. */
static struct pci_bar *bar_with(struct pci_function *function, uint64_t bar, uint64_t offset,
				uint64_t size)
{
	struct pci_bar *region = bar < PCI_BARS ? &function->bars[bar] : NULL;
	if (region == NULL || offset > region->length || size > region->length - offset)
		return NULL;
	return region;
}

static uint64_t load(struct pci_function *function, uint64_t bar, uint64_t offset, unsigned size)
{
	struct pci_bar *region = bar_with(function, bar, offset, size);
	uint64_t value = 0;
	if (region == NULL)
		return ones(size);
	if (pci_msix_covers(function, (unsigned)bar, offset, size))
		return pci_msix_load(function, (unsigned)bar, offset, size);
	if (region->at == NULL) {
		off_t at = region->file_at + (off_t)offset;
		return pread(region->file, &value, size, at) == (ssize_t)size ? value : ones(size);
	}
	if (sigsetjmp(undecoded, 1) != 0)
		return ones(size);
	value = register_load(region->at + offset, size);
	/* Where nobody answers a PC reads all ones, and QEMU 0. */
	return value == 0 && !function->decoding ? ones(size) : value;
}

static void store(struct pci_function *function, uint64_t bar, uint64_t offset, unsigned size,
		  uint64_t value)
{
	struct pci_bar *region = bar_with(function, bar, offset, size);
	if (region == NULL)
		return;
	if (pci_msix_covers(function, (unsigned)bar, offset, size))
		pci_msix_store(function, (unsigned)bar, offset, size, value);
	else if (region->at == NULL)
		/* What does not arrive is as what nobody decodes. */
		(void)!pwrite(region->file, &value, size, region->file_at + (off_t)offset);
	else if (sigsetjmp(undecoded, 1) == 0)
		register_store(region->at + offset, size, value);
}

/* Bytes that an access may have: to `most`, a power of two. */
static int is_size(uint64_t size, uint64_t most)
{
	return size >= 1 && size <= most && (size & (size - 1)) == 0;
}

/* An access to configuration space, as PCI has it. */
static int is_config(uint64_t offset, uint64_t size)
{
	return is_size(size, 4) && offset < 4096 && offset % size == 0;
}

/* Carries out a command; `value` is the answer's. Returns how many values it has, or -errno. */
static int command(char **words, int count, uint64_t *value)
{
	const char *name = words[0];
	uint64_t n[WORDS] = { 0 };
	struct pci_function *function;
	int result;

	if (count == 3 && strcmp(name, "open") == 0) {
		result = open_function(words[1], words[2]);
		*value = result < 0 ? 0 : (uint64_t)result;
		return result < 0 ? result : 1;
	}
	for (int i = 1; i < count; i++) {
		char *end;
		errno = 0;
		n[i] = strtoull(words[i], &end, 0);
		if (*end != '\0' || errno != 0)
			return -EINVAL;
	}
	if (count == 3 && strcmp(name, "ram") == 0)
		return add_ram(n[1], n[2]);
	if (count == 2 && strcmp(name, "mailbox") == 0) {
		mailbox.at = ram_at(n[1], 4096);
		mailbox.address = n[1];
		return mailbox.at == NULL ? -EFAULT : 0;
	}
	if (count < 2 || n[1] >= FUNCTIONS || functions[n[1]].way == NULL)
		return -EBADF;
	function = &functions[n[1]];

	if (count == 2 && strcmp(name, "close") == 0) {
		function->way->close(function);
		function->way = NULL;
		return 0;
	}
	if (count == 4 && strcmp(name, "cr") == 0) {
		uint32_t read = 0;
		if (!is_config(n[2], n[3]))
			return -EINVAL;
		result = function->way->config_read(function, (unsigned)n[2], (unsigned)n[3], &read);
		*value = read;
		return result < 0 ? result : 1;
	}
	if (count == 5 && strcmp(name, "cw") == 0) {
		if (!is_config(n[2], n[3]))
			return -EINVAL;
		result = function->way->config_write(function, (unsigned)n[2], (unsigned)n[3],
						     (uint32_t)n[4]);
		look_at_command(function);
		return result;
	}
	if (count == 5 && strcmp(name, "br") == 0) {
		if (!is_size(n[4], 8))
			return -EINVAL;
		*value = load(function, n[2], n[3], (unsigned)n[4]);
		return 1;
	}
	if (count == 6 && strcmp(name, "bw") == 0) {
		uint32_t status;
		if (!is_size(n[4], 8))
			return -EINVAL;
		store(function, n[2], n[3], (unsigned)n[4], n[5]);
		/*
		 * The write is posted; what is read from the device comes after it. Linux and QEMU
		 * know the identity by heart, but not the status.
		 */
		return function->way->config_read(function, PCI_STATUS, 2, &status);
	}
	if (count == 3 && strcmp(name, "bar") == 0) {
		*value = n[2] < PCI_BARS ? function->bars[n[2]].length : 0;
		return 1;
	}
	if (count == 6 && strcmp(name, "map") == 0) {
		void *at = ram_at(n[3], n[4]);
		if (at == NULL)
			return -EFAULT;
		return function->way->map(function, n[2], at, n[4], (unsigned)n[5]);
	}
	if (count == 4 && strcmp(name, "unmap") == 0) {
		*value = n[3];
		result = function->way->unmap(function, n[2], value);
		return result < 0 ? result : 1;
	}
	if (count == 2 && strcmp(name, "arrived") == 0) {
		*value = function->way->arrived(function);
		return 1;
	}
	if (count == 3 && strcmp(name, "take") == 0) {
		result = function->way->take(function, (unsigned)n[2], value);
		return result < 0 ? result : 1;
	}
	if (count == 2 && strcmp(name, "intx") == 0) {
		result = function->way->intx(function);
		*value = result < 0 ? 0 : (uint64_t)result;
		return result < 0 ? result : 1;
	}
	if (count == 2 && strcmp(name, "reset") == 0) {
		result = function->way->was_reset(function);
		return result != 0 ? result : reset_bus(function);
	}
	return -EINVAL;
}

int main(void)
{
	struct sigaction action = { .sa_handler = on_bus_error };
	char line[512];

	sigaction(SIGBUS, &action, NULL);
	while (fgets(line, sizeof line, stdin) != NULL) {
		char *words[WORDS], *rest = line, *word;
		uint64_t value = 0;
		int count = 0, result;
		while (count < WORDS && (word = strtok_r(rest, " \n", &rest)) != NULL)
			words[count++] = word;
		result = count == 0 ? -EINVAL : command(words, count, &value);
		if (result < 0)
			printf("error %d\n", -result);
		else if (result > 0)
			printf("ok 0x%llx\n", (unsigned long long)value);
		else
			printf("ok\n");
		fflush(stdout);
	}
	return 0;
}
