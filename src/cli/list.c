/* phosphene list: the library's catalogues. */
#include "cli.h"
#include <stdio.h>
#include <string.h>

static const char *kind_name(void *user, int index) {
    (void)user;
    return ph_catalogue_kind(index);
}

static int kind_unknown(const struct cli *cli, const char *wanted) {
    const char *kind, *nearest = cli_nearest(wanted, kind_name, NULL);
    if (nearest) return cli_usage(cli, "list: unknown kind '%s', did you mean '%s'?", wanted, nearest);
    struct cli_text kinds = {0};
    for (int i = 0; (kind = ph_catalogue_kind(i)); i++) cli_text_append(&kinds, "%s%s", i ? ", " : "", kind);
    int code = cli_usage(cli, "list: unknown kind '%s'; there are %s", wanted, kinds.data);
    cli_text_finish(&kinds);
    return code;
}

static void kind_print(const char *kind, bool title) {
    const ph_catalogue_entry *entry;
    int width = 0;
    for (int i = 0; (entry = ph_catalogue(kind, i)); i++)
        if ((int)strlen(entry->name) > width) width = (int)strlen(entry->name);
    if (title) printf("%s\n", kind);
    for (int i = 0; (entry = ph_catalogue(kind, i)); i++)
        printf("%s%-*s  %s\n", title ? "  " : "", width, entry->name, entry->help);
}

static void kind_add(cJSON *json, const char *kind) {
    cJSON *list = cJSON_AddArrayToObject(json, kind);
    const ph_catalogue_entry *entry;
    for (int i = 0; (entry = ph_catalogue(kind, i)); i++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", entry->name);
        cJSON_AddStringToObject(item, "help", entry->help);
        cJSON_AddItemToArray(list, item);
    }
}

static int run(struct cli *cli) {
    const char *wanted = cli->argument_count ? cli->arguments[0] : NULL, *kind;
    cJSON *json = cli->settings.json ? cJSON_CreateObject() : NULL;
    int shown = 0;
    for (int i = 0; (kind = ph_catalogue_kind(i)); i++) {
        if (wanted && strcmp(wanted, kind)) continue;
        if (json) kind_add(json, kind);
        else kind_print(kind, !wanted);
        shown++;
    }
    if (!shown && wanted) {
        cJSON_Delete(json);
        return kind_unknown(cli, wanted);
    }
    return json ? cli_json_print(json) : CLI_DONE;
}

const struct cli_command cli_list = {
    .name = "list",
    .arguments = "[KIND]",
    .help = "what there is: operations, objectives, optimisers, ...",
    .details = "Prints the library's catalogues with one line for each entry; with KIND that one alone: operations, "
               "objectives, parameterisations, parameterisation-options, transforms, backward-rules, optimisers, "
               "optimiser-options, step-regularisers, stopping, presets, preprocessing, methods, attacks, "
               "attribution-methods, colour-maps, instruction-sets, devices, representations, model-formats or "
               "image-formats.",
    .examples = "phosphene list\n"
                "phosphene list objectives",
    .most = 1,
    .run = run,
};
