/* Preloaded into a process: appends to a log, in order, what it does to the files below a folder.
 *
 * One lock is held over each operation and its record, so that the order of the log is that of the disk. A record is
 * `struct record` and `n` bytes. Files are named by inode: a name is told when one is made, renamed or removed. What
 * stdio and copying within the kernel write is told as the file's whole content once it is flushed. A sync also tells
 * the file's name and Adler-32, so that what was not seen (system calls that bypass the C library, writes to mapped
 * memory) does not go unnoticed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct record { uint64_t kind, inode, at, n; };

static char root[4096];
static int log_file = -1;
static pid_t recorded;
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define LOCK pthread_mutex_lock(&order)
#define RECORDED(type, call) type done = call; int failed = errno
#define DONE pthread_mutex_unlock(&order); errno = failed; return done

static int is_on(void) { return log_file >= 0 && getpid() == recorded; }

static void put(const void *data, size_t n) {
    static ssize_t (*real_write)(int, const void *, size_t);
    if (!real_write) real_write = dlsym(RTLD_NEXT, "write");
    for (const char *rest = data; n;) {
        ssize_t done = real_write(log_file, rest, n);
        if (done <= 0) abort();
        rest += done; n -= done;
    }
}

static void tell(char kind, uint64_t inode, uint64_t at, const void *data, size_t n) {
    struct record head = {kind, inode, at, n};
    put(&head, sizeof head);
    put(data, n);
}

/* From now on; the folder is empty. Called with the lock free. */
void recording_start(const char *folder, const char *log) {
    struct stat about;
    log_file = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log_file < 0 || stat(folder, &about)) abort();
    recorded = getpid();
    strncpy(root, folder, sizeof root - 1);
    tell('R', about.st_ino, 0, root, strlen(root));
}

/* A moment that whoever records knows the meaning of. */
void recording_mark(uint64_t number) {
    pthread_mutex_lock(&order);
    if (is_on()) tell('k', 0, number, "", 0);
    pthread_mutex_unlock(&order);
}

void recording_stop(void) { LOCK; log_file = -1; pthread_mutex_unlock(&order); }

/* The path of a name beside a descriptor, and whether it is below the folder. */
static int below(int folder, const char *name, char *path) {
    if (!is_on() || !name) return 0;
    if (name[0] == '/') { snprintf(path, 8192, "%s", name); }
    else {
        char link[64];
        if (folder == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
        else snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t n = readlink(link, path, 4095);
        if (n < 0) return 0;
        snprintf(path + n, 4096, "/%s", name);
    }
    size_t n = strlen(root);
    return !strncmp(path, root, n) && path[n] == '/';
}

/* Whether a descriptor is that of a file or folder below the folder, and its inode. */
static int watched(int file, struct stat *about) {
    char link[64], path[4097];
    if (!is_on() || fstat(file, about) || !(S_ISREG(about->st_mode) || S_ISDIR(about->st_mode))) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t n = readlink(link, path, 4096);
    path[n < 0 ? 0 : n] = 0;
    n = strlen(root);
    return !strncmp(path, root, n) && (!path[n] || path[n] == '/');
}

/* The Adler-32 of a file's content, which is told too if wanted. */
static uint64_t content_of(int file, int is_told) {
    char link[64];
    struct stat about;
    uint32_t a = 1, b = 0;
    if (fstat(file, &about) || !S_ISREG(about.st_mode)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    /* Only where it must be, by another descriptor: closing one lets go of all locks that SQLite has on the file. */
    int reader = (fcntl(file, F_GETFL) & O_ACCMODE) == O_WRONLY ? open(link, O_RDONLY | O_CLOEXEC) : file;
    unsigned char *content = malloc(about.st_size + 1);
    ssize_t n = pread(reader, content, about.st_size, 0);
    if (reader != file) close(reader);
    if (n != about.st_size) abort();
    if (is_told) tell('W', about.st_ino, 0, content, n);
    for (ssize_t i = 0; i < n;) {
        for (ssize_t end = i + 5552 < n ? i + 5552 : n; i < end; i++) { a += content[i]; b += a; }
        a %= 65521; b %= 65521;
    }
    free(content);
    return (uint64_t)b << 16 | a;
}

static int made(int file, const char *path, int was_there, int truncates) {
    struct stat about;
    if (file >= 0 && !fstat(file, &about) && S_ISREG(about.st_mode)) {
        if (!was_there) tell('c', about.st_ino, 0, path, strlen(path));
        else if (truncates) tell('t', about.st_ino, 0, "", 0);
    }
    return file;
}

#define OPEN(name, parameters, arguments, folder) \
int name parameters { \
    REAL(name); \
    va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more); \
    char path[8192]; struct stat about; \
    if (!(flags & (O_CREAT | O_TRUNC)) || !below(folder, file, path)) return real arguments; \
    LOCK; \
    int was_there = !stat(path, &about); \
    RECORDED(int, made(real arguments, path, was_there, flags & O_TRUNC)); \
    DONE; }
#define PLAIN (const char *file, int flags, ...)
#define BESIDE (int folder, const char *file, int flags, ...)
OPEN(open, PLAIN, (file, flags, mode), AT_FDCWD)
OPEN(open64, PLAIN, (file, flags, mode), AT_FDCWD)
OPEN(openat, BESIDE, (folder, file, flags, mode), folder)
OPEN(openat64, BESIDE, (folder, file, flags, mode), folder)

#define FOPEN(name) \
FILE *name(const char *file, const char *mode) { \
    REAL(name); \
    char path[8192]; struct stat about; \
    if (*mode == 'r' || !below(AT_FDCWD, file, path)) return real(file, mode); \
    LOCK; \
    int was_there = !stat(path, &about); \
    RECORDED(FILE *, real(file, mode)); \
    if (done) made(fileno(done), path, was_there, *mode == 'w'); \
    DONE; }
FOPEN(fopen)
FOPEN(fopen64)

int fclose(FILE *file) {
    REAL(fclose);
    struct stat about;
    int number = fileno(file);
    if (watched(number, &about) && (fcntl(number, F_GETFL) & O_ACCMODE) != O_RDONLY) {
        pthread_mutex_lock(&order);
        fflush(file);
        content_of(number, 1);
        pthread_mutex_unlock(&order);
    }
    return real(file);
}

static void written(const struct stat *about, off64_t at, const struct iovec *parts, int n_parts, ssize_t n) {
    for (int i = 0; i < n_parts && n > 0; i++) {
        size_t here = (size_t)n < parts[i].iov_len ? (size_t)n : parts[i].iov_len;
        tell('w', about->st_ino, at, parts[i].iov_base, here);
        at += here; n -= here;
    }
}

#define WRITE(name, parameters, arguments, parts, at) \
ssize_t name parameters { \
    REAL(name); \
    struct stat about; \
    if (!watched(file, &about)) return real arguments; \
    LOCK; \
    RECORDED(ssize_t, real arguments); \
    if (done > 0) written(&about, at, parts, done); \
    DONE; }
#define ONE &(struct iovec){(void *)data, n}, 1
#define MANY data, n
#define HERE lseek64(file, 0, SEEK_CUR) - done
WRITE(write, (int file, const void *data, size_t n), (file, data, n), ONE, HERE)
WRITE(writev, (int file, const struct iovec *data, int n), (file, data, n), MANY, HERE)
WRITE(pwrite, (int file, const void *data, size_t n, off_t at), (file, data, n, at), ONE, at)
WRITE(pwrite64, (int file, const void *data, size_t n, off64_t at), (file, data, n, at), ONE, at)
WRITE(pwritev, (int file, const struct iovec *data, int n, off_t at), (file, data, n, at), MANY, at)
WRITE(pwritev64, (int file, const struct iovec *data, int n, off64_t at), (file, data, n, at), MANY, at)

#define FILL(name, result, parameters, arguments) \
result name parameters { \
    REAL(name); \
    struct stat about; \
    if (!watched(file, &about)) return real arguments; \
    LOCK; \
    RECORDED(result, real arguments); \
    content_of(file, 1); \
    DONE; }
FILL(sendfile, ssize_t, (int file, int from, off_t *at, size_t n), (file, from, at, n))
FILL(sendfile64, ssize_t, (int file, int from, off64_t *at, size_t n), (file, from, at, n))
FILL(copy_file_range, ssize_t, (int from, off64_t *at, int file, off64_t *to, size_t n, unsigned flags),
     (from, at, file, to, n, flags))
FILL(fallocate, int, (int file, int mode, off_t at, off_t n), (file, mode, at, n))
FILL(fallocate64, int, (int file, int mode, off64_t at, off64_t n), (file, mode, at, n))
FILL(posix_fallocate, int, (int file, off_t at, off_t n), (file, at, n))
FILL(posix_fallocate64, int, (int file, off64_t at, off64_t n), (file, at, n))

#define CUT(name, parameters, arguments) \
int name parameters { \
    REAL(name); \
    struct stat about; \
    if (!watched(file, &about)) return real arguments; \
    LOCK; \
    RECORDED(int, real arguments); \
    if (!done) tell('t', about.st_ino, n, "", 0); \
    DONE; }
CUT(ftruncate, (int file, off_t n), (file, n))
CUT(ftruncate64, (int file, off64_t n), (file, n))

#define SYNC(name) \
int name(int file) { \
    REAL(name); \
    struct stat about; char link[64], path[4097]; \
    if (!watched(file, &about)) return real(file); \
    LOCK; \
    RECORDED(int, real(file)); \
    snprintf(link, sizeof link, "/proc/self/fd/%d", file); \
    ssize_t n = readlink(link, path, 4096); \
    if (!done && n > 0) tell('s', about.st_ino, content_of(file, 0), path, n); \
    DONE; }
SYNC(fsync)
SYNC(fdatasync)

/* Kinds: m(ade a folder), u(nlinked), d (removed a folder), n(amed anew: both paths, parted by a zero), x (unknown). */
static int named(char kind, int result, const char *path) {
    struct stat about;
    if (result || (kind == 'm' && stat(path, &about))) return result;
    tell(kind, kind == 'm' ? about.st_ino : 0, 0, path, strlen(path));
    return result;
}

#define NAME(name, parameters, arguments, folder, kind) \
int name parameters { \
    REAL(name); \
    char path[8192]; \
    if (!below(folder, file, path)) return real arguments; \
    LOCK; \
    RECORDED(int, named(kind, real arguments, path)); \
    DONE; }
NAME(mkdir, (const char *file, mode_t mode), (file, mode), AT_FDCWD, 'm')
NAME(mkdirat, (int folder, const char *file, mode_t mode), (folder, file, mode), folder, 'm')
NAME(rmdir, (const char *file), (file), AT_FDCWD, 'd')
NAME(unlink, (const char *file), (file), AT_FDCWD, 'u')
NAME(remove, (const char *file), (file), AT_FDCWD, 'u')
NAME(unlinkat, (int folder, const char *file, int flags), (folder, file, flags), folder,
     flags & AT_REMOVEDIR ? 'd' : 'u')
NAME(link, (const char *from, const char *file), (from, file), AT_FDCWD, 'x')
NAME(symlink, (const char *from, const char *file), (from, file), AT_FDCWD, 'x')
NAME(truncate, (const char *file, off_t n), (file, n), AT_FDCWD, 'x')

static int renamed(int result, int is_known, const char *from, const char *to) {
    char both[16384];
    size_t n = snprintf(both, sizeof both, "%s", from) + 1;
    n += snprintf(both + n, sizeof both - n, "%s", to);
    if (!result) tell(is_known ? 'n' : 'x', 0, 0, both, n);
    return result;
}

#define RENAME(name, parameters, arguments, folder, to_folder) \
int name parameters { \
    REAL(name); \
    char from[8192] = "", to[8192] = ""; \
    int n_below = below(folder, file, from) + below(to_folder, to_file, to); \
    if (!n_below) return real arguments; \
    LOCK; \
    RECORDED(int, renamed(real arguments, n_below == 2, from, to)); \
    DONE; }
RENAME(rename, (const char *file, const char *to_file), (file, to_file), AT_FDCWD, AT_FDCWD)
RENAME(renameat, (int folder, const char *file, int to_folder, const char *to_file),
       (folder, file, to_folder, to_file), folder, to_folder)
RENAME(renameat2, (int folder, const char *file, int to_folder, const char *to_file, unsigned flags),
       (folder, file, to_folder, to_file, flags), folder, to_folder)
