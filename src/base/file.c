/* Whole files in and out, and their hash. */
#include "base/base.h"
#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

ph_status ph_file_open(ph_context *context, const char *path, struct ph_file *file) {
    *file = (struct ph_file){0};
    /* Without O_NONBLOCK, opening a pipe waits for someone to write into it. */
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) return ph_fail(context, PH_ERROR_FILE, "%s: %s", path, strerror(errno));
    struct stat facts;
    ph_status status = PH_OK;
    if (fstat(descriptor, &facts)) status = ph_fail(context, PH_ERROR_FILE, "%s: %s", path, strerror(errno));
    else if (S_ISDIR(facts.st_mode)) status = ph_fail(context, PH_ERROR_FILE, "%s: is a folder", path);
    else if (!S_ISREG(facts.st_mode)) status = ph_fail(context, PH_ERROR_FILE, "%s: not a regular file", path);
    else if (facts.st_size == 0) status = ph_fail(context, PH_ERROR_FORMAT, "%s: the file is empty", path);
    else {
        /* Private and writable in memory only: a file that changes under us is still read as it is then; a file that is
         * cut short while mapped cannot be guarded against at this level. */
        void *mapping = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
        if (mapping == MAP_FAILED) status = ph_fail(context, PH_ERROR_FILE, "%s: %s", path, strerror(errno));
        else *file = (struct ph_file){.data = mapping, .size = (size_t)facts.st_size, .mapping = mapping};
    }
    close(descriptor);
    return status;
}

void ph_file_close(struct ph_file *file) {
    if (file->mapping) munmap(file->mapping, file->size);
    *file = (struct ph_file){0};
}

bool ph_file_exists(const char *path) { return access(path, F_OK) == 0; }

static bool write_all(int descriptor, const uint8_t *data, size_t size) {
    while (size) {
        ssize_t written = write(descriptor, data, size);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        data += written;
        size -= (size_t)written;
    }
    return true;
}

/* A full disk may be reported only by close. */
static bool flush(int descriptor) {
    int copy = dup(descriptor);
    return copy >= 0 && !close(copy);
}

/* Links the open file to `path`: under a name nobody has first, where that one is taken and to be replaced. */
static bool nameless_link(int descriptor, const char *path, bool overwrite) {
    enum { TRIES = 100 };
    char source[32];
    snprintf(source, sizeof source, "/proc/self/fd/%d", descriptor);
    if (!linkat(AT_FDCWD, source, AT_FDCWD, path, AT_SYMLINK_FOLLOW)) return true;
    bool linked = false;
    for (int i = 0; i < TRIES && errno == EEXIST && overwrite && !linked; i++) {
        char *temporary = ph_sprintf("%s.part-%d", path, i);
        if (!temporary) return errno = ENOMEM, false;
        linked = !linkat(AT_FDCWD, source, AT_FDCWD, temporary, AT_SYMLINK_FOLLOW);
        if (linked && rename(temporary, path)) {
            int error = errno;
            unlink(temporary);
            ph_free(temporary);
            return errno = error, false;
        }
        ph_free(temporary);
    }
    return linked;
}

/* Through a file that has no name before it is whole: nothing of it is left if the program is ended on the way. False with
 * ENOTSUP where the file system has no such files. */
static bool nameless_write(const char *path, const void *data, size_t size, bool overwrite) {
    const char *slash = strrchr(path, '/');
    char *folder = slash ? ph_sprintf("%.*s", (int)(slash - path) + 1, path) : ph_sprintf(".");
    if (!folder) return errno = ENOMEM, false;
    int descriptor = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    ph_free(folder);
    if (descriptor < 0) return errno = ENOTSUP, false;
    bool written = write_all(descriptor, data, size) && flush(descriptor);
    if (written) {
        written = nameless_link(descriptor, path, overwrite);
        if (!written && errno == ENOENT) errno = ENOTSUP; /* no /proc */
    }
    int error = errno;
    close(descriptor);
    return errno = error, written;
}

/* Through a file of another name. */
static bool named_write(const char *path, const void *data, size_t size, bool overwrite) {
    char *temporary = ph_sprintf("%s.part-XXXXXX", path);
    int descriptor = temporary ? mkstemp(temporary) : -1, error = temporary ? errno : ENOMEM;
    bool written = false;
    if (descriptor >= 0) {
        mode_t mask = umask(0);
        umask(mask);
        written = write_all(descriptor, data, size) && !fchmod(descriptor, 0666 & ~mask);
        error = errno;
        if (close(descriptor) && written) written = false, error = errno;
        /* link refuses an existing name, which rename would replace. */
        if (written && (overwrite ? rename(temporary, path) : link(temporary, path))) written = false, error = errno;
        if (!written || !overwrite) unlink(temporary);
    }
    ph_free(temporary);
    return errno = error, written;
}

ph_status ph_file_write(ph_context *context, const char *path, const void *data, size_t size, bool overwrite) {
    struct stat facts;
    if (!stat(path, &facts)) {
        if (!overwrite) return ph_fail(context, PH_ERROR_FILE, "%s: exists already", path);
        /* Renaming onto a device or a folder would replace it, or fail late. */
        if (!S_ISREG(facts.st_mode)) return ph_fail(context, PH_ERROR_FILE, "%s: not a regular file", path);
    }
    bool written = nameless_write(path, data, size, overwrite);
    if (!written && errno == ENOTSUP) written = named_write(path, data, size, overwrite);
    if (written) return PH_OK;
    return errno == ENOMEM ? ph_fail_memory(context) : ph_fail(context, PH_ERROR_FILE, "%s: %s", path, strerror(errno));
}

void ph_sha256(const void *data, size_t size, char out[65]) {
    struct sha256_ctx state;
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_init(&state);
    sha256_update(&state, size, data);
    sha256_digest(&state, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++) snprintf(out + 2 * i, 3, "%02x", digest[i]);
}
