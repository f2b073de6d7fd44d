/* What the first process of the guest does before it serves the harness. */
#ifndef VIADUCT_SETUP_H
#define VIADUCT_SETUP_H

/* Mounts the kernel's file systems. */
void setup_mounts(void);

/* Loads the modules that /etc/modules names, in its order: `path parameters`, one a line. */
void setup_modules(void);

/* Opens the virtio-serial port of that name, or returns -1 with errno. */
int setup_port(const char *name);

#endif
