/* phosphene: pictures of what a convolutional network sees.
 *
 * The weights of a network stay fixed; its *input* is optimised until a chosen output or inner unit is as large, as
 * small, or as close to a target as asked. A complete program:
 *
 *     #include <phosphene/phosphene.h>
 *     #include <stdio.h>
 *
 *     int main(void) {
 *         ph_context *context = ph_context_create();
 *         ph_model *model = NULL;
 *         ph_recipe *recipe = NULL;
 *         ph_picture *picture = NULL;
 *         const char *objective = "class:goldfish";
 *         ph_status status = ph_model_load(context, NULL, &model);
 *         if (!status) status = ph_recipe_create(context, &recipe);
 *         if (!status) status = ph_recipe_set(recipe, "steps", "64");
 *         if (!status) status = ph_render(model, recipe, &objective, 1, NULL, &picture);
 *         if (!status) status = ph_picture_save(picture, "goldfish.png", false);
 *         if (status) fprintf(stderr, "%s\n", ph_context_error(context));
 *         ph_picture_destroy(&picture);
 *         ph_recipe_destroy(&recipe);
 *         ph_model_destroy(&model);
 *         ph_context_destroy(&context);
 *         return status != PH_OK;
 *     }
 *
 * Rules that hold everywhere
 *   Errors     every function that can fail returns a ph_status; the text is in ph_context_error() until the next
 *              failure. Nothing exits, prints or aborts.
 *   Ownership  what X_create, X_load or an `X **out` argument gives is yours; X_destroy(&x) frees it and sets it to NULL.
 *              Destroying NULL is allowed. A model, recipe or picture must not outlive its context; pictures may outlive
 *              their model.
 *   Threads    one context and everything made from it belong to one thread at a time; contexts are independent.
 *   Tensors    are float, row-major, shapes written [N,C,H,W]. Pictures are RGB in [0,1], sRGB as stored in files.
 */
#ifndef PHOSPHENE_H
#define PHOSPHENE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined _WIN32
#define PH_API
#else
#define PH_API __attribute__((visibility("default")))
#endif

#define PH_VERSION "0.1.0"

/* ---- Status, context --------------------------------------------------------------------------------------------- */

typedef enum ph_status {
    PH_OK = 0,
    PH_ERROR_ARGUMENT = -1,    /* a value passed in is outside what the function documents */
    PH_ERROR_MEMORY = -2,      /* an allocation failed */
    PH_ERROR_FILE = -3,        /* a file cannot be opened, read, written, or exists already */
    PH_ERROR_FORMAT = -4,      /* a file's contents are damaged or contradict themselves */
    PH_ERROR_UNSUPPORTED = -5, /* understood, but outside what phosphene does; the text says what would be valid */
    PH_ERROR_SHAPE = -6,       /* tensor shapes do not fit together */
    PH_ERROR_NOT_FOUND = -7,   /* no such layer, unit, class, option; the text lists the nearest names */
    PH_ERROR_NUMERIC = -8,     /* NaN, infinity, or a gradient that vanished */
    PH_ERROR_CANCELLED = -9    /* the progress callback asked to stop; partial results are valid */
} ph_status;

typedef struct ph_context ph_context;

/* NULL when memory ran out. Default: as many threads as the process may use, log discarded. */
PH_API ph_context *ph_context_create(void);
PH_API void ph_context_destroy(ph_context **context);

/* Text of the last failure, "" if none. Valid until the next call on this context. Never NULL. */
PH_API const char *ph_context_error(const ph_context *context);

/* Worker threads, 1 to 1024; 0 restores the default. Results do not depend on it. */
PH_API ph_status ph_context_set_threads(ph_context *context, int threads);

/* Highest instruction set to use: "portable", "avx2", "avx512", "avx512-bf16", "amx" or "auto" (default). A level the processor
 * lacks is an error. */
PH_API ph_status ph_context_set_instruction_set(ph_context *context, const char *name);

/* Where networks and pictures are computed from now on: "cpu" (default), "vulkan", "plain" (for tests; slow) or "auto", which
 * takes whichever the first job, such as a render's steps, is estimated to be done with first, by its arithmetic and the kind
 * of device, says so through the log and stays with it; for what a GPU cannot do the CPU goes on. `device` counts what
 * ph_catalogue lists as "vulkan N", from 0; other backends have one. A device is opened when it is first needed, and what it
 * lacks is an error then. */
PH_API ph_status ph_context_set_backend(ph_context *context, const char *name, int device);

/* What numbers a program keeps and multiplies. Sums, gradients, objectives and the optimiser's state are 32 bits always.
 *   "fp32"    float.
 *   "fp16"    vulkan alone: a network's weights and what its layers hand to each other are kept in 16 bits.
 *   "bf16x3"  cpu with AVX512_BF16 or AMX: both factors of a convolution's products are split into two bfloat16 halves, and
 *             three of the four products summed: errors near those of float, at a multiple of its speed on AMX alone.
 *   "bf16"    the same processors: the factors are rounded to bfloat16, 8 bits. A preview.
 *   "auto"    (default) the fastest that is as exact as float, by the processor's feature bits: bf16x3 with AMX, else fp32.
 * Another name is PH_ERROR_NOT_FOUND. A backend, device or processor without what is asked for is an error when a program is
 * made (PH_ERROR_UNSUPPORTED, with what there is), and with the backend "auto" the CPU goes on, in fp32 where it lacks it too. */
PH_API ph_status ph_context_set_precision(ph_context *context, const char *name);

/* Execution profiles. Which kernel computes a layer is decided by a rule on its shapes and the processor's feature bits, never
 * by time. A profile is a file of choices that were measured on one machine instead, one line for each kind of layer, which
 * programs made from then on keep to where they have such layers:
 *
 *     phosphene profile 1
 *     # a comment
 *     cpu/avx512 forward convolution [512,7,7] to [512,7,7] kernel 1x3x3 ... => direct | direct 2.5 ms, winograd-small 2.7 ms
 *
 * Before the arrow stand instruction set and precision, direction, operation, shapes without the batch, and attributes; behind it
 * the kernel, what each was measured at (may be missing), and details that some kernels have. The same profile gives the same
 * bytes with any number of threads, in any batch, on any run; another one slightly others. Of the backend "cpu" alone: on
 * another, programs are PH_ERROR_UNSUPPORTED. `path` NULL: none, the default. A file that is damaged is PH_ERROR_FORMAT, with its
 * line; a choice that a program cannot keep to is, when that is made. */
PH_API ph_status ph_context_set_profile(ph_context *context, const char *path);
/* The same, and whenever a program is made from now on, all kernels that take its layers are measured where the profile has no
 * choice yet, and the choices added to the file; one that is not there is begun. Measuring takes as much memory as the program,
 * times the most kernels that take one layer (2 or 3), and tens of runs of each. PH_ERROR_FILE where the file was changed by
 * another meanwhile: nothing of it is undone. */
PH_API ph_status ph_context_tune(ph_context *context, const char *path);

typedef struct ph_profile_info {
    const char *name;   /* base name of the file without ".profile"; NULL: there is no profile */
    int choices;
    const char *sha256; /* of the choices, 64 hex digits; comments and times do not count */
} ph_profile_info;
/* Strings are valid until the profile changes. */
PH_API ph_profile_info ph_context_profile(const ph_context *context);
/* Uses the first `choices` of the profile alone, those with this digest: a picture's recipe has both (#tuned-choices,
 * #tuned-sha256), and a profile that was added to since makes the same bytes again. PH_ERROR_NOT_FOUND where they are others. */
PH_API ph_status ph_context_hold_profile(ph_context *context, int choices, const char *sha256);

/* Notices a person may want to see: guesses made, fallbacks taken. `text` has no line end. NULL discards them. */
typedef void ph_log_function(void *user, const char *text);
PH_API void ph_context_set_log(ph_context *context, ph_log_function *log, void *user);

/* ---- Files ------------------------------------------------------------------------------------------------------- */

/* A file of these bytes. It has its name only when complete: of a write that fails, or of a program that is killed, nothing
 * is left (a killed one leaves NAME.part-XXXXXX on file systems without O_TMPFILE). PH_ERROR_FILE where it cannot be written,
 * where `path` is no regular file, and where it exists already unless `overwrite`. The other functions that write files
 * go through this one. */
PH_API ph_status ph_file_write(ph_context *context, const char *path, const void *data, size_t size, bool overwrite);

/* ---- Tensors ----------------------------------------------------------------------------------------------------- */

#define PH_MAX_RANK 8

typedef struct ph_tensor {
    int rank;                  /* 0 to PH_MAX_RANK */
    int64_t dims[PH_MAX_RANK]; /* outermost first */
    float *data;               /* product(dims) values */
} ph_tensor;

PH_API ph_status ph_tensor_create(ph_context *context, int rank, const int64_t *dims, ph_tensor **tensor);
PH_API void ph_tensor_destroy(ph_tensor **tensor);

/* NumPy's .npy, versions 1 to 3; float16, float32, float64 and integers are converted to float, either byte order and
 * either array order. Written as little-endian float32 in C order. */
PH_API ph_status ph_tensor_load(ph_context *context, const char *path, ph_tensor **tensor);
PH_API ph_status ph_tensor_save(ph_context *context, const ph_tensor *tensor, const char *path, bool overwrite);

/* Tensors by name, and NumPy's .npz, a ZIP file of them: stored or deflated where read, stored where written. Needs libzip;
 * PH_ERROR_UNSUPPORTED without. */
typedef struct ph_tensors {
    int count;
    char **names;      /* without ".npy" */
    ph_tensor **list;
} ph_tensors;
PH_API ph_status ph_tensors_load(ph_context *context, const char *path, ph_tensors **tensors);
PH_API ph_status ph_tensors_save(ph_context *context, const ph_tensors *tensors, const char *path, bool overwrite);
PH_API void ph_tensors_destroy(ph_tensors **tensors);

/* ---- Pictures ---------------------------------------------------------------------------------------------------- */

typedef struct ph_picture ph_picture;

/* PNG, JPEG, BMP, TGA, GIF (first frame), PNM; WebP where phosphene was built with libwebp. PNG, JPEG and WebP are turned
 * upright as their EXIF orientation says. */
PH_API ph_status ph_picture_load(ph_context *context, const char *path, ph_picture **picture);

/* 8 bits a channel, rounded half up; the channels of a network that sees neither grey nor RGB lie side by side, each grey;
 * the recipe, if any, goes into a text chunk. The file appears under its name only when complete; an existing one is an
 * error unless `overwrite`. */
PH_API ph_status ph_picture_save(const ph_picture *picture, const char *path, bool overwrite);
PH_API void ph_picture_destroy(ph_picture **picture);

PH_API int ph_picture_width(const ph_picture *picture);
PH_API int ph_picture_height(const ph_picture *picture);
PH_API int ph_picture_channels(const ph_picture *picture); /* 1, 3, 4, or as many as the network's input has */

/* Planar [C,H,W] in [0,1]; valid as long as the picture. */
PH_API const float *ph_picture_pixels(const ph_picture *picture);

/* The recipe it was made with, as `option=value` lines (see ph_recipe_parse); "" if none. */
PH_API const char *ph_picture_recipe(const ph_picture *picture);

/* To 1 or 3 channels: grey is Rec. 601 luma of sRGB values; opacity is laid over grey 0.5. */
PH_API ph_status ph_picture_convert(const ph_picture *picture, int channels, ph_picture **out);
/* Scaled to this size; antialiased when shrinking: triangle filter with the support scaled, as Pillow's BILINEAR; Pillow's
 * rounding to 8 bits between the passes is not imitated. */
PH_API ph_status ph_picture_resize(const ph_picture *picture, int height, int width, ph_picture **out);

/* Scaled so that it just covers this size, and its middle. */
PH_API ph_status ph_picture_cover(const ph_picture *picture, int height, int width, ph_picture **out);

/* A contact sheet: `count` pictures in rows of `columns` (0: about square), each with its caption, `gap` grey pixels
 * between them. All must have equal size and channels. captions may be NULL. */
PH_API ph_status ph_picture_sheet(ph_context *context, const ph_picture *const *pictures, const char *const *captions,
                                  int count, int columns, int gap, ph_picture **sheet);

/* ---- Animations --------------------------------------------------------------------------------------------------- */

/* Pictures of one size, one after the other, as animated WebP that begins again at its end. PH_ERROR_UNSUPPORTED from
 * ph_animation_create when phosphene was built without libwebp. */
typedef struct ph_animation ph_animation;

/* `rate`: frames a second, 0.1 to 1000; `quality`: 0 to 100. */
PH_API ph_status ph_animation_create(ph_context *context, int height, int width, double rate, double quality,
                                     ph_animation **animation);
PH_API ph_status ph_animation_add(ph_animation *animation, const ph_picture *picture); /* the picture is not kept */
/* Once, when all frames are there. As ph_picture_save. */
PH_API ph_status ph_animation_save(ph_animation *animation, const char *path, bool overwrite);
PH_API void ph_animation_destroy(ph_animation **animation);

/* ---- Models ------------------------------------------------------------------------------------------------------ */

typedef struct ph_model ph_model;

/* Reads a network: ONNX, or Caffe (.caffemodel, with a .prototxt of the same stem beside it if there is one; a
 * .prototxt path finds its .caffemodel likewise). NULL: the embedded default network. Preprocessing comes from the
 * sidecar MODEL.phosphene if there is one, else it is guessed and the guess is logged. Large weights of an ONNX file stay in it,
 * and in files beside it, until something that needs them is computed; it is held open, and may be renamed or removed meanwhile,
 * files beside it may not. Where either is written to, what needs them fails with PH_ERROR_FILE. */
PH_API ph_status ph_model_load(ph_context *context, const char *path, ph_model **model);
/* A hand-made representation as a network: "hog", "hogb", "dsift" (catalogue "representations"), of grey pictures of any
 * size. Its layers are listed by ph_model_layers; the last is the descriptor. Defined as by Mahendran and Vedaldi,
 * arXiv:1412.0035, whose HOG is VLFeat's. */
PH_API ph_status ph_model_load_representation(ph_context *context, const char *name, ph_model **model);
PH_API void ph_model_destroy(ph_model **model);

/* How a picture in [0,1] becomes the network's input: input = (picture * scale - mean) / deviation per channel, after
 * the channels were put into `channel_order`. */
typedef struct ph_preprocessing {
    char preset[16];      /* "caffe", "torch", "tf", "unit" or "custom" */
    float scale;          /* 255 or 1 */
    int channels;         /* 1 to 16: how many entries of mean and deviation count */
    float mean[16];       /* in the network's channel order */
    float deviation[16];  /* likewise, not 0 */
    bool bgr;             /* the network wants blue first */
    char guessed[160];    /* why these values were chosen, for a person; "" when set explicitly */
} ph_preprocessing;

PH_API ph_preprocessing ph_model_preprocessing(const ph_model *model);
PH_API ph_status ph_model_set_preprocessing(ph_model *model, const ph_preprocessing *preprocessing);
/* By words: preset NULL keeps the current values as the start; mean is "104,117,123", scale "255", order "rgb" or "bgr";
 * NULL leaves one alone. */
PH_API ph_status ph_model_set_preprocessing_text(ph_model *model, const char *preset, const char *mean,
                                                 const char *scale, const char *deviation, const char *order);
/* Writes the sidecar beside the model file. */
PH_API ph_status ph_model_save_preprocessing(const ph_model *model, bool overwrite);

/* Replaces the class names, one per line, in output order. ImageNet-style lines ("n01443537 goldfish, Carassius
 * auratus") are understood. Without it: the file MODEL_labels.txt or MODEL.labels.txt beside the model, if any. */
PH_API ph_status ph_model_load_labels(ph_model *model, const char *path);
PH_API int ph_model_class_count(const ph_model *model);              /* 0 when unknown */
PH_API const char *ph_model_class_name(const ph_model *model, int index); /* NULL when unknown */

typedef struct ph_model_info {
    const char *path;        /* base name, or "embedded" */
    const char *format;      /* "ONNX", "Caffe" or "representation" */
    const char *sha256;      /* of the weights file, 64 hex digits */
    const char *input_name;
    int rank;                /* of the input */
    int64_t dims[PH_MAX_RANK]; /* as the file states them; -1 where free */
    int channels, height, width; /* of a picture for it, free sizes at their default */
    bool size_is_free;       /* other heights and widths work up to the first layer that fixes them */
    int64_t parameters;      /* number of weights */
    const char *logits;      /* layer whose units are the classes before the softmax, or NULL */
    const char *probabilities; /* layer after the softmax, or NULL */
    const char *unsupported; /* what cannot be computed, NULL when everything can */
} ph_model_info;

PH_API ph_model_info ph_model_describe(const ph_model *model);

/* Lets the objectives of renders of `model` speak of another network: "class:tabby + in(NAME, class:tabby)". Both see the
 * same picture through the same random transforms, `other` at its own input size and with its own preprocessing, which is
 * to be set before. `name`: 1 to 63 letters, digits, '_', '.' and '-'. At most 7 networks, of the same context, with as many
 * channels as `model` sees. Takes *other over and sets it to NULL; on an error it stays yours. */
PH_API ph_status ph_model_join(ph_model *model, const char *name, ph_model **other);
/* The network that was joined under this name; still owned by `model`. NULL: none. */
PH_API ph_model *ph_model_joined(const ph_model *model, const char *name);

typedef struct ph_layer_info {
    const char *name;      /* of the tensor: what objectives refer to */
    const char *operation; /* "convolution", "relu", ... */
    int rank;
    int64_t dims[PH_MAX_RANK];
    int64_t parameters;    /* weights of the node that makes it */
    double flops;          /* of its forward pass; a multiply-add is 2 */
    bool trunk;            /* all that lies behind depends on it alone: not inside a branch, or beside one */
} ph_layer_info;

/* Layers at `height` x `width` (0: the model's own size), in order of computation. The array and its strings belong to
 * the model and stay valid until the next call of this function on it. */
PH_API ph_status ph_model_layers(ph_model *model, int height, int width, const ph_layer_info **layers, int *count);

/* ---- Recipes ----------------------------------------------------------------------------------------------------- */

/* Everything that determines a picture but the network and the objective: a set of named options. The table below is
 * the only list of them; the command line, its help and the recipe inside a PNG are made from it. */
typedef struct ph_recipe ph_recipe;

typedef struct ph_option_info {
    const char *name;     /* "steps" */
    const char *argument; /* "N", "WxH", ...; NULL for a switch ("true" or "false") */
    const char *initial;  /* default, as text */
    const char *group;    /* "picture", "parameterisation", "transforms", "optimiser", ... */
    const char *help;     /* one line, with unit and range */
} ph_option_info;

/* The table's row `index`, NULL behind the last one. */
PH_API const ph_option_info *ph_recipe_option(int index);

PH_API ph_status ph_recipe_create(ph_context *context, ph_recipe **recipe); /* all options at their defaults */
PH_API void ph_recipe_destroy(ph_recipe **recipe);

/* An unknown name or a value outside its range is an error that names what would be valid. */
PH_API ph_status ph_recipe_set(ph_recipe *recipe, const char *name, const char *value);
/* Present value as text, NULL for an unknown name. Valid until the recipe changes. */
PH_API const char *ph_recipe_get(const ph_recipe *recipe, const char *name);
/* Sets every option named in `text`, lines of `option=value`; keys starting with "#" are facts about the run
 * (#objective, #model, #model-sha256, #profile, #value, ...) and are skipped here. Nothing is opened: the files of "init" and
 * "mask" are read by ph_render. */
PH_API ph_status ph_recipe_parse(ph_recipe *recipe, const char *text);
/* The reverse: lines of every option that shapes the picture and is not at its default. Recipes with equal text make equal
 * pictures. Free with ph_string_destroy. */
PH_API ph_status ph_recipe_text(const ph_recipe *recipe, char **text);
/* One fact or option out of such a text, copied into `value` (cut at `size`); false when it is not there. */
PH_API bool ph_recipe_lookup(const char *text, const char *key, char *value, size_t size);

/* ---- Rendering --------------------------------------------------------------------------------------------------- */

typedef struct ph_progress {
    int step, steps;              /* steps done of all; snapshots fall due after `step` steps */
    int first, count;             /* which of the objectives are in work: [first, first + count) */
    const float *values;          /* [count] objective on the augmented picture at this step */
    double steps_per_second;      /* of the batch, over the last seconds; 0 when not known yet */
    double seconds_left;          /* of the whole call; negative when not known yet */
} ph_progress;

typedef struct ph_render_callbacks {
    /* After each step, or after some that a device has made together. Returning false stops the call; it then gives the best
     * so far and PH_ERROR_CANCELLED. */
    bool (*progress)(void *user, const ph_progress *progress);
    /* Picture `item` after `step` steps, for each step named in the option "snapshots". Not to be kept or freed. */
    void (*snapshot)(void *user, int item, int step, const ph_picture *picture);
    /* Picture `item` is finished. Not to be kept or freed. */
    void (*finished)(void *user, int item, const ph_picture *picture);
    void *user;
} ph_render_callbacks;

/* Optimises one picture for each of `count` objectives (their grammar is docs/objectives.md), in batches where their
 * form allows; the bytes of a picture do not depend on its neighbours. callbacks may be NULL. pictures[count] receives
 * the results; entries not reached stay NULL. With the option "pictures" each objective has as many of them, one behind
 * the other, unless "item" picks one. */
PH_API ph_status ph_render(ph_model *model, const ph_recipe *recipe, const char *const *objectives, int count,
                           const ph_render_callbacks *callbacks, ph_picture **pictures);

/* The objective reached on the plain 8-bit picture, without augmentation; NAN when not rendered. */
PH_API float ph_picture_value(const ph_picture *picture);

/* How far a picture is from one of the things it was to reach: a term of its objective such as match or reach, or the option
 * "target". What a term lacks to its goal; for "target" the distance from it. */
typedef struct ph_term_error {
    char term[256];   /* as written, cut there */
    double error;     /* of the picture as its file holds it, on 8 bits */
    double unrounded; /* of the picture before that */
} ph_term_error;
/* Number `index`, from 0; false behind the last. Pictures read from files have them too, from their recipes. */
PH_API bool ph_picture_error(const ph_picture *picture, int index, ph_term_error *error);

/* Replaces unit lists by single units: "L:*", "L:0-31", "L:1,5" become one objective for each. Free `objectives` (one
 * block) with ph_string_list_destroy. */
PH_API ph_status ph_objective_expand(ph_model *model, const char *objective, char ***objectives, int *count);
/* The files that an objective reads when it is rendered, as it names them; freed likewise. An objective and the options "init"
 * and "mask" of a recipe that come with somebody else's picture can name any file: look at them first. */
PH_API ph_status ph_objective_files(ph_context *context, const char *objective, char ***files, int *count);
PH_API void ph_string_list_destroy(char ***list, int count);

/* ---- Dreaming ----------------------------------------------------------------------------------------------------- */

typedef struct ph_dream_progress {
    int octave, octaves;  /* the one in work, from 1, of all */
    int step, steps;      /* of this octave, likewise */
    int tile, tiles;      /* tiles done of this step's */
    float value;          /* of the objective at the step before; 0 at the first */
    double seconds_left;  /* of the whole call; negative when not known yet */
} ph_dream_progress;

typedef struct ph_dream_options {
    int octaves;            /* sizes at which the picture is dreamt upon, 1 to 32; default 0: as many as there is room for,
                             * up to 4 */
    double octave_scale;    /* from one to the next larger, 1.01 to 8; default 1.4 */
    int least_side;         /* pixels of the smallest one's shorter side; default 0: 48 */
    int steps;              /* of each octave, default 10 */
    double step_size;       /* mean change of a pixel in a step, white being 1; default 0.006 */
    int jitter;             /* pixels by which what the network sees is shifted at random, default 32 */
    int tile;               /* longest side of what is computed at once, from 32 on, which bounds the memory; default 0: 512,
                             * or the network's own size where it takes no other */
    uint64_t seed;          /* default 0 */
    bool keep_colours;      /* only the brightness dreams; default false */
    const char *guide;      /* file of a picture, whose features as the layer sees them are what is raised; the objective is
                             * then a layer's name; default NULL: none */
    const ph_picture *mask; /* white where the picture may change, scaled to it; default NULL: everywhere */
    double feather;         /* deviation in pixels of the blur of the mask's edge, default 0 */
    bool (*progress)(void *user, const ph_dream_progress *progress); /* after each tile; false stops; may be NULL */
    void *user;
} ph_dream_options;

PH_API ph_dream_options ph_dream_defaults(void);

/* Raises an objective on a picture, octave by octave (google/deepdream). objective NULL: the energy of a layer
 * three quarters into the network. options NULL: the defaults. `out` has the picture's size and 1 or 3 channels, as the
 * network; memory beyond a few copies of it does not depend on its size. PH_ERROR_CANCELLED with the dream so far in `out`
 * when `progress` stopped it. The same bytes with any number of threads. */
PH_API ph_status ph_dream(ph_model *model, const ph_picture *picture, const char *objective, const ph_dream_options *options,
                          ph_picture **out);

/* The picture enlarged about its middle by `zoom`, turned clockwise by `degrees`, and shifted right and down by pixels;
 * what comes in from beyond its edge is its reflection. Each frame of a zoom is the one before it, moved and dreamt upon. */
PH_API ph_status ph_picture_move(const ph_picture *picture, double zoom, double degrees, double right, double down,
                                 ph_picture **out);
/* first * (1 - share) + second * share. Both must have equal size and channels. */
PH_API ph_status ph_picture_blend(const ph_picture *first, const ph_picture *second, double share, ph_picture **out);
/* ---- Running a network -------------------------------------------------------------------------------------------- */

/* Layer's values for a picture [1,...]. The picture is resized as `fit` says: "crop" (shorter side to size*256/224, then
 * centre crop; a picture of the very size stays as it is), "stretch", or "none" (its own size; the network must allow it). NULL:
 * "crop". */
PH_API ph_status ph_activations(ph_model *model, const ph_picture *picture, const char *fit, const char *layer,
                                ph_tensor **tensor);
/* The same for a tensor [N,C,H,W] that is fed to the network as it is, without preprocessing. */
PH_API ph_status ph_activations_tensor(ph_model *model, const ph_tensor *input, const char *layer, ph_tensor **tensor);

/* Gradient of an objective with respect to the network's input (after preprocessing), of the input's shape. */
PH_API ph_status ph_gradient(ph_model *model, const ph_picture *picture, const char *fit, const char *objective,
                             float *value, ph_tensor **tensor);
PH_API ph_status ph_gradient_tensor(ph_model *model, const ph_tensor *input, const char *objective, float *value,
                                    ph_tensor **tensor);

typedef struct ph_class_score {
    int index;
    float probability; /* after the softmax when the network has one */
    float logit;
} ph_class_score;

/* The `count` best classes, best first; *found <= count receives how many there are. */
PH_API ph_status ph_classify(ph_model *model, const ph_picture *picture, const char *fit, ph_class_score *scores,
                             int count, int *found);

/* The compiled program for an objective as text, one line per step: operation, kernel, shape, GFLOP, bytes, arena
 * offset; with `time`, milliseconds too. Free with ph_string_destroy. */
PH_API ph_status ph_plan_text(ph_model *model, const ph_recipe *recipe, const char *objective, bool time, char **text);
PH_API void ph_string_destroy(char **text);

/* ---- Solving ----------------------------------------------------------------------------------------------------- */

/* Which inputs of a network make an objective as large, as small or as close to a value as asked? Any network, any shapes.
 * The variables are the elements of all its inputs, in the file's order, each input row-major. */
typedef struct ph_problem ph_problem;

typedef struct ph_problem_input {
    const char *name;
    int rank;
    int64_t dims[PH_MAX_RANK]; /* free sizes are 1, those of a picture the network's own */
    int64_t first, count;      /* its variables are [first, first + count) */
} ph_problem_input;

enum ph_relation { PH_AT_MOST, PH_EQUAL, PH_AT_LEAST };
enum ph_norm { PH_NORM_2, PH_NORM_INFINITY };

/* All variables start at 0, are free and unbounded. The model must outlive the problem. */
PH_API ph_status ph_problem_create(ph_model *model, ph_problem **problem);
PH_API void ph_problem_destroy(ph_problem **problem);
PH_API int ph_problem_input_count(const ph_problem *problem);
PH_API ph_problem_input ph_problem_describe_input(const ph_problem *problem, int index);

/* What follows is about the variables [first, first + count). Start values must be finite. */
PH_API ph_status ph_problem_set_start(ph_problem *problem, int64_t first, int64_t count, const double *values);
/* They keep their start values, or are free again. */
PH_API ph_status ph_problem_fix(ph_problem *problem, int64_t first, int64_t count, bool fixed);
/* -INFINITY and INFINITY: unbounded on that side. */
PH_API ph_status ph_problem_bound(ph_problem *problem, int64_t first, int64_t count, double low, double high);
/* They take whole numbers: the optimum without this is rounded, the others optimised again, and each moved up and down by
 * one as long as that helps. Not a proof that no better one exists. */
PH_API ph_status ph_problem_make_whole(ph_problem *problem, int64_t first, int64_t count);

/* sum of coefficients[i] * x[variables[i]], related to `right`. Both arrays are copied. */
PH_API ph_status ph_problem_add_linear(ph_problem *problem, int count, const int64_t *variables,
                                       const double *coefficients, enum ph_relation relation, double right);
/* Free variables stay within this distance of their start values. */
PH_API ph_status ph_problem_set_ball(ph_problem *problem, enum ph_norm norm, double radius);

typedef struct ph_solve_options {
    bool minimise;         /* default false: as large as it gets */
    double target;         /* drive the objective to this value; NAN (default): to its extreme */
    const char *method;    /* "auto" (default) or one of the catalogue "methods" */
    const char *precision; /* "auto" (default): double for small networks, else float; "double", "float" */
    int restarts;          /* starting points, the first being the start values; default 16 */
    int evaluations;       /* at most, for each start; default 2000 */
    int top;               /* distinct solutions wanted; default 1 */
    double distinct;       /* solutions nearer than this in every variable, as a share of its range, are one; default 1e-3 */
    double spread;         /* deviation of the starts in unbounded variables; default 1 */
    uint64_t seed;         /* default 0 */
    bool (*progress)(void *user, int starts_done, int starts, double best); /* false stops; may be NULL */
    void *user;
} ph_solve_options;

PH_API ph_solve_options ph_solve_defaults(void);

typedef struct ph_solution {
    double value;      /* of the objective there */
    double excess;     /* by how much the worst constraint is broken; about 0 */
    double *variables; /* all of them */
    int reached;       /* how many starts led here */
} ph_solution;

/* What was tried; the solutions, best first. */
typedef struct ph_solutions {
    int count;
    ph_solution *list;
    int starts, failed;      /* made; without a solution that keeps the constraints */
    int64_t evaluations;
    const char *method, *precision; /* those used */
} ph_solutions;

/* Deterministic in the problem, the options and the instruction set. PH_ERROR_NUMERIC when no start gave a finite value,
 * PH_ERROR_CANCELLED with what was found so far when `progress` stopped it. Free with ph_solutions_destroy. */
PH_API ph_status ph_solve(ph_problem *problem, const char *objective, const ph_solve_options *options,
                          ph_solutions **solutions);
/* What solutions consist of: each input and each output of the network by its name, [K,...] for K solutions, K times the
 * first axis, and "objective" [K]. Free with ph_tensors_destroy. */
PH_API ph_status ph_solutions_tensors(const ph_problem *problem, const ph_solutions *solutions, ph_tensors **tensors);
PH_API void ph_solutions_destroy(ph_solutions **solutions);

/* An adversarial picture: a small change of a given one by which a network takes it for something else. */
typedef struct ph_attack_options {
    const char *method; /* of the catalogue "attacks"; default "pgd-linf" */
    const char *fit;    /* as for ph_activations; default NULL: "crop" */
    const char *toward; /* the class it is to be taken for; default NULL: any but the one it is taken for now */
    double radius;      /* of the ball it stays in, white being 1: the largest change of a value, or the norm; for
                         * "smallest" the norm to begin with; default NAN: the method's own */
    int steps;          /* default 0: the method's own */
} ph_attack_options;

PH_API ph_attack_options ph_attack_defaults(void);

typedef struct ph_change {
    double norm, largest; /* of the differences of values, white being 1 */
    int64_t changed;      /* values that differ at all */
} ph_change;

#define PH_ATTACK_SCORES 5

typedef struct ph_attack {
    const char *method;
    double radius;
    int steps;
    int64_t evaluations;
    ph_picture *original; /* as the network sees it, on 8 bits */
    ph_picture *picture;  /* changed, on 8 bits */
    ph_tensor *exact;     /* changed, [C,H,W], before rounding */
    ph_change unrounded, rounded; /* of `exact` and of `picture` against `original` */
    ph_class_score before[PH_ATTACK_SCORES], after[PH_ATTACK_SCORES]; /* of `original` and `picture`, best first */
    int score_count;
    int class_index;      /* the class gone away from, or with `toward` to */
    bool succeeded;       /* whether `picture` is taken for what was wanted */
} ph_attack;

/* options NULL: the defaults. The search begins at the picture itself, without a random start. PH_ERROR_NUMERIC where the
 * gradient is zero. Free with ph_attack_destroy. */
PH_API ph_status ph_attack_create(ph_model *model, const ph_picture *picture, const ph_attack_options *options,
                                  ph_attack **attack);
PH_API void ph_attack_destroy(ph_attack **attack);

/* ---- Explaining -------------------------------------------------------------------------------------------------- */

/* What several explanations have in common: the programs of the last two objectives, and what the measures' changes do
 * to the value of the last picture. For several methods on a picture, or several pictures; results are the same bytes
 * with and without. Of GoogLeNet it holds up to half a gigabyte. */
typedef struct ph_explain_store ph_explain_store;

/* Of that model alone; to be destroyed before it. */
PH_API ph_status ph_explain_store_create(ph_model *model, ph_explain_store **store);
PH_API void ph_explain_store_destroy(ph_explain_store **store);

/* Which parts of a picture, or which units of a layer, mattered for an objective. docs/explain.md has the methods. */
typedef struct ph_explain_options {
    const char *method;     /* of the catalogue "attribution-methods"; default "grad-cam" */
    const char *fit;        /* as for ph_activations; default NULL: "crop" */
    const char *against;    /* explain objective - against; default NULL */
    const char *layer;      /* default NULL: the last one with positions that the objective depends on */
    const char *average;    /* over noisy copies of the input: "none" (default), "smooth" (mean), "square" (mean
                             * square), "variance" */
    int samples;            /* noisy copies; default 25 */
    double noise;           /* their deviation as a share of the input's range; default 0.15 */
    const char *baseline;   /* "black", "mean", "blur", "noise"; default NULL: the method's own */
    const ph_picture *baseline_picture; /* instead of `baseline`, when not NULL; brought to the network as `fit` says */
    int steps;              /* of a path; default 0: the method's own */
    double tolerance;       /* of the completeness gap, as a share of the difference in value: steps are doubled until
                             * it is met; default 0: left as it is */
    int patch, stride;      /* occlusion, in pixels; default 0: a fifteenth of the input and half of that */
    int masks, grid;        /* rise: default 4000, 7 */
    double keep;            /* rise: probability of a cell to be seen; default 0.5 */
    double epsilon, gamma, alpha; /* lrp; default 1e-6, 0.25, 2; beta is alpha - 1 */
    uint64_t seed;          /* default 0 */
    ph_explain_store *store; /* kept from call to call; default NULL: nothing is */
    bool (*progress)(void *user, int64_t done, int64_t total, double seconds_left); /* negative: not known yet; false
                             * stops; may be NULL */
    void *user;
} ph_explain_options;

PH_API ph_explain_options ph_explain_defaults(void);

typedef struct ph_unit_share {
    int unit;     /* channel of the layer */
    double share; /* its attribution, summed over positions */
} ph_unit_share;

typedef struct ph_explanation {
    char *objective;        /* as explained: the top class where none was given, " - (against)" included */
    const char *method;
    char *layer;            /* NULL where the method needs none */
    float value;            /* of the objective on the picture */
    float baseline_value;   /* on the baseline; NAN where the method has none */
    double sum;             /* of the attribution */
    double absorbed;        /* lrp: share of the value taken by biases and epsilon; else 0 */
    double gap;             /* |sum + absorbed - (value - baseline value, where there is one)|; NAN where the method
                             * promises no sum */
    int steps;              /* steps, masks or patches used; 0 where there are none */
    double seconds;
    bool is_signed;         /* negative values count against the objective */
    ph_tensor *attribution; /* as the method gives it: [1,C,H,W] of the network's input, [1,1,h,w] of a layer's
                             * positions, or [1,K,h,w] of its units */
    ph_tensor *map;         /* [H,W] of the picture; NULL for units of a layer without positions */
    ph_picture *picture;    /* what the network saw, [C,H,W] */
    ph_unit_share *units;   /* layer attribution: the layer's units by magnitude, largest first; else NULL */
    int unit_count;
} ph_explanation;

/* objective NULL: the picture's top class. options NULL: the defaults. Free with ph_explanation_destroy. */
PH_API ph_status ph_explain(ph_model *model, const ph_picture *picture, const char *objective,
                            const ph_explain_options *options, ph_explanation **explanation);
PH_API void ph_explanation_destroy(ph_explanation **explanation);

typedef struct ph_drawing_options {
    const char *style;      /* "heat" (default), "overlay", "signed", "masked", "picture", "sheet" (all of them) */
    const char *colours;    /* of the catalogue "colour-maps"; default NULL: "lagoon", for signed maps "blue-red" */
    double opacity;         /* of the overlay, 0 to 1; default 0.5 */
    double percentile;      /* magnitudes are clipped there, 50 to 100; default 99 */
} ph_drawing_options;

PH_API ph_drawing_options ph_drawing_defaults(void);
/* A map as a picture of its size. options NULL: the defaults. */
PH_API ph_status ph_explanation_draw(const ph_explanation *explanation, const ph_drawing_options *options,
                                     ph_picture **picture);

typedef struct ph_box { double left, top, right, bottom; } ph_box; /* pixels of the picture as given, edges included */

/* How well a map tells what the network goes by. NAN where a measure does not apply. docs/explain.md defines them. */
typedef struct ph_evidence {
    double deletion, insertion;  /* area under the share of the class (else the objective) as pixels go, or come */
    double deletion_curve[33], insertion_curve[33]; /* its points, from none to all of the pixels */
    int curve_points;            /* how many of them count */
    double mu_fidelity;          /* rank correlation, -1 to 1 */
    double average_drop, average_gain; /* of the value when only what the map marks is seen, 0 to 1 */
    bool increase;               /* whether it rose */
    double infidelity;           /* 0: the map predicts what noise does; 1: not at all */
    double sensitivity;          /* largest change of the map under slight noise, 0: none; NAN: methods of many runs */
    double sparseness;           /* Gini index, 0 to 1 */
    double in_box;               /* share of the positive attribution inside the box */
    bool has_box, hit;           /* pointing game: the map's maximum lies in the box, or within 15 pixels of it */
    double seconds;              /* that all of it took, without the explanation itself */
} ph_evidence;

/* Measures an explanation made with the same arguments. `box` may be NULL. */
PH_API ph_status ph_explanation_measure(ph_model *model, const ph_picture *picture, const ph_explain_options *options,
                                        const ph_explanation *explanation, const ph_box *box, ph_evidence *evidence);

typedef struct ph_randomisation_layer {
    char *layer;              /* the last one whose weights were drawn anew; all behind it were too */
    double rank_correlation;  /* of the map with the true network's, by magnitude */
    double similarity;        /* SSIM of the two, both scaled to [0,1] */
} ph_randomisation_layer;

/* The sanity check of Adebayo et al.: does the map change when the network forgets what it learnt, from the output
 * down? `layer_count` stages, evenly from the last layer alone to all. Free `layers` (one block) with
 * ph_randomisation_destroy. */
PH_API ph_status ph_explanation_randomise(ph_model *model, const ph_explain_options *options,
                                          const ph_explanation *explanation, int layer_count,
                                          ph_randomisation_layer **layers, int *count);
PH_API void ph_randomisation_destroy(ph_randomisation_layer **layers, int count);

/* ---- Catalogues -------------------------------------------------------------------------------------------------- */

typedef struct ph_catalogue_entry {
    const char *name;
    const char *help; /* one line */
} ph_catalogue_entry;

/* Kinds: "operations", "objectives", "parameterisations", "parameterisation-options", "transforms", "backward-rules",
 * "optimisers", "optimiser-options", "step-regularisers", "stopping", "presets", "instruction-sets", "methods" (of ph_solve),
 * "attacks", "attribution-methods", "colour-maps", "model-formats", "image-formats".
 * ph_catalogue_kind gives their names; NULL behind the last. */
PH_API const char *ph_catalogue_kind(int index);
PH_API const ph_catalogue_entry *ph_catalogue(const char *kind, int index);

#ifdef __cplusplus
}
#endif
#endif
