/* manifest.json: what a rendering of several pictures made, for programs to read. And the comparison of recipes, by
 * which a run that was cut off goes on where it stopped. */
#include "cli.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_VALUE = 4096 };

/* The first option in which two recipe texts differ, for a message. */
static char *text_difference(const char *there, const char *here) {
    char value_there[LONGEST_VALUE], value_here[LONGEST_VALUE];
    const ph_option_info *info;
    for (int i = 0; (info = ph_recipe_option(i)); i++) {
        bool is_there = ph_recipe_lookup(there, info->name, value_there, sizeof value_there);
        bool is_here = ph_recipe_lookup(here, info->name, value_here, sizeof value_here);
        if (is_there != is_here || (is_here && strcmp(value_there, value_here)))
            return cli_format("was made with --%s %s, not %s", info->name, is_there ? value_there : info->initial,
                              is_here ? value_here : info->initial);
    }
    return cli_format("was made with other options");
}

static char *options_difference(const struct cli *cli, const char *text) {
    ph_recipe *recipe = NULL;
    char *there = NULL, *here = NULL, *difference = NULL;
    if (ph_recipe_create(cli->context, &recipe) || ph_recipe_parse(recipe, text) || ph_recipe_text(recipe, &there) ||
        ph_recipe_text(cli->recipe, &here))
        difference = cli_format("has a recipe that cannot be read: %s", ph_context_error(cli->context));
    else if (strcmp(there, here)) difference = text_difference(there, here);
    ph_string_destroy(&there);
    ph_string_destroy(&here);
    ph_recipe_destroy(&recipe);
    return difference;
}

char *cli_recipe_difference(const struct cli *cli, const char *text, const char *objective, const char *sha256) {
    char value[LONGEST_VALUE];
    if (!ph_recipe_lookup(text, "#objective", value, sizeof value)) return cli_format("carries no recipe");
    if (strcmp(value, objective)) return cli_format("shows %s", value);
    if (!ph_recipe_lookup(text, "#model-sha256", value, sizeof value) || strcmp(value, sha256))
        return cli_format("is of another network");
    return options_difference(cli, text);
}

/* `path` as seen from the manifest's folder. */
static const char *relative_path(const struct cli_manifest *manifest, const char *path) {
    size_t length = strlen(manifest->folder);
    return !strncmp(path, manifest->folder, length) && path[length] == '/' ? path + length + 1 : path;
}

cJSON *cli_manifest_json(const struct cli_manifest *manifest) {
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "program", "phosphene " PH_VERSION);
    cJSON_AddStringToObject(json, "model", manifest->model.path);
    cJSON_AddStringToObject(json, "sha256", manifest->model.sha256);
    cJSON *recipe = cJSON_AddObjectToObject(json, "recipe"), *list = cJSON_AddArrayToObject(json, "pictures");
    const ph_option_info *info;
    for (int i = 0; (info = ph_recipe_option(i)); i++)
        cJSON_AddStringToObject(recipe, info->name, ph_recipe_get(manifest->cli->recipe, info->name));
    for (int i = 0; i < manifest->count; i++) {
        const struct cli_picture *picture = &manifest->pictures[i];
        if (!picture->complete) continue;
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "objective", picture->objective);
        cJSON_AddStringToObject(item, "file", relative_path(manifest, picture->path));
        cli_json_add_float(item, "value", (double)picture->value);
        cli_json_add_float(item, "seconds", picture->seconds < 0 ? (double)NAN : picture->seconds);
        cJSON_AddItemToArray(list, item);
    }
    return json;
}

int cli_manifest_write(const struct cli_manifest *manifest, const char *path) {
    cJSON *json = cli_manifest_json(manifest);
    char *text = cJSON_Print(json);
    cJSON_Delete(json);
    int code = text ? cli_file_write(path, text) : cli_fail("memory ran out");
    free(text);
    return code;
}

static struct cli_picture *picture_find(const struct cli_manifest *manifest, const char *file) {
    for (int i = 0; file && i < manifest->count; i++)
        if (!strcmp(relative_path(manifest, manifest->pictures[i].path), file)) return &manifest->pictures[i];
    return NULL;
}

bool cli_manifest_continue(struct cli_manifest *manifest, const char *path) {
    char *text = cli_file_read(path);
    cJSON *json = text ? cJSON_Parse(text) : NULL, *list = cJSON_GetObjectItemCaseSensitive(json, "pictures"), *item;
    bool fits = cJSON_IsArray(list);
    cJSON_ArrayForEach(item, list) {
        struct cli_picture *picture =
            picture_find(manifest, cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "file")));
        const cJSON *seconds = cJSON_GetObjectItemCaseSensitive(item, "seconds");
        if (!picture) fits = false;
        else if (cJSON_IsNumber(seconds)) picture->seconds = seconds->valuedouble;
    }
    cJSON_Delete(json);
    free(text);
    return fits;
}
