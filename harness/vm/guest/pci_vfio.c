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

static uint64_t config_offset(struct pci_function *function)
{
	struct vfio_region_info info = { .argsz = sizeof info, .index = VFIO_PCI_CONFIG_REGION_INDEX };
	return ioctl(function->device, VFIO_DEVICE_GET_REGION_INFO, &info) == 0 ? info.offset : 0;
}

static int config_read(struct pci_function *function, unsigned offset, unsigned size,
		       uint32_t *value)
{
	uint32_t bytes = 0;
	ssize_t length = pread(function->device, &bytes, size, (off_t)(config_offset(function) + offset));
	if (length < 0)
		return -errno;
	if (length != (ssize_t)size)
		return -EIO;
	*value = bytes;
	return 0;
}

static int raw_write(struct pci_function *function, unsigned offset, unsigned size, uint32_t value)
{
	ssize_t length =
		pwrite(function->device, &value, size, (off_t)(config_offset(function) + offset));
	if (length < 0)
		return -errno;
	return length == (ssize_t)size ? 0 : -EIO;
}

/* Count 0 switches the whole index off. */
static int set_irqs(struct pci_function *function, unsigned index, unsigned count, const int *fds)
{
	char bytes[sizeof(struct vfio_irq_set) + PCI_VECTORS * sizeof(int)];
	struct vfio_irq_set *set = (struct vfio_irq_set *)bytes;
	unsigned data = count == 0 ? VFIO_IRQ_SET_DATA_NONE : VFIO_IRQ_SET_DATA_EVENTFD;

	set->argsz = (uint32_t)(sizeof *set + count * sizeof(int));
	set->flags = data | VFIO_IRQ_SET_ACTION_TRIGGER;
	set->index = index;
	set->start = 0;
	set->count = count;
	if (count > 0)
		memcpy(set->data, fds, count * sizeof(int));
	return ioctl(function->device, VFIO_DEVICE_SET_IRQS, set) == 0 ? 0 : -errno;
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
static int switch_msi(struct pci_function *function, uint32_t flags)
{
	int wanted = (flags & MSI_ENABLE) != 0 ? 1 << MSI_QUEUE(flags) : 0;
	int result = 0;

	if (wanted == function->msi_vectors)
		return 0;
	if (wanted > PCI_VECTORS)
		return -EINVAL;
	if (function->msi_vectors > 0)
		result = set_irqs(function, VFIO_PCI_MSI_IRQ_INDEX, 0, NULL);
	else
		set_irqs(function, VFIO_PCI_INTX_IRQ_INDEX, 0, NULL);
	function->msi_vectors = 0;
	if (result == 0 && wanted > 0)
		result = set_irqs(function, VFIO_PCI_MSI_IRQ_INDEX, (unsigned)wanted, function->vectors);
	if (result != 0)
		return result;
	function->msi_vectors = wanted;
	return wanted > 0 ? 0 : pin_on(function);
}

static int config_write(struct pci_function *function, unsigned offset, unsigned size,
			uint32_t value)
{
	if (function->msi != 0 && offset == function->msi + MSI_FLAGS) {
		int result = switch_msi(function, value);
		if (result != 0)
			return result;
	}
	return raw_write(function, offset, size, value);
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

static int take(struct pci_function *function, unsigned vector, uint64_t *count)
{
	*count = 0;
	if (vector < PCI_VECTORS && read(function->vectors[vector], count, sizeof *count) < 0 &&
	    errno != EAGAIN)
		return -errno;
	return 0;
}

static int intx(struct pci_function *function)
{
	struct pollfd arrived = { .fd = function->pin, .events = POLLIN };
	uint64_t count;
	int result = pci_pin_asserted(function);

	if (result == 0 && function->msi_vectors == 0) {
		/* What was asserted and is not any more. */
		if (read(function->pin, &count, sizeof count) > 0)
			unmask_pin(function);
	}
	if (result != 1)
		return result;
	/* The kernel masks the pin when it is asserted; still asserted, it tells of it again. */
	if (poll(&arrived, 1, ARRIVAL_MS) != 1)
		return -ETIMEDOUT;
	if (read(function->pin, &count, sizeof count) < 0)
		return -errno;
	result = unmask_pin(function);
	return result != 0 ? result : 1;
}

static int was_reset(struct pci_function *function)
{
	return switch_msi(function, 0);
}

static void close_function(struct pci_function *function)
{
	for (int bar = 0; bar < PCI_BARS; bar++)
		if (function->bars[bar].at != NULL)
			munmap((void *)function->bars[bar].at, function->bars[bar].length);
	for (int vector = 0; vector < PCI_VECTORS; vector++)
		if (function->vectors[vector] >= 0)
			close(function->vectors[vector]);
	if (function->device >= 0)
		close(function->device);
	if (function->pin >= 0)
		close(function->pin);
	if (function->group >= 0)
		close(function->group);
	if (function->container >= 0)
		close(function->container);
}

static const struct pci_way VFIO = {
	.config_read = config_read,
	.config_write = config_write,
	.map = map,
	.unmap = unmap,
	.take = take,
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

static int map_bars(struct pci_function *function)
{
	for (unsigned bar = 0; bar < PCI_BARS; bar++) {
		struct vfio_region_info info = { .argsz = sizeof info, .index = bar };
		void *at;
		if (ioctl(function->device, VFIO_DEVICE_GET_REGION_INFO, &info) != 0)
			return -errno;
		if (info.size == 0 || (info.flags & VFIO_REGION_INFO_FLAG_MMAP) == 0)
			continue;
		at = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, function->device,
			  (off_t)info.offset);
		if (at == MAP_FAILED)
			return -errno;
		function->bars[bar].at = at;
		function->bars[bar].length = info.size;
	}
	return 0;
}

int pci_open_vfio(struct pci_function *function)
{
	struct vfio_group_status status = { .argsz = sizeof status };
	int result = bind(function->address);

	function->way = &VFIO;
	if (result != 0)
		return result;
	for (int vector = 0; vector < PCI_VECTORS; vector++)
		function->vectors[vector] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	function->pin = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
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
	if (function->device < 0)
		return -errno;
	result = map_bars(function);
	if (result != 0)
		return result;
	pci_find_msi(function);
	return pin_on(function);
}
