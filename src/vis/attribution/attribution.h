/* What the methods of attribution share: the table's row, the work in hand, and helpers of more than one of them. */
#ifndef PH_ATTRIBUTION_H
#define PH_ATTRIBUTION_H

#include "vis/attribution/subject.h"

/* One explanation in work. */
struct ph_attribution {
    ph_model *model;
    ph_context *context;
    const struct ph_attribution_method *method;
    ph_explain_options options;
    struct ph_subject *subject;
    int channels, height, width;
    float *baseline;          /* [C,H,W], prepared as the input is */
    float low, high;          /* least and largest value of the input */
    float *black, *white;     /* [C] what a black and a white picture become */
    ph_explanation *result;
    double started;
    int pass, passes;         /* runs of the method that make the explanation: the one in work, and all */
};

/* What a method's channels are brought to one number for each pixel by. */
enum ph_attribution_sum { PH_SUM_SIGNED, PH_SUM_ABSOLUTE /* the largest magnitude */ };

struct ph_attribution_method {
    const char *name, *help;
    const char *source;         /* the paper */
    const char *options;        /* of ph_explain_options that it reads, separated by blanks */
    enum ph_attribution_sum sum;
    bool is_signed;             /* negative values mean "against" */
    bool conserves;             /* the sum and what biases absorb make up the value */
    bool on_probability;        /* without an objective: of the share of the top class, not of its score */
    bool of_many_runs;          /* too many to be repeated for a measure */
    bool of_units;              /* [1,K,h,w]: every unit of a layer */
    const char *baseline;       /* where none is asked for; NULL: takes none */
    int steps;                  /* likewise; 0: takes none */
    /* Writes a new tensor [1,C,H,W], or [1,1,h,w] for maps of a layer. */
    ph_status (*run)(struct ph_attribution *attribution, const float *input, ph_tensor **tensor);
};

extern const struct ph_attribution_method *const ph_attribution_methods[]; /* NULL-terminated */

extern const struct ph_attribution_method
    /* gradient.c */ ph_attribution_gradient, ph_attribution_gradient_x_input,
    /* path.c */ ph_attribution_integrated_gradients, ph_attribution_blur_integrated_gradients,
        ph_attribution_guided_integrated_gradients,
    /* guided.c */ ph_attribution_guided_backpropagation, ph_attribution_deconvolution, ph_attribution_guided_grad_cam,
    /* lrp.c */ ph_attribution_lrp_epsilon, ph_attribution_lrp_gamma, ph_attribution_lrp_z_plus,
        ph_attribution_lrp_alpha_beta, ph_attribution_lrp_z_box, ph_attribution_lrp_epsilon_gamma_box,
        ph_attribution_lrp_epsilon_plus_flat,
    /* deeplift.c */ ph_attribution_deeplift,
    /* perturbation.c */ ph_attribution_occlusion, ph_attribution_rise,
    /* cam.c */ ph_attribution_grad_cam, ph_attribution_grad_cam_plus_plus, ph_attribution_hires_cam,
        ph_attribution_xgrad_cam, ph_attribution_layer_cam, ph_attribution_score_cam, ph_attribution_eigen_cam,
    /* xrai.c */ ph_attribution_xrai,
    /* layer.c */ ph_attribution_layer_gradient, ph_attribution_layer_path;

/* ---- store.c: what several explanations have in common ----------------------------------------------------------- */

enum { PH_STORE_SUBJECTS = 2 };

struct ph_explain_store {
    ph_model *model;
    struct ph_stored_subject *subjects[PH_STORE_SUBJECTS]; /* the last ones used, last first */
    ph_picture *classified; /* as the network sees it, and its top class */
    int top_class;
};

/* The subject of an objective for pictures of that shape; the store's own, and good until PH_STORE_SUBJECTS others have
 * been asked for. */
ph_status ph_store_subject(struct ph_explain_store *store, const char *objective, const struct ph_shape *shape,
                           int forgotten, struct ph_subject **subject);
/* The top class of a picture that is already in the network's size. */
ph_status ph_store_classify(struct ph_explain_store *store, const ph_picture *picture, int *index);
/* Destroys what a store on the stack holds. */
void ph_store_finish(struct ph_explain_store *store);

/* NULL when there is none of that name. */
const struct ph_attribution_method *ph_attribution_method_find(const char *name);
/* ph_explain of a network that forgot the weights of its last `forgotten` layers. */
ph_status ph_explain_forgotten(ph_model *model, const ph_picture *picture, const char *objective,
                               const ph_explain_options *options, int forgotten, ph_explanation **explanation);

/* ---- Helpers ----------------------------------------------------------------------------------------------------- */

/* [1,C,H,W], zeroed. */
ph_status ph_attribution_tensor(struct ph_attribution *attribution, int channels, int height, int width,
                                ph_tensor **tensor);
/* The layer that the result is of. */
ph_status ph_attribution_layer_name(struct ph_attribution *attribution, const char *name);
/* `done` of the method's `total` steps; false when the caller asked to stop. */
bool ph_attribution_progress(struct ph_attribution *attribution, int64_t done, int64_t total);
/* Nodes and weights on [0,1] of the Gauss-Legendre rule with `count` points. */
void ph_gauss_legendre(int count, double *nodes, double *weights);
/* Spearman's correlation; equal numbers share their mean rank. 0 where one of them is constant. */
ph_status ph_rank_correlation(ph_context *context, const double *a, const double *b, size_t count, double *correlation);
/* Grows or shrinks planes bilinearly, pixel centres at halves, edges repeated. */
ph_status ph_planes_resize(ph_context *context, const float *from, int planes, int height, int width, int new_height,
                           int new_width, float *to);

/* Random streams of this folder: no two share one. */
enum { PH_USE_NOISY_COPY = 100, PH_USE_BASELINE, PH_USE_MASK_CELL, PH_USE_MASK_SHIFT, PH_USE_METRIC, PH_USE_WEIGHTS };

#endif
