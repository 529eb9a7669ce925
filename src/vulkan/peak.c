/* The device's peak of multiply-adds in 32 bits, by its own clock. */
#include "vulkan/engine.h"

enum { GROUPS = 1024, LANES = 256, CHAINS = 16, RUNS = 5, MOST_ROUNDS = 1 << 24 };
#define LONG_ENOUGH 5e-3 /* seconds */

static ph_status dispatch_time(struct ph_recorder *recorder, int64_t rounds, double *seconds) {
    struct ph_vulkan *vulkan = recorder->vulkan;
    const int32_t constants[PH_SHADER_CONSTANTS] = {0};
    struct ph_words words = {0};
    VkCommandBuffer commands = VK_NULL_HANDLE;
    uint64_t ticks[2];
    ph_words_int(&words, rounds);
    ph_words_int(&words, 0);
    recorder->dispatch_count = 0;
    PH_TRY(ph_recorder_dispatch(recorder, PH_SHADER_peak, constants, &words, GROUPS, 1, 1, false));
    ph_status status = ph_commands_begin(recorder, &commands);
    if (!status) {
        vulkan->CmdResetQueryPool(commands, recorder->queries, 0, 2);
        vulkan->CmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, vulkan->pipeline_layout, 0, 1, &recorder->set,
                                      0, NULL);
        vulkan->CmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, recorder->queries, 0);
        ph_dispatch_put(recorder, commands, &recorder->dispatches[0]);
        vulkan->CmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, recorder->queries, 1);
        status = ph_commands_end(recorder, commands);
    }
    if (!status) status = ph_submit(recorder, &commands, 1);
    if (!status)
        status = ph_vulkan_check(recorder->context, vulkan,
            vulkan->GetQueryPoolResults(vulkan->device, recorder->queries, 0, 2, sizeof ticks, ticks, sizeof *ticks,
                                        VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT), "times");
    if (!status) *seconds = 1e-9 * vulkan->properties.limits.timestampPeriod * (double)(ticks[1] - ticks[0]);
    ph_commands_free(recorder, &commands);
    return status;
}

/* As many rounds as take long enough, and then the best of a few runs. */
static ph_status peak_find(struct ph_recorder *recorder, double *peak) {
    double seconds = 0;
    int64_t rounds = 16;
    PH_TRY(ph_queries_make(recorder, 2));
    PH_TRY(dispatch_time(recorder, rounds, &seconds)); /* the driver makes the shader ready */
    for (seconds = 0; seconds < LONG_ENOUGH && rounds < MOST_ROUNDS;) {
        rounds *= 2;
        PH_TRY(dispatch_time(recorder, rounds, &seconds));
    }
    for (int run = 0; run < RUNS; run++) {
        PH_TRY(dispatch_time(recorder, rounds, &seconds));
        double flops = 2.0 * GROUPS * LANES * CHAINS * (double)rounds;
        if (seconds > 0) *peak = PH_MAX(*peak, flops / seconds / 1e9);
    }
    return PH_OK;
}

double ph_vulkan_peak(const ph_context *context) {
    struct ph_recorder *recorder;
    struct ph_vulkan *vulkan = context->device;
    double peak = 0;
    if (!vulkan->timestamp_bits || ph_recorder_make((ph_context *)context, vulkan, (size_t)GROUPS * LANES, &recorder)) return 0;
    if (peak_find(recorder, &peak)) peak = 0;
    ph_recorder_destroy(recorder);
    return peak;
}
