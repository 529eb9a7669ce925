/* What steps on a device have in common with those on the host. */
#include "exec/loop.h"
#include <math.h>

int ph_blur_taps(double deviation) { return (int)PH_MIN(4 * deviation + 0.5, (double)PH_BLUR_TAPS); }

void ph_blur_weights(double deviation, float *weights) {
    double sum = 0, exact[PH_BLUR_TAPS + 1];
    int taps = ph_blur_taps(deviation);
    for (int i = 0; i <= taps; i++) {
        exact[i] = i ? exp(-0.5 * i * i / (deviation * deviation)) : 1;
        sum += (i ? 2 : 1) * exact[i];
    }
    for (int i = 0; i <= taps; i++) weights[i] = (float)(exact[i] / sum);
}
