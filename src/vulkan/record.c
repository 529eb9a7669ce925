/* The list that a plan becomes: dispatches with their words, constants and tables with their places, and what is fed and
 * read. */
#include "vulkan/engine.h"
#include <math.h>
#include <string.h>

void ph_words_int(struct ph_words *words, int64_t value) { words->word[words->count++] = (uint32_t)value; }

void ph_words_float(struct ph_words *words, double value) {
    float single = (float)value;
    memcpy(&words->word[words->count++], &single, sizeof single);
}

bool ph_step_storage(const struct ph_step *step, int index, int *storage, bool *writes) {
    if (step->kind != PH_STEP_KERNEL) {
        *storage = index ? step->to : step->from;
        *writes = index == 1;
        return index < 2;
    }
    int in = step->call.node->input_count, out = step->call.node->output_count;
    if (index >= 2 * (in + out)) return false;
    if (index < in) *storage = step->inputs[index], *writes = false;
    else if (index < 2 * in) *storage = step->input_gradients[index - in], *writes = true;
    else if (index < 2 * in + out) *storage = step->outputs[index - 2 * in], *writes = !step->backward;
    else *storage = step->output_gradients[index - 2 * in - out], *writes = false;
    return true;
}

/* Whether what begins there in this step is of 16 bits: at another step something else may. */
static bool step_halves(const struct ph_recorder *recorder, size_t offset) {
    const struct ph_plan *plan = recorder->plan;
    int storage;
    bool writes;
    for (int i = 0; recorder->halves && ph_step_storage(&plan->steps[recorder->step], i, &storage, &writes); i++) {
        const struct ph_storage *root = storage == PH_ABSENT ? NULL : &plan->storages[ph_storage_root(plan, storage, NULL)];
        if (root && !root->external && root->offset == offset) return root->half;
    }
    return false;
}

static uint32_t place_mark(uint32_t place, bool half) { return half ? PH_HALF | 2 * place : place; }

/* As the shaders' put() rounds. */
static uint16_t half_of(float value) {
    const float most = 65504;
    return ph_float_to_half(isinf(value) || isnan(value) ? value : PH_MAX(PH_MIN(value, most), -most));
}

uint32_t ph_recorder_place(const struct ph_recorder *recorder, const float *data) {
    if (!data) return PH_NOWHERE;
    if (data >= recorder->arena && data < recorder->arena + recorder->arena_floats)
        return place_mark((uint32_t)(data - recorder->arena), step_halves(recorder, (size_t)(data - recorder->arena)));
    for (int i = 0; i < recorder->constant_count; i++) {
        const struct ph_constant *constant = &recorder->constants[i];
        if (data >= constant->data && data < constant->data + constant->count)
            return place_mark(constant->place, constant->half) + (uint32_t)(data - constant->data);
    }
    return PH_NOWHERE;
}

static ph_status constant_add(struct ph_recorder *recorder, struct ph_constant constant) {
    if (!ph_grow(&recorder->constants, recorder->constant_count, &recorder->constant_capacity, sizeof *recorder->constants)) {
        ph_free(constant.copy);
        return ph_fail_memory(recorder->context);
    }
    constant.floats = constant.half ? (constant.count + 1) / 2 : constant.count;
    constant.place = (uint32_t)recorder->floats;
    recorder->constants[recorder->constant_count++] = constant;
    recorder->floats += (constant.floats + 15) & ~(size_t)15;
    return PH_OK;
}

ph_status ph_recorder_constant(struct ph_recorder *recorder, const struct ph_storage *storage) {
    struct ph_constant constant = {.data = storage->external, .count = (size_t)ph_shape_size(&storage->shape),
        .half = storage->half};
    if (constant.half) {
        uint16_t *halves = ph_alloc_array(constant.count + 2, sizeof *halves);
        if (!halves) return ph_fail_memory(recorder->context);
        for (size_t i = 0; i < constant.count; i++) halves[i] = half_of(constant.data[i]);
        constant.copy = halves;
    }
    return constant_add(recorder, constant);
}

/* Tables of the same contents are kept once. */
ph_status ph_recorder_table(struct ph_recorder *recorder, const void *values, size_t count, uint32_t *place) {
    float *copy;
    for (int i = 0; i < recorder->constant_count; i++) {
        const struct ph_constant *known = &recorder->constants[i];
        if (known->copy == known->data && known->count == count && !memcmp(known->copy, values, count * sizeof *copy)) {
            *place = known->place;
            return PH_OK;
        }
    }
    copy = ph_alloc_array(count + 1, sizeof *copy);
    if (!copy) return ph_fail_memory(recorder->context);
    memcpy(copy, values, count * sizeof *copy);
    *place = (uint32_t)recorder->floats;
    return constant_add(recorder, (struct ph_constant){.data = copy, .count = count, .copy = copy});
}

ph_status ph_recorder_dispatch(struct ph_recorder *recorder, enum ph_shader shader,
                               const int32_t constants[PH_SHADER_CONSTANTS], const struct ph_words *words, int64_t x,
                               int64_t y, int64_t z, bool waits) {
    struct ph_dispatch dispatch = {.words = *words, .step = recorder->step, .waits = waits};
    const uint32_t *limits = recorder->vulkan->properties.limits.maxComputeWorkGroupCount;
    if (!x || !y || !z) return PH_OK;
    /* A long row of groups is folded: the shaders count on along y. */
    if (y == 1 && x > 65535) {
        y = (x + 65534) / 65535;
        x = 65535;
    }
    if (x > limits[0] || y > limits[1] || z > limits[2])
        return ph_fail(recorder->context, PH_ERROR_UNSUPPORTED, "backend vulkan: a tensor is too large for the device");
    dispatch.groups[0] = (uint32_t)x, dispatch.groups[1] = (uint32_t)y, dispatch.groups[2] = (uint32_t)z;
    PH_TRY(ph_vulkan_pipeline_get(recorder->context, recorder->vulkan, shader,
                                  (recorder->halves ? PH_HALVES : 0) | (recorder->far ? PH_FAR : 0), constants,
                                  &dispatch.pipeline));
    if (!ph_grow(&recorder->dispatches, recorder->dispatch_count, &recorder->dispatch_capacity, sizeof dispatch))
        return ph_fail_memory(recorder->context);
    recorder->dispatches[recorder->dispatch_count++] = dispatch;
    return PH_OK;
}

ph_status ph_steps_record(struct ph_recorder *recorder) {
    const struct ph_plan *plan = recorder->plan;
    recorder->dispatch_count = 0;
    for (recorder->step = 0; recorder->step < plan->step_count; recorder->step++) {
        const struct ph_step *step = &plan->steps[recorder->step];
        switch (step->kind) {
        case PH_STEP_KERNEL: PH_TRY(step->kernel->record(&step->call, recorder)); break;
        case PH_STEP_CONVERT: PH_TRY(ph_vulkan_copy(recorder, &step->from_operand, &step->to_operand, false)); break;
        case PH_STEP_ADD: PH_TRY(ph_vulkan_copy(recorder, &step->from_operand, &step->to_operand, true)); break;
        case PH_STEP_ZERO: PH_TRY(ph_vulkan_copy(recorder, NULL, &step->to_operand, false)); break;
        }
    }
    return recorder->loop ? ph_vulkan_loop_record(recorder) : PH_OK;
}

size_t ph_storage_place(const struct ph_plan *plan, int storage) {
    size_t offset;
    return plan->storages[ph_storage_root(plan, storage, &offset)].offset + offset;
}

static ph_status transfer_add(struct ph_recorder *recorder, int kind, int storage) {
    size_t unused;
    const struct ph_plan *plan = recorder->plan;
    const struct ph_storage *root = &plan->storages[ph_storage_root(plan, storage, &unused)];
    const struct ph_storage *record = &plan->storages[storage];
    size_t floats = ph_layout_size(&record->layout, &record->shape);
    if (root->external || !floats) return PH_OK;
    if (!ph_grow(&recorder->transfers[kind], recorder->transfer_counts[kind], &recorder->transfer_capacities[kind],
                 sizeof(struct ph_transfer)))
        return ph_fail_memory(recorder->context);
    recorder->transfers[kind][recorder->transfer_counts[kind]++] =
        (struct ph_transfer){ph_storage_place(plan, storage), recorder->staged, floats};
    recorder->staged += floats;
    return PH_OK;
}

ph_status ph_transfers_list(struct ph_recorder *recorder, const struct ph_graph *graph) {
    const struct ph_plan *plan = recorder->plan;
    for (int v = 0; v < graph->value_count; v++) {
        bool fed = graph->values[v].node == PH_ABSENT && !graph->values[v].data;
        if (fed && plan->home[v] != PH_ABSENT) PH_TRY(transfer_add(recorder, PH_FED, plan->home[v]));
        if (plan->tap[v] != PH_ABSENT) PH_TRY(transfer_add(recorder, PH_READ_FORWARD, plan->tap[v]));
        if (fed && plan->gradient[v] != PH_ABSENT) PH_TRY(transfer_add(recorder, PH_READ_BACKWARD, plan->gradient[v]));
    }
    return PH_OK;
}
