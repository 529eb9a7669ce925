/* Which files an objective reads: what whoever got its text from elsewhere should know before. */
#include "vis/vis.h"
#include <string.h>

/* Where the names go; without a list they are only counted. */
struct names { char **list, *text; int count; size_t size; };

static void names_collect(const struct ph_sum *sum, struct names *names) {
    for (const struct ph_term *term = sum->first; term; term = term->next)
        for (int i = 0; term->type->parameters[i].name; i++) {
            enum ph_argument_kind kind = term->type->parameters[i].kind;
            const struct ph_argument *argument = &term->arguments[i];
            names_collect(&argument->expression, names);
            if ((kind != PH_ARGUMENT_FILE && kind != PH_ARGUMENT_VECTOR) || !argument->name) continue;
            size_t size = strlen(argument->name) + 1;
            if (names->list) names->list[names->count] = memcpy(names->text + names->size, argument->name, size);
            names->count++;
            names->size += size;
        }
}

ph_status ph_objective_files(ph_context *context, const char *text, char ***files, int *count) {
    if (!context || !files || !count) return PH_ERROR_ARGUMENT;
    struct ph_objective objective;
    struct names names = {0};
    PH_TRY(ph_objective_parse(context, text, &objective));
    names_collect(&objective.sum, &names);
    *files = ph_alloc((size_t)(names.count + 1) * sizeof **files + names.size);
    *count = *files ? names.count : 0;
    if (*files) {
        names = (struct names){.list = *files, .text = (char *)(*files + names.count + 1)};
        names_collect(&objective.sum, &names);
    }
    ph_objective_finish(&objective);
    return *files ? PH_OK : ph_fail_memory(context);
}
