/* Caffe layers that work element by element. */
#include "model/caffe_layers/layers.h"
#include <math.h>

/* Element-wise layers are short chains: an operation on the value so far and, where `operation` is binary, a number. */
struct step { const struct ph_operation *operation; const void *attributes; bool binary; double number; };

static ph_status chain(const struct ph_caffe_build *build, const struct step *steps, int count) {
    int inputs[2] = {build->inputs[0]};
    if (!count) build->outputs[0] = inputs[0];
    for (int i = 0; i < count; i++) {
        if (steps[i].binary) PH_TRY(ph_caffe_scalar(build, steps[i].number, &inputs[1]));
        int used = 1 + steps[i].binary;
        if (i == count - 1) return ph_caffe_finish(build, steps[i].operation, steps[i].attributes, inputs, used);
        PH_TRY(ph_caffe_append(build, steps[i].operation, steps[i].attributes, inputs, used, &inputs[0]));
    }
    return PH_OK;
}

/* Appends x * scale + shift to a chain, without what changes nothing. */
static void add_affine(struct step *steps, int *count, double scale, double shift) {
    if (scale != 1) steps[(*count)++] = (struct step){&ph_operation_mul, NULL, true, scale};
    if (shift != 0) steps[(*count)++] = (struct step){&ph_operation_add, NULL, true, shift};
}

ph_status ph_caffe_build_relu(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(ReLU, relu, RE_LUPARAMETER);
    struct ph_activation_attributes attributes = {.alpha = p->negative_slope};
    return ph_caffe_finish(build, p->negative_slope == 0 ? &ph_operation_relu : &ph_operation_leaky_relu, &attributes,
                           build->inputs, 1);
}

ph_status ph_caffe_build_relu6(struct ph_caffe_build *build) {
    struct ph_activation_attributes attributes = {.low = 0, .high = 6};
    return ph_caffe_finish(build, &ph_operation_clip, &attributes, build->inputs, 1);
}

ph_status ph_caffe_build_clip(struct ph_caffe_build *build) {
    const PhCaffe__ClipParameter *p = build->layer->parameter->clip_param;
    if (!p || !p->has_min || !p->has_max) return ph_caffe_fail(build, PH_ERROR_FORMAT, "clip_param needs min and max");
    struct ph_activation_attributes attributes = {.low = p->min, .high = p->max};
    return ph_caffe_finish(build, &ph_operation_clip, &attributes, build->inputs, 1);
}

ph_status ph_caffe_build_prelu(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(PReLU, prelu, PRE_LUPARAMETER);
    struct ph_shape x = ph_caffe_shape(build, build->inputs[0]);
    if (x.rank < 2) return ph_caffe_fail(build, PH_ERROR_SHAPE, "a bottom of %d axes, at least 2 expected", x.rank);
    int inputs[2] = {build->inputs[0]};
    struct ph_shape slope = p->channel_shared ? PH_SHAPE(1) : ph_caffe_operand_shape(&x, 1, 1);
    PH_TRY(ph_caffe_constant(build, 0, "slope", slope, &inputs[1]));
    return ph_caffe_finish(build, &ph_operation_prelu, NULL, inputs, 2);
}

ph_status ph_caffe_build_elu(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(ELU, elu, ELUPARAMETER);
    struct ph_activation_attributes attributes = {.alpha = p->alpha};
    return ph_caffe_finish(build, &ph_operation_elu, &attributes, build->inputs, 1);
}

ph_status ph_caffe_build_sigmoid(struct ph_caffe_build *build) { return ph_caffe_unary(build, &ph_operation_sigmoid); }
ph_status ph_caffe_build_tanh(struct ph_caffe_build *build) { return ph_caffe_unary(build, &ph_operation_tanh); }
ph_status ph_caffe_build_absolute(struct ph_caffe_build *build) { return ph_caffe_unary(build, &ph_operation_abs); }
ph_status ph_caffe_build_bnll(struct ph_caffe_build *build) { return ph_caffe_unary(build, &ph_operation_softplus); }

/* x * sigmoid(beta x) */
ph_status ph_caffe_build_swish(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(Swish, swish, SWISH_PARAMETER);
    if (p->beta == 1) return ph_caffe_unary(build, &ph_operation_silu);
    int factors[2] = {build->inputs[0]}, gate[2] = {build->inputs[0]};
    PH_TRY(ph_caffe_scalar(build, p->beta, &gate[1]));
    PH_TRY(ph_caffe_append(build, &ph_operation_mul, NULL, gate, 2, &gate[0]));
    PH_TRY(ph_caffe_append(build, &ph_operation_sigmoid, NULL, gate, 1, &factors[1]));
    return ph_caffe_finish(build, &ph_operation_mul, NULL, factors, 2);
}

/* (shift + scale x)^power */
ph_status ph_caffe_build_power(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(Power, power, POWER_PARAMETER);
    struct step steps[3];
    int count = 0;
    add_affine(steps, &count, p->scale, p->shift);
    if (p->power != 1) steps[count++] = (struct step){&ph_operation_pow, NULL, true, p->power};
    return chain(build, steps, count);
}

/* Natural logarithm of the base that Exp and Log use; -1 stands for e. */
static ph_status log_base(const struct ph_caffe_build *build, double base, double *logarithm) {
    if (base != -1 && !(base > 0)) return ph_caffe_fail(build, PH_ERROR_FORMAT, "base %g, a positive one or -1 expected", base);
    *logarithm = base == -1 ? 1 : log(base);
    return PH_OK;
}

/* base^(shift + scale x) */
ph_status ph_caffe_build_exp(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(Exp, exp, EXP_PARAMETER);
    struct step steps[3];
    int count = 0;
    double logarithm;
    PH_TRY(log_base(build, p->base_, &logarithm));
    add_affine(steps, &count, p->scale * logarithm, p->shift * logarithm);
    steps[count++] = (struct step){&ph_operation_exp, NULL, false, 0};
    return chain(build, steps, count);
}

/* log_base(shift + scale x) */
ph_status ph_caffe_build_log(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(Log, log, LOG_PARAMETER);
    struct step steps[4];
    int count = 0;
    double logarithm;
    PH_TRY(log_base(build, p->base_, &logarithm));
    if (logarithm == 0) return ph_caffe_fail(build, PH_ERROR_FORMAT, "there is no logarithm to base 1");
    add_affine(steps, &count, p->scale, p->shift);
    steps[count++] = (struct step){&ph_operation_log, NULL, false, 0};
    add_affine(steps, &count, 1 / logarithm, 0);
    return chain(build, steps, count);
}

ph_status ph_caffe_build_eltwise(struct ph_caffe_build *build) {
    PH_CAFFE_PARAMETERS(Eltwise, eltwise, ELTWISE_PARAMETER);
    struct ph_shape first = ph_caffe_shape(build, build->inputs[0]);
    const struct ph_operation *operation = &ph_operation_add;
    if (p->operation == PH_CAFFE__ELTWISE_PARAMETER__ELTWISE_OP__PROD) operation = &ph_operation_mul;
    else if (p->operation == PH_CAFFE__ELTWISE_PARAMETER__ELTWISE_OP__MAX) operation = &ph_operation_max;
    else if (p->operation != PH_CAFFE__ELTWISE_PARAMETER__ELTWISE_OP__SUM)
        return ph_caffe_fail(build, PH_ERROR_UNSUPPORTED, "operation %d; PROD, SUM and MAX are supported", (int)p->operation);
    if (p->n_coeff && (operation != &ph_operation_add || p->n_coeff != (size_t)build->input_count))
        return ph_caffe_fail(build, PH_ERROR_FORMAT, "%zu coefficients for %d bottoms; one for each, and only for SUM",
                             p->n_coeff, build->input_count);
    int result = PH_ABSENT;
    for (int i = 0; i < build->input_count; i++) {
        struct ph_shape shape = ph_caffe_shape(build, build->inputs[i]);
        char a[128], b[128];
        if (!ph_shape_equal(&shape, &first))
            return ph_caffe_fail(build, PH_ERROR_SHAPE, "its bottoms have shapes %s and %s", ph_shape_text(&first, a),
                                 ph_shape_text(&shape, b));
        int term[2] = {build->inputs[i]}, pair[2] = {result};
        if (p->n_coeff && p->coeff[i] != 1) {
            PH_TRY(ph_caffe_scalar(build, p->coeff[i], &term[1]));
            PH_TRY(ph_caffe_append(build, &ph_operation_mul, NULL, term, 2, &term[0]));
        }
        pair[1] = term[0];
        if (i == 0) result = term[0];
        else if (i == build->input_count - 1) return ph_caffe_finish(build, operation, NULL, pair, 2);
        else PH_TRY(ph_caffe_append(build, operation, NULL, pair, 2, &result));
    }
    build->outputs[0] = result; /* a single bottom */
    return PH_OK;
}
