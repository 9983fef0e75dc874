/* Notes whoever is spoken to: loaded into the service with LD_PRELOAD, in the place of the calls of the C library.
 *
 * Each connection to an address of the Internet's families, each message to one, and each question for a name adds a line to the file
 * that NOTE_TO names. The call itself is made. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void note(const char *line) {
    int file, before = errno;
    const char *to = getenv("NOTE_TO");
    if (to != NULL && (file = syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) >= 0) {
        syscall(SYS_write, file, line, strlen(line));
        syscall(SYS_close, file);
    }
    errno = before;
}

static int is_far(const struct sockaddr *to) { return to != NULL && (to->sa_family == AF_INET || to->sa_family == AF_INET6); }

int connect(int fd, const struct sockaddr *to, socklen_t length) {
    if (is_far(to))
        note("connect\n");
    return (int)syscall(SYS_connect, fd, to, length);
}

ssize_t sendto(int fd, const void *bytes, size_t count, int flags, const struct sockaddr *to, socklen_t length) {
    if (is_far(to))
        note("sendto\n");
    return syscall(SYS_sendto, fd, bytes, count, flags, to, length);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    if (is_far(message->msg_name))
        note("sendmsg\n");
    return syscall(SYS_sendmsg, fd, message, flags);
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");
    note("getaddrinfo\n");
    return next(name, service, hints, found);
}
