/* The time of day stands at CLOCK_STANDS_AT_MS, in milliseconds since 1970: for a command that works on a directory which was left then. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t id, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    const char *stands_at = getenv("CLOCK_STANDS_AT_MS");
    int result = real(id, at);
    if (result == 0 && id == CLOCK_REALTIME && stands_at) {
        long long ms = atoll(stands_at);
        at->tv_sec = ms / 1000;
        at->tv_nsec = ms % 1000 * 1000000;
    }
    return result;
}
