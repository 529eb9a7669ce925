/* manifest.json: what a rendering of several pictures made, for programs to read, and for a later run that goes on. */
#include "cli.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* `path` as seen from the manifest's folder. */
static const char *relative_path(const struct cli_manifest *manifest, const char *path) {
    size_t length = strlen(manifest->folder);
    return !strncmp(path, manifest->folder, length) && path[length] == '/' ? path + length + 1 : path;
}

static void errors_add(cJSON *item, const ph_picture *picture) {
    ph_term_error error;
    if (!picture || !ph_picture_error(picture, 0, &error)) return;
    cJSON *list = cJSON_AddArrayToObject(item, "errors");
    for (int i = 0; ph_picture_error(picture, i, &error); i++) {
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "term", error.term);
        cli_json_add_float(entry, "error", error.error);
        cli_json_add_float(entry, "unrounded", error.unrounded);
        cJSON_AddItemToArray(list, entry);
    }
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
        if (!picture->complete && !picture->unfinished) continue;
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "objective", picture->objective);
        if (picture->item) cJSON_AddNumberToObject(item, "item", picture->item);
        cJSON_AddStringToObject(item, "file", relative_path(manifest, picture->path));
        cli_json_add_float(item, "value", (double)picture->value);
        cli_json_add_float(item, "seconds", picture->seconds < 0 ? (double)NAN : picture->seconds);
        errors_add(item, picture->picture);
        cJSON_AddBoolToObject(item, "finished", picture->complete);
        cJSON_AddItemToArray(list, item);
    }
    return json;
}

int cli_manifest_write(const struct cli *cli, const struct cli_manifest *manifest, const char *path) {
    cJSON *json = cli_manifest_json(manifest);
    char *text = cJSON_Print(json);
    cJSON_Delete(json);
    int code = text ? cli_file_write(cli, path, text) : cli_fail("memory ran out");
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
        if (!picture) {
            fits = false;
            continue;
        }
        if (cJSON_IsNumber(seconds)) picture->seconds = seconds->valuedouble;
        picture->unfinished = cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(item, "finished"));
    }
    cJSON_Delete(json);
    free(text);
    return fits;
}
