/* What explanations of one network have in common. Making a program costs more than one run of it, so the subjects of
 * the last objectives are kept; the oldest makes room. */
#include "vis/attribution/attribution.h"
#include <string.h>

struct ph_stored_subject {
    char *text;
    struct ph_objective objective;
    struct ph_subject subject;
    int threads; /* the context's when it was made: programs have scratch memory for each, and kernels of one set */
    enum ph_instruction_set instruction_set;
    enum ph_precision precision;
};

static void stored_destroy(struct ph_stored_subject **stored) {
    if (!*stored) return;
    ph_subject_finish(&(*stored)->subject);
    ph_objective_finish(&(*stored)->objective);
    ph_free((*stored)->text);
    ph_free(*stored);
    *stored = NULL;
}

static ph_status stored_create(struct ph_explain_store *store, const char *text, const struct ph_shape *shape,
                               int forgotten, struct ph_stored_subject **stored) {
    const ph_context *context = store->model->context;
    struct ph_stored_subject *made = ph_alloc(sizeof *made);
    if (made) made->text = ph_strdup(text);
    ph_status status = made && made->text ? PH_OK : ph_fail_memory(store->model->context);
    if (!status) status = ph_objective_parse(store->model->context, text, &made->objective);
    if (status) {
        if (made) ph_free(made->text);
        ph_free(made);
        return status;
    }
    ph_subject_start(store->model, &made->objective, shape, &made->subject);
    made->subject.forgotten = forgotten;
    made->threads = context->threads;
    made->instruction_set = context->instruction_set;
    made->precision = context->precision;
    *stored = made;
    return PH_OK;
}

static bool stored_is(const struct ph_stored_subject *stored, const char *text, const struct ph_shape *shape,
                      int forgotten, const ph_context *context) {
    return stored && stored->subject.forgotten == forgotten && ph_shape_equal(&stored->subject.shape, shape) &&
           stored->threads == context->threads && stored->instruction_set == context->instruction_set &&
           stored->precision == context->precision &&
           !strcmp(stored->text, text);
}

ph_status ph_store_subject(struct ph_explain_store *store, const char *text, const struct ph_shape *shape,
                           int forgotten, struct ph_subject **subject) {
    struct ph_stored_subject *found = NULL;
    int at = 0;
    while (at < PH_STORE_SUBJECTS - 1 && store->subjects[at] &&
           !stored_is(store->subjects[at], text, shape, forgotten, store->model->context))
        at++;
    if (stored_is(store->subjects[at], text, shape, forgotten, store->model->context)) {
        found = store->subjects[at];
    } else {
        PH_TRY(stored_create(store, text, shape, forgotten, &found));
        stored_destroy(&store->subjects[at]);
    }
    memmove(store->subjects + 1, store->subjects, (size_t)at * sizeof *store->subjects);
    store->subjects[0] = found;
    *subject = &found->subject;
    return PH_OK;
}

ph_status ph_store_classify(struct ph_explain_store *store, const ph_picture *picture, int *index) {
    const ph_picture *last = store->classified;
    size_t bytes = (size_t)picture->channels * (size_t)picture->height * (size_t)picture->width * sizeof(float);
    bool same = last && last->channels == picture->channels && last->height == picture->height &&
                last->width == picture->width && !memcmp(last->pixels, picture->pixels, bytes);
    if (!same) {
        ph_class_score score;
        int found;
        ph_picture_destroy(&store->classified);
        PH_TRY(ph_classify(store->model, picture, "none", &score, 1, &found));
        PH_TRY(ph_picture_fit(picture, "none", picture->height, picture->width, &store->classified));
        store->top_class = score.index;
    }
    *index = store->top_class;
    return PH_OK;
}

void ph_store_finish(struct ph_explain_store *store) {
    for (int i = 0; i < PH_STORE_SUBJECTS; i++) stored_destroy(&store->subjects[i]);
    ph_picture_destroy(&store->classified);
}

ph_status ph_explain_store_create(ph_model *model, ph_explain_store **store) {
    if (!model) return PH_ERROR_ARGUMENT;
    if (!store) return ph_fail(model->context, PH_ERROR_ARGUMENT, "a store needs room for its pointer");
    if (!(*store = ph_alloc(sizeof **store))) return ph_fail_memory(model->context);
    (*store)->model = model;
    return PH_OK;
}

void ph_explain_store_destroy(ph_explain_store **store) {
    if (!store || !*store) return;
    ph_store_finish(*store);
    ph_free(*store);
    *store = NULL;
}
