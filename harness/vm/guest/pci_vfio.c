/*
 * Through Linux's VFIO: the IOMMU's mappings are VFIO_IOMMU_MAP_DMA of a container, type 1
 * version 2, interrupts are eventfds, and registers a mapping of the device's descriptor.
 */
#define _GNU_SOURCE
#include "pci_function.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define BIND_TRIES 500
#define BIND_WAIT_US 5000
/* How long an interrupt may take from the device to us. */
#define ARRIVAL_MS 2000

/* Count 0 switches the whole index off. */
static int set_irqs(struct pci_function *function, unsigned index, unsigned count, const int *fds)
{
	char bytes[sizeof(struct vfio_irq_set) + PCI_VECTORS * sizeof(int)];
	struct vfio_irq_set *set = (struct vfio_irq_set *)bytes;
	unsigned data = count == 0 ? VFIO_IRQ_SET_DATA_NONE : VFIO_IRQ_SET_DATA_EVENTFD;
	int result;

	set->argsz = (uint32_t)(sizeof *set + count * sizeof(int));
	set->flags = data | VFIO_IRQ_SET_ACTION_TRIGGER;
	set->index = index;
	set->start = 0;
	set->count = count;
	if (count > 0)
		memcpy(set->data, fds, count * sizeof(int));
	result = ioctl(function->device, VFIO_DEVICE_SET_IRQS, set);
	/* Above 0 are the vectors that there are, which are fewer, and none of them is on. */
	return result < 0 ? -errno : result > 0 ? -ENOSPC : 0;
}

static int unmask_pin(struct pci_function *function)
{
	struct vfio_irq_set set = {
		.argsz = sizeof set,
		.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK,
		.index = VFIO_PCI_INTX_IRQ_INDEX,
		.count = 1,
	};
	return ioctl(function->device, VFIO_DEVICE_SET_IRQS, &set) == 0 ? 0 : -errno;
}

static int pin_on(struct pci_function *function)
{
	struct vfio_irq_info info = { .argsz = sizeof info, .index = VFIO_PCI_INTX_IRQ_INDEX };
	if (ioctl(function->device, VFIO_DEVICE_GET_IRQ_INFO, &info) != 0 || info.count == 0)
		return 0;
	return set_irqs(function, VFIO_PCI_INTX_IRQ_INDEX, 1, &function->pin);
}

/* VFIO has one kind of interrupt at a time, and sets the enable bit itself. */
static int switch_irqs(struct pci_function *function, unsigned index, unsigned count)
{
	int result = 0;

	if (index == function->irq_index && count == function->irq_count)
		return 0;
	if (count > PCI_VECTORS)
		return -ENOSPC;
	if (function->irq_index != VFIO_PCI_INTX_IRQ_INDEX)
		result = set_irqs(function, function->irq_index, 0, NULL);
	else
		set_irqs(function, VFIO_PCI_INTX_IRQ_INDEX, 0, NULL);
	function->irq_index = VFIO_PCI_INTX_IRQ_INDEX;
	function->irq_count = 0;
	if (result != 0)
		return result;
	if (index == VFIO_PCI_INTX_IRQ_INDEX)
		return pin_on(function);
	result = set_irqs(function, index, count, function->vectors);
	if (result != 0) {
		pin_on(function);
		return result;
	}
	function->irq_index = index;
	function->irq_count = count;
	return 0;
}

/* Has the kernel send what the flags of both capabilities say; MSI-X goes before MSI. */
static int follow_flags(struct pci_function *function, uint32_t msi)
{
	if ((function->msix_flags & MSIX_ENABLE) != 0)
		return switch_irqs(function, VFIO_PCI_MSIX_IRQ_INDEX, function->msix.vectors);
	if ((msi & MSI_ENABLE) != 0)
		return switch_irqs(function, VFIO_PCI_MSI_IRQ_INDEX, 1u << MSI_QUEUE(msi));
	return switch_irqs(function, VFIO_PCI_INTX_IRQ_INDEX, 0);
}

/*
 * Masks of MSI-X are the driver's: its table is not the one that the kernel has filled. What
 * came to a vector while it was masked becomes one message when it is not any more.
 */
static void follow_masks(struct pci_function *function)
{
	uint64_t masked = 0;
	for (unsigned vector = 0; vector < function->irq_count; vector++) {
		uint64_t count, one = 1;
		if (function->irq_index == VFIO_PCI_MSIX_IRQ_INDEX &&
		    ((function->msix_flags & MSIX_MASK_ALL) != 0 ||
		     (function->msix.entries[vector].words[MSIX_CONTROL] & MSIX_MASKED) != 0)) {
			masked |= 1ULL << vector;
		} else if ((function->masked >> vector & 1) != 0 &&
			   read(function->vectors[vector], &count, sizeof count) > 0) {
			(void)!write(function->vectors[vector], &one, sizeof one);
		}
	}
	function->masked = masked;
}

static int config_read(struct pci_function *function, unsigned offset, unsigned size,
		       uint32_t *value)
{
	int result = pci_file_read(function, offset, size, value);
	unsigned at = function->msix.at + MSIX_FLAGS;
	/* The kernel takes no write there. */
	if (result == 0 && function->msix.at != 0 && pci_overlaps(offset, size, at, 2)) {
		uint32_t flags = 0;
		result = pci_file_read(function, at, 2, &flags);
		flags = (flags & MSIX_SIZE) | function->msix_flags;
		*value = pci_merge(*value, offset, size, at, 2, flags);
	}
	return result;
}

static int config_write(struct pci_function *function, unsigned offset, unsigned size,
			uint32_t value)
{
	uint32_t msi = 0, msix = 0, before = function->msix_flags;
	int written = pci_flags_written(function, function->msix.at, offset, size, value, &msix);
	int result = written < 0 ? written :
				   pci_flags_written(function, function->msi, offset, size, value, &msi);

	if (written > 0)
		function->msix_flags = msix & (MSIX_ENABLE | MSIX_MASK_ALL);
	if (written > 0 && result == 0 && function->msi != 0)
		result = config_read(function, function->msi + MSI_FLAGS, 2, &msi);
	if (result >= 0 && (written > 0 || result > 0))
		result = follow_flags(function, msi);
	if (result < 0) {
		function->msix_flags = before;
		return result;
	}
	follow_masks(function);
	return pci_file_write(function, offset, size, value);
}

static void entry_written(struct pci_function *function, unsigned vector)
{
	(void)vector;
	follow_masks(function);
}

static int map(struct pci_function *function, uint64_t iova, void *at, uint64_t length,
	       unsigned access)
{
	struct vfio_iommu_type1_dma_map request = {
		.argsz = sizeof request,
		.flags = ((access & ACCESS_READ) != 0 ? VFIO_DMA_MAP_FLAG_READ : 0) |
			 ((access & ACCESS_WRITE) != 0 ? VFIO_DMA_MAP_FLAG_WRITE : 0),
		.vaddr = (uintptr_t)at,
		.iova = iova,
		.size = length,
	};
	return ioctl(function->container, VFIO_IOMMU_MAP_DMA, &request) == 0 ? 0 : -errno;
}

static int unmap(struct pci_function *function, uint64_t iova, uint64_t *length)
{
	struct vfio_iommu_type1_dma_unmap request = {
		.argsz = sizeof request,
		.iova = iova,
		.size = *length,
	};
	if (ioctl(function->container, VFIO_IOMMU_UNMAP_DMA, &request) != 0)
		return -errno;
	*length = request.size;
	return 0;
}

/* The vectors below `count` that something has come to. */
static uint64_t ready(struct pci_function *function, unsigned count)
{
	struct pollfd polled[PCI_VECTORS];
	uint64_t bits = 0;
	for (unsigned vector = 0; vector < count; vector++)
		polled[vector] = (struct pollfd){ .fd = function->vectors[vector], .events = POLLIN };
	if (poll(polled, count, 0) <= 0)
		return 0;
	for (unsigned vector = 0; vector < count; vector++)
		if ((polled[vector].revents & POLLIN) != 0)
			bits |= 1ULL << vector;
	return bits;
}

static uint64_t arrived(struct pci_function *function)
{
	return ready(function, PCI_VECTORS) & ~function->masked;
}

static int pending(struct pci_function *function, unsigned vector)
{
	return vector < PCI_VECTORS &&
	       (ready(function, vector + 1) & function->masked) >> vector != 0;
}

static int take(struct pci_function *function, unsigned vector, uint64_t *count)
{
	*count = 0;
	if (vector >= PCI_VECTORS || function->vectors[vector] < 0 ||
	    (function->masked >> vector & 1) != 0)
		return 0;
	if (read(function->vectors[vector], count, sizeof *count) < 0 && errno != EAGAIN)
		return -errno;
	return 0;
}

static int intx(struct pci_function *function)
{
	struct pollfd came = { .fd = function->pin, .events = POLLIN };
	uint64_t count;
	int result = pci_pin_asserted(function);

	if (result == 0 && function->irq_index == VFIO_PCI_INTX_IRQ_INDEX) {
		/* What was asserted and is not any more. */
		if (read(function->pin, &count, sizeof count) > 0)
			unmask_pin(function);
	}
	if (result != 1)
		return result;
	/* The kernel masks the pin when it is asserted; still asserted, it tells of it again. */
	if (poll(&came, 1, ARRIVAL_MS) != 1)
		return -ETIMEDOUT;
	if (read(function->pin, &count, sizeof count) < 0)
		return -errno;
	result = unmask_pin(function);
	return result != 0 ? result : 1;
}

static int was_reset(struct pci_function *function)
{
	function->msix_flags = 0;
	function->masked = 0;
	pci_msix_reset(function);
	return follow_flags(function, 0);
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void close_function(struct pci_function *function)
{
	pci_release(function);
	for (int vector = 0; vector < PCI_VECTORS; vector++)
		close_fd(function->vectors[vector]);
	close_fd(function->device);
	close_fd(function->pin);
	close_fd(function->group);
	close_fd(function->container);
}

static const struct pci_way VFIO = {
	.config_read = config_read,
	.config_write = config_write,
	.map = map,
	.unmap = unmap,
	.arrived = arrived,
	.take = take,
	.entry_written = entry_written,
	.pending = pending,
	.intx = intx,
	.was_reset = was_reset,
	.close = close_function,
};

static int write_file(const char *path, const char *text)
{
	int result = 0, fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		result = -errno;
	close(fd);
	return result;
}

static int is_bound(const char *address)
{
	char path[96], target[128];
	ssize_t length;

	snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/driver", address);
	length = readlink(path, target, sizeof target - 1);
	if (length < 0)
		return 0;
	target[length] = '\0';
	return strcmp(strrchr(target, '/') + 1, "vfio-pci") == 0;
}

/* Gives the function to vfio-pci, whatever has it now. */
static int bind(const char *address)
{
	char path[96];

	/* A function that has just been plugged in takes no driver yet. */
	for (int tries = 0; tries < BIND_TRIES; tries++) {
		snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/driver_override", address);
		write_file(path, "vfio-pci");
		if (!is_bound(address)) {
			snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/driver/unbind", address);
			write_file(path, address);
			write_file("/sys/bus/pci/drivers_probe", address);
		}
		if (is_bound(address))
			return 0;
		usleep(BIND_WAIT_US);
	}
	return -EBUSY;
}

static int open_group(const char *address)
{
	char path[96], target[128];
	ssize_t length;
	int fd;

	snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/iommu_group", address);
	length = readlink(path, target, sizeof target - 1);
	if (length < 0)
		return -errno;
	target[length] = '\0';
	snprintf(path, sizeof path, "/dev/vfio/%s", strrchr(target, '/') + 1);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int region(struct pci_function *function, unsigned index, struct vfio_region_info *info)
{
	*info = (struct vfio_region_info){ .argsz = sizeof *info, .index = index };
	return ioctl(function->device, VFIO_DEVICE_GET_REGION_INFO, info) == 0 ? 0 : -errno;
}

static int map_regions(struct pci_function *function)
{
	struct vfio_region_info info;
	int result = region(function, VFIO_PCI_CONFIG_REGION_INDEX, &info);

	function->config = function->device;
	function->config_at = (off_t)info.offset;
	for (unsigned index = 0; result == 0 && index < PCI_BARS; index++) {
		struct pci_bar *bar = &function->bars[index];
		result = region(function, index, &info);
		if (result != 0 || info.size == 0)
			continue;
		bar->length = info.size;
		bar->file = function->device;
		bar->file_at = (off_t)info.offset;
		/* Neither ports nor what shares a page with something else. */
		if ((info.flags & VFIO_REGION_INFO_FLAG_MMAP) != 0)
			result = pci_map_bar(bar, function->device, bar->file_at);
	}
	return result;
}

static int open_container(struct pci_function *function)
{
	struct vfio_group_status status = { .argsz = sizeof status };

	function->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (function->container < 0)
		return -errno;
	function->group = open_group(function->address);
	if (function->group < 0)
		return function->group;
	if (ioctl(function->group, VFIO_GROUP_GET_STATUS, &status) != 0)
		return -errno;
	if ((status.flags & VFIO_GROUP_FLAGS_VIABLE) == 0)
		return -EBUSY;
	if (ioctl(function->group, VFIO_GROUP_SET_CONTAINER, &function->container) != 0 ||
	    ioctl(function->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) != 0)
		return -errno;
	function->device = ioctl(function->group, VFIO_GROUP_GET_DEVICE_FD, function->address);
	return function->device < 0 ? -errno : 0;
}

static int make_eventfds(struct pci_function *function)
{
	unsigned count = function->msi == 0 ? 0 : 32;
	if (function->msix.at != 0 && function->msix.vectors > count)
		count = function->msix.vectors < PCI_VECTORS ? function->msix.vectors : PCI_VECTORS;
	for (unsigned vector = 0; vector < count; vector++) {
		function->vectors[vector] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (function->vectors[vector] < 0)
			return -errno;
	}
	function->pin = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return function->pin < 0 ? -errno : 0;
}

int pci_open_vfio(struct pci_function *function)
{
	int result = bind(function->address);

	function->way = &VFIO;
	function->irq_index = VFIO_PCI_INTX_IRQ_INDEX;
	if (result == 0)
		result = open_container(function);
	if (result == 0)
		result = map_regions(function);
	if (result == 0)
		result = pci_find_messages(function);
	if (result == 0)
		result = make_eventfds(function);
	return result != 0 ? result : pin_on(function);
}
