/* Calls of the system that fail when a trial says so: loaded into the binary with LD_PRELOAD, in the place of those of the C library.
 *
 * FAULTS_CONTROL names a file of 64-bit numbers that the trial and this library share, and FAULTS_ROOT the directory below which calls
 * are counted and fail. The trial writes the first seven numbers, this library the others:
 *
 *   0 family that fails (0: none)   1 error number            2 first call that fails, counted from 1   3 last one
 *   4 whether half of a write that fails is written all the same                                       5 calls of the family
 *   6 calls that failed             8 + f calls of family f since the file was made
 *
 * Families: 1 write, 2 sync, 3 open to write, 4 rename and link, 5 change of length, 6 read, 7 remove, 8 make a directory.
 * For each call that fails, a line with its name and path is added to the file of the same name with ".failed". */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, SYNC, OPEN, RENAME, LENGTH, READ, REMOVE, MAKE };

static volatile uint64_t *control;
static char root[PATH_MAX];
static size_t root_length;

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("FAULTS_CONTROL"), *below = getenv("FAULTS_ROOT");
    int fd = name && below ? syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CLOEXEC) : -1;
    void *page = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        syscall(SYS_close, fd);
    if (page == MAP_FAILED)
        return;
    snprintf(root, sizeof root, "%s/", below);
    root_length = strlen(root);
    control = page;
}

static void note(const char *call, const char *path) {
    char name[PATH_MAX], line[PATH_MAX + 64];
    snprintf(name, sizeof name, "%s.failed", getenv("FAULTS_CONTROL"));
    int fd = syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int length = snprintf(line, sizeof line, "%s %s\n", call, path);
    if (fd >= 0) {
        syscall(SYS_write, fd, line, length);
        syscall(SYS_close, fd);
    }
}

/* Whether this call on this path fails; errno is its error then, and unchanged otherwise. */
static int fails_at(int family, const char *call, const char *path) {
    if (control == NULL || strncmp(path, root, root_length) != 0)
        return 0;
    __atomic_add_fetch(&control[8 + family], 1, __ATOMIC_SEQ_CST);
    if (control[0] != (uint64_t)family)
        return 0;
    uint64_t at = __atomic_add_fetch(&control[5], 1, __ATOMIC_SEQ_CST);
    if (at < control[2] || at > control[3])
        return 0;
    __atomic_add_fetch(&control[6], 1, __ATOMIC_SEQ_CST);
    note(call, path);
    errno = (int)control[1];
    return 1;
}

static int fails_of(int family, const char *call, int fd) {
    char link[64], path[PATH_MAX];
    int before = errno;
    if (control == NULL || fd <= 2)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = before;
    if (length < 0)
        return 0;
    path[length] = 0;
    return fails_at(family, call, path);
}

static int half_is_written(void) { return control[4] != 0; }

ssize_t write(int fd, const void *bytes, size_t count) {
    if (fails_of(WRITE, "write", fd)) {
        int error = errno;
        if (half_is_written())
            syscall(SYS_write, fd, bytes, count / 2);
        errno = error;
        return -1;
    }
    return syscall(SYS_write, fd, bytes, count);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    if (fails_of(WRITE, "pwrite", fd)) {
        int error = errno;
        if (half_is_written())
            syscall(SYS_pwrite64, fd, bytes, count / 2, at);
        errno = error;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, bytes, count, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) { return pwrite64(fd, bytes, count, at); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
    return fails_of(WRITE, "writev", fd) ? -1 : syscall(SYS_writev, fd, parts, count);
}

int fsync(int fd) { return fails_of(SYNC, "fsync", fd) ? -1 : (int)syscall(SYS_fsync, fd); }

int fdatasync(int fd) { return fails_of(SYNC, "fdatasync", fd) ? -1 : (int)syscall(SYS_fdatasync, fd); }

static int opens(int dir, const char *path, int flags, mode_t mode) {
    int is_to_write = (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT);
    if (is_to_write && fails_at(OPEN, "open", path))
        return -1;
    return syscall(SYS_openat, dir, path, flags, mode);
}

#define MODE(flags)                                  \
    mode_t mode = 0;                                 \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {         \
        va_list rest;                                \
        va_start(rest, flags);                       \
        mode = va_arg(rest, int);                    \
        va_end(rest);                                \
    }

int open(const char *path, int flags, ...) {
    MODE(flags)
    return opens(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags)
    return opens(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

int openat(int dir, const char *path, int flags, ...) {
    MODE(flags)
    return opens(dir, path, flags, mode);
}

int openat64(int dir, const char *path, int flags, ...) {
    MODE(flags)
    return opens(dir, path, flags | O_LARGEFILE, mode);
}

int rename(const char *from, const char *to) {
    return fails_at(RENAME, "rename", to) ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags) {
    return fails_at(RENAME, "link", to) ? -1 : (int)syscall(SYS_linkat, from_dir, from, to_dir, to, flags);
}

int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int ftruncate64(int fd, off64_t length) {
    return fails_of(LENGTH, "ftruncate", fd) ? -1 : (int)syscall(SYS_ftruncate, fd, length);
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int fallocate64(int fd, int mode, off64_t at, off64_t length) {
    return fails_of(LENGTH, "fallocate", fd) ? -1 : (int)syscall(SYS_fallocate, fd, mode, at, length);
}

ssize_t read(int fd, void *bytes, size_t count) {
    return fails_of(READ, "read", fd) ? -1 : syscall(SYS_read, fd, bytes, count);
}

ssize_t pread64(int fd, void *bytes, size_t count, off64_t at) {
    return fails_of(READ, "pread", fd) ? -1 : syscall(SYS_pread64, fd, bytes, count, at);
}

ssize_t pread(int fd, void *bytes, size_t count, off_t at) { return pread64(fd, bytes, count, at); }

int unlink(const char *path) {
    return fails_at(REMOVE, "unlink", path) ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int rmdir(const char *path) {
    return fails_at(REMOVE, "rmdir", path) ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}

int mkdir(const char *path, mode_t mode) {
    return fails_at(MAKE, "mkdir", path) ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}
