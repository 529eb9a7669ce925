/* Several tensors by name. */
#include "base/base.h"

ph_status ph_tensors_create(ph_context *context, ph_tensors **tensors) {
    *tensors = ph_alloc(sizeof **tensors);
    return *tensors ? PH_OK : ph_fail_memory(context);
}

ph_status ph_tensors_add(ph_context *context, ph_tensors *tensors, const char *name, ph_tensor *tensor) {
    size_t count = (size_t)tensors->count + 1;
    char **names = ph_realloc_array(tensors->names, count, sizeof *names);
    if (names) tensors->names = names;
    ph_tensor **list = ph_realloc_array(tensors->list, count, sizeof *list);
    if (list) tensors->list = list;
    char *copy = names && list ? ph_strdup(name) : NULL;
    if (!copy) {
        ph_tensor_destroy(&tensor);
        return ph_fail_memory(context);
    }
    names[tensors->count] = copy;
    list[tensors->count++] = tensor;
    return PH_OK;
}

void ph_tensors_destroy(ph_tensors **tensors) {
    if (!tensors || !*tensors) return;
    for (int i = 0; i < (*tensors)->count; i++) {
        ph_free((*tensors)->names[i]);
        ph_tensor_destroy(&(*tensors)->list[i]);
    }
    ph_free((*tensors)->names);
    ph_free((*tensors)->list);
    ph_free(*tensors);
    *tensors = NULL;
}

#ifndef PH_HAVE_LIBZIP

static ph_status without_libzip(ph_context *context, const char *path) {
    return ph_fail(context, PH_ERROR_UNSUPPORTED, "%s: this build is without libzip, which .npz needs; use .npy", path);
}

ph_status ph_tensors_load(ph_context *context, const char *path, ph_tensors **tensors) {
    *tensors = NULL;
    return without_libzip(context, path);
}

ph_status ph_tensors_save(ph_context *context, const ph_tensors *tensors, const char *path, bool overwrite) {
    (void)tensors, (void)overwrite;
    return without_libzip(context, path);
}

#endif
