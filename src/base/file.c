/* Whole files in and out, and their hash. */
#include "base/base.h"
#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct ph_file_place {
    char *path;
    int descriptor; /* -1: opened anew for each read */
    struct stat facts;
};

/* Opens a file with something in it; *descriptor is -1 where it fails. */
static ph_status regular_open(ph_context *context, const char *path, int *descriptor, struct stat *facts) {
    /* Without O_NONBLOCK, opening a pipe waits for someone to write into it. */
    *descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*descriptor < 0) return ph_fail(context, PH_ERROR_FILE, "%s: %s", path, strerror(errno));
    ph_status status = PH_OK;
    if (fstat(*descriptor, facts)) status = ph_fail(context, PH_ERROR_FILE, "%s: %s", path, strerror(errno));
    else if (S_ISDIR(facts->st_mode)) status = ph_fail(context, PH_ERROR_FILE, "%s: is a folder", path);
    else if (!S_ISREG(facts->st_mode)) status = ph_fail(context, PH_ERROR_FILE, "%s: not a regular file", path);
    else if (facts->st_size == 0) status = ph_fail(context, PH_ERROR_FORMAT, "%s: the file is empty", path);
    if (status) {
        close(*descriptor);
        *descriptor = -1;
    }
    return status;
}

static ph_status read_all(ph_context *context, const char *path, int descriptor, uint64_t offset, size_t size, uint8_t *out) {
    while (size) {
        ssize_t count = pread(descriptor, out, size, (off_t)offset);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return ph_fail(context, PH_ERROR_FILE, "%s: %s", path, strerror(errno));
        if (count == 0) return ph_fail(context, PH_ERROR_FILE, "%s: the file was cut short while it was read", path);
        out += count;
        offset += (uint64_t)count;
        size -= (size_t)count;
    }
    return PH_OK;
}

ph_status ph_file_open(ph_context *context, const char *path, struct ph_file *file) {
    *file = (struct ph_file){0};
    int descriptor;
    struct stat facts;
    PH_TRY(regular_open(context, path, &descriptor, &facts));
    size_t size = (size_t)facts.st_size;
    uint8_t *memory = ph_realloc_array(NULL, size, 1); /* not zeroed */
    ph_status status = memory ? read_all(context, path, descriptor, 0, size, memory) : ph_fail_memory(context);
    close(descriptor);
    if (status) ph_free(memory);
    else *file = (struct ph_file){.data = memory, .size = size, .memory = memory};
    return status;
}

ph_status ph_file_open_parts(ph_context *context, const char *path, bool hold, struct ph_file *file) {
    *file = (struct ph_file){0};
    struct ph_file_place place;
    PH_TRY(regular_open(context, path, &place.descriptor, &place.facts));
    file->size = (size_t)place.facts.st_size;
    file->place = ph_alloc(sizeof *file->place);
    place.path = ph_strdup(path);
    if (!hold || !file->place || !place.path) {
        close(place.descriptor);
        place.descriptor = -1;
    }
    if (file->place && place.path) {
        *file->place = place;
        return PH_OK;
    }
    ph_free(file->place);
    ph_free(place.path);
    *file = (struct ph_file){0};
    return ph_fail_memory(context);
}

ph_status ph_file_load(ph_context *context, const struct ph_file *file, struct ph_file *whole) {
    *whole = (struct ph_file){.data = file->data, .size = file->size};
    if (file->data) return PH_OK;
    uint8_t *memory = ph_realloc_array(NULL, file->size, 1);
    ph_status status = memory ? ph_file_read(context, file, 0, file->size, memory) : ph_fail_memory(context);
    if (status) ph_free(memory);
    else whole->data = whole->memory = memory;
    return status;
}

static bool facts_equal(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

ph_status ph_file_read(ph_context *context, const struct ph_file *file, uint64_t offset, size_t size, void *out) {
    const struct ph_file_place *place = file->place;
    if (file->data) {
        memcpy(out, file->data + offset, size);
        return PH_OK;
    }
    int descriptor = place->descriptor;
    struct stat facts;
    ph_status status = PH_OK;
    if (descriptor < 0) PH_TRY(regular_open(context, place->path, &descriptor, &facts));
    else if (fstat(descriptor, &facts)) return ph_fail(context, PH_ERROR_FILE, "%s: %s", place->path, strerror(errno));
    if (!facts_equal(&facts, &place->facts))
        status = ph_fail(context, PH_ERROR_FILE, "%s: the file was changed after it was opened", place->path);
    if (!status) status = read_all(context, place->path, descriptor, offset, size, out);
    if (place->descriptor < 0) close(descriptor);
    return status;
}

void ph_file_close(struct ph_file *file) {
    ph_free(file->memory);
    if (file->place) {
        if (file->place->descriptor >= 0) close(file->place->descriptor);
        ph_free(file->place->path);
        ph_free(file->place);
    }
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

static void digest_write(struct sha256_ctx *state, char out[65]) {
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_digest(state, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++) snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

void ph_sha256(const void *data, size_t size, char out[65]) {
    struct sha256_ctx state;
    sha256_init(&state);
    sha256_update(&state, size, data);
    digest_write(&state, out);
}

ph_status ph_file_sha256(ph_context *context, const struct ph_file *file, char out[65]) {
    enum { PART = 1 << 16 };
    uint8_t *part = ph_alloc_aligned(PART);
    if (!part) return ph_fail_memory(context);
    struct sha256_ctx state;
    ph_status status = PH_OK;
    sha256_init(&state);
    for (size_t offset = 0, size; offset < file->size && !status; offset += size) {
        size = PH_MIN(file->size - offset, (size_t)PART);
        status = ph_file_read(context, file, offset, size, part);
        if (!status) sha256_update(&state, size, part);
    }
    digest_write(&state, out);
    ph_free_aligned(part);
    return status;
}
