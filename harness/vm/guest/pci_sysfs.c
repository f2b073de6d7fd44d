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

/* Address and data, in whole words: the driver's own are kept, the device has the mailbox's. */
static char *shadowed(struct pci_function *function, unsigned offset, unsigned size)
{
	unsigned first = function->msi + 4, length = function->msi_wide ? 12 : 8;
	if (function->msi == 0 || offset < first || offset + size > first + length)
		return NULL;
	return (char *)function->shadow + (offset - first);
}

static int config_read(struct pci_function *function, unsigned offset, unsigned size,
		       uint32_t *value)
{
	char *shadow = shadowed(function, offset, size);
	if (shadow == NULL)
		return pci_file_read(function, offset, size, value);
	*value = 0;
	memcpy(value, shadow, size);
	return 0;
}

/* The messages of vector v have data + v, and data is 0 here: what arrives is the vector. */
static int aim_messages(struct pci_function *function)
{
	unsigned at = function->msi + 4;
	int result = pci_file_write(function, at, 4, (uint32_t)function->mailbox_address);
	if (result == 0 && function->msi_wide)
		result = pci_file_write(function, at + 4, 4, (uint32_t)(function->mailbox_address >> 32));
	if (result == 0)
		result = pci_file_write(function, at + (function->msi_wide ? 8 : 4), 2, 0);
	*function->mailbox = NO_MESSAGE;
	return result;
}

/* Where the device keeps vector `vector`, or NULL: in a BAR that cannot be mapped. */
static volatile uint32_t *real_entry(struct pci_function *function, unsigned vector)
{
	const struct pci_msix *msix = &function->msix;
	volatile char *bar = function->bars[msix->table_bar].at;
	return bar == NULL ? NULL : (volatile uint32_t *)(bar + msix->table) + 4 * vector;
}

/* Address and data are the driver's own, as with MSI; the mask is for the device. */
static void entry_written(struct pci_function *function, unsigned vector)
{
	volatile uint32_t *entry = real_entry(function, vector);
	if (entry != NULL)
		entry[MSIX_CONTROL] = function->msix.entries[vector].words[MSIX_CONTROL];
}

static int pending(struct pci_function *function, unsigned vector)
{
	const struct pci_msix *msix = &function->msix;
	volatile char *bar = function->bars[msix->pending_bar].at;
	volatile uint32_t *words = (volatile uint32_t *)(bar + msix->pending);
	return bar != NULL && (words[vector / 32] >> vector % 32 & 1) != 0;
}

/* Each vector has a word of its own. */
static int aim_entries(struct pci_function *function)
{
	if (function->msix.vectors > PCI_VECTORS)
		return -ENOSPC;
	for (unsigned vector = 0; vector < function->msix.vectors; vector++) {
		volatile uint32_t *entry = real_entry(function, vector);
		uint64_t address = function->mailbox_address + sizeof *function->mailbox * vector;
		if (entry == NULL)
			return -ENXIO;
		entry[MSIX_ADDRESS] = (uint32_t)address;
		entry[MSIX_ADDRESS_HIGH] = (uint32_t)(address >> 32);
		entry[MSIX_DATA] = vector;
		function->mailbox[vector] = NO_MESSAGE;
	}
	return 0;
}

static int config_write(struct pci_function *function, unsigned offset, unsigned size,
			uint32_t value)
{
	char *shadow = shadowed(function, offset, size);
	uint32_t flags = 0;
	int result;
	if (shadow != NULL) {
		memcpy(shadow, &value, size);
		return 0;
	}
	result = pci_flags_written(function, function->msi, offset, size, value, &flags);
	if (result > 0 && (flags & MSI_ENABLE) != 0)
		result = aim_messages(function);
	if (result < 0)
		return result;
	result = pci_flags_written(function, function->msix.at, offset, size, value, &flags);
	if (result > 0) {
		int on = (flags & MSIX_ENABLE) != 0;
		result = on && !function->msix_on ? aim_entries(function) : 0;
		if (result == 0)
			function->msix_on = on;
	}
	return result < 0 ? result : pci_file_write(function, offset, size, value);
}

static uint64_t arrived(struct pci_function *function)
{
	uint64_t bits = 0;
	unsigned words = function->msix_on ? function->msix.vectors : 1;
	for (unsigned at = 0; at < words; at++) {
		uint32_t vector = function->mailbox[at];
		if (vector < PCI_VECTORS)
			bits |= 1ULL << vector;
	}
	return bits;
}

static int take(struct pci_function *function, unsigned vector, uint64_t *count)
{
	unsigned at = function->msix_on && vector < PCI_VECTORS ? vector : 0;
	/* Several of one kind look like one: whoever counts asks often. */
	*count = 0;
	if (function->mailbox[at] == vector) {
		function->mailbox[at] = NO_MESSAGE;
		*count = 1;
	}
	return 0;
}

static int was_reset(struct pci_function *function)
{
	memset(function->shadow, 0, sizeof function->shadow);
	function->msix_on = 0;
	pci_msix_reset(function);
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
	pci_release(function);
	for (int bar = 0; bar < PCI_BARS; bar++)
		if (function->bars[bar].file >= 0)
			close(function->bars[bar].file);
	if (function->config >= 0)
		close(function->config);
}

static const struct pci_way SYSFS = {
	.config_read = config_read,
	.config_write = config_write,
	.map = map,
	.unmap = unmap,
	.arrived = arrived,
	.take = take,
	.entry_written = entry_written,
	.pending = pending,
	.intx = pci_pin_asserted,
	.was_reset = was_reset,
	.close = close_function,
};

/* Ports are reached by the file that Linux has for them. */
static int open_ports(struct pci_function *function, int bar)
{
	char path[64];
	snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/resource%d", function->address, bar);
	function->bars[bar].file = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
	return function->bars[bar].file < 0 ? -errno : 0;
}

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
		if (sscanf(line, "%llx %llx %llx", &first, &last, &flags) != 3 || last <= first)
			continue;
		function->bars[bar].length = last - first + 1;
		if ((flags & RESOURCE_MEMORY) != 0)
			result = pci_map_bar(&function->bars[bar], memory, (off_t)first);
		else
			result = open_ports(function, bar);
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
	*function->mailbox = NO_MESSAGE;
	snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/config", function->address);
	function->config = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
	result = function->config < 0 ? -errno : map_bars(function);
	return result != 0 ? result : pci_find_messages(function);
}
