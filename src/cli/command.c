/* The commands and the program's entry. */
#include "cli.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cli_command *const commands[] = {
    &cli_render,
    &cli_classify,
    &cli_inspect,
    &cli_activations,
    &cli_explain,
    &cli_dream,
    &cli_invert,
    &cli_solve,
    &cli_list,
};

const struct cli_command *cli_command_at(int index) {
    return index >= 0 && index < CLI_COUNT(commands) ? commands[index] : NULL;
}

static const char *command_name(void *user, int index) {
    (void)user;
    const struct cli_command *command = cli_command_at(index);
    return command ? command->name : NULL;
}

static const struct cli_command *command_find(const char *name) {
    for (int i = 0; i < CLI_COUNT(commands); i++)
        if (!strcmp(commands[i]->name, name)) return commands[i];
    return NULL;
}

static int command_unknown(const char *name) {
    const char *nearest = *name ? cli_nearest(name, command_name, NULL) : NULL;
    return nearest ? cli_usage(NULL, "unknown command '%s', did you mean '%s'?", name, nearest)
                   : cli_usage(NULL, "unknown command '%s'", name);
}

static int command_run(const struct cli_command *command, int count, char **words) {
    struct cli cli = {.command = command, .context = ph_context_create()};
    if (!cli.context) return cli_fail("memory ran out");
    int code = cli_options_parse(&cli, count, words);
    if (!code && cli.settings.help) {
        cli_help_command(command);
    } else if (!code) {
        if (!cli.settings.quiet) ph_context_set_log(cli.context, cli_log, &cli);
        if (ph_context_set_threads(cli.context, cli.settings.threads) ||
            ph_context_set_instruction_set(cli.context, cli.settings.instruction_set) ||
            ph_context_set_backend(cli.context, cli.settings.backend, cli.settings.device) ||
            ph_context_set_precision(cli.context, cli.settings.precision))
            code = cli_fail_library(&cli);
        else code = cli_profile_set(&cli);
        if (!code) code = command->run(&cli);
    }
    free(cli.given);
    free(cli.arguments);
    ph_recipe_destroy(&cli.recipe);
    ph_context_destroy(&cli.context);
    return code;
}

static int program_run(int count, char **words) {
    const char *first = count > 1 ? words[1] : NULL;
    if (!first) {
        cli_help_program();
        return CLI_USAGE;
    }
    if (!strcmp(first, "--version")) {
        printf("phosphene %s\n", PH_VERSION);
        return CLI_DONE;
    }
    if (!strcmp(first, "--manual")) {
        cli_help_manual();
        return CLI_DONE;
    }
    bool help = !strcmp(first, "help");
    if (!strcmp(first, "-h") || !strcmp(first, "--help") || (help && count == 2)) {
        cli_help_program();
        return CLI_DONE;
    }
    const char *name = help ? words[2] : first;
    if (*name == '-') return cli_usage(NULL, "'%s' comes before the command; the command's name is first", name);
    const struct cli_command *command = command_find(name);
    if (!command) return command_unknown(name);
    if (!help) return command_run(command, count - 2, words + 2);
    cli_help_command(command);
    return CLI_DONE;
}

/* A file must not be opened under the number of a standard stream that is closed, and get what is printed there. */
static void streams_hold(void) {
    for (int stream = 0; stream <= 2; stream++)
        /* The lowest free number, opened the wrong way round: what is read or printed there fails, as it should. */
        if (fcntl(stream, F_GETFD) < 0) open("/dev/null", stream ? O_RDONLY : O_WRONLY);
}

int main(int count, char **words) {
    streams_hold();
    /* A file-size limit then shows as a failed write, reported and cleaned up, and does not end the program. */
    signal(SIGXFSZ, SIG_IGN);
    int code = program_run(count, words);
    /* What was printed counts as done only when it arrived. */
    if ((fflush(stdout) || ferror(stdout)) && !code) code = cli_fail("standard output cannot be written");
    return code;
}
