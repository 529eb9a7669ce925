/* Files and their names. */
#include "cli.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

bool cli_file_exists(const char *path) {
    struct stat state;
    return !lstat(path, &state); /* a link to nothing is in the way too */
}

int cli_output_check(const char *path) {
    struct stat state;
    if (!stat(path, &state) && !S_ISREG(state.st_mode))
        return cli_fail("%s: is %s, not a file that can be replaced", path,
                        S_ISDIR(state.st_mode) ? "a folder" : "a device or pipe");
    /* The innermost folder that is there already. */
    char *folder = cli_folder_of(path);
    while (stat(folder, &state) && errno == ENOENT && strcmp(folder, ".") && strcmp(folder, "/")) {
        char *outer = cli_folder_of(folder);
        free(folder);
        folder = outer;
    }
    int code = CLI_DONE;
    if (stat(folder, &state) || access(folder, W_OK | X_OK))
        code = cli_fail("%s: nothing can be written in %s: %s", path, folder, strerror(errno));
    else if (!S_ISDIR(state.st_mode)) code = cli_fail("%s: %s is not a folder", path, folder);
    free(folder);
    return code;
}

char *cli_folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return cli_format(".");
    return slash == path ? cli_format("/") : cli_format("%.*s", (int)(slash - path), path);
}

int cli_folder_make(const char *path) {
    char *copy = cli_format("%s", path);
    int code = CLI_DONE;
    for (char *slash = strchr(copy + 1, '/'); copy[0] && slash && !code; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0777) && errno != EEXIST)
            code = cli_fail("%s: the folder cannot be made: %s", copy, strerror(errno));
        *slash = '/';
    }
    free(copy);
    return code;
}

int cli_file_write(const struct cli *cli, const char *path, const char *text) {
    return ph_file_write(cli->context, path, text, strlen(text), true) ? cli_fail_library(cli) : CLI_DONE;
}

char *cli_file_read(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) return NULL;
    char *text = NULL;
    size_t capacity = 0;
    /* A NUL byte never occurs in the text files read here, so this takes all of it. */
    ssize_t length = getdelim(&text, &capacity, '\0', file);
    fclose(file);
    if (length >= 0) return text;
    free(text);
    return NULL;
}

bool cli_is_folder(const char *path) {
    struct stat state;
    return !stat(path, &state) && S_ISDIR(state.st_mode);
}

bool cli_ends_with(const char *path, const char *ending) {
    size_t length = path ? strlen(path) : 0, end = strlen(ending);
    return length > end && !strcasecmp(path + length - end, ending);
}

bool cli_is_png(const char *path) { return cli_ends_with(path, ".png"); }

bool cli_is_picture_name(const char *path) {
    static const char *const endings[] = {".png", ".jpg", ".jpeg", ".bmp", ".gif",
                                          ".tga", ".pgm", ".ppm",  ".pnm", ".webp"};
    for (int i = 0; i < CLI_COUNT(endings); i++)
        if (cli_ends_with(path, endings[i])) return true;
    return false;
}

int cli_output_format_check(const struct cli *cli) {
    static const char *const others[] = {".jpg", ".jpeg", ".bmp", ".gif", ".tga", ".webp", ".tif", ".tiff", ".ppm"};
    for (int i = 0; i < CLI_COUNT(others); i++)
        if (cli_ends_with(cli->settings.output, others[i]))
            return cli_usage(cli, "--output: '%s' is no name for what is written, which is PNG", cli->settings.output);
    return CLI_DONE;
}

static int is_wanted(const struct dirent *entry) {
    return cli_is_picture_name(entry->d_name) && strcmp(entry->d_name, CLI_ANIMATION) != 0;
}

char **cli_pictures_in(const char *folder, int *count) {
    struct dirent **entries;
    int found = scandir(folder, &entries, is_wanted, alphasort);
    *count = found < 0 ? 0 : found;
    char **paths = cli_allocate((size_t)*count + 1, sizeof *paths);
    const char *slash = *folder && folder[strlen(folder) - 1] == '/' ? "" : "/";
    for (int i = 0; i < *count; i++) {
        paths[i] = cli_format("%s%s%s", folder, slash, entries[i]->d_name);
        free(entries[i]);
    }
    if (found >= 0) free(entries);
    return paths;
}

char *cli_stem(const char *path) {
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path, *dot = strrchr(base, '.');
    return cli_format("%.*s", dot && dot > base ? (int)(dot - base) : (int)strlen(base), base);
}

char *cli_name_safe(const char *text) {
    enum { LONGEST = 120 };
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+@=";
    /* A minus is all that tells '-conv4a:11' from 'conv4a:11'. */
    const char *sign = *text == '-' ? "minus" : "";
    char *name = cli_format("%s%s", sign, text);
    size_t length = strlen(sign);
    for (const char *at = text; *at && length < LONGEST; at++) {
        bool keep = (unsigned char)*at >= 0x80 || strchr(safe, *at);
        /* A run of unsafe characters becomes one dash; none at the beginning, where it would look like an option. */
        if (keep && !(length == 0 && *at == '.')) name[length++] = *at;
        else if (length && name[length - 1] != '-') name[length++] = '-';
    }
    /* A character of several bytes is not cut in the middle. */
    if (length == LONGEST)
        while (length && (unsigned char)name[length - 1] >= 0x80) length--;
    while (length && name[length - 1] == '-') length--;
    name[length] = '\0';
    if (length) return name;
    free(name);
    return cli_format("picture");
}

void cli_name_unit(const char *objective, char **layer, char **channel) {
    const char *colon = NULL;
    int colons = 0;
    bool quoted = false;
    for (const char *at = objective; *at; at++) {
        if (*at == '\'') quoted = !quoted;
        if (*at == ':' && !quoted && colons++ == 0) colon = at;
    }
    if (colons > 1) colon = NULL;
    char *front = cli_format("%.*s", colon ? (int)(colon - objective) : (int)strlen(objective), objective);
    *layer = cli_name_safe(front);
    free(front);
    if (!colon) {
        *channel = cli_format("all");
        return;
    }
    int digits = (int)strspn(colon + 1, "0123456789"), zeros = digits && digits < 4 ? 4 - digits : 0;
    char *unit = cli_format("%.*s%s", zeros, "000", colon + 1);
    *channel = cli_name_safe(unit);
    free(unit);
}

static char *placeholder_value(const char *key, const struct cli_name *name) {
    char *layer, *channel, *value = NULL;
    cli_name_unit(name->objective, &layer, &channel);
    if (!strcmp(key, "model")) value = cli_name_safe(name->model);
    else if (!strcmp(key, "objective")) value = cli_name_safe(name->objective);
    else if (!strcmp(key, "layer")) value = cli_format("%s", layer);
    else if (!strcmp(key, "channel")) value = cli_format("%s", channel);
    else if (!strcmp(key, "item") && name->item) value = cli_format("%d", name->item);
    else if (!strcmp(key, "index")) value = cli_format("%04d", name->index);
    else if (ph_recipe_get(name->recipe, key)) value = cli_name_safe(ph_recipe_get(name->recipe, key));
    free(layer);
    free(channel);
    return value;
}

int cli_name_expand(const struct cli *cli, const char *template, const struct cli_name *name, char **path) {
    struct cli_text text = {0};
    *path = NULL;
    for (const char *at = template; *at;) {
        const char *end = *at == '{' ? strchr(at, '}') : NULL;
        if (!end) {
            size_t plain = 1 + strcspn(at + 1, "{");
            cli_text_append(&text, "%.*s", (int)plain, at);
            at += plain;
            continue;
        }
        char *key = cli_format("%.*s", (int)(end - at - 1), at + 1), *value = placeholder_value(key, name);
        int code = CLI_DONE;
        if (value) cli_text_append(&text, "%s", value);
        else
            code = cli_usage(cli,
                             "--output: {%s} is none of {model}, {objective}, {layer}, {channel}, {index} or an option "
                             "of the picture such as {seed}",
                             key);
        free(key);
        free(value);
        if (code) {
            cli_text_finish(&text);
            return code;
        }
        at = end + 1;
    }
    *path = text.data;
    return CLI_DONE;
}
