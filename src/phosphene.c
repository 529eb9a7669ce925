/* Public entry points that belong to no layer: the catalogues over every table. */
#include "exec/backend.h"
#include "image/colour_map.h"
#include "solve/solve.h"
#include "vis/attribution/attribution.h"
#include "vis/vis.h"
#include <stdio.h>
#include <string.h>

void ph_string_destroy(char **text) {
    if (!text) return;
    ph_free(*text);
    *text = NULL;
}

/* ---- Catalogues: each reads row `index` of a table; false behind the last ---------------------------------------- */

static bool entry(ph_catalogue_entry *out, const char *name, const char *help) {
    *out = (ph_catalogue_entry){name, help};
    return name != NULL;
}

#define ROW(table) (table[index] ? entry(out, table[index]->name, table[index]->help) : false)

static bool operations_row(int index, ph_catalogue_entry *out) { return ROW(ph_operations); }

static bool objectives_row(int index, ph_catalogue_entry *out) {
    return ph_term_types[index] ? entry(out, ph_term_types[index]->form, ph_term_types[index]->help) : false;
}

static bool parameterisations_row(int index, ph_catalogue_entry *out) { return ROW(ph_parameterisations); }

/* The picture's options of a group. */
static bool options_row(const char *group, int index, ph_catalogue_entry *out) {
    const ph_option_info *option;
    for (int i = 0; (option = ph_recipe_option(i)); i++)
        if (!strcmp(option->group, group) && index-- == 0) return entry(out, option->name, option->help);
    return false;
}

static bool optimisers_row(int index, ph_catalogue_entry *out) { return ROW(ph_optimisers); }

static bool presets_row(int index, ph_catalogue_entry *out) {
    return entry(out, ph_preset_name(index), ph_preset_help(index));
}

static bool preprocessing_row(int index, ph_catalogue_entry *out) {
    return entry(out, ph_presets[index].name, ph_presets[index].help);
}

static bool methods_row(int index, ph_catalogue_entry *out) { return ROW(ph_methods); }

static bool attacks_row(int index, ph_catalogue_entry *out) {
    return ph_attack_name(index) && entry(out, ph_attack_name(index), ph_attack_help(index));
}

static bool attribution_row(int index, ph_catalogue_entry *out) { return ROW(ph_attribution_methods); }

static bool colour_maps_row(int index, ph_catalogue_entry *out) {
    return entry(out, ph_colour_maps[index].name, ph_colour_maps[index].help);
}

static bool instruction_sets_row(int index, ph_catalogue_entry *out) {
    if (index >= PH_COUNT(ph_instruction_set_names)) return false;
    return entry(out, ph_instruction_set_names[index],
                 index <= (int)ph_instruction_set_detect() ? "this processor has it" : "this processor lacks it");
}

/* The CPU, then what the backends find; the strings are the calling thread's own, as the entry is. */
static bool devices_row(int index, ph_catalogue_entry *out) {
    static _Thread_local char name[32], help[400];
    if (index == 0) {
        snprintf(name, sizeof name, "cpu");
        snprintf(help, sizeof help, "the processor, %s", ph_instruction_set_names[ph_instruction_set_detect()]);
        return entry(out, name, help);
    }
    index--;
    for (int i = 0; ph_backends[i]; i++) {
        if (!ph_backends[i]->device) continue;
        int count = 0;
        for (; ph_backends[i]->device(count, name, sizeof name, help, sizeof help); count++)
            if (count == index) return entry(out, name, help);
        index -= count;
    }
    return false;
}

static bool representations_row(int index, ph_catalogue_entry *out) {
    const char *help, *name = ph_representation_row(index, &help);
    return name ? entry(out, name, help) : false;
}

static bool model_formats_row(int index, ph_catalogue_entry *out) { return ROW(ph_model_formats); }

static bool image_formats_row(int index, ph_catalogue_entry *out) { return ROW(ph_image_codecs); }

static const struct catalogue {
    const char *kind;
    bool (*row)(int index, ph_catalogue_entry *out);
    const char *group; /* of options, where they are the rows */
} catalogues[] = {
    {"operations", operations_row}, {"objectives", objectives_row}, {"parameterisations", parameterisations_row},
    {"parameterisation-options", NULL, "parameterisation"}, {"transforms", NULL, "transforms"},
    {"backward-rules", NULL, "gradient"}, {"optimisers", optimisers_row}, {"optimiser-options", NULL, "optimiser"},
    {"step-regularisers", NULL, "step regularisers"}, {"stopping", NULL, "stopping"}, {"presets", presets_row},
    {"preprocessing", preprocessing_row}, {"methods", methods_row}, {"attacks", attacks_row},
    {"attribution-methods", attribution_row}, {"colour-maps", colour_maps_row},
    {"instruction-sets", instruction_sets_row}, {"devices", devices_row},
    {"representations", representations_row}, {"model-formats", model_formats_row}, {"image-formats", image_formats_row},
};

const char *ph_catalogue_kind(int index) {
    return index >= 0 && index < PH_COUNT(catalogues) ? catalogues[index].kind : NULL;
}

/* The tables have rows of many forms; the entry handed out is the calling thread's own, until its next call. */
const ph_catalogue_entry *ph_catalogue(const char *kind, int index) {
    static _Thread_local ph_catalogue_entry found;
    for (int i = 0; kind && index >= 0 && i < PH_COUNT(catalogues); i++) {
        const struct catalogue *catalogue = &catalogues[i];
        if (strcmp(catalogue->kind, kind)) continue;
        bool any = catalogue->row ? catalogue->row(index, &found) : options_row(catalogue->group, index, &found);
        return any ? &found : NULL;
    }
    return NULL;
}
