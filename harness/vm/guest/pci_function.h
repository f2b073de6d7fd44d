/*
 * A PCI function as the guest's user space drives it: by Linux's VFIO, or by files
 * of sysfs and /dev/mem. Functions return 0 or a length, or -errno.
 */
#ifndef VIADUCT_PCI_FUNCTION_H
#define VIADUCT_PCI_FUNCTION_H

#include <stddef.h>
#include <stdint.h>

#define PCI_BARS 6
#define PCI_VECTORS 32

struct pci_function;

/* A way to drive a function. */
struct pci_way {
	int (*config_read)(struct pci_function *, unsigned offset, unsigned size, uint32_t *value);
	int (*config_write)(struct pci_function *, unsigned offset, unsigned size, uint32_t value);
	/* Device access to [iova, iova + length), which is the guest's memory at `at`. */
	int (*map)(struct pci_function *, uint64_t iova, void *at, uint64_t length, unsigned access);
	/* Sets `length` to the bytes that were mapped. */
	int (*unmap)(struct pci_function *, uint64_t iova, uint64_t *length);
	/* Messages of `vector` since the last call. */
	int (*take)(struct pci_function *, unsigned vector, uint64_t *count);
	/* Whether the pin is asserted. Where Linux hears of it, it has when this returns 1. */
	int (*intx)(struct pci_function *);
	/* Forgets what a reset of the bus has undone. */
	int (*was_reset)(struct pci_function *);
	void (*close)(struct pci_function *);
};

struct pci_bar {
	volatile char *at;
	uint64_t length;
};

struct pci_function {
	const struct pci_way *way;
	char address[16];
	struct pci_bar bars[PCI_BARS];
	/* Whether the command register lets it answer at its BARs. */
	int decoding;
	/* Offset of the MSI capability, or 0. */
	unsigned msi;
	int msi_wide;
	int msi_vectors;
	/* VFIO: container, group and device, the pin's eventfd, and one for each vector. */
	int container, group, device, pin, vectors[PCI_VECTORS];
	/* sysfs: the config file; where messages arrive, and what the guest has written there. */
	int config;
	volatile uint32_t *mailbox;
	uint64_t mailbox_address;
	uint32_t shadow[4];
};

#define PCI_COMMAND 0x04u
#define COMMAND_MEMORY 0x002u
#define COMMAND_NO_INTX 0x400u
#define PCI_STATUS 0x06u
#define STATUS_INTERRUPT 0x008u

#define ACCESS_READ 1u
#define ACCESS_WRITE 2u

/* MSI, PCI 3.0, 6.8.1 */
#define MSI_FLAGS 2u
#define MSI_ENABLE 1u
#define MSI_WIDE 0x80u
#define MSI_QUEUE(flags) (((flags) >> 4) & 7u)

/* Where messages are told to go when no kernel driver is there: a word of reserved RAM. */
struct pci_mailbox {
	volatile uint32_t *at;
	uint64_t address;
};

int pci_open_vfio(struct pci_function *function);
int pci_open_sysfs(struct pci_function *function, const struct pci_mailbox *mailbox);

/* For both, by config_read: finds the MSI capability; what the status and the command register say of the pin. */
void pci_find_msi(struct pci_function *function);
int pci_pin_asserted(struct pci_function *function);

#endif
