/* Networks and pictures too large, or not free enough, to be kept with the sources: a folder named by PHOSPHENE_EXTRAS,
 * ../shared by default. Tests that need it are skipped where it is missing. */
#ifndef PH_EXTRAS_H
#define PH_EXTRAS_H

#include "base/base.h"
#include <stdio.h>
#include <stdlib.h>

/* Path of a file in the extras, valid until the next call; NULL, with a line that says so, when it is not there. */
static inline const char *extras_path(const char *name) {
    static char path[4096];
    const char *folder = getenv("PHOSPHENE_EXTRAS");
    snprintf(path, sizeof path, "%s/%s", folder && folder[0] ? folder : "../shared", name);
    if (ph_file_exists(path)) return path;
    printf("skipped: %s is not there (PHOSPHENE_EXTRAS names the folder of extra networks and pictures)\n", path);
    return NULL;
}

#endif
