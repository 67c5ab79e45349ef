/* Preloaded into a process: makes the Nth operation on files below a folder fail. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/types.h>
#include <string.h>
#include <unistd.h>

#define N_FILES 65536
static char root[4096];
static char is_below[N_FILES];
static long countdown = 0, n_done = 0;
static int fault = 0;

#define REAL(name, type) static __typeof__(type) real; if (!real) real = (__typeof__(type))dlsym(RTLD_NEXT, name)

/* From now on; the first operation is number 1. `faulty_disk_done` tells how many there were. */
void faulty_disk_arm(const char *folder, long fail_at, int error) {
    strncpy(root, folder, sizeof root - 1);
    countdown = fail_at;
    fault = error;
    n_done = 0;
}

long faulty_disk_done(void) { return n_done; }

static int below(const char *path) { return root[0] && path && !strncmp(path, root, strlen(root)); }

static int fails(void) {
    n_done++;
    if (countdown > 0 && --countdown == 0) { errno = fault; return 1; }
    return 0;
}

static int watched(int file) { return file >= 0 && file < N_FILES && is_below[file]; }

static void opened(int file, const char *path) { if (file >= 0 && file < N_FILES) is_below[file] = below(path); }

#define OPEN(name) \
int name(const char *path, int flags, ...) { \
    REAL(#name, int (*)(const char *, int, ...)); \
    va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more); \
    if (below(path) && fails()) return -1; \
    int file = real(path, flags, mode); opened(file, path); return file; }
OPEN(open)
OPEN(open64)

#define TRANSFER(name, buffer) \
ssize_t name(int file, buffer data, size_t n) { \
    REAL(#name, ssize_t (*)(int, buffer, size_t)); \
    return watched(file) && fails() ? -1 : real(file, data, n); }
TRANSFER(read, void *)
TRANSFER(write, const void *)

#define TRANSFER_AT(name, buffer, place) \
ssize_t name(int file, buffer data, size_t n, place at) { \
    REAL(#name, ssize_t (*)(int, buffer, size_t, place)); \
    return watched(file) && fails() ? -1 : real(file, data, n, at); }
TRANSFER_AT(pread, void *, off_t)
TRANSFER_AT(pread64, void *, off64_t)
TRANSFER_AT(pwrite, const void *, off_t)
TRANSFER_AT(pwrite64, const void *, off64_t)

#define SYNC(name) \
int name(int file) { \
    REAL(#name, int (*)(int)); \
    return watched(file) && fails() ? -1 : real(file); }
SYNC(fsync)
SYNC(fdatasync)

int rename(const char *from, const char *to) {
    REAL("rename", int (*)(const char *, const char *));
    return below(to) && fails() ? -1 : real(from, to);
}

int close(int file) {
    REAL("close", int (*)(int));
    if (file >= 0 && file < N_FILES) is_below[file] = 0;
    return real(file);
}
