/*
 * The first process of the guest: sets it up, then starts the programs that the
 * harness asks for on a virtio-serial port and carries their input and output.
 * One JSON object a line, both ways; bytes are base64. See request.h for what the
 * harness may send; every request carries the `boot` number of the hello, so that
 * what was meant for the guest before a reset is not done after it.
 *
 *	start  id command    runs /bin/sh -c command
 *	stdin  id data       answered by `taken` once the program's pipe has it
 *	close  id            ends its stdin
 *	signal id signal     to its process group
 */
#define _GNU_SOURCE
#include "base64.h"
#include "request.h"
#include "setup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROTOCOL_VERSION 1
#define PORT_NAME "viaduct.agent"
#define PROGRAMS 32
#define CHUNK 32768
#define LINE_LIMIT 131072
#define BEAT_MS 1000

struct program {
	/* 0 for a free place. */
	pid_t pid;
	unsigned long long id;
	/* -1 when closed. */
	int in, out, err;
	/* What its stdin has not taken yet. */
	char *pending;
	size_t pending_length, pending_done;
	int close_after;
};

static struct program programs[PROGRAMS];
static int port;
static unsigned boot;
static pid_t shell;

static long long uptime_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void send_all(const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t done = write(port, bytes, length);
		if (done > 0) {
			bytes += done;
			length -= (size_t)done;
		} else if (errno != EINTR) {
			/* Nobody is at the other end; it will be told when it comes back. */
			return;
		}
	}
}

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	char line[512];
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	if (length > 0 && (size_t)length < sizeof line)
		send_all(line, (size_t)length);
}

static void say_error(unsigned long long id, const char *what, int error)
{
	say("{\"kind\":\"error\",\"id\":%llu,\"what\":\"%s\",\"reason\":\"%s\"}\n", id, what,
	    strerror(error));
}

static void say_output(unsigned long long id, int stream, const unsigned char *bytes,
		       size_t length)
{
	static char line[128 + BASE64_LENGTH(CHUNK)];
	int at = sprintf(line, "{\"kind\":\"output\",\"id\":%llu,\"stream\":%d,\"data\":\"", id,
			 stream);
	base64_encode(bytes, length, line + at);
	at += (int)BASE64_LENGTH(length);
	memcpy(line + at, "\"}\n", 3);
	send_all(line, (size_t)at + 3);
}

static struct program *find(unsigned long long id)
{
	for (int i = 0; i < PROGRAMS; i++)
		if (programs[i].pid != 0 && programs[i].id == id)
			return &programs[i];
	return NULL;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void end_stdin(struct program *program)
{
	close_fd(&program->in);
	free(program->pending);
	program->pending = NULL;
}

/* Carries a part of what a pipe holds now. Returns its bytes: 0 when there is none. */
static size_t carry_output(struct program *program, int *fd, int stream)
{
	static unsigned char bytes[CHUNK];
	ssize_t length = *fd < 0 ? 0 : read(*fd, bytes, sizeof bytes);
	if (length > 0) {
		say_output(program->id, stream, bytes, (size_t)length);
		return (size_t)length;
	}
	if (length == 0 || (errno != EAGAIN && errno != EINTR))
		close_fd(fd);
	return 0;
}

/* Carries what a pipe holds now, and no more: whoever else has its other end may fill it for ever. */
static void carry_rest(struct program *program, int *fd, int stream)
{
	int held = 0;
	if (*fd >= 0)
		ioctl(*fd, FIONREAD, &held);
	for (size_t left = held > 0 ? (size_t)held : 0, done = 1; left > 0 && done > 0;) {
		done = carry_output(program, fd, stream);
		left -= done < left ? done : left;
	}
	close_fd(fd);
}

static void feed_stdin(struct program *program)
{
	while (program->pending_done < program->pending_length) {
		ssize_t done = write(program->in, program->pending + program->pending_done,
				     program->pending_length - program->pending_done);
		if (done > 0) {
			program->pending_done += (size_t)done;
		} else if (errno == EAGAIN) {
			return;
		} else if (errno != EINTR) {
			/* It reads no more. What is left has nowhere to go. */
			end_stdin(program);
			say("{\"kind\":\"taken\",\"id\":%llu}\n", program->id);
			return;
		}
	}
	free(program->pending);
	program->pending = NULL;
	say("{\"kind\":\"taken\",\"id\":%llu}\n", program->id);
	if (program->close_after)
		close_fd(&program->in);
}

static void become(const char *command, int in, int out, int err)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setsid();
	dup2(in, 0);
	dup2(out, 1);
	dup2(err, 2);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	fprintf(stderr, "cannot run /bin/sh: %s\n", strerror(errno));
	_exit(127);
}

static void start(struct request *request, unsigned long long id)
{
	size_t length = 0;
	char *text = request_text(request, "command", &length);
	long bytes = text == NULL ? -1 : base64_decode(text, length);
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, err[2] = { -1, -1 };
	struct program *program = NULL;

	for (int i = 0; i < PROGRAMS && program == NULL; i++)
		if (programs[i].pid == 0)
			program = &programs[i];
	if (bytes < 0 || memchr(text, '\0', (size_t)bytes) != NULL || find(id) != NULL) {
		say_error(id, "start", EINVAL);
		return;
	}
	text[bytes] = '\0';
	if (program == NULL || pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 ||
	    pipe2(err, O_CLOEXEC) != 0) {
		say_error(id, "start", program == NULL ? EAGAIN : errno);
		for (int i = 0; i < 2; i++) {
			close_fd(&in[i]);
			close_fd(&out[i]);
			close_fd(&err[i]);
		}
		return;
	}
	program->pid = fork();
	if (program->pid == 0)
		become(text, in[0], out[1], err[1]);
	close(in[0]);
	close(out[1]);
	close(err[1]);
	if (program->pid < 0) {
		say_error(id, "start", errno);
		close(in[1]);
		close(out[0]);
		close(err[0]);
		program->pid = 0;
		return;
	}
	fcntl(in[1], F_SETFL, O_NONBLOCK);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	fcntl(err[0], F_SETFL, O_NONBLOCK);
	program->id = id;
	program->in = in[1];
	program->out = out[0];
	program->err = err[0];
	program->pending = NULL;
	program->pending_length = program->pending_done = 0;
	program->close_after = 0;
}

static void take_stdin(struct request *request, struct program *program)
{
	size_t length = 0;
	char *text = request_text(request, "data", &length);
	long bytes = text == NULL ? -1 : base64_decode(text, length);

	/* The harness waits for `taken` before it sends more. */
	if (bytes < 0 || program->pending != NULL || program->close_after) {
		say_error(program->id, "stdin", EINVAL);
		return;
	}
	program->pending = program->in < 0 ? NULL : malloc((size_t)bytes + 1);
	if (program->pending == NULL) {
		say("{\"kind\":\"taken\",\"id\":%llu}\n", program->id);
		return;
	}
	memcpy(program->pending, text, (size_t)bytes);
	program->pending_length = (size_t)bytes;
	program->pending_done = 0;
	feed_stdin(program);
}

static void handle(char *line)
{
	struct request request;
	unsigned long long id;
	size_t length;
	const char *op;
	struct program *program;

	if (request_parse(line, &request) != 0) {
		say_error(0, "request", EBADMSG);
		return;
	}
	if (request_number(&request, "boot", 0) != boot)
		return;
	id = request_number(&request, "id", 0);
	op = request_text(&request, "op", &length);
	if (op != NULL && strcmp(op, "start") == 0) {
		start(&request, id);
		return;
	}
	program = find(id);
	if (op == NULL || (strcmp(op, "stdin") != 0 && strcmp(op, "close") != 0 &&
			   strcmp(op, "signal") != 0)) {
		say_error(id, "request", EINVAL);
	} else if (program == NULL) {
		/* It has just ended: the harness will read so. */
		if (strcmp(op, "stdin") == 0)
			say("{\"kind\":\"taken\",\"id\":%llu}\n", id);
	} else if (strcmp(op, "stdin") == 0) {
		take_stdin(&request, program);
	} else if (strcmp(op, "signal") == 0) {
		int number = (int)request_number(&request, "signal", SIGKILL);
		/* Just forked it has no group of its own yet, and no children. */
		if (kill(-program->pid, number) != 0)
			kill(program->pid, number);
	} else {
		program->close_after = 1;
		if (program->pending == NULL)
			close_fd(&program->in);
	}
}

static void read_port(void)
{
	static char line[LINE_LIMIT];
	static size_t length;
	static int overlong;
	ssize_t count = read(port, line + length, sizeof line - 1 - length);
	char *from = line, *end;

	if (count <= 0) {
		/* The other end is away; a poll would return at once. */
		if (count == 0)
			usleep(50000);
		return;
	}
	length += (size_t)count;
	while ((end = memchr(from, '\n', length - (size_t)(from - line))) != NULL) {
		*end = '\0';
		if (overlong)
			say_error(0, "request", EMSGSIZE);
		else if (end > from)
			handle(from);
		overlong = 0;
		from = end + 1;
	}
	length -= (size_t)(from - line);
	memmove(line, from, length);
	if (length == sizeof line - 1) {
		overlong = 1;
		length = 0;
	}
}

static void start_shell(void)
{
	shell = fork();
	if (shell == 0) {
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		signal(SIGPIPE, SIG_DFL);
		setsid();
		ioctl(0, TIOCSCTTY, 0);
		execl("/bin/sh", "-sh", (char *)NULL);
		_exit(127);
	}
}

static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == shell) {
			start_shell();
			continue;
		}
		for (int i = 0; i < PROGRAMS; i++) {
			struct program *program = &programs[i];
			if (program->pid != pid)
				continue;
			/* Its own output is all in the pipes; what a child it left behind writes later is lost. */
			carry_rest(program, &program->out, 1);
			carry_rest(program, &program->err, 2);
			end_stdin(program);
			program->pid = 0;
			say(WIFSIGNALED(status) ? "{\"kind\":\"exit\",\"id\":%llu,\"signal\":%d}\n" :
						  "{\"kind\":\"exit\",\"id\":%llu,\"code\":%d}\n",
			    program->id, WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		}
	}
}

static void serve(int signals)
{
	long long next_beat = uptime_ms() + BEAT_MS;

	for (;;) {
		struct pollfd polled[2 + 3 * PROGRAMS];
		struct program *owners[2 + 3 * PROGRAMS];
		int count = 2;
		long long left = next_beat - uptime_ms();

		if (left <= 0) {
			say("{\"kind\":\"beat\",\"uptimeMs\":%lld}\n", uptime_ms());
			next_beat = uptime_ms() + BEAT_MS;
			left = BEAT_MS;
		}
		polled[0] = (struct pollfd){ .fd = port, .events = POLLIN };
		polled[1] = (struct pollfd){ .fd = signals, .events = POLLIN };
		for (int i = 0; i < PROGRAMS; i++) {
			struct program *program = &programs[i];
			int fds[3] = { program->pending != NULL ? program->in : -1, program->out,
				       program->err };
			if (program->pid == 0)
				continue;
			for (int j = 0; j < 3; j++) {
				if (fds[j] < 0)
					continue;
				owners[count] = program;
				polled[count++] = (struct pollfd){ .fd = fds[j],
								   .events = j == 0 ? POLLOUT : POLLIN };
			}
		}
		if (poll(polled, (nfds_t)count, (int)left) <= 0)
			continue;
		for (int i = 2; i < count; i++) {
			struct program *program = owners[i];
			if (polled[i].revents == 0)
				continue;
			if (polled[i].fd == program->out)
				carry_output(program, &program->out, 1);
			else if (polled[i].fd == program->err)
				carry_output(program, &program->err, 2);
			else
				feed_stdin(program);
		}
		if (polled[1].revents != 0) {
			struct signalfd_siginfo info;
			while (read(signals, &info, sizeof info) > 0)
				;
			reap();
		}
		if (polled[0].revents != 0)
			read_port();
	}
}

int main(void)
{
	sigset_t watched;
	int signals;

	setup_mounts();
	setup_modules();
	setenv("PATH", "/bin:/sbin:/usr/bin:/usr/sbin", 1);
	setenv("HOME", "/", 1);
	setenv("TERM", "vt100", 0);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&watched);
	sigaddset(&watched, SIGCHLD);
	sigprocmask(SIG_BLOCK, &watched, NULL);
	signals = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
	/* The kernel hands words of its command line that it does not know to its first process. */
	if (getenv("viaduct_shell") != NULL)
		start_shell();
	port = setup_port(PORT_NAME);
	if (port < 0 || signals < 0) {
		fprintf(stderr, "viaduct: no port called " PORT_NAME ": %s\n", strerror(errno));
		for (;;)
			pause();
	}
	if (getrandom(&boot, sizeof boot, 0) != sizeof boot)
		boot = (unsigned)uptime_ms();
	boot |= 1;
	/* The line break ends what an earlier boot may have left unfinished. */
	say("\n{\"kind\":\"ready\",\"version\":%d,\"boot\":%u,\"uptimeMs\":%lld}\n", PROTOCOL_VERSION,
	    boot, uptime_ms());
	serve(signals);
}
