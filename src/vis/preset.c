/* Presets: whole methods by name. */
#include "vis/vis.h"

struct preset { const char *name, *help, *settings; };

static const struct preset presets[] = {
    {"lucid",
     "Fourier spectrum, decorrelated colour, random transforms, Adam: the defaults of lucid (Olah et al. 2017)", ""},
    {"article",
     "the stronger transforms of the article's appendix, 2560 steps (distill.pub/2017/feature-visualization)",
     "jitter=16\nscale=1,0.975,1.025,0.95,1.05\nrotate=-5,-4,-3,-2,-1,0,1,2,3,4,5\njitter-end=8\nsteps=2560\n"},
    {"raw", "plain gradient ascent on pixels, nothing against noise: what the other presets are to be compared with",
     "parameterisation=pixel\ndecorrelate=false\ntransforms=none\n"},
};

const char *ph_preset_name(int index) { return index < PH_COUNT(presets) ? presets[index].name : NULL; }

const char *ph_preset_help(int index) { return index < PH_COUNT(presets) ? presets[index].help : NULL; }

const char *ph_preset_settings(int index) { return presets[index].settings; }
