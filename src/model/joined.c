/* Several networks: those that objectives of one model may speak of. */
#include "model/model.h"
#include <string.h>

static int joined_index(const ph_model *model, const char *name) {
    for (int i = 0; i < model->joined_count; i++)
        if (!strcmp(model->joined[i].name, name)) return i;
    return PH_ABSENT;
}

static bool joined_name_is_valid(const char *name) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t length = strlen(name);
    return length && length < 64 && strspn(name, letters) == length;
}

static ph_status join_check(const ph_model *model, const char *name, const ph_model *other) {
    ph_context *context = model->context;
    const struct ph_shape *own = &model->default_input, *others = &other->default_input;
    if (!joined_name_is_valid(name))
        return ph_fail(context, PH_ERROR_ARGUMENT,
                       "network '%s': a name is 1 to 63 letters, digits and characters of '_.-'", name);
    if (joined_index(model, name) != PH_ABSENT)
        return ph_fail(context, PH_ERROR_ARGUMENT, "network '%s': there are two of this name; NAME=FILE gives another", name);
    if (model->joined_count == PH_MAX_JOINED)
        return ph_fail(context, PH_ERROR_ARGUMENT, "network '%s': at most %d can be joined to one", name, PH_MAX_JOINED);
    if (other->context != context || other == model)
        return ph_fail(context, PH_ERROR_ARGUMENT, "network '%s': it must be another model of the same context", name);
    if (own->rank != 4 || others->rank != 4 || own->dims[1] != others->dims[1])
        return ph_fail(context, PH_ERROR_UNSUPPORTED,
                       "network '%s': its input %s is not a picture of as many channels as that of %s", name,
                       ph_shape_text(others, (char[128]){0}), model->path ? ph_base_name(model->path) : "the embedded network");
    return PH_OK;
}

ph_status ph_model_join(ph_model *model, const char *name, ph_model **other) {
    if (!model) return PH_ERROR_ARGUMENT;
    if (!name || !other || !*other)
        return ph_fail(model->context, PH_ERROR_ARGUMENT, "ph_model_join: a name and another model are needed");
    PH_TRY(join_check(model, name, *other));
    struct ph_joined joined = {.name = ph_strdup(name), .prefix = ph_sprintf("%s:", name)};
    if (!joined.name || !joined.prefix) {
        ph_joined_finish(&joined);
        return ph_fail_memory(model->context);
    }
    joined.model = *other;
    *other = NULL;
    model->joined[model->joined_count++] = joined;
    return PH_OK;
}

ph_model *ph_model_joined(const ph_model *model, const char *name) {
    int index = model && name ? joined_index(model, name) : PH_ABSENT;
    return index == PH_ABSENT ? NULL : model->joined[index].model;
}

ph_status ph_model_find_joined(const ph_model *model, const char *name, const struct ph_joined **joined) {
    int index = joined_index(model, name);
    struct ph_text text = {0};
    *joined = index == PH_ABSENT ? NULL : &model->joined[index];
    if (*joined) return PH_OK;
    for (int i = 0; i < model->joined_count; i++) ph_text_append(&text, "%s%s", i ? ", " : "", model->joined[i].name);
    ph_status status = text.failed ? ph_fail_memory(model->context)
        : ph_fail(model->context, PH_ERROR_NOT_FOUND, "there is no network '%s'%s%s", name,
                  text.data ? "; joined are: " : "; none is joined (--with NAME=FILE)", text.data ? text.data : "");
    ph_text_finish(&text);
    return status;
}

void ph_joined_finish(struct ph_joined *joined) {
    ph_model_destroy(&joined->model);
    ph_free(joined->name);
    ph_free(joined->prefix);
}
