/* XRAI: regions of the picture ranked by the integrated gradients inside them. The picture is segmented at several
 * scales; then the region whose pixels not yet covered have the highest mean attribution is taken, again and again.
 * Constants and order of steps as in the authors' code. */
#include "vis/attribution/attribution.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* For pictures of 224 x 224; they grow with the picture. */
static const double scales[] = {50, 100, 150, 250, 500, 1200};
static const double blur_deviation = 0.8, least_pixels = 150, dilation_radius = 5, least_new_pixels = 50;

/* ---- Segmentation: Felzenszwalb, Huttenlocher 2004, doi 10.1023/B:VISI.0000022288.19776.77 ----------------------- */

struct edge { float cost; int a, b; };

static int edge_compare(const void *a, const void *b) {
    const struct edge *x = a, *y = b;
    if (x->cost != y->cost) return x->cost < y->cost ? -1 : 1;
    if (x->a != y->a) return x->a < y->a ? -1 : 1;
    return (x->b > y->b) - (x->b < y->b);
}

static int root_find(int *parent, int i) {
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
}

/* Distance in colours counted from -1 to 1, as in the authors' code. */
static float pixel_distance(const struct ph_picture *picture, size_t a, size_t b) {
    size_t plane = (size_t)picture->height * (size_t)picture->width;
    double sum = 0;
    for (int c = 0; c < picture->channels; c++) {
        double d = 2 * ((double)picture->pixels[(size_t)c * plane + a] - picture->pixels[(size_t)c * plane + b]);
        sum += d * d;
    }
    return (float)sqrt(sum);
}

static int edges_list(const struct ph_picture *picture, struct edge *edges) {
    static const int steps[4][2] = {{1, 0}, {0, 1}, {1, 1}, {1, -1}};
    int count = 0;
    for (int y = 0; y < picture->height; y++)
        for (int x = 0; x < picture->width; x++)
            for (int k = 0; k < PH_COUNT(steps); k++) {
                int to_y = y + steps[k][0], to_x = x + steps[k][1];
                if (to_y >= picture->height || to_x < 0 || to_x >= picture->width) continue;
                int a = y * picture->width + x, b = to_y * picture->width + to_x;
                edges[count++] = (struct edge){pixel_distance(picture, (size_t)a, (size_t)b), a, b};
            }
    qsort(edges, (size_t)count, sizeof *edges, edge_compare);
    return count;
}

/* labels[pixels]: the root of each pixel's segment. scratch[2 * pixels]. */
static void segment(const struct edge *edges, int edge_count, int pixels, double scale, double least, int *labels,
                    double *scratch) {
    double *size = scratch, *inner = scratch + pixels;
    for (int i = 0; i < pixels; i++) labels[i] = i, size[i] = 1, inner[i] = 0;
    for (int pass = 0; pass < 2; pass++) /* by contrast; then those too small join a neighbour */
        for (int e = 0; e < edge_count; e++) {
            int a = root_find(labels, edges[e].a), b = root_find(labels, edges[e].b);
            if (a == b) continue;
            bool joins = pass ? size[a] < least || size[b] < least
                              : edges[e].cost < fmin(inner[a] + scale / size[a], inner[b] + scale / size[b]);
            if (!joins) continue;
            labels[b] = a;
            size[a] += size[b];
            inner[a] = edges[e].cost;
        }
    for (int i = 0; i < pixels; i++) labels[i] = root_find(labels, i);
}

/* ---- Regions ----------------------------------------------------------------------------------------------------- */

struct regions {
    int height, width, pixels;
    int count, capacity;
    uint8_t **masks; /* [count][pixels] */
};

static void regions_finish(struct regions *regions) {
    for (int r = 0; r < regions->count; r++) ph_free(regions->masks[r]);
    ph_free(regions->masks);
}

/* The segment of that label, and what lies within `radius` of it. */
static bool region_add(struct regions *regions, const int *labels, int label, int radius) {
    if (!ph_grow(&regions->masks, regions->count, &regions->capacity, sizeof *regions->masks)) return false;
    uint8_t *mask = ph_alloc((size_t)regions->pixels);
    if (!mask) return false;
    regions->masks[regions->count++] = mask;
    for (int i = 0; i < regions->pixels; i++) {
        if (labels[i] != label) continue;
        int y = i / regions->width, x = i % regions->width;
        bool inside = x > 0 && y > 0 && x < regions->width - 1 && y < regions->height - 1 && labels[i - 1] == label &&
                      labels[i + 1] == label && labels[i - regions->width] == label &&
                      labels[i + regions->width] == label;
        mask[i] = 1;
        for (int dy = -radius; dy <= radius && !inside; dy++)
            for (int dx = -radius; dx <= radius; dx++) {
                int to_y = y + dy, to_x = x + dx;
                if (dx * dx + dy * dy <= radius * radius && to_y >= 0 && to_y < regions->height && to_x >= 0 &&
                    to_x < regions->width)
                    mask[to_y * regions->width + to_x] = 1;
            }
    }
    return true;
}

static ph_status regions_make(const struct ph_picture *picture, struct regions *regions) {
    int pixels = picture->height * picture->width;
    double area = pixels / (224.0 * 224.0);
    int radius = (int)(dilation_radius * sqrt(area) + 0.5);
    struct ph_picture *blurred = NULL;
    *regions = (struct regions){.height = picture->height, .width = picture->width, .pixels = pixels};
    struct edge *edges = ph_alloc_array((size_t)pixels, 4 * sizeof *edges);
    int *labels = ph_alloc_array((size_t)pixels, sizeof *labels), edge_count = 0;
    double *scratch = ph_alloc_array((size_t)pixels, 2 * sizeof *scratch);
    ph_status status = edges && labels && scratch ? PH_OK : ph_fail_memory(picture->context);
    if (!status) status = ph_picture_fit(picture, "none", picture->height, picture->width, &blurred);
    if (!status) {
        ph_planes_blur(blurred->pixels, blurred->channels, blurred->height, blurred->width, blur_deviation,
                       (float *)scratch);
        edge_count = edges_list(blurred, edges);
    }
    for (int s = 0; s < PH_COUNT(scales) && !status; s++) {
        segment(edges, edge_count, pixels, scales[s] / 255 * area, least_pixels * area, labels, scratch);
        for (int i = 0; i < pixels && !status; i++)
            if (labels[i] == i && !region_add(regions, labels, i, radius)) status = ph_fail_memory(picture->context);
    }
    ph_picture_destroy(&blurred);
    ph_free(edges);
    ph_free(labels);
    ph_free(scratch);
    if (status) regions_finish(regions);
    return status;
}

/* Takes the best region until none adds enough pixels; out[pixels] receives the mean attribution with which each pixel
 * came, the rest the mean of the rest. */
static ph_status regions_rank(ph_context *context, const struct regions *regions, const double *attribution,
                              float *out) {
    double least = least_new_pixels * regions->pixels / (224.0 * 224.0);
    double *sums = ph_alloc_array((size_t)regions->count, sizeof *sums);
    int *fresh = ph_alloc_array((size_t)regions->count, sizeof *fresh), left = regions->pixels;
    uint8_t *covered = ph_alloc((size_t)regions->pixels);
    double rest = 0;
    ph_status status = sums && fresh && covered ? PH_OK : ph_fail_memory(context);
    for (int r = 0; r < regions->count && !status; r++)
        for (int i = 0; i < regions->pixels; i++)
            if (regions->masks[r][i]) sums[r] += attribution[i], fresh[r]++;
    for (int best = 0; best != PH_ABSENT && !status;) {
        best = PH_ABSENT;
        for (int r = 0; r < regions->count; r++)
            if (fresh[r] && fresh[r] >= least &&
                (best == PH_ABSENT || sums[r] / fresh[r] > sums[best] / fresh[best]))
                best = r;
        double gain = best == PH_ABSENT ? 0 : sums[best] / fresh[best];
        for (int i = 0; i < regions->pixels && best != PH_ABSENT; i++) {
            if (!regions->masks[best][i] || covered[i]) continue;
            covered[i] = 1;
            left--;
            out[i] = (float)gain;
            for (int r = 0; r < regions->count; r++)
                if (regions->masks[r][i]) sums[r] -= attribution[i], fresh[r]--;
        }
    }
    for (int i = 0; i < regions->pixels && !status; i++)
        if (!covered[i]) rest += attribution[i];
    for (int i = 0; i < regions->pixels && !status; i++)
        if (!covered[i]) out[i] = (float)(rest / left);
    ph_free(sums);
    ph_free(fresh);
    ph_free(covered);
    return status;
}

/* ---- The method -------------------------------------------------------------------------------------------------- */

/* Adds the largest of each pixel's channels. */
static ph_status integrated_add(struct ph_attribution *a, const float *input, const float *colour, double *sum) {
    ph_tensor *tensor = NULL;
    size_t plane = (size_t)a->height * (size_t)a->width;
    for (size_t i = 0; i < a->subject->size; i++) a->baseline[i] = colour[i / plane];
    ph_status status = ph_attribution_integrated_gradients.run(a, input, &tensor);
    for (size_t i = 0; i < plane && !status; i++) {
        double largest = tensor->data[i];
        for (int c = 1; c < a->channels; c++) largest = fmax(largest, tensor->data[(size_t)c * plane + i]);
        sum[i] += largest / 2;
    }
    ph_tensor_destroy(&tensor);
    a->result->baseline_value = NAN;
    return status;
}

static ph_status xrai_run(struct ph_attribution *a, const float *input, ph_tensor **tensor) {
    struct regions regions = {0};
    size_t plane = (size_t)a->height * (size_t)a->width;
    double *attribution = ph_alloc_array(plane, sizeof *attribution);
    if (!a->baseline) a->baseline = ph_alloc_array(a->subject->size, sizeof *a->baseline);
    ph_status status = attribution && a->baseline ? PH_OK : ph_fail_memory(a->context);
    if (!status) status = integrated_add(a, input, a->black, attribution);
    if (!status) status = integrated_add(a, input, a->white, attribution);
    if (!status) status = regions_make(a->result->picture, &regions);
    if (!status) {
        status = ph_attribution_tensor(a, 1, a->height, a->width, tensor);
        if (!status) status = regions_rank(a->context, &regions, attribution, (*tensor)->data);
        regions_finish(&regions);
    }
    ph_free(attribution);
    return status;
}

const struct ph_attribution_method ph_attribution_xrai = {
    .name = "xrai", .help = "regions of a segmentation, ranked by integrated gradients from black and from white",
    .source = "Kapishnikov et al. 2019, arXiv 1906.02825", .options = "steps tolerance", .is_signed = true, .steps = 50,
    .of_many_runs = true, .run = xrai_run,
};
