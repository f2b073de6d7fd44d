/*
 * A PCI function as the guest's user space drives it: by Linux's VFIO, or by files
 * of sysfs and /dev/mem. Functions return 0 or a length, or -errno.
 */
#ifndef VIADUCT_PCI_FUNCTION_H
#define VIADUCT_PCI_FUNCTION_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PCI_BARS 6
/* Vectors that messages are taken of: all of MSI, and as many of MSI-X as a bit set of 64 has. */
#define PCI_VECTORS 64

struct pci_function;

/* A way to drive a function. */
struct pci_way {
	int (*config_read)(struct pci_function *, unsigned offset, unsigned size, uint32_t *value);
	int (*config_write)(struct pci_function *, unsigned offset, unsigned size, uint32_t value);
	/* Device access to [iova, iova + length), which is the guest's memory at `at`. */
	int (*map)(struct pci_function *, uint64_t iova, void *at, uint64_t length, unsigned access);
	/* Sets `length` to the bytes that were mapped. */
	int (*unmap)(struct pci_function *, uint64_t iova, uint64_t *length);
	/* The vectors that `take` would give a message of, as bits. */
	uint64_t (*arrived)(struct pci_function *);
	/* Messages of `vector` since the last call. */
	int (*take)(struct pci_function *, unsigned vector, uint64_t *count);
	/* MSI-X: the driver has written to this vector's entry of the table. */
	void (*entry_written)(struct pci_function *, unsigned vector);
	/* MSI-X: whether a message of this vector waits for its mask to go. */
	int (*pending)(struct pci_function *, unsigned vector);
	/* Whether the pin is asserted. Where Linux hears of it, it has when this returns 1. */
	int (*intx)(struct pci_function *);
	/* Forgets what a reset of the bus has undone. */
	int (*was_reset)(struct pci_function *);
	void (*close)(struct pci_function *);
};

/* Reached by a mapping, or where there can be none by a file; neither where the BAR is not there. */
struct pci_bar {
	volatile char *at;
	uint64_t length;
	/* -1 for none. */
	int file;
	off_t file_at;
};

/* An entry of the MSI-X table as the driver wrote it (PCI 3.0, 6.8.2.6 and following). */
struct pci_msix_entry {
	uint32_t words[4];
};

/* The MSI-X capability, and the driver's table: the one in the BAR is the way's. */
struct pci_msix {
	/* Offset of the capability, or 0. */
	unsigned at;
	unsigned vectors, table_bar, pending_bar;
	uint32_t table, pending;
	struct pci_msix_entry *entries;
};

struct pci_function {
	const struct pci_way *way;
	char address[16];
	struct pci_bar bars[PCI_BARS];
	/* Whether the command register lets it answer at its BARs. */
	int decoding;
	/* The file that holds configuration space, and where in it. */
	int config;
	off_t config_at;
	/* Offset of the MSI capability, or 0. */
	unsigned msi;
	int msi_wide;
	struct pci_msix msix;
	/* VFIO: container, group and device, the pin's eventfd, and one for each vector. */
	int container, group, device, pin, vectors[PCI_VECTORS];
	/* VFIO: the index that is on, and its vectors; flags that it keeps to itself; masked vectors. */
	unsigned irq_index, irq_count;
	uint32_t msix_flags;
	uint64_t masked;
	/* sysfs: where messages arrive, a word for each vector, and what the guest has written there. */
	volatile uint32_t *mailbox;
	uint64_t mailbox_address;
	uint32_t shadow[4];
	int msix_on;
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

/* MSI-X, PCI 3.0, 6.8.2 */
#define MSIX_FLAGS 2u
#define MSIX_SIZE 0x7ffu
#define MSIX_MASK_ALL 0x4000u
#define MSIX_ENABLE 0x8000u
#define MSIX_TABLE 4u
#define MSIX_PENDING 8u
#define MSIX_BAR 7u
/* Words of an entry. */
#define MSIX_ADDRESS 0
#define MSIX_ADDRESS_HIGH 1
#define MSIX_DATA 2
#define MSIX_CONTROL 3
#define MSIX_MASKED 1u

/* Where messages are told to go when no kernel driver is there: words of reserved RAM. */
struct pci_mailbox {
	volatile uint32_t *at;
	uint64_t address;
};

int pci_open_vfio(struct pci_function *function);
int pci_open_sysfs(struct pci_function *function, const struct pci_mailbox *mailbox);

/* Configuration space in its file. */
int pci_file_read(struct pci_function *function, unsigned offset, unsigned size, uint32_t *value);
int pci_file_write(struct pci_function *function, unsigned offset, unsigned size, uint32_t value);

/* Whether a byte of [offset, offset + size) is one of [at, at + length). */
int pci_overlaps(uint64_t offset, uint64_t size, uint64_t at, uint64_t length);

/* `length` bytes at `at` that hold `own`, after `size` bytes of `value` were put at `offset`. */
uint32_t pci_merge(uint32_t own, unsigned at, unsigned length, unsigned offset, unsigned size,
		   uint32_t value);

/*
 * What a write comes to for the flags of the capability at `at`, if it reaches them: 1 and the
 * flags, 0 when it does not, or -errno.
 */
int pci_flags_written(struct pci_function *function, unsigned at, unsigned offset, unsigned size,
		      uint32_t value, uint32_t *flags);

/* Maps a BAR, of the length that it has, from a file. */
int pci_map_bar(struct pci_bar *bar, int fd, off_t at);

/* Finds the capabilities of messages. BARs are mapped before, for MSI-X lies in one. */
int pci_find_messages(struct pci_function *function);

/* What the status and the command register say of the pin. */
int pci_pin_asserted(struct pci_function *function);

/* Unmaps BARs, and frees the driver's table. */
void pci_release(struct pci_function *function);

/* The registers of MSI-X in BARs: aligned accesses of 4 and 8 bytes; others read all ones. */
int pci_msix_covers(struct pci_function *function, unsigned bar, uint64_t offset, unsigned size);
uint64_t pci_msix_load(struct pci_function *function, unsigned bar, uint64_t offset, unsigned size);
void pci_msix_store(struct pci_function *function, unsigned bar, uint64_t offset, unsigned size,
		    uint64_t value);

/* The table as after power-on: every vector masked. */
void pci_msix_reset(struct pci_function *function);

#endif
