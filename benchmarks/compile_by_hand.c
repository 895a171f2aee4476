/* The steps that compile.py measures, written by hand: loops that the compiler vectorises.

   A layer's parameters are its weights as w[input][output], which lets the inner loops run along
   the outputs, then its biases. Gradients have the same layout. Everything is one thread.

   With TUNED, GCC is told to keep loops of 16 turns. It otherwise unrolls them before it has looked
   whether they can be vectorised, and the code of the small network becomes three times as slow:
   something that one finds out by reading the machine code. Both are measured. */

#include <math.h>
#include <string.h>

#ifdef TUNED
#define KEEP_LOOP _Pragma("GCC unroll 1")
#else
#define KEEP_LOOP
#endif

static inline double relu(double x) { return x > 0.0 ? x : 0.0; }

/* y += a x */
static inline void add(int n, double *restrict y, double a, const double *restrict x)
{
    KEEP_LOOP for (int j = 0; j < n; j++)
        y[j] += a * x[j];
}

/* y += a[0] x + a[step] (x + n) + ...: four vectors at once, so that y is fetched a quarter as
   often as one by one. */
static inline void add_four(int n, double *restrict y, const double *restrict a, int step,
                            const double *restrict x)
{
    const double a0 = a[0], a1 = a[step], a2 = a[2 * step], a3 = a[3 * step];

    KEEP_LOOP for (int j = 0; j < n; j++)
        y[j] += a0 * x[j] + a1 * x[n + j] + a2 * x[2 * n + j] + a3 * x[3 * n + j];
}

/* y += x w, a vector times a matrix of n rows and m columns */
static inline void multiply(int n, int m, double *restrict y, const double *restrict x,
                            const double *restrict w)
{
    for (; n >= 4; n -= 4, x += 4, w += 4 * m)
        add_four(m, y, x, 1, w);
    for (; n > 0; n--, x++, w += m)
        add(m, y, *x, w);
}

static inline void transpose(int n, int m, double *restrict t, const double *restrict w)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < m; j++)
            t[j * n + i] = w[i * m + j];
}

/* --- moons: 2-16-16-1, relu, max-margin loss and 1e-4 times the sum of squares ---------------- */

enum { WIDE = 16, MOONS = 337 };

double moons(int rows, const double *restrict x, const double *restrict y,
             const double *restrict p, double *restrict g)
{
    const double *w1 = p, *b1 = w1 + 2 * WIDE, *w2 = b1 + WIDE, *b2 = w2 + WIDE * WIDE;
    const double *w3 = b2 + WIDE, *b3 = w3 + WIDE;
    double *gw1 = g, *gb1 = gw1 + 2 * WIDE, *gw2 = gb1 + WIDE, *gb2 = gw2 + WIDE * WIDE;
    double *gw3 = gb2 + WIDE, *gb3 = gw3 + WIDE;
    double back[WIDE * WIDE], loss = 0.0, squares = 0.0, scale = 1.0 / rows;

    transpose(WIDE, WIDE, back, w2);
    memset(g, 0, MOONS * sizeof *g);
    for (int r = 0; r < rows; r++, x += 2) {
        double h1[WIDE], h2[WIDE], d1[WIDE] = {0.0}, d2[WIDE], score = *b3, margin, d;

        KEEP_LOOP for (int j = 0; j < WIDE; j++)
            h1[j] = relu(b1[j] + x[0] * w1[j] + x[1] * w1[WIDE + j]);
        memcpy(h2, b2, sizeof h2);
        multiply(WIDE, WIDE, h2, h1, w2);
        KEEP_LOOP for (int j = 0; j < WIDE; j++)
            h2[j] = relu(h2[j]);
        for (int j = 0; j < WIDE; j++)
            score += h2[j] * w3[j];
        margin = 1.0 - y[r] * score;
        if (margin <= 0.0)
            continue;
        loss += margin;
        d = -y[r] * scale;
        *gb3 += d;
        KEEP_LOOP for (int j = 0; j < WIDE; j++) {
            gw3[j] += d * h2[j];
            d2[j] = h2[j] > 0.0 ? d * w3[j] : 0.0;
            gb2[j] += d2[j];
        }
        for (int i = 0; i < WIDE; i++)
            add(WIDE, gw2 + i * WIDE, h1[i], d2);
        multiply(WIDE, WIDE, d1, d2, back);
        KEEP_LOOP for (int j = 0; j < WIDE; j++) {
            double dj = h1[j] > 0.0 ? d1[j] : 0.0;
            gb1[j] += dj;
            gw1[j] += x[0] * dj;
            gw1[WIDE + j] += x[1] * dj;
        }
    }
    for (int k = 0; k < MOONS; k++) {
        squares += p[k] * p[k];
        g[k] += 2e-4 * p[k];
    }
    return loss * scale + 1e-4 * squares;
}

/* --- digits: 64-32-10, tanh, softmax cross-entropy -------------------------------------------- */

enum { IN = 64, HIDDEN = 32, OUT = 10, DIGITS = 2410, BLOCK = 4 };

/* The forward pass of the last layer's output: z becomes the derivative of the loss by it. */
static inline double cross_entropy(double *restrict z, int label, double scale)
{
    double top = z[0], sum = 0.0, at_label, f;

    for (int j = 1; j < OUT; j++)
        top = z[j] > top ? z[j] : top;
    at_label = z[label] - top;
    KEEP_LOOP for (int j = 0; j < OUT; j++)
        z[j] = exp(z[j] - top);
    for (int j = 0; j < OUT; j++)
        sum += z[j];
    f = scale / sum;
    KEEP_LOOP for (int j = 0; j < OUT; j++)
        z[j] *= f;
    z[label] -= scale;
    return (log(sum) - at_label) * scale;
}

/* Four rows at once share what is fetched of the gradients; a last block has rows of zeros. */
double digits(int rows, const double *restrict x, const double *restrict y,
              const double *restrict p, double *restrict g)
{
    const double *w1 = p, *b1 = w1 + IN * HIDDEN, *w2 = b1 + HIDDEN, *b2 = w2 + HIDDEN * OUT;
    double *gw1 = g, *gb1 = gw1 + IN * HIDDEN, *gw2 = gb1 + HIDDEN, *gb2 = gw2 + HIDDEN * OUT;
    double back[OUT * HIDDEN], last[BLOCK * IN] = {0.0}, loss = 0.0, scale = 1.0 / rows;

    transpose(HIDDEN, OUT, back, w2);
    memset(g, 0, DIGITS * sizeof *g);
    for (int r = 0; r < rows; r += BLOCK, x += BLOCK * IN) {
        double h[BLOCK * HIDDEN], dh[BLOCK * HIDDEN] = {0.0}, z[BLOCK * OUT] = {0.0};
        int count = rows - r < BLOCK ? rows - r : BLOCK;

        if (count < BLOCK)
            x = memcpy(last, x, count * IN * sizeof *x);
        for (int k = 0; k < BLOCK; k++) {
            memcpy(h + k * HIDDEN, b1, HIDDEN * sizeof *h);
            multiply(IN, HIDDEN, h + k * HIDDEN, x + k * IN, w1);
        }
        for (int j = 0; j < BLOCK * HIDDEN; j++)
            h[j] = tanh(h[j]);
        for (int k = 0; k < count; k++) {
            memcpy(z + k * OUT, b2, OUT * sizeof *z);
            multiply(HIDDEN, OUT, z + k * OUT, h + k * HIDDEN, w2);
            loss += cross_entropy(z + k * OUT, (int)y[r + k], scale);
        }
        for (int k = 0; k < BLOCK; k++) {
            add(OUT, gb2, 1.0, z + k * OUT);
            multiply(OUT, HIDDEN, dh + k * HIDDEN, z + k * OUT, back);
        }
        for (int i = 0; i < HIDDEN; i++)
            add_four(OUT, gw2 + i * OUT, h + i, HIDDEN, z);
        for (int j = 0; j < BLOCK * HIDDEN; j++)
            dh[j] *= 1.0 - h[j] * h[j];
        for (int k = 0; k < BLOCK; k++)
            add(HIDDEN, gb1, 1.0, dh + k * HIDDEN);
        for (int i = 0; i < IN; i++)
            add_four(HIDDEN, gw1 + i * HIDDEN, x + i, IN, dh);
    }
    return loss;
}

/* --- Rosenbrock's function -------------------------------------------------------------------- */

double rosenbrock(int n, const double *restrict x, double *restrict g)
{
    double a = x[1] - x[0] * x[0], b = 1.0 - x[0], value = 100.0 * a * a + b * b;

    g[0] = -400.0 * a * x[0] - 2.0 * b;
    for (int i = 1; i < n - 1; i++) {
        double before = x[i] - x[i - 1] * x[i - 1], here = x[i + 1] - x[i] * x[i];
        double rest = 1.0 - x[i];
        value += 100.0 * here * here + rest * rest;
        g[i] = 200.0 * before - 400.0 * here * x[i] - 2.0 * rest;
    }
    g[n - 1] = 200.0 * (x[n - 1] - x[n - 2] * x[n - 2]);
    return value;
}

/* --- the time in C alone ---------------------------------------------------------------------- */

/* The function comes as a pointer: what the compiler doesn't know it can't move out of the loop. */
double repeat_step(int times, double (*f)(int, const double *, const double *, const double *,
                                          double *),
                   int rows, const double *x, const double *y, const double *p, double *g)
{
    double value = 0.0;

    while (times-- > 0)
        value = f(rows, x, y, p, g);
    return value;
}

double repeat_point(int times, double (*f)(int, const double *, double *), int n, const double *x,
                    double *g)
{
    double value = 0.0;

    while (times-- > 0)
        value = f(n, x, g);
    return value;
}
