/* phosphene list: the library's catalogues, and the user's execution profiles. */
#include "cli.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The library's kinds, and one that depends on whose folder is looked into. */
static const char *kind_at(int index) {
    const char *kind = ph_catalogue_kind(index);
    return kind ? kind : index > 0 && ph_catalogue_kind(index - 1) ? "profiles" : NULL;
}

static const char *kind_name(void *user, int index) {
    (void)user;
    return kind_at(index);
}

static int kind_unknown(const struct cli *cli, const char *wanted) {
    const char *kind, *nearest = cli_nearest(wanted, kind_name, NULL);
    if (nearest) return cli_usage(cli, "list: unknown kind '%s', did you mean '%s'?", wanted, nearest);
    struct cli_text kinds = {0};
    for (int i = 0; (kind = kind_at(i)); i++) cli_text_append(&kinds, "%s%s", i ? ", " : "", kind);
    int code = cli_usage(cli, "list: unknown kind '%s'; there are %s", wanted, kinds.data);
    cli_text_finish(&kinds);
    return code;
}

/* New strings; false behind the last. */
static bool row_at(const struct cli *cli, const char *kind, int index, char **name, char **help) {
    if (!strcmp(kind, "profiles")) return cli_profile_row(cli, index, name, help);
    const ph_catalogue_entry *entry = ph_catalogue(kind, index);
    if (!entry) return false;
    *name = cli_format("%s", entry->name);
    *help = cli_format("%s", entry->help);
    return true;
}

static void kind_print(const struct cli *cli, const char *kind, bool title) {
    char *name, *help;
    int width = 0;
    for (int i = 0; row_at(cli, kind, i, &name, &help); i++) {
        if ((int)strlen(name) > width) width = (int)strlen(name);
        free(name);
        free(help);
    }
    if (title) printf("%s\n", kind);
    for (int i = 0; row_at(cli, kind, i, &name, &help); i++) {
        cli_print("%s%-*s  %s\n", title ? "  " : "", width, name, help);
        free(name);
        free(help);
    }
}

static void kind_add(const struct cli *cli, cJSON *json, const char *kind) {
    cJSON *list = cJSON_AddArrayToObject(json, kind);
    char *name, *help;
    for (int i = 0; row_at(cli, kind, i, &name, &help); i++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", name);
        cJSON_AddStringToObject(item, "help", help);
        cJSON_AddItemToArray(list, item);
        free(name);
        free(help);
    }
}

static int run(struct cli *cli) {
    const char *wanted = cli->argument_count ? cli->arguments[0] : NULL, *kind;
    cJSON *json = cli->settings.json ? cJSON_CreateObject() : NULL;
    int shown = 0;
    for (int i = 0; (kind = kind_at(i)); i++) {
        if (wanted && strcmp(wanted, kind)) continue;
        if (json) kind_add(cli, json, kind);
        else kind_print(cli, kind, !wanted);
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
               "attribution-methods, colour-maps, instruction-sets, devices, representations, model-formats, "
               "image-formats or profiles.",
    .examples = "phosphene list\n"
                "phosphene list objectives",
    .most = 1,
    .run = run,
};
