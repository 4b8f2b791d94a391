/* Kernels of double and single precision: SSE2 on amd64, x87 on i386. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

/* The square root by the processor's own instruction (-fno-math-errno). */
#define root __builtin_sqrt

static uint64_t bits(double d) {
  uint64_t u;
  memcpy(&u, &d, sizeof u);
  return u;
}

/* Five bodies of made-up masses, in a box without walls. */
static uint64_t nbody(int n) {
  enum { BODIES = 5 };
  struct { double x[3], v[3], mass; } body[BODIES];
  uint32_t random = 19;
  for (int i = 0; i < BODIES; i++) {
    for (int k = 0; k < 3; k++) {
      body[i].x[k] = (next_random(&random) % 2000) / 100.0;
      body[i].v[k] = (next_random(&random) % 200) / 100.0 - 1;
    }
    body[i].mass = 1 + i;
  }
  while (n-- > 0) {
    for (int i = 0; i < BODIES; i++)
      for (int j = i + 1; j < BODIES; j++) {
        double d[3], square = 0.01;
        for (int k = 0; k < 3; k++) d[k] = body[i].x[k] - body[j].x[k], square += d[k] * d[k];
        double pull = 0.001 / (square * root(square));
        for (int k = 0; k < 3; k++) {
          body[i].v[k] -= d[k] * body[j].mass * pull;
          body[j].v[k] += d[k] * body[i].mass * pull;
        }
      }
    for (int i = 0; i < BODIES; i++)
      for (int k = 0; k < 3; k++) body[i].x[k] += 0.001 * body[i].v[k];
  }
  return bits(body[2].x[1]);
}

static uint64_t mandelbrot(int n) {
  enum { SIZE = 64 };
  uint64_t inside = 0;
  while (n-- > 0)
    for (int row = 0; row < SIZE; row++)
      for (int column = 0; column < SIZE; column++) {
        double cr = 3.0 * column / SIZE - 2, ci = 2.0 * row / SIZE - 1, r = 0, i = 0;
        int k = 0;
        for (; k < 50 && r * r + i * i < 4; k++) {
          double next = r * r - i * i + cr;
          i = 2 * r * i + ci;
          r = next;
        }
        inside += k;
      }
  return inside;
}

/* The largest eigenvalue of an operator given by a formula: divisions. */
static double element(int i, int j) { return 1.0 / ((i + j) * (i + j + 1) / 2 + i + 1); }

static uint64_t spectral(int n) {
  enum { N = 64 };
  double u[N], v[N], sum = 0;
  for (int i = 0; i < N; i++) u[i] = 1;
  while (n-- > 0) {
    for (int i = 0; i < N; i++) {
      v[i] = 0;
      for (int j = 0; j < N; j++) v[i] += element(i, j) * u[j];
    }
    sum = 0;
    for (int i = 0; i < N; i++) {
      u[i] = 0;
      for (int j = 0; j < N; j++) u[i] += element(j, i) * v[j];
      sum += u[i];
    }
    for (int i = 0; i < N; i++) u[i] /= sum;
  }
  return (uint64_t)(sum * 1e9);
}

static uint64_t matmul(int n) {
  enum { N = 64 };
  static double a[N][N], b[N][N], c[N][N];
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) a[i][j] = i + j, b[i][j] = i - j;
  while (n-- > 0) {
    for (int i = 0; i < N; i++)
      for (int j = 0; j < N; j++) {
        double sum = 0;
        for (int k = 0; k < N; k++) sum += a[i][k] * b[k][j];
        c[i][j] = sum;
      }
    a[n % N][3] = c[n % N][5] / 1024;
  }
  return bits(c[7][9]);
}

/* A radix-2 transform in place; the roots of unity come from a recurrence. */
static uint64_t fft(int n) {
  enum { LOG = 10, N = 1 << LOG };
  static double re[N], im[N];
  while (n-- > 0) {
    for (int i = 0; i < N; i++) re[i] = i % 17, im[i] = 0;
    for (int i = 0; i < N; i++) {
      int j = 0;
      for (int k = 0; k < LOG; k++) j |= (i >> k & 1) << (LOG - 1 - k);
      if (j > i) {
        double swap = re[i];
        re[i] = re[j], re[j] = swap;
      }
    }
    double cosine = -1;
    for (int half = 1; half < N; half *= 2) {
      double sine = root((1 - cosine) * (1 + cosine)), wr = 1, wi = 0;
      for (int k = 0; k < half; k++) {
        for (int i = k; i < N; i += 2 * half) {
          double tr = wr * re[i + half] - wi * im[i + half], ti = wr * im[i + half] + wi * re[i + half];
          re[i + half] = re[i] - tr, im[i + half] = im[i] - ti;
          re[i] += tr, im[i] += ti;
        }
        double next = wr * cosine - wi * sine;
        wi = wr * sine + wi * cosine;
        wr = next;
      }
      cosine = root((1 + cosine) / 2);
    }
  }
  return bits(re[77]);
}

/* Single precision, and conversions from and to integers. */
static uint64_t filter(int n) {
  enum { N = 4096 };
  static float wave[N];
  uint32_t random = 23, sum = 0;
  for (int i = 0; i < N; i++) wave[i] = next_random(&random) % 65536;
  while (n-- > 0) {
    float low = 0, band = 0;
    for (int i = 0; i < N; i++) {
      low += 0.25f * band;
      band += 0.25f * (wave[i] - low - 0.5f * band);
      sum += (int)low;
    }
    wave[n % N] = sum & 0xffff;
  }
  return sum;
}

const struct kernel float_kernels[] = {
    {"nbody", nbody}, {"mandelbrot", mandelbrot}, {"spectral", spectral}, {"matmul", matmul},
    {"fft", fft},     {"filter", filter},         {0},
};
