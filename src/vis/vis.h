/* The visualisation layer: recipes, and builders that put the picture's side of a graph in front of a network and the
 * objective behind it.
 *
 *     parameters - parameterisation - colour, sigmoid - picture - view - preprocessing - network - objective
 *     recipe.c     parameterisation.c colour.c                    view.c, transform.c              objective.h
 *
 * render.c runs what they build; evaluate.c runs networks without a picture to optimise. */
#ifndef PH_VIS_H
#define PH_VIS_H

#include "exec/program.h"
#include "graph/operations.h"
#include "image/image.h"
#include "model/model.h"
#include "vis/objective.h"
#include "vis/optimiser.h"

/* ---- recipe.c, options.c, preset.c -------------------------------------------------------------------------------- */

#define PH_MAX_NUMBERS 64

/* "8": one number, whose meaning is the option's own; "1,2,5" or "8,": a list. */
struct ph_numbers { int count; bool list; double values[PH_MAX_NUMBERS]; };

struct ph_size { int64_t width, height; }; /* 0: automatic */

enum ph_squash { PH_SQUASH_SIGMOID, PH_SQUASH_CLIP };
enum ph_transforms { PH_TRANSFORMS_STANDARD, PH_TRANSFORMS_NONE, PH_TRANSFORMS_CROPS };
enum ph_pooling { PH_POOLING_MAXIMUM, PH_POOLING_AVERAGE, PH_POOLING_SOFTENED };
#define PH_BORDER_RANDOM (PH_BORDER_WRAP + 1) /* another grey at each step */

struct ph_recipe {
    ph_context *context;
    char **texts; /* canonical text of each option, in the table's order */
    int64_t preset;
    struct ph_size size, input_size;
    int64_t seed, batch;
    int64_t pictures, item;      /* of each objective; which of them is given, from 1, 0: all */
    int64_t auto_weight;         /* steps before regularisers are balanced; 0: they are not */
    double target;               /* NAN: none */
    struct ph_numbers snapshots; /* one number: how many */
    const char *init, *mask;     /* paths of pictures; NULL: none */
    struct ph_size print_size;
    int64_t until;               /* the last step made; 0: all */
    int64_t parameterisation;    /* index in ph_parameterisations */
    double decay, band_limit;    /* band_limit NAN: none */
    double spread;
    bool decorrelate, grey, alpha;
    int64_t levels;              /* fields of a pyramid */
    int64_t squash;              /* enum ph_squash */
    int64_t transforms;          /* enum ph_transforms */
    int64_t border;              /* enum ph_warp_border, or PH_BORDER_RANDOM */
    int64_t views;               /* of each picture at each step */
    bool mirror;
    struct ph_numbers crop_size; /* mean side of boxes, or its first and last value */
    double noise;
    double jitter, jitter_end;   /* pixels of a picture 224 wide */
    struct ph_numbers scale, rotate; /* one number: half the range */
    int64_t backward;            /* 0: plain, 1: guided, 2: deconvolution */
    int64_t pooling;             /* enum ph_pooling */
    int64_t optimiser;           /* index in ph_optimisers */
    double learning_rate, rate_limit; /* rate_limit NAN: none */
    double beta1, beta2;
    double momentum, smoothing;
    struct ph_schedule schedule;
    int64_t warm_up;
    int64_t normalise;           /* enum ph_normalisation */
    struct ph_numbers gradient_blur; /* deviation in pixels, or its first and last value */
    int64_t gradient_bands;
    int64_t steps, redirect_steps;
    int64_t plateau;             /* steps; 0: never */
    double stop_value;           /* NAN: none */
    double tolerance;            /* NAN: none */
    int64_t keep_best;           /* steps between looks; 0: the last is kept */
    int64_t attempts;
    double pixel_decay;
    struct ph_numbers blur;      /* deviation, or its first and last value */
    int64_t blur_every;
    double clip_norm, clip_contribution; /* percentiles */
    double stretch;              /* percentile; 0: as it is */
};

/* `option=value` lines of every option that shapes the picture and is not at its default. */
void ph_recipe_print(const ph_recipe *recipe, struct ph_text *text);
/* Lines about the network, the objective and the machine that a recipe's options do not hold. */
void ph_recipe_facts_append(const ph_model *model, const char *objective, struct ph_text *text);
/* The joined networks that the objective names: "#network-1=NAME", and of each what is said of the model. */
void ph_recipe_networks_append(const ph_model *model, const struct ph_objective *objective, struct ph_text *text);
/* The end of such a line: text from outside, whatever it holds, on this line alone. */
void ph_recipe_line_append(struct ph_text *text, const char *value, size_t length);
ph_status ph_recipe_clone(const ph_recipe *recipe, ph_recipe **clone);
/* Whether a snapshot falls due after `step` steps. */
bool ph_recipe_snapshot_due(const ph_recipe *recipe, int64_t step);
/* The table of presets; NULL behind the last. */
const char *ph_preset_name(int index);
const char *ph_preset_help(int index);
const char *ph_preset_settings(int index); /* `option=value` lines */

/* What random numbers are drawn for: no two uses share a stream. */
enum ph_random_use {
    PH_USE_START, PH_USE_TRANSFORM, PH_USE_BOX, PH_USE_GROUND,
    PH_USE_NOISE = 16 /* two for each view, 2 PH_MAX_BATCH in all */
};
/* Whether the picture after some step depends on how many steps were meant. */
bool ph_recipe_has_course(const ph_recipe *recipe);
/* From the first of one or two numbers at step 0 to the last at the last step. */
double ph_recipe_over_steps(const ph_recipe *recipe, const struct ph_numbers *numbers, int64_t step);
/* Steps that are made. */
int64_t ph_recipe_last_step(const ph_recipe *recipe);

/* ---- view.c: how the network sees the picture -------------------------------------------------------------------- */

/* A picture is scaled to fit into the network's input and lies in its middle; what lies beside it is border. Pictures
 * of the input's own size are seen pixel by pixel. */
struct ph_view {
    int channels, height, width;       /* the picture */
    int input_height, input_width;     /* of the network */
    int fitted_height, fitted_width;   /* the picture, scaled to fit */
};

/* Sizes from the recipe, where it leaves them free from the model. The network's input is then as large as the picture,
 * where the model allows it and unless `own_input` asks for the size it was made for. */
ph_status ph_view_resolve(const ph_model *model, const ph_recipe *recipe, bool own_input, struct ph_view *view);
/* Sets how the picture is scaled to fit. */
void ph_view_fit(struct ph_view *view);
/* Appends what turns `picture` [N,C,H,W] into the network's view of it, before preprocessing. `matrices` [N,2,3] as
 * ph_transform_draw writes them; PH_ABSENT: the picture as it lies. `border` as in a recipe. */
ph_status ph_view_build(struct ph_graph *graph, const struct ph_view *view, int border, int picture, int matrices,
                        int *out);
/* Appends the model's preprocessing as a 1x1 convolution. */
ph_status ph_preprocessing_build(const ph_model *model, struct ph_graph *graph, int picture, int *out);
/* The same numbers as a matrix: input[c] = sum over d of weights[c * channels + d] picture[d] + bias[c]. */
void ph_preprocessing_matrix(const ph_preprocessing *preprocessing, float *weights, float *bias);

/* ---- transform.c: random changes of view ------------------------------------------------------------------------- */

/* The matrix of affine_warp for one of a picture's views at one step. */
void ph_transform_draw(const ph_recipe *recipe, const struct ph_view *view, uint32_t step, int index,
                       float matrix[6]);
/* What lies beyond a random border. */
float ph_transform_draw_fill(const ph_recipe *recipe, uint32_t step, int index);
/* What is added to a view. */
void ph_transform_draw_noise(const ph_recipe *recipe, uint32_t step, int index, float *noise, size_t count);

/* ---- parameterisation.c, parameterisations/ ------------------------------------------------------------------------ */

struct ph_parameterisation {
    const char *name, *help;
    struct ph_shape (*shape)(int64_t items, const ph_recipe *recipe, const struct ph_view *view); /* of the parameters */
    /* How many of an item's parameters, the first ones, all pictures of an objective have in common. NULL: none. */
    int64_t (*common)(const ph_recipe *recipe, const struct ph_view *view);
    /* From parameters to planes [N,C,H,W], before colour. */
    ph_status (*build)(struct ph_graph *graph, const ph_recipe *recipe, const struct ph_view *view, int parameters,
                       int *out);
    /* Start values of one item. NULL: normal deviates of the recipe's spread. */
    void (*start)(const ph_recipe *recipe, const struct ph_view *view, float *values);
    /* Parameters of one item from which `build` makes these planes [C,H,W]. NULL: there may be none. */
    ph_status (*invert)(ph_context *context, const ph_recipe *recipe, const struct ph_view *view, const float *planes,
                        float *values);
    bool any_size; /* the parameters' shape does not depend on the picture's */
};
extern const struct ph_parameterisation ph_parameterisation_fourier, ph_parameterisation_pixel,
    ph_parameterisation_laplacian, ph_parameterisation_shared, ph_parameterisation_phase, ph_parameterisation_cppn;
extern const struct ph_parameterisation *const ph_parameterisations[]; /* NULL-terminated */
/* Start values of one item, drawn with the recipe's seed. */
void ph_parameterisation_start(const ph_recipe *recipe, const struct ph_view *view, float *values, size_t count);
struct ph_random_key ph_start_key(const ph_recipe *recipe);

/* spectrum.c. Cycles per pixel of row v and column k. */
double ph_frequency(int v, int k, int height, int width);
/* Factors of a height x (width/2 + 1) half spectrum, row-major. */
void ph_fourier_scale(int height, int width, double decay, double band_limit, float *scale);
/* Appends the inverse transform of a spectrum [N,C,H,K,2]. */
ph_status ph_irfft2_build(struct ph_graph *graph, int width, int spectrum, int *out);
/* The transform of planes [C,H,W], as numpy.fft.rfft2 has it. */
ph_status ph_spectrum_of_planes(ph_context *context, const struct ph_view *view, const float *planes, float *spectrum);

/* ---- colour.c ---------------------------------------------------------------------------------------------------- */

/* Planes [N,C,H,W] to a picture in [0,1]: for three channels the decorrelating matrix when wanted, then the range. */
ph_status ph_colour_build(struct ph_graph *graph, const ph_recipe *recipe, int planes, int *picture);
/* Whether parameters are the pixels less one half, which the refiner keeps between black and white. */
bool ph_colour_is_bounded(const ph_recipe *recipe);
/* Planes [C, plane] that give this picture, nearly where it is black or white. */
void ph_colour_invert(const ph_recipe *recipe, int channels, size_t plane, const float *picture, float *planes);
/* weights[3][3], rows red, green, blue. */
void ph_colour_matrix(float weights[9]);
/* Appends out[o] = sum over c of weights[o * in + c] x[c] + bias[o] at every pixel. bias may be NULL. */
ph_status ph_colour_mix(struct ph_graph *graph, int x, const float *weights, const float *bias, int *out);

/* ---- start.c: given pictures ------------------------------------------------------------------------------------- */

struct ph_render;

struct ph_start {
    ph_picture *picture;  /* of the render's size; NULL: none */
    ph_picture *mask;     /* one channel, likewise */
    float *parameters;    /* of one item, whose picture is `picture` */
};
/* A picture in a file, scaled to cover height x width, and its middle; `channels` 1 or 3. */
ph_status ph_picture_load_covering(ph_context *context, const char *path, int channels, int height, int width,
                                   ph_picture **out);
ph_status ph_start_load(const struct ph_render *render, struct ph_start *start);
void ph_start_finish(struct ph_start *start);

/* ---- canvas.c: from parameters to the picture -------------------------------------------------------------------- */

/* The render's view with as many channels as the parameterisation makes planes. */
struct ph_view ph_canvas_view(const struct ph_render *render);
/* Of the picture: with alpha one more than the network sees. */
int ph_canvas_channels(const struct ph_render *render);
/* Fails when options contradict each other. */
ph_status ph_canvas_check(const struct ph_render *render);
ph_status ph_canvas_build(const struct ph_render *render, struct ph_graph *graph, int parameters, int *picture);
/* Appends what is seen of a picture whose last channel is opacity, over `ground`, grey where PH_ABSENT. */
ph_status ph_canvas_lay(struct ph_graph *graph, int picture, int ground, int *seen);
/* Random pictures to lay it over, made from normal deviates [1,C,H,K,2]. */
struct ph_shape ph_ground_shape(const struct ph_view *view);
void ph_ground_draw(const ph_recipe *recipe, uint32_t step, float *spectrum, size_t count);
ph_status ph_ground_build(const struct ph_render *render, struct ph_graph *graph, int spectrum, int *ground);

/* ---- evaluate.c: running a network on a given input ---------------------------------------------------------------- */

/* The picture in the network's channels, size and preprocessing: [1,C,H,W]. */
ph_status ph_picture_prepare(const ph_model *model, const ph_picture *picture, const char *fit, ph_tensor **tensor);

/* ---- gradient.c, refiner.c: around the optimiser's step ------------------------------------------------- */

/* What the recipe asks to be done with the gradient before a step, and with the parameters after it. */
struct ph_refiner {
    ph_context *context;
    const ph_recipe *recipe;
    struct ph_view view;
    enum ph_normalisation normalisation;
    int items;
    size_t item_size, common; /* parameters of an item; of which all items have these, the first, in common */
    bool bounded;            /* pixels that are kept from leaving the range in which they have a gradient */
    float *gradient;         /* [items * item_size], NULL when it is left as it is */
    float *scratch;          /* [items * item_size * 3], likewise */
};

/* Fails when the recipe asks for what only pixels have and the parameters are none. */
ph_status ph_refiner_start(ph_context *context, const ph_recipe *recipe, const struct ph_view *view, int items,
                           size_t item_size, struct ph_refiner *refiner);
/* The gradient to step along. */
const float *ph_refiner_gradient(struct ph_refiner *refiner, int64_t step, const float *gradient);
/* After step `step`, counted from 0, along `gradient`; resting items stay as they are. */
void ph_refiner_parameters(struct ph_refiner *refiner, int64_t step, const bool *resting, float *parameters,
                           const float *gradient);
/* The same two, told to a device that makes the steps; the loop is zeroed before. */
void ph_refiner_tell(const struct ph_refiner *refiner, struct ph_loop *loop);
void ph_refiner_tell_step(const struct ph_refiner *refiner, int64_t step, struct ph_loop_step *told);
void ph_refiner_finish(struct ph_refiner *refiner);

/* Divides by what `normalisation` names; a gradient of zeros stays as it is. */
void ph_gradient_normalise(enum ph_normalisation normalisation, float *gradient, size_t count);
/* Splits `planes` planes into `bands` of about an octave and divides each band by its root mean square. scratch[3 *
 * planes * height * width]. */
void ph_gradient_normalise_bands(float *gradient, int planes, int height, int width, int bands, float *scratch);
/* Gaussian blur of each plane, in place; the border is reflected. scratch[height * width]. */
void ph_planes_blur(float *data, int planes, int height, int width, double deviation, float *scratch);

/* ---- watch.c: noticing what would otherwise end as a grey picture without a word --------------------------------- */

struct ph_scene;

struct ph_watch {
    bool failed;             /* a value or gradient stopped being finite ... */
    bool value_failed;       /* ... which of them ... */
    int64_t failed_at;       /* ... and at which step */
    char culprit[128];       /* the first layer with a value that is not finite, "" when not known */
    bool warned;
    int64_t silent_since;    /* step at which the gradient vanished, -1 when it has not */
    float first_size;        /* of the first gradient that was not zero */
    double early[2], late[2]; /* sums of the objective and of its squares over the first and the last steps of the start */
    bool rests;              /* has reached its value or a plateau and stays as it is */
};

/* Largest size of an element; infinity or NAN where one is not finite. */
float ph_gradient_size(const ph_context *context, const float *gradient, size_t count);
/* What becomes of an item with this value and gradient size at step `step`, counted from 0; PH_LOOP_MOVES, or for good what
 * keeps it from moving. shaders/judge.comp does the same. */
enum ph_loop_state ph_watch_judge(struct ph_loop_item *item, const ph_recipe *recipe, int64_t step, float value, float size);
/* Takes notice of it. `program` is what just ran. */
void ph_watch_step(struct ph_watch *watch, const struct ph_render *render, int objective, int item,
                   const struct ph_scene *scene, struct ph_program *program, int64_t step,
                   const struct ph_loop_report *report);

/* A word about a finished picture that is nearly of one colour, unless there was one before. */
void ph_watch_picture(struct ph_watch *watch, const struct ph_render *render, int objective, const ph_picture *picture);

/* ---- backward.c: changes of the network, whose nodes begin at `first_node` ---------------------------------------- */

/* Silent rectifiers get a gradient; false when there is none of them. */
bool ph_redirect(struct ph_graph *graph, int first_node);
/* The recipe's rule for rectifiers, and softened maximum pools. With `wakes` the guided rule is left out, which lets nothing
 * through to a silent unit. */
ph_status ph_backward_rule(struct ph_graph *graph, const ph_recipe *recipe, int first_node, bool wakes);
/* Average pools for maximum pools, if the recipe wants them. */
void ph_pooling_swap(struct ph_graph *graph, const ph_recipe *recipe, int first_node);

/* ---- scene.c: the graphs of a render ----------------------------------------------------------------------------- */

struct ph_render {
    ph_model *model;
    const ph_recipe *recipe;
    const struct ph_objective *objectives;
    const struct ph_start *start; /* NULL: none */
    struct ph_references *references; /* files that objectives name */
    const double *balances; /* of each objective in work, a factor for each regulariser; NULL: 1 */
    struct ph_view view; /* of the objectives in work */
};

/* Inputs that a scene does not have are PH_ABSENT; an evaluation is fed pictures and nothing else. With K views of each of
 * N pictures the network's batch is N K, those of a picture side by side. */
struct ph_scene {
    struct ph_graph *graph;
    int parameters;  /* [N,...] fed */
    int matrices;    /* [N K,2,3] fed */
    int fills;       /* [N K,1,1,1] fed: what lies beyond a random border */
    int noise;       /* [N K,C,H',W'] fed */
    int ground;      /* fed: the spectrum of what shows through */
    int picture;     /* [N,C,H,W] */
    int *parts;      /* their parts, as ph_objective_build_parts has them, for each view */
    int *errors;     /* [N] each: how far the objectives' terms with a goal are from it */
    int error_count;
    int value;       /* [N] the objectives */
    int loss;        /* [N] what is minimised */
    int network, network_end; /* nodes of the network: [network, network_end) */
};

/* Chooses the view for objective `first` and those like it: a network whose size is free up to some layer sees the picture
 * at the picture's size for objectives before that layer, at its own for others. */
ph_status ph_render_choose_view(struct ph_render *render, int first);
/* From parameters to the loss of objectives [first, first + count). With `redirect`, silent units get a gradient; then
 * *redirected tells whether the network has any unit that can be silent. */
ph_status ph_scene_optimise(const struct ph_render *render, int first, int count, bool redirect, bool *redirected,
                            struct ph_scene *scene);
/* Feeds a program of such a scene with what is random at this step. */
void ph_scene_draw(const struct ph_render *render, const struct ph_scene *scene, struct ph_program *program,
                   uint32_t step);
/* From a picture as its file holds it to the objectives. */
ph_status ph_scene_evaluate(const struct ph_render *render, int first, int count, struct ph_scene *scene);
void ph_scene_finish(struct ph_scene *scene);
struct ph_shape ph_render_parameters(const struct ph_render *render, int64_t items);

/* ---- develop.c: from parameters to finished pictures ------------------------------------------------------------- */

struct ph_developer {
    struct ph_render render;           /* at the size that is printed */
    int first, count;
    ph_recipe *recipe;                 /* a copy whose steps are those really made */
    struct ph_scene evaluation;
    struct ph_graph *graph;            /* from parameters to pictures */
    int parameters, picture;
    struct ph_program *printer, *evaluator;
    float *pixels, *values;            /* of all items */
    float *errors, *unrounded;         /* [errors of an objective * items]; unrounded: before rounding to 8 bits */
    float *sorted;                     /* of one picture's size; NULL where none is stretched */
};

ph_status ph_developer_start(const struct ph_render *render, int first, int count, struct ph_developer *developer);
/* pictures[count], each with its value and its recipe: what a render of `step` steps gives. `stopped`: more steps were
 * meant, which a fact in the recipe says. */
ph_status ph_developer_run(struct ph_developer *developer, const float *parameters, int64_t step, bool stopped,
                           ph_picture **pictures);
/* The objectives' balances have changed. */
void ph_developer_rebalance(struct ph_developer *developer);
/* The objectives' values alone; values[count]. */
ph_status ph_developer_values(struct ph_developer *developer, const float *parameters, float *values);
/* How far each goal is missed by the pictures as their files hold them: errors[goals * count]. */
ph_status ph_developer_errors(struct ph_developer *developer, const float *parameters, float *errors);
void ph_developer_finish(struct ph_developer *developer);

#endif
