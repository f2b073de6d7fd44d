/*
 * Without an IOMMU: BARs through /dev/mem, configuration space through sysfs. There is
 * no kernel driver, so MSI messages are sent to a page of reserved RAM, where they can be
 * seen as the plain writes that they are.
 */
#define _GNU_SOURCE
#include "pci_function.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* linux/ioport.h */
#define RESOURCE_MEMORY 0x200ULL

#define NO_MESSAGE 0xffffffffu

static int raw_read(struct pci_function *function, unsigned offset, unsigned size, uint32_t *value)
{
	uint32_t bytes = 0;
	ssize_t length = pread(function->config, &bytes, size, offset);
	if (length < 0)
		return -errno;
	if (length != (ssize_t)size)
		return -EIO;
	*value = bytes;
	return 0;
}

static int raw_write(struct pci_function *function, unsigned offset, unsigned size, uint32_t value)
{
	ssize_t length = pwrite(function->config, &value, size, offset);
	if (length < 0)
		return -errno;
	return length == (ssize_t)size ? 0 : -EIO;
}

/* Bytes of address and data: the driver's own are kept, the device has the mailbox's. */
static char *shadowed(struct pci_function *function, unsigned offset, unsigned size)
{
	unsigned first = function->msi + 4, length = function->msi_wide ? 10 : 6;
	if (function->msi == 0 || offset < first || offset + size > first + length)
		return NULL;
	return (char *)function->shadow + (offset - first);
}

static int config_read(struct pci_function *function, unsigned offset, unsigned size,
		       uint32_t *value)
{
	char *shadow = shadowed(function, offset, size);
	if (shadow == NULL)
		return raw_read(function, offset, size, value);
	*value = 0;
	memcpy(value, shadow, size);
	return 0;
}

/* The messages of vector v have data + v, and data is 0 here: what arrives is the vector. */
static int aim_messages(struct pci_function *function)
{
	unsigned at = function->msi + 4;
	int result = raw_write(function, at, 4, (uint32_t)function->mailbox_address);
	if (result == 0 && function->msi_wide)
		result = raw_write(function, at + 4, 4, (uint32_t)(function->mailbox_address >> 32));
	if (result == 0)
		result = raw_write(function, at + (function->msi_wide ? 8 : 4), 2, 0);
	*function->mailbox = NO_MESSAGE;
	return result;
}

static int config_write(struct pci_function *function, unsigned offset, unsigned size,
			uint32_t value)
{
	char *shadow = shadowed(function, offset, size);
	if (shadow != NULL) {
		memcpy(shadow, &value, size);
		return 0;
	}
	if (function->msi != 0 && offset == function->msi + MSI_FLAGS && (value & MSI_ENABLE) != 0) {
		int result = aim_messages(function);
		if (result != 0)
			return result;
	}
	return raw_write(function, offset, size, value);
}

static int take(struct pci_function *function, unsigned vector, uint64_t *count)
{
	/* Several of one kind look like one: whoever counts asks often. */
	*count = 0;
	if (*function->mailbox == vector) {
		*function->mailbox = NO_MESSAGE;
		*count = 1;
	}
	return 0;
}

static int was_reset(struct pci_function *function)
{
	memset(function->shadow, 0, sizeof function->shadow);
	return 0;
}

static int map(struct pci_function *function, uint64_t iova, void *at, uint64_t length,
	       unsigned access)
{
	(void)function, (void)iova, (void)at, (void)length, (void)access;
	return -ENODEV;
}

static int unmap(struct pci_function *function, uint64_t iova, uint64_t *length)
{
	(void)function, (void)iova, (void)length;
	return -ENODEV;
}

static void close_function(struct pci_function *function)
{
	for (int bar = 0; bar < PCI_BARS; bar++)
		if (function->bars[bar].at != NULL)
			munmap((void *)function->bars[bar].at, function->bars[bar].length);
	if (function->config >= 0)
		close(function->config);
}

static const struct pci_way SYSFS = {
	.config_read = config_read,
	.config_write = config_write,
	.map = map,
	.unmap = unmap,
	.take = take,
	.intx = pci_pin_asserted,
	.was_reset = was_reset,
	.close = close_function,
};

static int map_bars(struct pci_function *function)
{
	char path[64], line[128];
	FILE *resources;
	int memory, result = 0;

	snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/resource", function->address);
	resources = fopen(path, "re");
	if (resources == NULL)
		return -errno;
	memory = open("/dev/mem", O_RDWR | O_SYNC | O_CLOEXEC);
	if (memory < 0)
		result = -errno;
	for (int bar = 0; result == 0 && bar < PCI_BARS && fgets(line, sizeof line, resources); bar++) {
		unsigned long long first, last, flags;
		void *at;
		if (sscanf(line, "%llx %llx %llx", &first, &last, &flags) != 3 ||
		    (flags & RESOURCE_MEMORY) == 0)
			continue;
		at = mmap(NULL, last - first + 1, PROT_READ | PROT_WRITE, MAP_SHARED, memory,
			  (off_t)first);
		if (at == MAP_FAILED) {
			result = -errno;
			break;
		}
		function->bars[bar].at = at;
		function->bars[bar].length = last - first + 1;
	}
	if (memory >= 0)
		close(memory);
	fclose(resources);
	return result;
}

int pci_open_sysfs(struct pci_function *function, const struct pci_mailbox *mailbox)
{
	char path[64];
	int result;

	function->way = &SYSFS;
	function->mailbox = mailbox->at;
	function->mailbox_address = mailbox->address;
	if (mailbox->at == NULL)
		return -EINVAL;
	snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/config", function->address);
	function->config = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
	result = function->config < 0 ? -errno : map_bars(function);
	if (result == 0)
		pci_find_msi(function);
	return result;
}
