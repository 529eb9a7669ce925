/* Presets: whole methods by name. */
#include "vis/vis.h"

struct preset { const char *name, *help, *settings; };

/* Rates of systems whose pixels run from 0 to 255 are divided by 255 where they are distances in pixel values, and by its
 * square where they multiply a gradient; pixels here are 0 to 1. What one picture at one size cannot have, octaves, is the
 * dream's. All wake silent units in their first steps, for few of those systems do, and then leave such a picture grey. */
#define PIXELS "parameterisation=pixel\ndecorrelate=false\nsquash=clip\nborder=wrap\n"
#define STILL "transforms=none\n"
/* It shows its pictures at full contrast, and its regularisers take long to let a unit wake. Its rates, 100 or what raises
 * the objective by 2, are for scores of CaffeNet's classes over pixels to 255: other units have gradients a thousand times
 * as small or large, with which they end grey. So its steps are taken relative to the gradient's own size. */
#define TOOLBOX PIXELS STILL \
    "spread=0.0392\noptimiser=sgd\nnormalise=rms\nlearning-rate=0.02\nstretch=99.9\nredirect-steps=100\n"
#define SHIFTS "scale=0\nrotate=0\njitter-end=0\n" /* jitter alone */

static const struct preset presets[] = {
    {"lucid",
     "Fourier spectrum, decorrelated colour, random transforms, Adam: the defaults of lucid (Olah et al. 2017)", ""},
    {"lucent", "lucent's (greentfrapp/lucent): those of lucid, whose port it is", ""},
    {"article",
     "the stronger transforms of the article's appendix, 2560 steps (distill.pub/2017/feature-visualization)",
     "jitter=16\nscale=1,0.975,1.025,0.95,1.05\nrotate=-5,-4,-3,-2,-1,0,1,2,3,4,5\njitter-end=8\nsteps=2560\n"},
    {"captum", "Captum's optim: Fourier, jitter and five scales, Adam at half lucid's rate (pytorch/captum)",
     "spread=0.02\njitter=16\nscale=1,0.975,1.025,0.95,1.05\nrotate=0\njitter-end=0\nlearning-rate=0.025\n"
     "redirect-steps=512\n"},
    /* Its pads and crops leave 5.4 to 5.7 sixteenths of the side, shifted with a deviation of 2.2 sixteenths. */
    {"xplique", "Xplique's optimize: Fourier of slower decay, looked at a third at a time, mirrored (deel-ai/xplique)",
     "decay=0.85\njitter=105\nscale=2.82,2.86,2.9,2.94,2.98\nrotate=0\njitter-end=0\nmirror=true\nsteps=256\n"
     ""},
    {"maco", "phases of a natural spectrum, 32 ever smaller crops a step, NAdam (Fel et al. 2023, as in Xplique)",
     "parameterisation=phase\ntransforms=crops\nviews=32\nnoise=0.04\noptimiser=nadam\nlearning-rate=1\nsteps=256\n"},
    {"horama", "Horama's maco: as maco with 6 crops of a quarter to a third (serre-lab/Horama)",
     "parameterisation=phase\ntransforms=crops\nviews=6\ncrop-size=0.275\nnoise=0.05\noptimiser=nadam\n"
     "learning-rate=1\nsteps=256\n"},
    {"accentuation", "what of a picture a unit sees, from --init, 16 crops a step (Hamblin et al. 2024, faccent)",
     "transforms=crops\nviews=16\ncrop-size=0.5\nnoise=0.02\nsteps=100\n"},
    {"tf-keras-vis", "tf-keras-vis's activation maximisation: pixels, RMSprop, jitter and turns (keisen/tf-keras-vis)",
     PIXELS "jitter=8\nscale=0\nrotate=1\njitter-end=0\noptimiser=rmsprop\nsmoothing=0.999\n"
     "learning-rate=0.00392\nsteps=200\nspread=0.05\n"},
    {"pytorch-cnn-visualizations", "its class pictures: pixels, plain gradient steps (utkuozbulak)",
     PIXELS STILL "optimiser=sgd\nlearning-rate=0.3\nsteps=150\nspread=0.03\n"},
    /* Its pixels know no bounds, so its rate of 1 only means that all steps are alike. */
    {"flashtorch", "FlashTorch's activation maximisation: pixels, gradient over its size (MisaOgura/flashtorch)",
     PIXELS STILL "optimiser=sgd\nnormalise=rms\nlearning-rate=0.02\nsteps=30\nspread=0.03\n"},
    /* Table 1 of Yosinski et al. 2015. */
    {"toolbox-1", "Deep Visualization Toolbox, first set: blur, half of the pixels by norm (Yosinski et al. 2015)",
     TOOLBOX "steps=500\nblur=0.5\nblur-every=4\nclip-norm=50\n"},
    {"toolbox-2", "Deep Visualization Toolbox, second set: decay, a fifth of the pixels by norm",
     TOOLBOX "learning-rate=0.03\nsteps=750\npixel-decay=0.3\nclip-norm=20\n"},
    {"toolbox-3", "Deep Visualization Toolbox, third set, the paper's most used: a wide blur, little decay",
     TOOLBOX "steps=1000\npixel-decay=0.0001\nblur=1\nblur-every=4\n"},
    {"toolbox-4", "Deep Visualization Toolbox, fourth set: blur, nine tenths of the pixels by contribution",
     TOOLBOX "steps=1000\nblur=0.5\nblur-every=4\nclip-contribution=90\n"},
    /* Step sizes 11, 6, 6 to 3, 3 over 190, 150, 150 and 10 steps, each with its blur after it. */
    {"deepdraw", "deepdraw: pixels, a blur after each step that narrows, falling steps (auduno/deepdraw)",
     PIXELS "jitter=8\n" SHIFTS "optimiser=normalised\nlearning-rate=0.0431\nspread=0.0314\n"
     "schedule=0.38:0.545,0.68:0.41,0.98:0.273\nblur=2.5,0.304\nblur-every=1\nredirect-steps=190\nsteps=500\n"},
    {"deepdream", "one octave of the DeepDream notebook: pixels, gradient over its mean size, rolls (google/deepdream)",
     PIXELS "jitter=64\n" SHIFTS "optimiser=normalised\nlearning-rate=0.00588\nsteps=40\n"},
    {"darknet", "one octave of darknet's nightmare: pixels, gradient over its deviation, rolls and mirroring",
     PIXELS "jitter=16\n" SHIFTS "mirror=true\noptimiser=sgd\nnormalise=rms\nlearning-rate=0.04\npixel-decay=0.004\n"
     "steps=40\n"},
    /* Errors shrink a hundredfold on the way, and with them gradients: long memories would make late steps too small. */
    {"match", "to reach a given target exactly: the plain view, Adam with short memories, falling steps",
     STILL "decay=1.25\nbeta1=0.8\nbeta2=0.95\nschedule=linear\nsteps=1000\n"},
    {"inversion", "the preset match with fewer steps: for a match less regularisers, as phosphene invert makes it",
     STILL "decay=1.25\nbeta1=0.8\nbeta2=0.95\nschedule=linear\nsteps=400\n"},
    {"inversion-lbfgs", "the same by L-BFGS", STILL "decay=1.25\noptimiser=lbfgs\nsteps=200\n"},
    /* The rate of its code, 0.004, is for a loss times sigma^2, the sum of a mean picture's squares: 68.92^2 for each value
     * from 0 to 255. For values from 0 to 1 that is 0.004 * 68.92^2 / 255^2 = 2.922e-4, times the number of values. */
    {"mahendran", "inversion by descent with momentum from noise, steps falling twice (Mahendran, Vedaldi 2014)",
     PIXELS STILL "spread=0.27\noptimiser=sgd\nmomentum=0.9\nnormalise=share\nlearning-rate=0.0002922\n"
     "schedule=0.25:0.1,0.75:0.01\nsteps=400\nredirect-steps=0\n"},
    {"natural-pre-image", "the same with random shifts and colours kept in bounds (Mahendran, Vedaldi 2016)",
     PIXELS "jitter=4\n" SHIFTS "spread=0.05\noptimiser=sgd\nmomentum=0.9\nnormalise=share\nlearning-rate=0.0002922\n"
     "schedule=0.25:0.1,0.75:0.01\nsteps=400\nredirect-steps=0\n"},
    {"raw", "plain gradient ascent on pixels, nothing against noise: what the other presets are to be compared with",
     "parameterisation=pixel\ndecorrelate=false\ntransforms=none\n"},
    {"none", "lucid's picture without any transform", STILL},
};

const char *ph_preset_name(int index) { return index < PH_COUNT(presets) ? presets[index].name : NULL; }

const char *ph_preset_help(int index) { return index < PH_COUNT(presets) ? presets[index].help : NULL; }

const char *ph_preset_settings(int index) { return presets[index].settings; }
