/* NumPy's .npz: a ZIP file of .npy arrays, stored or deflated, read and written in memory by libzip. */
#include "base/base.h"
#include <string.h>
#include <zip.h>

#define MOST_RATIO 1100 /* deflate reaches 1032 */

static ph_status zip_fail(ph_context *context, const char *path, const char *what, zip_error_t *error) {
    return ph_fail(context, PH_ERROR_FORMAT, "%s: %s: %s", path, what, zip_error_strerror(error));
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

static ph_status entry_decode(ph_context *context, const char *path, zip_t *archive, const zip_stat_t *entry,
                              ph_tensor **tensor) {
    char *name = ph_sprintf("%s: %s", path, entry->name);
    uint8_t *bytes = ph_alloc(entry->size);
    zip_file_t *file = name && bytes ? zip_fopen_index(archive, entry->index, 0) : NULL;
    ph_status status = PH_OK;
    if (!name || !bytes) status = ph_fail_memory(context);
    else if (!file) status = zip_fail(context, path, entry->name, zip_get_error(archive));
    else if (zip_fread(file, bytes, entry->size) != (zip_int64_t)entry->size)
        status = zip_fail(context, path, entry->name, zip_file_get_error(file));
    else status = ph_tensor_decode(context, name, bytes, entry->size, tensor);
    if (file) zip_fclose(file);
    ph_free(bytes);
    ph_free(name);
    return status;
}

static ph_status entry_read(ph_context *context, const char *path, zip_t *archive, zip_uint64_t index,
                            ph_tensors *tensors) {
    const zip_uint64_t wanted = ZIP_STAT_NAME | ZIP_STAT_INDEX | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE;
    zip_stat_t entry;
    ph_tensor *tensor;
    if (zip_stat_index(archive, index, 0, &entry) || (entry.valid & wanted) != wanted)
        return zip_fail(context, path, "an entry", zip_get_error(archive));
    if (entry.size / MOST_RATIO > entry.comp_size)
        return ph_fail(context, PH_ERROR_FORMAT, "%s: %s claims to be larger than it can be", path, entry.name);
    PH_TRY(entry_decode(context, path, archive, &entry, &tensor));
    size_t length = strlen(entry.name);
    if (length > 4 && !strcmp(entry.name + length - 4, ".npy")) length -= 4;
    char *name = ph_strndup(entry.name, length);
    if (!name) {
        ph_tensor_destroy(&tensor);
        return ph_fail_memory(context);
    }
    ph_status status = ph_tensors_add(context, tensors, name, tensor);
    ph_free(name);
    return status;
}

static ph_status archive_read(ph_context *context, const char *path, const struct ph_file *file, ph_tensors *tensors) {
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t *source = zip_source_buffer_create(file->data, file->size, 0, &error);
    zip_t *archive = source ? zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &error) : NULL;
    ph_status status = archive ? PH_OK : zip_fail(context, path, "not an archive of NumPy arrays (.npz)", &error);
    if (!archive && source) zip_source_free(source);
    zip_int64_t count = archive ? zip_get_num_entries(archive, 0) : 0;
    for (zip_int64_t i = 0; i < count && !status; i++)
        status = entry_read(context, path, archive, (zip_uint64_t)i, tensors);
    if (archive) zip_discard(archive);
    zip_error_fini(&error);
    return status;
}

ph_status ph_tensors_load(ph_context *context, const char *path, ph_tensors **tensors) {
    struct ph_file file;
    *tensors = NULL;
    PH_TRY(ph_file_open(context, path, &file));
    ph_status status = ph_tensors_create(context, tensors);
    if (!status) status = archive_read(context, path, &file, *tensors);
    ph_file_close(&file);
    if (status) ph_tensors_destroy(tensors);
    return status;
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

/* As numpy.savez: stored. All files are of one age, so that the same arrays make the same bytes. `bytes` must outlive the
 * archive. */
static bool entry_add(zip_t *archive, const char *name, const uint8_t *bytes, size_t size) {
    zip_source_t *source = zip_source_buffer(archive, bytes, size, 0);
    zip_int64_t index = source ? zip_file_add(archive, name, source, ZIP_FL_ENC_UTF_8) : -1;
    if (index < 0) {
        zip_source_free(source);
        return false;
    }
    return !zip_set_file_compression(archive, (zip_uint64_t)index, ZIP_CM_STORE, 0) &&
           !zip_file_set_dostime(archive, (zip_uint64_t)index, 0, 1 << 5 | 1, 0);
}

static ph_status archive_fill(ph_context *context, const char *path, const ph_tensors *tensors, uint8_t **parts,
                              zip_t *archive) {
    for (int i = 0; i < tensors->count; i++) {
        size_t size;
        PH_TRY(ph_tensor_encode(context, tensors->list[i], &parts[i], &size));
        char *name = ph_sprintf("%s.npy", tensors->names[i]);
        if (!name) return ph_fail_memory(context);
        bool added = entry_add(archive, name, parts[i], size);
        ph_free(name);
        if (!added) return zip_fail(context, path, tensors->names[i], zip_get_error(archive));
    }
    return PH_OK;
}

/* What the source holds once the archive was closed. */
static ph_status source_write(ph_context *context, const char *path, zip_source_t *source, bool overwrite) {
    zip_stat_t whole;
    if (zip_source_stat(source, &whole) || !(whole.valid & ZIP_STAT_SIZE) || zip_source_open(source))
        return zip_fail(context, path, "the archive", zip_source_error(source));
    uint8_t *bytes = ph_alloc(whole.size);
    ph_status status = bytes ? PH_OK : ph_fail_memory(context);
    if (!status && zip_source_read(source, bytes, whole.size) != (zip_int64_t)whole.size)
        status = zip_fail(context, path, "the archive", zip_source_error(source));
    zip_source_close(source);
    if (!status) status = ph_file_write(context, path, bytes, whole.size, overwrite);
    ph_free(bytes);
    return status;
}

ph_status ph_tensors_save(ph_context *context, const ph_tensors *tensors, const char *path, bool overwrite) {
    zip_error_t error;
    uint8_t **parts = ph_alloc_array((size_t)tensors->count, sizeof *parts);
    if (!parts) return ph_fail_memory(context);
    zip_error_init(&error);
    zip_source_t *source = zip_source_buffer_create(NULL, 0, 0, &error);
    if (source) zip_source_keep(source);
    zip_t *archive = source ? zip_open_from_source(source, ZIP_TRUNCATE, &error) : NULL;
    ph_status status = archive ? archive_fill(context, path, tensors, parts, archive)
                               : zip_fail(context, path, "the archive", &error);
    if (!status && zip_close(archive)) status = zip_fail(context, path, "the archive", zip_get_error(archive));
    else if (!status) archive = NULL;
    if (archive) zip_discard(archive);
    if (!status) status = source_write(context, path, source, overwrite);
    zip_source_free(source);
    for (int i = 0; i < tensors->count; i++) ph_free(parts[i]);
    ph_free(parts);
    zip_error_fini(&error);
    return status;
}
