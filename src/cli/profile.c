/* Where execution profiles are: $XDG_DATA_HOME/phosphene/profiles/NAME.profile, or the file that is named. */
#include "cli.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char ending[] = ".profile";

/* By the XDG Base Directory Specification, which has relative paths ignored. NULL: the environment names none. New string. */
static char *profiles_folder(void) {
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (data && *data == '/') return cli_format("%s/phosphene/profiles", data);
    return home && *home ? cli_format("%s/.local/share/phosphene/profiles", home) : NULL;
}

char *cli_profile_path(const struct cli *cli, const char *name) {
    if (strchr(name, '/') || cli_ends_with(name, ending)) return cli_format("%s", name);
    char *safe = cli_name_safe(name), *folder = profiles_folder(), *path = NULL;
    if (strcmp(safe, name))
        cli_usage(cli, "'%s' is no name for a profile; '%s' would be, and so is the path of a FILE%s", name, safe, ending);
    else if (!folder)
        cli_fail("neither XDG_DATA_HOME nor HOME says where profiles are; ./%s%s names a file here", name, ending);
    else path = cli_format("%s/%s%s", folder, name, ending);
    free(folder);
    free(safe);
    return path;
}

static int is_profile(const struct dirent *entry) { return cli_ends_with(entry->d_name, ending); }

/* The name of number `index`, and its path. New strings; false behind the last. */
static bool profile_at(int index, char **name, char **path) {
    struct dirent **entries = NULL;
    char *folder = profiles_folder();
    int count = folder ? scandir(folder, &entries, is_profile, alphasort) : -1;
    if (index < count) {
        *name = cli_stem(entries[index]->d_name);
        *path = cli_format("%s/%s", folder, entries[index]->d_name);
    }
    for (int i = 0; i < count; i++) free(entries[i]);
    free(entries);
    free(folder);
    return index < count;
}

bool cli_profile_row(const struct cli *cli, int index, char **name, char **help) {
    char *path;
    if (!profile_at(index, name, &path)) return false;
    if (ph_context_set_profile(cli->context, path)) {
        *help = cli_format("cannot be read: %s", ph_context_error(cli->context));
    } else {
        ph_profile_info info = ph_context_profile(cli->context);
        *help = cli_format("%d choice%s, SHA-256 %s", info.choices, info.choices == 1 ? "" : "s", info.sha256);
    }
    ph_context_set_profile(cli->context, NULL);
    free(path);
    return true;
}

static int profile_missing(const char *name, const char *path) {
    struct cli_text names = {0};
    char *other, *other_path;
    for (int i = 0; profile_at(i, &other, &other_path); i++) {
        cli_text_append(&names, "%s%s", i ? ", " : "", other);
        free(other);
        free(other_path);
    }
    int code = cli_fail("there is no profile %s (%s)%s%s; --tune %s measures one", name, path, names.data ? "; there is " : "",
                        names.data ? names.data : "", name);
    cli_text_finish(&names);
    return code;
}

int cli_profile_set(struct cli *cli) {
    const char *tune = cli->settings.tune, *name = tune ? tune : cli->settings.profile;
    if (!name) return CLI_DONE;
    if (tune && cli->settings.profile) return cli_usage(cli, "--tune NAME uses the profile too: give it without --profile");
    char *path = cli_profile_path(cli, name);
    if (!path) return CLI_USAGE;
    int code = CLI_DONE;
    if (!tune && !cli_file_exists(path)) code = profile_missing(name, path);
    else if (tune) code = cli_folder_make(path);
    if (!code && (tune ? ph_context_tune(cli->context, path) : ph_context_set_profile(cli->context, path)))
        code = cli_fail_library(cli);
    free(path);
    return code;
}
