/* What both ways to drive a function share. */
#define _GNU_SOURCE
#include "pci_function.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CAPABILITIES 0x34u
#define CAPABILITY_NEXT 1u
#define CAPABILITY_MSI 0x05u
#define CAPABILITY_MSIX 0x11u

int pci_file_read(struct pci_function *function, unsigned offset, unsigned size, uint32_t *value)
{
	uint32_t bytes = 0;
	ssize_t length = pread(function->config, &bytes, size, function->config_at + offset);
	if (length < 0)
		return -errno;
	if (length != (ssize_t)size)
		return -EIO;
	*value = bytes;
	return 0;
}

int pci_file_write(struct pci_function *function, unsigned offset, unsigned size, uint32_t value)
{
	ssize_t length = pwrite(function->config, &value, size, function->config_at + offset);
	if (length < 0)
		return -errno;
	return length == (ssize_t)size ? 0 : -EIO;
}

int pci_overlaps(uint64_t offset, uint64_t size, uint64_t at, uint64_t length)
{
	return offset < at + length && at < offset + size;
}

uint32_t pci_merge(uint32_t own, unsigned at, unsigned length, unsigned offset, unsigned size,
		   uint32_t value)
{
	for (unsigned i = 0; i < length; i++) {
		unsigned from = at + i - offset;
		if (at + i < offset || from >= size)
			continue;
		own &= ~(0xffu << (8 * i));
		own |= (value >> (8 * from) & 0xff) << (8 * i);
	}
	return own;
}

int pci_flags_written(struct pci_function *function, unsigned at, unsigned offset, unsigned size,
		      uint32_t value, uint32_t *flags)
{
	int result;
	if (at == 0 || !pci_overlaps(offset, size, at + MSI_FLAGS, 2))
		return 0;
	result = function->way->config_read(function, at + MSI_FLAGS, 2, flags);
	*flags = pci_merge(*flags, at + MSI_FLAGS, 2, offset, size, value);
	return result < 0 ? result : 1;
}

/* Mappings begin with a page, and BARs of less than one need not. */
static uint64_t in_page(uint64_t at)
{
	return at & ((uint64_t)sysconf(_SC_PAGESIZE) - 1);
}

int pci_map_bar(struct pci_bar *bar, int fd, off_t at)
{
	uint64_t before = in_page((uint64_t)at);
	char *mapped = mmap(NULL, bar->length + before, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			    at - (off_t)before);
	if (mapped == MAP_FAILED)
		return -errno;
	bar->at = mapped + before;
	return 0;
}

/* Whether `length` bytes at an offset of the BAR are there. */
static int in_bar(struct pci_function *function, unsigned bar, uint64_t offset, uint64_t length)
{
	return bar < PCI_BARS && offset <= function->bars[bar].length &&
	       length <= function->bars[bar].length - offset;
}

static uint64_t table_length(const struct pci_msix *msix)
{
	return 16ULL * msix->vectors;
}

static uint64_t pending_length(const struct pci_msix *msix)
{
	return (msix->vectors + 63ULL) / 64 * 8;
}

static int find_msix(struct pci_function *function, unsigned at)
{
	struct pci_msix *msix = &function->msix;
	uint32_t flags = 0, table = 0, pending = 0;
	int result = function->way->config_read(function, at + MSIX_FLAGS, 2, &flags);
	if (result == 0)
		result = function->way->config_read(function, at + MSIX_TABLE, 4, &table);
	if (result == 0)
		result = function->way->config_read(function, at + MSIX_PENDING, 4, &pending);
	if (result != 0)
		return result;
	msix->vectors = (flags & MSIX_SIZE) + 1;
	msix->table_bar = table & MSIX_BAR;
	msix->table = table & ~MSIX_BAR;
	msix->pending_bar = pending & MSIX_BAR;
	msix->pending = pending & ~MSIX_BAR;
	if (!in_bar(function, msix->table_bar, msix->table, table_length(msix)) ||
	    !in_bar(function, msix->pending_bar, msix->pending, pending_length(msix)))
		return -ENXIO;
	msix->entries = calloc(msix->vectors, sizeof *msix->entries);
	if (msix->entries == NULL)
		return -ENOMEM;
	msix->at = at;
	pci_msix_reset(function);
	return 0;
}

int pci_find_messages(struct pci_function *function)
{
	uint32_t at = 0, id = 0, flags = 0;
	int result = function->way->config_read(function, CAPABILITIES, 1, &at);

	for (int left = 48; result == 0 && (at &= 0xfc) >= 0x40 && left > 0; left--) {
		result = function->way->config_read(function, at, 1, &id);
		if (result == 0 && id == CAPABILITY_MSI && function->msi == 0) {
			result = function->way->config_read(function, at + MSI_FLAGS, 2, &flags);
			function->msi_wide = (flags & MSI_WIDE) != 0;
			function->msi = at;
		}
		if (result == 0 && id == CAPABILITY_MSIX && function->msix.at == 0)
			result = find_msix(function, at);
		if (result == 0)
			result = function->way->config_read(function, at + CAPABILITY_NEXT, 1, &at);
	}
	return result;
}

int pci_pin_asserted(struct pci_function *function)
{
	const struct pci_way *way = function->way;
	uint32_t command = 0, status = 0, msi = 0, msix = 0;
	int result = way->config_read(function, PCI_COMMAND, 2, &command);
	if (result == 0)
		result = way->config_read(function, PCI_STATUS, 2, &status);
	if (result == 0 && function->msi != 0)
		result = way->config_read(function, function->msi + MSI_FLAGS, 2, &msi);
	if (result == 0 && function->msix.at != 0)
		result = way->config_read(function, function->msix.at + MSIX_FLAGS, 2, &msix);
	if (result != 0)
		return result;
	return (status & STATUS_INTERRUPT) != 0 && (command & COMMAND_NO_INTX) == 0 &&
	       (msi & MSI_ENABLE) == 0 && (msix & MSIX_ENABLE) == 0;
}

void pci_release(struct pci_function *function)
{
	for (int i = 0; i < PCI_BARS; i++) {
		struct pci_bar *bar = &function->bars[i];
		uint64_t before = in_page((uintptr_t)bar->at);
		if (bar->at != NULL)
			munmap((char *)bar->at - before, bar->length + before);
	}
	free(function->msix.entries);
	function->msix.entries = NULL;
}

static int in_table(const struct pci_msix *msix, unsigned bar, uint64_t offset, unsigned size)
{
	return bar == msix->table_bar && pci_overlaps(offset, size, msix->table, table_length(msix));
}

static int in_pending(const struct pci_msix *msix, unsigned bar, uint64_t offset, unsigned size)
{
	return bar == msix->pending_bar &&
	       pci_overlaps(offset, size, msix->pending, pending_length(msix));
}

int pci_msix_covers(struct pci_function *function, unsigned bar, uint64_t offset, unsigned size)
{
	const struct pci_msix *msix = &function->msix;
	return msix->at != 0 &&
	       (in_table(msix, bar, offset, size) || in_pending(msix, bar, offset, size));
}

static uint32_t *word_of(struct pci_msix *msix, uint64_t offset)
{
	uint64_t at = offset - msix->table;
	return &msix->entries[at / 16].words[at % 16 / 4];
}

/* An access of 8 bytes may have one word here, and the other beside it. */
static uint32_t load_word(struct pci_function *function, unsigned bar, uint64_t offset)
{
	struct pci_msix *msix = &function->msix;
	uint32_t bits = 0;
	if (in_table(msix, bar, offset, 4))
		return *word_of(msix, offset);
	if (!in_pending(msix, bar, offset, 4))
		return UINT32_MAX;
	for (unsigned i = 0; i < 32; i++) {
		uint64_t vector = (offset - msix->pending) * 8 + i;
		if (vector < msix->vectors && function->way->pending(function, (unsigned)vector))
			bits |= 1u << i;
	}
	return bits;
}

/* Tables and pending bits begin at a multiple of 8, so that an access that is aligned has whole words. */
static int is_access(struct pci_function *function, uint64_t offset, unsigned size)
{
	return function->decoding && size >= 4 && offset % size == 0;
}

uint64_t pci_msix_load(struct pci_function *function, unsigned bar, uint64_t offset, unsigned size)
{
	uint64_t low;
	if (!is_access(function, offset, size))
		return UINT64_MAX >> (64 - 8 * size);
	low = load_word(function, bar, offset);
	return size == 4 ? low : (uint64_t)load_word(function, bar, offset + 4) << 32 | low;
}

void pci_msix_store(struct pci_function *function, unsigned bar, uint64_t offset, unsigned size,
		    uint64_t value)
{
	struct pci_msix *msix = &function->msix;
	if (!is_access(function, offset, size))
		return;
	/* One access: a mask counts only once all of it is stored. */
	for (unsigned done = 0; done < size; done += 4) {
		uint32_t word = (uint32_t)(value >> (8 * done));
		if (!in_table(msix, bar, offset + done, 4))
			continue;
		switch ((offset + done - msix->table) % 16 / 4) {
		case MSIX_ADDRESS:
			word &= ~3u;
			break;
		case MSIX_CONTROL:
			word &= MSIX_MASKED;
			break;
		}
		*word_of(msix, offset + done) = word;
	}
	if (in_table(msix, bar, offset, size))
		function->way->entry_written(function, (unsigned)((offset - msix->table) / 16));
}

void pci_msix_reset(struct pci_function *function)
{
	struct pci_msix *msix = &function->msix;
	for (unsigned vector = 0; msix->entries != NULL && vector < msix->vectors; vector++)
		msix->entries[vector] = (struct pci_msix_entry){ { 0, 0, 0, MSIX_MASKED } };
}
