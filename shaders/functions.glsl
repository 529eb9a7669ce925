// Elementary functions to a few units in the last place of a float, which GLSL's own need not have. Polynomials for sine,
// cosine, arc sine and arc tangent: Moshier, Cephes Mathematical Library (sinf.c, asinf.c, atanf.c); for the complementary
// error function: Press et al., Numerical Recipes, section 6.2 (erfcc).

const float PI = 3.14159265358979, HALF_PI = 1.57079632679490, SQRT_HALF = 0.707106781186548;
const float INVERSE_SQRT_2PI = 0.398942280401433, TWO_OVER_SQRT_PI = 1.12837916709551;

float sigmoid(float x) {
    float e = exp(-abs(x));
    return (x < 0 ? e : 1) / (1 + e);
}

// By the series where 1 - e^(-2|x|) would cancel.
float tangent_hyperbolic(float x) {
    float a = abs(x), s = x * x;
    if (a < 0.25) return x * (1 + s * (-1.0 / 3 + s * (2.0 / 15 + s * (-17.0 / 315 + s * (62.0 / 2835)))));
    float e = exp(-2 * a);
    return sign(x) * (1 - e) / (1 + e);
}

// e^x - 1.
float exponential_less_one(float x) {
    if (abs(x) > 0.5) return exp(x) - 1;
    return x * (1 + x / 2 * (1 + x / 3 * (1 + x / 4 * (1 + x / 5 * (1 + x / 6 * (1 + x / 7 * (1 + x / 8)))))));
}

// log(1 + x), with what rounding 1 + x took made good (Kahan).
float logarithm_of_one_more(float x) {
    precise float u = 1 + x, d = u - 1;
    return d == 0 ? x : log(u) * (x / d);
}

float sine_hyperbolic(float x) {
    float s = x * x;
    if (abs(x) < 0.5) return x * (1 + s / 6 * (1 + s / 20 * (1 + s / 42 * (1 + s / 72))));
    return 0.5 * (exp(x) - exp(-x));
}

float cosine_hyperbolic(float x) { return 0.5 * (exp(x) + exp(-x)); }

// The angle less the nearest multiple of a quarter turn, and which multiple that is.
float quarter(float x, out int turns) {
    float k = roundEven(x * (2 / PI));
    turns = int(k) & 3;
    precise float rest = x - k * 1.5703125;
    rest = rest - k * 4.837512969970703125e-4;
    rest = rest - k * 7.549789948768648e-8;
    return rest;
}

float sine_near(float x) {
    float z = x * x;
    return x + x * z * ((-1.9515295891e-4 * z + 8.3321608736e-3) * z - 1.6666654611e-1);
}

float cosine_near(float x) {
    float z = x * x;
    return 1 - 0.5 * z + z * z * ((2.443315711809948e-5 * z - 1.388731625493765e-3) * z + 4.166664568298827e-2);
}

float sine_at(float x, int ahead) {
    int turns;
    float rest = quarter(x, turns);
    turns = (turns + ahead) & 3;
    float value = (turns & 1) == 0 ? sine_near(rest) : cosine_near(rest);
    return turns < 2 ? value : -value;
}

float sine(float x) { return sine_at(x, 0); }
float cosine(float x) { return sine_at(x, 1); }
float tangent(float x) { return sine(x) / cosine(x); }

float arc_sine_near(float x) {
    float z = x * x;
    return x + x * z * ((((4.2163199048e-2 * z + 2.4181311049e-2) * z + 4.5470025998e-2) * z + 7.4953002686e-2) * z +
                        1.6666752422e-1);
}

float arc_cosine(float x) {
    if (abs(x) <= 0.5) return HALF_PI - arc_sine_near(x);
    float near = 2 * arc_sine_near(sqrt(0.5 * (1 - abs(x))));
    return x > 0 ? near : PI - near;
}

float arc_sine(float x) {
    if (abs(x) <= 0.5) return arc_sine_near(x);
    return sign(x) * (HALF_PI - 2 * arc_sine_near(sqrt(0.5 * (1 - abs(x)))));
}

float arc_tangent(float x) {
    float a = abs(x), base = 0;
    if (a > 2.414213562373095) {
        base = HALF_PI;
        a = -1 / a;
    } else if (a > 0.4142135623730950) {
        base = 0.5 * HALF_PI;
        a = (a - 1) / (a + 1);
    }
    float z = a * a;
    float value = base + a + a * z * (((8.05374449538e-2 * z - 1.38776856032e-1) * z + 1.99777106478e-1) * z -
                                      3.33329491539e-1);
    return x < 0 ? -value : value;
}

float arc_sine_hyperbolic(float x) {
    float a = abs(x);
    return sign(x) * logarithm_of_one_more(a + a * a / (1 + sqrt(a * a + 1)));
}

float arc_cosine_hyperbolic(float x) {
    float t = x - 1;
    return logarithm_of_one_more(t + sqrt(t * (t + 2)));
}

float arc_tangent_hyperbolic(float x) {
    float a = abs(x);
    return sign(x) * 0.5 * logarithm_of_one_more(2 * a / (1 - a));
}

float error_complement(float x) {
    float a = abs(x), t = 1 / (1 + 0.5 * a);
    float value = t * exp(-a * a - 1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806 +
                  t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277)))))))));
    return x < 0 ? 2 - value : value;
}

// By the series where 1 - erfc would cancel.
float error_function(float x) {
    float s = x * x;
    if (abs(x) > 0.5) return 1 - error_complement(x);
    return TWO_OVER_SQRT_PI * x * (1 + s * (-1.0 / 3 + s * (1.0 / 10 + s * (-1.0 / 42 + s * (1.0 / 216 - s / 1320)))));
}
