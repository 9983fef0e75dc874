/* A disk that fails when a test says so: loaded into the service with LD_PRELOAD, in the place of the calls of the C library.
 *
 * The file that FAIL_WHEN names holds "<sync or write> <error number> <part of a path>". While it is there, that call fails on
 * files whose paths have that part (end with it, where a $ follows), and a line with the path is added to the file of the same name with ".failed". */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fails(const char *call, int fd) {
    char rule[512], wanted[16], part[256], link[64], path[4096], note[4096];
    const char *when = getenv("FAIL_WHEN");
    int code, file, before = errno;
    ssize_t length;
    size_t end;
    if (when == NULL || (file = syscall(SYS_openat, AT_FDCWD, when, O_RDONLY | O_CLOEXEC)) < 0) {
        errno = before;
        return 0;
    }
    length = syscall(SYS_read, file, rule, sizeof rule - 1);
    syscall(SYS_close, file);
    errno = before;
    rule[length < 0 ? 0 : length] = 0;
    if (sscanf(rule, "%15s %d %255s", wanted, &code, part) != 3 || strcmp(wanted, call) != 0)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 2);
    errno = before;
    if (length < 0)
        return 0;
    path[length] = 0;
    end = strlen(part);
    if (end > 0 && part[end - 1] == '$') {
        part[--end] = 0;
        if (strlen(path) < end || strcmp(path + strlen(path) - end, part) != 0)
            return 0;
    } else if (strstr(path, part) == NULL)
        return 0;
    snprintf(note, sizeof note, "%s.failed", when);
    if ((file = syscall(SYS_openat, AT_FDCWD, note, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) >= 0) {
        path[length] = '\n';
        syscall(SYS_write, file, path, length + 1);
        syscall(SYS_close, file);
    }
    errno = code;
    return 1;
}

int fdatasync(int fd) { return fails("sync", fd) ? -1 : (int)syscall(SYS_fdatasync, fd); }

int fsync(int fd) { return fails("sync", fd) ? -1 : (int)syscall(SYS_fsync, fd); }

ssize_t write(int fd, const void *bytes, size_t count) {
    return fails("write", fd) ? -1 : syscall(SYS_write, fd, bytes, count);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    return fails("write", fd) ? -1 : syscall(SYS_pwrite64, fd, bytes, count, at);
}
