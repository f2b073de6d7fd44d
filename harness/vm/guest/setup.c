#define _GNU_SOURCE
#include "setup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* linux/module.h: the kernel unpacks the file itself. */
#define MODULE_INIT_COMPRESSED_FILE 4

static void mount_at(const char *type, const char *where)
{
	mkdir(where, 0755);
	if (mount(type, where, type, 0, NULL) != 0)
		fprintf(stderr, "viaduct: cannot mount %s on %s: %s\n", type, where, strerror(errno));
}

void setup_mounts(void)
{
	mount_at("proc", "/proc");
	mount_at("sysfs", "/sys");
	mount_at("devtmpfs", "/dev");
	mount_at("devpts", "/dev/pts");
	mount_at("tmpfs", "/tmp");
	mount_at("tmpfs", "/run");
	mount_at("debugfs", "/sys/kernel/debug");
}

static int ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), end_length = strlen(end);
	return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* Unpacks the module in user space, for kernels that cannot. */
static int insmod(const char *path, const char *parameters)
{
	int status = -1;
	pid_t pid = fork();
	if (pid == 0) {
		execl("/bin/busybox", "insmod", path, parameters, (char *)NULL);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -1;
}

static void load_module(const char *path, const char *parameters)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int flags = ends_with(path, ".ko") ? 0 : MODULE_INIT_COMPRESSED_FILE;
	if (fd < 0 || (syscall(SYS_finit_module, fd, parameters, flags) != 0 && errno != EEXIST)) {
		int error = errno;
		if (fd < 0 || flags == 0 || insmod(path, parameters) != 0)
			fprintf(stderr, "viaduct: cannot load %s: %s\n", path, strerror(error));
	}
	if (fd >= 0)
		close(fd);
}

void setup_modules(void)
{
	char line[1024];
	FILE *list = fopen("/etc/modules", "re");

	if (list == NULL)
		return;
	while (fgets(line, sizeof line, list) != NULL) {
		char *parameters;
		line[strcspn(line, "\n")] = '\0';
		parameters = strchr(line, ' ');
		if (parameters != NULL)
			*parameters++ = '\0';
		if (line[0] != '\0')
			load_module(line, parameters != NULL ? parameters : "");
	}
	fclose(list);
}

int setup_port(const char *name)
{
	struct dirent *entry;
	int found = -1;
	DIR *ports = opendir("/sys/class/virtio-ports");

	if (ports == NULL)
		return -1;
	errno = ENOENT;
	while (found < 0 && (entry = readdir(ports)) != NULL) {
		char path[300], text[64] = "";
		FILE *file;
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "/sys/class/virtio-ports/%s/name", entry->d_name);
		file = fopen(path, "re");
		if (file == NULL)
			continue;
		if (fgets(text, sizeof text, file) != NULL)
			text[strcspn(text, "\n")] = '\0';
		fclose(file);
		if (strcmp(text, name) != 0)
			continue;
		snprintf(path, sizeof path, "/dev/%s", entry->d_name);
		found = open(path, O_RDWR | O_CLOEXEC);
	}
	closedir(ports);
	return found;
}
