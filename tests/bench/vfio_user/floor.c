/*
 * The other end of every benchmark of vfio-user, and the floor that they stand on: what the kernel
 * takes for a bare exchange between two processes, and a client that does nothing but send canned
 * messages and wait for their replies.
 *
 *     floor run CPU[,CPU...] COMMAND [ARGUMENT...]    runs a command on these CPUs
 *     floor serve                                     reads commands on stdin, a line each, and
 *                                                     answers each with a line: a number, or a
 *                                                     word, or `error: ` and why
 *
 * Commands: `cpus`; `pin CPU`; `ping CPU COUNT`; `stream CPU COUNT`; `connect PATH`;
 * `read blocking|spinning COUNT`; `live COUNT SLOTS`; `map COUNT`; and `region-read`, `region-write`,
 * `dma-read`, `dma-write`, each with a COUNT.
 * Times are in nanoseconds an exchange: the median of all, or of batches where one is short.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { VERSION = 1, DMA_MAP = 2, DMA_UNMAP = 3, REGION_READ = 9, REGION_WRITE = 10, DMA_READ = 11,
       DMA_WRITE = 12 };
enum { FLAG_REPLY = 1, FLAG_ERROR = 0x20 };
enum { PING = 36, MIB = 1 << 20, PAGE = 4096 };
/* Pairs timed together: what comes round every few of them counts, what else the machine does not. */
enum { BATCH = 16 };

/*
 * A slot is two pages of IOVAs and of the file: live mappings are the even ones from here on, timed
 * ones the odd ones between them.
 */
static const uint64_t IOVA = 1ull << 32;
/* Where the bulk device finds its memory: see bulk_device.ts. */
static const uint64_t BULK_IOVA = 1ull << 40;
enum { BULK_REGISTERS = 0, BULK_BAR = 2, BULK_READ = 1, BULK_WRITE = 2 };
enum { CONFIG = 7, PCI_COMMAND = 4, MEMORY_AND_MASTER = 6 };

struct header { uint16_t id, command; uint32_t size, flags, error; };
struct access { uint64_t offset; uint32_t region, count; };
struct dma_access { uint64_t address, count; };
struct dma_map { uint32_t argsz, flags; uint64_t offset, address, size; };
struct dma_unmap { uint32_t argsz, flags; uint64_t address, size; };

static int fd = -1;
static int memory = -1;
static uint64_t live, slots;
static uint16_t next_id;
static uint32_t state = 2463534242u;
/* What goes to the device, and what comes back from it. */
static char *sent_bytes, *back;
/* Of the command that is being carried out. */
static char failure[256];

static int fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(failure, sizeof failure, format, arguments);
    va_end(arguments);
    return -1;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static int pin(const char *list) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const char *at = list; *at;) {
        char *end;
        long cpu = strtol(at, &end, 10);
        if (end == at || cpu < 0 || cpu >= CPU_SETSIZE) return fail("%s is no list of CPUs", list);
        CPU_SET(cpu, &set);
        at = *end == ',' ? end + 1 : end;
    }
    if (sched_setaffinity(0, sizeof set, &set) < 0)
        return fail("Cannot run on CPU %s: %s", list, strerror(errno));
    return 0;
}

/* All of the bytes, or -1. */
static int put(int to, const void *bytes, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t n = send(to, (const char *)bytes + done, size - done, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EINTR) continue;
            return fail("Cannot send: %s", strerror(errno));
        }
        done += n;
    }
    return 0;
}

static int get(int from, void *bytes, size_t size, int flags) {
    for (size_t done = 0; done < size;) {
        ssize_t n = recv(from, (char *)bytes + done, size - done, flags);
        if (n == 0) return fail("The peer has closed the connection");
        if (n < 0) {
            if (errno == EINTR || errno == EAGAIN) continue;
            return fail("Cannot receive: %s", strerror(errno));
        }
        done += n;
    }
    return 0;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *samples, int count) {
    qsort(samples, count, sizeof *samples, by_size);
    return samples[count / 2];
}

/* A process on another CPU, or on this one, that answers `request` bytes with PING bytes. */
static int start_peer(const char *cpu, size_t request, pid_t *child) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return fail("socketpair: %s", strerror(errno));
    *child = fork();
    if (*child < 0) return fail("fork: %s", strerror(errno));
    if (*child == 0) {
        close(ends[0]);
        if (pin(cpu) < 0) _exit(1);
        char *bytes = malloc(request < PING ? PING : request);
        while (get(ends[1], bytes, request, 0) == 0 && put(ends[1], bytes, PING) == 0) {}
        _exit(0);
    }
    close(ends[1]);
    return ends[0];
}

/* The median of `count` exchanges of `request` bytes against PING bytes. */
static double exchange(const char *cpu, size_t request, int count) {
    pid_t child = -1;
    int end = start_peer(cpu, request, &child);
    if (end < 0) return -1;
    char *bytes = calloc(1, request < PING ? PING : request);
    double *samples = malloc(count * sizeof *samples), result = 0;
    int warm_up = count / 10 + 1;
    for (int i = -warm_up; i < count && result == 0; i++) {
        double start = now();
        if (put(end, bytes, request) < 0 || get(end, bytes, PING, 0) < 0) result = -1;
        if (i >= 0) samples[i] = now() - start;
    }
    if (result == 0) result = median(samples, count);
    close(end);
    waitpid(child, NULL, 0);
    free(samples);
    free(bytes);
    return result;
}

static struct header head(int command, size_t body) {
    return (struct header){ .id = next_id++, .command = command, .size = sizeof(struct header) + body };
}

/* The reply to `request`: its body, which must be `size` bytes, into `body`. */
static int reply(const struct header *request, void *body, size_t size, int flags) {
    struct header answer;
    if (get(fd, &answer, sizeof answer, flags) < 0) return -1;
    if ((answer.flags & FLAG_ERROR) != 0)
        return fail("Command %d failed: %s", request->command, strerror(answer.error));
    if (answer.id != request->id || answer.command != request->command ||
        (answer.flags & 0xf) != FLAG_REPLY || answer.size != sizeof answer + size)
        return fail("Command %d with ID %d was answered by %d with ID %d, flags %#x and %u bytes",
                    request->command, request->id, answer.command, answer.id, answer.flags, answer.size);
    return get(fd, body, size, flags);
}

static int register_write(uint32_t region, uint64_t offset, uint32_t value, struct header *sent) {
    struct { struct header head; struct access access; uint32_t value; } __attribute__((packed)) request;
    request.head = head(REGION_WRITE, sizeof request - sizeof request.head);
    request.access = (struct access){ offset, region, 4 };
    request.value = value;
    *sent = request.head;
    return put(fd, &request, sizeof request);
}

static int connect_to(const char *path) {
    static const char json[] = "{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":1048576}}";
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct { struct header head; uint16_t major, minor; char json[sizeof json]; } __attribute__((packed)) hello;
    if (strlen(path) >= sizeof address.sun_path) return fail("The path is too long");
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return fail("Cannot connect to %s: %s", path, strerror(errno));
    hello.head = head(VERSION, sizeof hello - sizeof hello.head);
    hello.major = hello.minor = 0;
    memcpy(hello.json, json, sizeof json);
    if (put(fd, &hello, sizeof hello) < 0) return -1;
    struct header answer;
    char body[4096];
    if (get(fd, &answer, sizeof answer, 0) < 0) return -1;
    if ((answer.flags & FLAG_ERROR) != 0 || answer.size > sizeof body)
        return fail("The version was refused: %s", strerror(answer.error));
    if (get(fd, body, answer.size - sizeof answer, 0) < 0) return -1;
    struct header written;
    struct access access;
    if (register_write(CONFIG, PCI_COMMAND, MEMORY_AND_MASTER, &written) < 0) return -1;
    return reply(&written, &access, sizeof access, 0);
}

/* The canned register read: one send of 32 bytes, and one receive of the 36 that answer it. */
static double register_read(int spinning, int count) {
    struct { struct header head; struct access access; } request;
    struct { struct header head; struct access access; uint32_t value; } __attribute__((packed)) answer;
    double *samples = malloc(count * sizeof *samples), result = 0;
    request.access = (struct access){ .offset = 0, .region = 0, .count = 4 };
    for (int i = 0; i < count && result == 0; i++) {
        request.head = head(REGION_READ, sizeof request.access);
        double start = now();
        if (put(fd, &request, sizeof request) < 0 ||
            get(fd, &answer, sizeof answer, spinning ? MSG_DONTWAIT : 0) < 0) result = -1;
        samples[i] = now() - start;
        if (result == 0 && (answer.head.id != request.head.id || answer.head.flags != FLAG_REPLY ||
                            answer.value != 0x010000edu))
            result = fail("A register was read as %#x", answer.value);
    }
    if (result == 0) result = median(samples, count);
    free(samples);
    return result;
}

/* Sealed, so that the server maps it. */
static int open_memory(uint64_t count) {
    if (memory >= 0) close(memory);
    slots = count;
    memory = memfd_create("bench", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memory < 0 || ftruncate(memory, 2 * slots * PAGE) < 0 ||
        fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
        return fail("Cannot make memory: %s", strerror(errno));
    return 0;
}

/* One canned DMA_MAP, whose file goes along unless `file` is -1. */
static int map(uint64_t address, uint64_t size, uint64_t offset, int file) {
    struct { struct header head; struct dma_map map; } request;
    char control[CMSG_SPACE(sizeof(int))] = { 0 };
    struct iovec vector = { &request, sizeof request };
    struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1 };
    request.head = head(DMA_MAP, sizeof request.map);
    request.map = (struct dma_map){ sizeof request.map, 3, offset, address, size };
    if (file >= 0) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(rights), &file, sizeof file);
    }
    if (sendmsg(fd, &message, MSG_NOSIGNAL) != sizeof request)
        return fail("Cannot send a mapping: %s", strerror(errno));
    return reply(&request.head, NULL, 0, 0);
}

static int unmap(uint64_t address, uint64_t size) {
    struct { struct header head; struct dma_unmap unmap; } request;
    struct dma_unmap answer;
    request.head = head(DMA_UNMAP, sizeof request.unmap);
    request.unmap = (struct dma_unmap){ sizeof request.unmap, 0, address, size };
    if (put(fd, &request, sizeof request) < 0) return -1;
    return reply(&request.head, &answer, sizeof answer, 0);
}

/* Maps `count` pages of a file that has room for `room` slots. */
static int add_live(uint64_t count, uint64_t room) {
    if (room == 0 || count > room) return fail("No room for %llu live pages", (unsigned long long)count);
    if (live > 0) return fail("There are live pages already");
    if (open_memory(room) < 0) return -1;
    for (; live < count; live++)
        if (map(IOVA + 2 * live * PAGE, PAGE, 2 * live * PAGE, memory) < 0) return -1;
    return 0;
}

static int pair(void) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    uint64_t page = 2 * (state % (live == 0 ? slots : live)) + 1;
    if (map(IOVA + page * PAGE, PAGE, page * PAGE, memory) < 0) return -1;
    return unmap(IOVA + page * PAGE, PAGE);
}

/* Pairs of DMA_MAP and DMA_UNMAP, one after the other, at random places between the live mappings. */
static double pairs(int count) {
    if (slots == 0) return fail("There is no memory: `live` comes first");
    int batches = (count + BATCH - 1) / BATCH;
    double *samples = malloc(batches * sizeof *samples), result = 0;
    for (int i = 0; i < batches && result == 0; i++) {
        double start = now();
        for (int j = 0; j < BATCH && result == 0; j++) result = pair();
        samples[i] = (now() - start) / BATCH;
    }
    if (result == 0) result = median(samples, batches);
    free(samples);
    return result;
}

static void open_bulk(void) {
    if (sent_bytes != NULL) return;
    sent_bytes = malloc(MIB);
    back = malloc(MIB);
    for (int i = 0; i < MIB; i++) sent_bytes[i] = i * 31 + (i >> 12);
}

/* REGION_READ of the whole of the bulk device's memory. */
static int region_read(void) {
    struct { struct header head; struct access access; } request, answer;
    request.head = head(REGION_READ, sizeof request.access);
    request.access = (struct access){ 0, BULK_BAR, MIB };
    if (put(fd, &request, sizeof request) < 0 || get(fd, &answer, sizeof answer, 0) < 0) return -1;
    if (answer.head.flags != FLAG_REPLY || answer.head.size != sizeof answer + MIB)
        return fail("A read of 1 MiB was answered with flags %#x", answer.head.flags);
    return get(fd, back, MIB, 0);
}

/* One message of two parts, with as few calls as the kernel allows. */
static int put_two(void *first, size_t first_size, char *rest, size_t rest_size) {
    struct iovec vector[2] = { { first, first_size }, { rest, rest_size } };
    struct msghdr message = { .msg_iov = vector, .msg_iovlen = 2 };
    ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    if (sent < (ssize_t)first_size) return fail("Cannot send: %s", strerror(errno));
    sent -= first_size;
    return put(fd, rest + sent, rest_size - sent);
}

/* REGION_WRITE of the same. */
static int region_write(void) {
    struct { struct header head; struct access access; } request;
    struct access answer;
    request.head = head(REGION_WRITE, sizeof request.access + MIB);
    request.access = (struct access){ 0, BULK_BAR, MIB };
    if (put_two(&request, sizeof request, sent_bytes, MIB) < 0) return -1;
    return reply(&request.head, &answer, sizeof answer, 0);
}

/* The device reads or writes 1 MiB of our memory, which it has no descriptor for: we serve it. */
static int dma(int command) {
    struct { struct header head; struct dma_access access; } theirs;
    static int mapped;
    struct header written;
    uint64_t moved = 0;
    if (!mapped && map(BULK_IOVA, MIB, 0, -1) < 0) return -1;
    mapped = 1;
    int start = command == DMA_READ ? BULK_READ : BULK_WRITE;
    if (register_write(BULK_REGISTERS, 0, start, &written) < 0) return -1;
    while (moved < MIB) {
        if (get(fd, &theirs.head, sizeof theirs.head, 0) < 0) return -1;
        if ((theirs.head.flags & 0xf) == FLAG_REPLY)
            return fail("The device has moved %llu bytes", (unsigned long long)moved);
        if (theirs.head.command != command)
            return fail("The server has sent command %d", theirs.head.command);
        if (get(fd, &theirs.access, sizeof theirs.access, 0) < 0) return -1;
        uint64_t at = theirs.access.address - BULK_IOVA, size = theirs.access.count;
        if (at > MIB || size > MIB - at) return fail("The device asks for what is not there");
        if (command == DMA_WRITE && get(fd, back + at, size, 0) < 0) return -1;
        size_t data = command == DMA_READ ? size : 0;
        theirs.head.flags = FLAG_REPLY;
        theirs.head.size = sizeof theirs + data;
        if (put_two(&theirs, sizeof theirs, sent_bytes + at, data) < 0) return -1;
        moved += size;
    }
    struct access answer;
    return reply(&written, &answer, sizeof answer, 0);
}

static int dma_read(void) {
    return dma(DMA_READ);
}

static int dma_write(void) {
    return dma(DMA_WRITE);
}

/* The median time of moving 1 MiB by `move`. What comes back must be what was sent that way before. */
static double each(int (*move)(void), int count) {
    open_bulk();
    memset(back, 0, MIB);
    double *samples = malloc(count * sizeof *samples), result = 0;
    for (int i = 0; i < count && result == 0; i++) {
        double start = now();
        result = move();
        samples[i] = now() - start;
    }
    if (result == 0 && (move == region_read || move == dma_write) && memcmp(back, sent_bytes, MIB) != 0)
        result = fail("The bytes that came back are not those that were sent");
    if (result == 0) result = median(samples, count);
    free(samples);
    return result;
}

static void print_cpus(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    const char *separator = "";
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &set)) {
            printf("%s%d", separator, cpu);
            separator = ",";
        }
    printf("\n");
}

/* Carries out one line and prints the answer. */
static void carry_out(char *line) {
    char word[32] = "", first[256] = "", second[32] = "";
    double value = 0;
    sscanf(line, "%31s %255s %31s", word, first, second);
    int count = atoi(first);
    if (strcmp(word, "cpus") == 0) {
        print_cpus();
        return;
    }
    if (strcmp(word, "pin") == 0) value = pin(first);
    else if (strcmp(word, "ping") == 0) value = exchange(first, PING, atoi(second));
    else if (strcmp(word, "stream") == 0) value = exchange(first, MIB, atoi(second));
    else if (strcmp(word, "connect") == 0) value = connect_to(first);
    else if (strcmp(word, "read") == 0)
        value = register_read(strcmp(first, "spinning") == 0, atoi(second));
    else if (strcmp(word, "live") == 0) value = add_live(count, atoi(second));
    else if (strcmp(word, "map") == 0) value = pairs(count);
    else if (strcmp(word, "region-read") == 0) value = each(region_read, count);
    else if (strcmp(word, "region-write") == 0) value = each(region_write, count);
    else if (strcmp(word, "dma-read") == 0) value = each(dma_read, count);
    else if (strcmp(word, "dma-write") == 0) value = each(dma_write, count);
    else value = fail("There is no command %s", word);
    if (value < 0) printf("error: %s\n", failure);
    else printf("%.1f\n", value);
}

int main(int argc, char **argv) {
    if (argc >= 4 && strcmp(argv[1], "run") == 0) {
        if (pin(argv[2]) == 0) {
            execvp(argv[3], argv + 3);
            fail("Cannot run %s: %s", argv[3], strerror(errno));
        }
        fprintf(stderr, "%s\n", failure);
        return 127;
    }
    if (argc != 2 || strcmp(argv[1], "serve") != 0) {
        fprintf(stderr, "Usage: floor run CPU[,CPU...] COMMAND [ARGUMENT...] | floor serve\n");
        return 2;
    }
    char line[512];
    while (fgets(line, sizeof line, stdin) != NULL) {
        carry_out(line);
        fflush(stdout);
    }
    return 0;
}
