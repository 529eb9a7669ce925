/* The sanity check of Adebayo et al. 2018 (arXiv 1810.03292): a map that says what a network learnt must change when
 * the network forgets it. Weights are drawn anew from the output down, cascading, and each map is compared with the
 * first. */
#include "vis/attribution/attribution.h"
#include <math.h>
#include <string.h>

/* Magnitudes scaled to [0,1]. */
static void magnitudes(const ph_tensor *map, size_t count, double *out) {
    double largest = 0;
    for (size_t i = 0; i < count; i++) largest = fmax(largest, fabs((double)map->data[i]));
    for (size_t i = 0; i < count; i++) out[i] = largest > 0 ? fabs((double)map->data[i]) / largest : 0;
}

/* Structural similarity (Wang et al. 2004, doi 10.1109/TIP.2003.819861): Gaussian windows of deviation 1.5. */
static ph_status similarity_of(ph_context *context, const double *a, const double *b, int height, int width,
                               double *similarity) {
    const double c1 = 0.01 * 0.01, c2 = 0.03 * 0.03;
    size_t count = (size_t)height * (size_t)width;
    float *planes = ph_alloc_array(count, 6 * sizeof *planes);
    if (!planes) return ph_fail_memory(context);
    float *mean_a = planes, *mean_b = planes + count, *aa = planes + 2 * count, *bb = planes + 3 * count,
          *ab = planes + 4 * count;
    for (size_t i = 0; i < count; i++) {
        mean_a[i] = (float)a[i];
        mean_b[i] = (float)b[i];
        aa[i] = (float)(a[i] * a[i]);
        bb[i] = (float)(b[i] * b[i]);
        ab[i] = (float)(a[i] * b[i]);
    }
    ph_planes_blur(planes, 5, height, width, 1.5, planes + 5 * count);
    *similarity = 0;
    for (size_t i = 0; i < count; i++) {
        double ma = mean_a[i], mb = mean_b[i];
        double va = aa[i] - ma * ma, vb = bb[i] - mb * mb, covariance = ab[i] - ma * mb;
        *similarity += (2 * ma * mb + c1) * (2 * covariance + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2)) /
                       (double)count;
    }
    ph_free(planes);
    return PH_OK;
}

static ph_status layers_name(ph_model *model, const ph_explanation *explanation, struct ph_pool *pool,
                             const char ***names, int *count) {
    struct ph_objective objective;
    struct ph_subject subject;
    const ph_picture *seen = explanation->picture;
    PH_TRY(ph_objective_parse(model->context, explanation->objective, &objective));
    ph_subject_start(model, &objective, &PH_SHAPE(1, seen->channels, seen->height, seen->width), &subject);
    ph_status status = ph_subject_weights(&subject, pool, names, count);
    ph_objective_finish(&objective);
    return status;
}

/* The network with its last `forgotten` layers drawn anew. scratch[2][H*W]; the first half holds the true map. */
static ph_status stage_run(ph_model *model, const ph_explanation *explanation, const ph_explain_options *options,
                           int forgotten, double *scratch, ph_randomisation_layer *stage) {
    const ph_picture *seen = explanation->picture;
    size_t count = (size_t)seen->height * (size_t)seen->width;
    ph_explanation *other;
    PH_TRY(ph_explain_forgotten(model, seen, explanation->objective, options, forgotten, &other));
    magnitudes(other->map, count, scratch + count);
    ph_explanation_destroy(&other);
    PH_TRY(ph_rank_correlation(model->context, scratch, scratch + count, count, &stage->rank_correlation));
    return similarity_of(model->context, scratch, scratch + count, seen->height, seen->width, &stage->similarity);
}

ph_status ph_explanation_randomise(ph_model *model, const ph_explain_options *options,
                                   const ph_explanation *explanation, int layer_count, ph_randomisation_layer **layers,
                                   int *count) {
    if (!model) return PH_ERROR_ARGUMENT;
    ph_context *context = model->context;
    if (!explanation || !explanation->map || !layers || !count || layer_count < 1)
        return ph_fail(context, PH_ERROR_ARGUMENT, "the check needs a map and at least one layer");
    ph_explain_options again = options ? *options : ph_explain_defaults();
    size_t pixels = (size_t)explanation->picture->height * (size_t)explanation->picture->width;
    struct ph_pool pool = {0};
    const char **names = NULL;
    int found = 0;
    again.fit = "none";
    again.against = NULL; /* the objective's text has it */
    *layers = NULL;
    *count = 0;
    double *scratch = ph_alloc_array(pixels, 2 * sizeof *scratch);
    ph_status status = scratch ? layers_name(model, explanation, &pool, &names, &found) : ph_fail_memory(context);
    int stages = PH_MIN(layer_count, found);
    if (!status && !(*layers = ph_alloc_array((size_t)stages, sizeof **layers))) status = ph_fail_memory(context);
    if (!status) magnitudes(explanation->map, pixels, scratch);
    for (int i = 0; i < stages && !status; i++) {
        /* From the output alone to all of them, evenly. */
        int forgotten = stages > 1 ? 1 + (int)((double)i * (found - 1) / (stages - 1) + 0.5) : found;
        ph_randomisation_layer *stage = &(*layers)[i];
        *count = i + 1;
        if (!(stage->layer = ph_strdup(names[forgotten - 1]))) status = ph_fail_memory(context);
        if (!status) status = stage_run(model, explanation, &again, forgotten, scratch, stage);
    }
    ph_free(scratch);
    ph_pool_finish(&pool);
    if (status) ph_randomisation_destroy(layers, *count);
    return status;
}

void ph_randomisation_destroy(ph_randomisation_layer **layers, int count) {
    if (!layers || !*layers) return;
    for (int i = 0; i < count; i++) ph_free((*layers)[i].layer);
    ph_free(*layers);
    *layers = NULL;
}
